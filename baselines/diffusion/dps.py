"""Diffusion posterior sampling (DPS).

Chung, Kim, Mccann, Klasky, Ye: Diffusion Posterior Sampling for General Noisy Inverse Problems, ICLR 2023,
https://arxiv.org/abs/2209.14687
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from sipbench.problem import Problem


def dps(problem: Problem, *, steps: int = 1000, zeta: float = 1.0, clip: bool = True) -> Tensor:
    """Ancestral sampling, each step corrected along the gradient of the residual's norm:

        x_hat   = E[x | x_t],   x' ~ q(x_s | x_t, x_hat)
        x_s     = x' - zeta grad_{x_t} || y - f(x_hat) ||

    The norm is not squared and is one per image. The public code does so, with zeta as its `scale`; the paper writes
    the squared norm with the step zeta / || y - f(x_hat) ||, which is twice that. The variance of q is the posterior's
    (the public code interpolates it with its learned one). Cost: `steps` evaluations, each with one backward pass.

    Args:
        steps: number of sampling steps.
        zeta: step size of the guidance.
        clip: clip x_hat to [-1, 1], as published; turn off for data without that range.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    assert prior is not None
    times = prior.times(steps)
    x_t = rng.portable.normal(*problem.shape[1:], dtype=y.dtype)
    for _, (t, s) in zip(problem.steps(steps), pairwise(times), strict=False):
        alpha_t, sigma_t = prior.scales(t)
        alpha_s, sigma_s = prior.scales(s)
        with torch.enable_grad():
            x_t.requires_grad_()
            x_hat = prior.denoise(x_t, t)
            x_hat = x_hat.clamp(-1, 1) if clip else x_hat
            norm = (y - f(x_hat)).flatten(1).norm(dim=1)
            (gradient,) = torch.autograd.grad(norm.sum(), x_t)

        with torch.no_grad():
            ratio = (alpha_t / alpha_s * sigma_s / sigma_t) ** 2  # share of the noise that stays
            x_s = alpha_s * x_hat + sigma_s * ratio.sqrt() / sigma_t * (x_t - alpha_t * x_hat)
            x_s = x_s + sigma_s * (1 - ratio).sqrt() * rng.normal_like(x_t)
            x_t = x_s - zeta * gradient
            problem.show(x_hat, loss=norm)
    return x_t
