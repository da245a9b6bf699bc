"""FlowDPS: flow-driven posterior sampling.

Kim, Kim, Ye: FlowDPS: Flow-Driven Posterior Sampling for Inverse Problems, ICCV 2025, https://arxiv.org/abs/2503.08136
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from baselines.diffusion.sampling import Level, descend, level, start
from sipbench.priors.base import Prior
from sipbench.problem import Problem


@torch.no_grad()
def flowdps(
    problem: Problem,
    *,
    steps: int = 28,
    step_size: float = 15.0,
    iterations: int = 3,
    shift: float = 4.0,
    residual: Literal["plain", "pinv", "adjoint"] = "plain",
) -> Tensor:
    """A flow split into the image and the noise it sees; the image is fitted, the noise partly drawn anew:

        x0 = E[x | x_t],   x1 = (x_t - alpha_t x0) / sigma_t
        x0_y: `iterations` steps of `step_size` from x0 down the gradient of || y - f(decode(x0)) ||, not squared
        x_s = alpha_s ((1 - u_t) x0 + u_t x0_y) + sigma_s (sqrt(u_s) x1 + sqrt(1 - u_s) z)

    u = sigma / (alpha + sigma) is the time on the straight path alpha = 1 - u, sigma = u. Every other prior is the
    flow x_t / (alpha + sigma): the formula is the paper's on each. No text guides the prior. Cost: `steps` evaluations,
    none differentiated, and iterations * steps passes through the decoder. More: docs/notes/flowdps.md.

    Args:
        steps: number of sampling steps.
        step_size: of the descent.
        iterations: how many steps of descent.
        shift: s > 1 spends more steps near the noise: evenly spaced v give u = s v / (1 + (s - 1) v).
        residual: plain as in the paper; or pinv, || A^+ (y - A x) ||, or adjoint, || A^T (y - A x) ||.
    """
    prior, fit = problem.prior, residual_of(problem, residual)
    times = shifted(prior, steps, shift)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        x_0 = x_y = prior.denoise(x_t, now.t)
        x_1 = (x_t - now.alpha * x_0) / now.sigma
        for k in range(iterations):
            with torch.enable_grad():
                x_y = x_y.detach().requires_grad_()
                image = prior.decode(x_y)
                norm = fit(image).norm(dim=1)
                (gradient,) = torch.autograd.grad(norm.sum(), x_y)
            x_y = x_y.detach() - step_size * gradient
            if k == 0:
                problem.show(image.detach(), loss=norm.detach())
        noise = then.u.sqrt() * x_1 + (1 - then.u).sqrt() * problem.rng.normal_like(x_t)
        x_t = then.alpha * ((1 - now.u) * x_0 + now.u * x_y) + then.sigma * noise
    return prior.decode(x_t)


def shifted(prior: Prior, n: int, shift: float) -> Tensor:
    """n + 1 times, from the noisiest the prior knows to 0, with evenly spaced and then shifted times of the flow."""
    if n < 1:
        raise ValueError(f"steps must be 1 or more, not {n}")
    first = prior.times(1)[:1]
    top = Level(first, *prior.scales(first)).u
    v = torch.linspace(1, 0, n + 1, dtype=torch.float64, device="cpu") * top / (shift - (shift - 1) * top)
    u = (shift * v / (1 + (shift - 1) * v))[1:-1]
    return torch.cat([first, prior.time_at(u / (1 - u)), first.new_zeros(1)])


def residual_of(problem: Problem, kind: str) -> Callable[[Tensor], Tensor]:
    """image -> the residual an image, (B, m), without the entries where nothing is measured."""
    y, f, valid = problem.y, problem.f, problem.f.valid
    if kind == "plain":
        weight = 1.0 if valid is None else valid.to(y.dtype)
        return lambda x: (weight * (y - f(x))).flatten(1)
    if not f.linear:
        raise ValueError(f"the residual {kind!r} needs a linear forward map; choose plain")
    A = problem.linear
    if kind == "pinv" and A.exact_pinv and A.svd(y.dtype) is None:
        return lambda x: projected(A.pinv(y - A(x.detach())), x).flatten(1)
    back = A.pinv if kind == "pinv" else A.T
    return lambda x: back(y - A(x)).flatten(1)


def projected(r: Tensor, x: Tensor) -> Tensor:
    """r = A^+ (y - A x) with the gradient -1 in x for -A^+ A: for what only asks for the length of r it is the same.

    A^+ A is an orthogonal projection that leaves r as it is, so an A^+ found step by step need not be differentiated.
    """
    return r.detach() - (x - x.detach())
