"""Denoising diffusion models for plug-and-play image restoration (DiffPIR).

Zhu, Zhang, Liang, Cao, Wen, Timofte, Van Gool: Denoising Diffusion Models for Plug-and-Play Image Restoration,
CVPR workshops 2023, https://arxiv.org/abs/2305.08995
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from baselines.common.linear import conditioning
from baselines.diffusion.sampling import clipped, descend, level, start
from sipbench.priors import Prior
from sipbench.problem import Problem

FLOOR = 0.001  # the least noise level assumed, on [0, 1]


@torch.no_grad()
def diffpir(
    problem: Problem,
    *,
    steps: int = 100,
    lam: float = 1.0,
    zeta: float = 0.1,
    skip: Literal["quad", "uniform"] = "quad",
    init: Literal["measurement", "noise"] = "measurement",
    clip: bool = True,
) -> Tensor:
    """Half-quadratic splitting along the noise levels, the denoiser being the proximal step of the prior:

        x_hat = E[x | x_t]
        x0    = argmin_x || y - A x ||^2 + rho_t || x - x_hat ||^2,    rho_t = lam sigma_n^2 / (sigma_t / alpha_t)^2
        e     = (x_t - alpha_t x0) / sigma_t
        x_s   = alpha_s x0 + sigma_s (sqrt(1 - zeta) e + sqrt(zeta) z)

    sigma_n is the noise of intensities on [0, 1], half of that on [-1, 1], and at least 0.001. The last step takes
    x_hat as it is. It starts at the noised argmin_x || y - A x ||^2 + 4 sigma_n^2 || x ||^2. Cost: `steps` evaluations.
    More: docs/notes/diffpir.md.

    Args:
        steps: number of sampling steps.
        lam: the weight of the prior.
        zeta: the share of fresh noise.
        skip: the times, `uniform`, or `quad`: the prior's clock falls as 1 - sqrt(k), slower towards the image.
        init: start from the noised `measurement`, or from `noise`.
        clip: clip x_hat to [-1, 1], as published.
    """
    y, f, prior, rng = problem.y, problem.linear, problem.prior, problem.rng
    sigma_n = max(FLOOR, problem.sigma / 2)
    gain, times = conditioning(f, y.dtype), grid(prior, steps, skip)
    first = level(problem, times[0])
    x_t = start(problem, first)
    if init == "measurement":
        x_t = x_t + first.alpha * gain(y, 1.0, (2 * sigma_n) ** 2)
    for now, then in descend(problem, times):
        x0 = clipped(prior.denoise(x_t, now.t), clip)
        if then.sigma > 0:
            rho = lam * sigma_n**2 / now.S**2
            x0 = x0 + gain(y - f(x0), 1.0, rho)
        e = (x_t - now.alpha * x0) / now.sigma
        x_t = then.alpha * x0 + then.sigma * ((1 - zeta) ** 0.5 * e + zeta**0.5 * rng.normal_like(x_t))
        problem.show(x0)
    return x_t


def grid(prior: Prior, steps: int, skip: str) -> Tensor:
    """The prior's evenly spaced times, or the same range with t_k = t_0 + (t_last - t_0) sqrt(k / (steps - 1))."""
    times = prior.times(steps)
    if skip == "uniform" or steps == 1:
        return times
    share = torch.linspace(0, 1, steps, dtype=times.dtype, device=times.device).sqrt()
    return torch.cat([times[0] + (times[steps - 1] - times[0]) * share, times[steps:]])
