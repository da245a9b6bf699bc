"""RED-diff: regularisation by denoising diffusion.

Mardani, Song, Kautz, Vahdat: A Variational Perspective on Solving Inverse Problems with Diffusion Models, ICLR 2024,
https://arxiv.org/abs/2305.04391
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from baselines.common.linear import pseudo_inverse
from baselines.diffusion.sampling import descend
from sipbench.priors.schedules import Spacing
from sipbench.problem import Problem

WEIGHTINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda r: r,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "log": torch.log1p,
    "trunc_linear": lambda r: r.clamp(max=1.0),
    "power2over3": lambda r: r ** (2 / 3),
    "const": torch.ones_like,
}


@torch.no_grad()
def reddiff(
    problem: Problem,
    *,
    steps: int = 1000,
    lr: float = 0.1,
    lam: float = 0.25,
    obs_weight: float = 1.0,
    weighting: Literal["linear", "sqrt", "square", "log", "trunc_linear", "power2over3", "const"] = "linear",
    sigma_x0: float = 0.0,
    init: Literal["pinv", "zeros"] = "pinv",
    cutoff: float = 0.03,
    spacing: Spacing = "even",
) -> Tensor:
    """One Adam step (betas 0.9, 0.99) on an image mu at each noise level, from the noisiest down:

        x_t  = alpha_t x0 + sigma_t z,    x0 = mu + sigma_x0 z',    e = (x_t - alpha_t E[x | x_t]) / sigma_t
        loss = obs_weight / (2 m) | y - f(x0) |^2  +  w_t / n <e - z, x0>,    w_t = lam r,  r = sigma_t / alpha_t

    with e - z held fixed: the network is not differentiated. m is the number of entries of y that carry information, n
    that of x. Cost: `steps` evaluations. More: docs/notes/reddiff.md.

    Args:
        steps: number of noise levels.
        lr: Adam's step size.
        lam: weight of the prior.
        obs_weight: weight of the measurement.
        weighting: how w_t grows with r: linear, sqrt, square, log, trunc_linear, power2over3 or const.
        sigma_x0: the width of the variational distribution around mu.
        init: pinv starts from A^+ y (zeros where f is not linear), zeros from nothing.
        cutoff: singular values of A below it count as zero in A^+: see `pseudo_inverse`.
        spacing: the times, `even`, or `leading` as in the public code.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    pinv = pseudo_inverse(problem.linear, y.dtype, cutoff) if init == "pinv" and f.linear else None
    mu = y.new_zeros(problem.shape) if pinv is None else pinv(y)
    mean, square = torch.zeros_like(mu), torch.zeros_like(mu)  # Adam's, of the gradient
    m = y[0].numel() if f.valid is None else f.valid.expand_as(y).flatten(1).sum(1).clamp(min=1).to(y.dtype)
    for k, (now, _) in enumerate(descend(problem, prior.times(steps, spacing)), 1):
        x0 = mu + sigma_x0 * rng.normal_like(mu) if sigma_x0 else mu
        x_t = now.alpha * x0 + now.sigma * rng.normal_like(mu)
        gap = now.alpha / now.sigma * (x0 - prior.denoise(x_t, now.t))  # e - z

        with torch.enable_grad():
            x0 = x0.detach().requires_grad_()
            loss = (y - f(x0)).square().flatten(1).sum(1) / (2 * m)
            (gradient,) = torch.autograd.grad(loss.sum(), x0)

        w = lam * WEIGHTINGS[weighting](now.S)
        gradient = obs_weight * gradient + w / mu[0].numel() * gap
        mean, square = torch.lerp(gradient, mean, 0.9), torch.lerp(gradient**2, square, 0.99)
        mu = mu - lr * mean / (1 - 0.9**k) / ((square / (1 - 0.99**k)).sqrt() + 1e-8)
        problem.show(mu, loss=loss.detach())
    return mu
