"""Decomposed diffusion sampling (DDS).

Chung, Lee, Ye: Decomposed Diffusion Sampler for Accelerating Large-Scale Inverse Problems, ICLR 2024,
https://arxiv.org/abs/2303.05754
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.algebra import norm
from baselines.common.linear import cg
from baselines.diffusion.sampling import descend, level, start
from sipbench.priors.schedules import Spacing
from sipbench.problem import Problem


@torch.no_grad()
def dds(
    problem: Problem,
    *,
    steps: int = 50,
    eta: float = 0.85,
    gamma: float | None = 1.0,
    iterations: int = 5,
    spacing: Spacing = "even",
) -> Tensor:
    """DDIM whose estimate is first pulled to the measurement by a few conjugate gradient iterations from x_hat:

        x_hat = E[x | x_t],   e = (x_t - alpha_t x_hat) / sigma_t
        x_y  ~= argmin_x gamma |y - A x|^2 + |x - x_hat|^2,   that is (I + gamma A^T A) x_y = x_hat + gamma A^T y
        x_s   = alpha_s x_y + sigma_s ( sqrt(1 - eta^2) e + eta z )

    Without gamma, the noiseless form, the system is A^T A x_y = A^T y. eta = 1 is all fresh noise, not DDPM's share.
    Cost: `steps` evaluations, none with a backward pass. More: docs/notes/dds.md.

    Args:
        steps: number of sampling steps.
        eta: share of fresh noise.
        gamma: weight of the measurement; None for the noiseless form.
        iterations: of the conjugate gradients.
        spacing: the times, `even`, or `leading` as in the public code.
    """
    y, f, prior, rng = problem.y, problem.linear, problem.prior, problem.rng
    keep, weight = (0.0, 1.0) if gamma is None else (1.0, gamma)
    times = prior.times(steps, spacing)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        x_hat = prior.denoise(x_t, now.t)
        e = (x_t - now.alpha * x_hat) / now.sigma
        residual = y - f(x_hat)
        x_y = x_hat + cg(lambda d: keep * d + weight * f.T(f(d)), weight * f.T(residual), iterations)
        x_t = then.alpha * x_y + then.sigma * ((1 - eta**2) ** 0.5 * e + eta * rng.normal_like(x_t))
        problem.show(x_y, loss=norm(residual))
    return x_t
