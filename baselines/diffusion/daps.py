"""Decoupled annealing posterior sampling (DAPS).

Zhang, Chu, Berner, Meng, Anandkumar, Song: Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing,
CVPR 2025, https://arxiv.org/abs/2407.01521
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from baselines.common.algebra import where
from baselines.diffusion.sampling import Level, ddim, descend, level, start
from sipbench.priors.base import Prior
from sipbench.problem import Problem

RHO = 7


@torch.no_grad()
def daps(
    problem: Problem,
    *,
    steps: int = 200,
    sigma_max: float = 100.0,
    sigma_min: float = 0.1,
    ode_steps: int = 5,
    ode_sigma_min: float = 0.01,
    ode_to_zero: bool = False,
    mc_algo: Literal["langevin", "hmc"] = "langevin",
    num_steps: int = 100,
    lr: float = 1e-4,
    lr_min_ratio: float = 0.01,
    tau: float | None = 0.01,
    momentum: float = 0.9,
    prior_solver: Literal["gaussian", "exact", "score-t", "score-min"] = "gaussian",
    prior_sigma_min: float = 0.01,
    clip_gradient: float | None = None,
) -> Tensor:
    """At each noise level S = sigma / alpha, from x_t: an estimate, a chain of x given x_t and y, and noise again:

        x_hat = the end of the probability-flow ODE from x_t, `ode_steps` Euler steps
        x_y   = the end of a chain, from x_hat, with the score  -grad |f(x) - y|^2 / tau^2 + (c - x) / S^2
        x_s   = alpha_s x_y + sigma_s z

    c is x_hat ("gaussian": p(x | x_t) = N(x_hat, S^2 I)), or x_t / alpha_t plus S^2 times the score of the prior: at x
    and the level `prior_sigma_min` ("exact"), at x_hat and that level ("score-min"), at x_t ("score-t"). The chain is
    Langevin's x += h score + sqrt(2 h) z, or HMC with friction, v = m v + sqrt(h) score + sqrt(2 (1 - m)) z,
    x += sqrt(h) v; h falls linearly from lr to about lr_min_ratio lr over the levels.

    Back-propagation goes through the decoder of a latent prior, never through the denoiser. Cost: `steps` * `ode_steps`
    evaluations, `steps` more for score-t and score-min, `steps` * `num_steps` more for exact. More: docs/notes/daps.md.

    Args:
        steps: number of noise levels.
        sigma_max, sigma_min: the ends of their grid, sigma_min itself replaced by 0; nearest those the prior knows.
        ode_steps: Euler steps of the ODE.
        ode_sigma_min: where its grid ends.
        ode_to_zero: make the last of its steps one to zero.
        mc_algo: langevin or hmc.
        num_steps: steps of the chain.
        lr, lr_min_ratio: its step size h.
        tau: the weight of the measurement, or None to take that of the noise.
        momentum: m, for hmc.
        prior_solver, prior_sigma_min: the score of the prior.
        clip_gradient: clip the gradient of the misfit to +- this; 1 with a latent prior in the code.
    """
    prior, rng = problem.prior, problem.rng
    weight, m = 1 / likelihood(problem, tau), momentum if mc_algo == "hmc" else 0.0
    levels = grid(torch.tensor(sigma_max, dtype=torch.float64, device="cpu"), sigma_min, steps)[:-1]
    times = torch.cat([prior.time_at(levels), levels.new_zeros(1)])
    first = level(problem, times[0])
    x_t = start(problem, first)
    x_y = x_t / first.alpha
    for k, (now, then) in enumerate(descend(problem, times)):
        x_hat = flow(problem, x_t, now, ode_steps, ode_sigma_min, ode_to_zero)
        centre, S2 = centres(prior, prior_solver, x_t, x_hat, now, prior_sigma_min), now.S**2
        h = lr * (1 + k / (steps + 1) * (lr_min_ratio - 1))
        x_y, loss = x_hat, None
        v = rng.normal_like(x_hat) if mc_algo == "hmc" else torch.zeros_like(x_hat)
        for _ in range(num_steps):
            loss, gradient = misfit(problem, x_y, clip_gradient)
            score = (centre(x_y) - x_y) / S2 - weight * gradient
            v = m * v + h**0.5 * score + (2 * (1 - m)) ** 0.5 * rng.normal_like(v)
            x_y = x_y + h**0.5 * v
        x_y = zeros_where_broken(x_y)
        x_t = then.alpha * x_y + then.sigma * rng.normal_like(x_y)
        problem.show(prior.decode(x_y), loss=loss)
    return prior.decode(x_y)


def misfit(problem: Problem, x: Tensor, clip: float | None) -> tuple[Tensor, Tensor]:
    """|f(x) - y|^2 of each image, and its gradient."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        loss = (problem.f(problem.prior.decode(x)) - problem.y).square().flatten(1).sum(1)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
    return loss.detach(), gradient if clip is None else gradient.clamp(-clip, clip)


def likelihood(problem: Problem, tau: float | None) -> float:
    """tau^2, or the 2 sigma_y^2 that makes the likelihood that of the noise."""
    if tau is not None:
        return tau**2
    sigma = problem.noise.sigma if problem.noise is not None else None
    if not sigma:
        raise ValueError(
            "tau=None takes the weight of the noise, whose standard deviation is not told or zero: set tau"
        )
    return 2 * sigma**2


def grid(top: Tensor, bottom: float, n: int) -> Tensor:
    """n + 1 noise levels from top down to bottom, evenly spaced in their 7th root (Karras et al. 2022)."""
    r = torch.linspace(0, 1, n + 1, dtype=torch.float64, device="cpu")
    first, last = top ** (1 / RHO), min(bottom, float(top)) ** (1 / RHO)
    return (first + r * (last - first)) ** RHO


def flow(problem: Problem, x_t: Tensor, now: Level, steps: int, sigma_min: float, to_zero: bool) -> Tensor:
    """Euler's steps along dx / dS = (x - E[x | x_t]) / S with x = x_t / alpha, which are those of DDIM."""
    times = problem.prior.time_at(grid(now.S, sigma_min, steps - to_zero)[1:])
    ends = [now, *(level(problem, t) for t in times)]
    if to_zero:
        ends.append(level(problem, times.new_zeros(())))
    for a, b in pairwise(ends):
        x_t = ddim(x_t, problem.prior.denoise(x_t, a.t), a, b)
    return x_t / ends[-1].alpha


def centres(
    prior: Prior, kind: str, x_t: Tensor, x_hat: Tensor, now: Level, sigma_min: float
) -> Callable[[Tensor], Tensor]:
    """The c of the score (c - x) / S^2 of p(x | x_t), as a function of x."""
    least = prior.time_at(torch.tensor(sigma_min, dtype=torch.float64, device="cpu"))
    alpha, sigma = prior.scales(least)
    S2 = now.S**2

    def by_score(x: Tensor) -> Tensor:
        return x_t / now.alpha + S2 * (prior.denoise(alpha * x, least) - x) / (sigma / alpha) ** 2

    if kind == "exact":
        return by_score
    fixed = x_hat if kind == "gaussian" else by_score(x_hat) if kind == "score-min" else prior.denoise(x_t, now.t)
    return lambda x: fixed


def zeros_where_broken(x: Tensor) -> Tensor:
    """The image itself, or zeros where it holds a value that is not finite."""
    return where(x.isfinite().flatten(1).all(1), x, torch.zeros_like(x))
