"""Diffusion posterior sampling (DPS).

Chung, Kim, Mccann, Klasky, Ye: Diffusion Posterior Sampling for General Noisy Inverse Problems, ICLR 2023,
https://arxiv.org/abs/2209.14687
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.algebra import norm
from baselines.diffusion.sampling import clipped, ddim, descend, level, start
from sipbench.problem import Problem


@torch.no_grad()
def dps(problem: Problem, *, steps: int = 1000, zeta: float = 1.0, clip: bool = True) -> Tensor:
    """Ancestral sampling, each step corrected along the gradient of the residual's norm:

        x_hat   = E[x | x_t],   x' ~ q(x_s | x_t, x_hat)
        x_s     = x' - zeta grad_{x_t} || y - f(x_hat) ||

    The norm is not squared. The step is in the units of a variance-preserving state; others are scaled by n_s n_t,
    n^2 = alpha^2 + sigma^2. Cost: `steps` evaluations, each with one backward pass. More: docs/notes/dps.md.

    Args:
        steps: number of sampling steps.
        zeta: step size of the guidance.
        clip: clip x_hat to [-1, 1], as published; turn off for data without that range.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    times = prior.times(steps)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        with torch.enable_grad():
            x_t.requires_grad_()
            x_hat = clipped(prior.denoise(x_t, now.t), clip)
            misfit = norm(y - f(x_hat))
            (gradient,) = torch.autograd.grad(misfit.sum(), x_t)

        x_t = ddim(x_t, x_hat, now, then, rng.normal_like(x_t)) - zeta * now.size * then.size * gradient
        problem.show(x_hat, loss=misfit)
    return x_t
