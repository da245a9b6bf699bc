"""Diffusion model based posterior sampling (DMPS).

Meng, Kabashima: Diffusion Model Based Posterior Sampling for Noisy Linear Inverse Problems, ACML 2024,
https://arxiv.org/abs/2211.12343
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from baselines.common.algebra import norm
from baselines.common.linear import conditioning
from baselines.diffusion.sampling import clipped, ddim, descend, level, start
from sipbench.problem import Problem

LEAST_SIGMA = 1e-4  # stands for a noise of zero, where A A^T may have no inverse


@torch.no_grad()
def dmps(
    problem: Problem,
    *,
    steps: int = 1000,
    scale: float = 1.75,
    point: Literal["code", "level", "paper"] = "code",
    clip: bool = True,
) -> Tensor:
    """Ancestral sampling, each step corrected by the score of p(y | x_t) for a prior that is flat:

        x_hat = E[x | x_t],   x' ~ q(x_s | x_t, x_hat),   S = sigma / alpha
        x_s   = x' + scale alpha_s (S_t^2 - S_s^2) A^T (S_t^2 A A^T + sigma_y^2)^-1 (y - A x~)

    where x~ is x_t / alpha_t in the paper, x' / alpha_t in its code, x' in the units of a variance-preserving state,
    and x' / alpha_s on its own level. Cost: `steps` evaluations, none with a backward pass. More: docs/notes/dmps.md.

    Args:
        steps: number of sampling steps.
        scale: lambda of the paper, the weight of the likelihood.
        point: where the score is taken: code, level or paper.
        clip: clip x_hat to [-1, 1], as published.
    """
    y, f, prior, rng = problem.y, problem.linear, problem.prior, problem.rng
    gain, variance = conditioning(f, y.dtype), max(problem.sigma, LEAST_SIGMA) ** 2
    times = prior.times(steps)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        x_hat = clipped(prior.denoise(x_t, now.t), clip)
        x_s = ddim(x_t, x_hat, now, then, rng.normal_like(x_t))

        published = now.alpha / now.size * then.size
        x_0 = {"code": x_s / published, "level": x_s / then.alpha, "paper": x_t / now.alpha}[point]
        x_t = x_s + scale * then.alpha * (now.S**2 - then.S**2) * gain(y - f(x_0), now.S**2, variance)
        problem.show(x_hat, loss=norm(y - f(x_hat)))
    return x_t
