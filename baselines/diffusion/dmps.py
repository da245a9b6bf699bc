"""Diffusion model based posterior sampling (DMPS).

Meng, Kabashima: Diffusion Model Based Posterior Sampling for Noisy Linear Inverse Problems, ACML 2024,
https://arxiv.org/abs/2211.12343
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.linear import conditioning
from baselines.diffusion.sampling import ddim, descend, level, start
from sipbench.operators.base import LinearOperator
from sipbench.problem import Problem

POINTS = ("code", "level", "paper")
LEAST_SIGMA = 1e-4  # stands for a noise of zero, where A A^T may have no inverse


@torch.no_grad()
def dmps(problem: Problem, *, steps: int = 1000, scale: float = 1.75, point: str = "code", clip: bool = True) -> Tensor:
    """Ancestral sampling, each step corrected by the score of p(y | x_t) for a prior that is flat:

        x_hat = E[x | x_t],   x' ~ q(x_s | x_t, x_hat),   S = sigma / alpha
        x_s   = x' + scale alpha_s (S_t^2 - S_s^2) A^T (S_t^2 A A^T + sigma_y^2)^-1 (y - A x~)

    With alpha^2 = P the factor before A^T is the published (1 - a_t) / sqrt(a_t P_t), a_t = P_t / P_s. The paper takes
    x~ = x_t / alpha_t; its code x~ = x' / alpha_t, the new sample with the old scale, which differs from the consistent
    x' / alpha_s ("level") by a factor that is at most 1.01 in 1000 steps and grows as they are fewer. The variance of q
    is the posterior's (the code interpolates it with its learned one). Cost: `steps` evaluations, none with a backward
    pass.

    Args:
        steps: number of sampling steps.
        scale: lambda of the paper, the weight of the likelihood.
        point: where the score is taken: code, level or paper.
        clip: clip x_hat to [-1, 1], as published.
    """
    if point not in POINTS:
        raise ValueError(f"unknown point {point!r}: choose one of {', '.join(POINTS)}")
    y, f, prior, noise, rng = problem.y, problem.f, problem.prior, problem.noise, problem.rng
    assert prior is not None and noise is not None and noise.sigma is not None and isinstance(f, LinearOperator)
    gain, variance = conditioning(f, y.dtype), max(noise.sigma, LEAST_SIGMA) ** 2
    times = prior.times(steps)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        x_hat = prior.denoise(x_t, now.t)
        x_hat = x_hat.clamp(-1, 1) if clip else x_hat
        x_s = ddim(x_t, x_hat, now, then, rng.normal_like(x_t))

        x_0 = {"code": x_s / now.alpha, "level": x_s / then.alpha, "paper": x_t / now.alpha}[point]
        S2_t, S2_s = (now.sigma / now.alpha) ** 2, (then.sigma / then.alpha) ** 2
        residual = y - f(x_0)
        x_t = x_s + scale * then.alpha * (S2_t - S2_s) * gain(residual, S2_t, variance)
        problem.show(x_hat, loss=(y - f(x_hat)).flatten(1).norm(dim=1))
    return x_t
