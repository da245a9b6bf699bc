"""Denoising diffusion models for plug-and-play image restoration (DiffPIR).

Zhu, Zhang, Liang, Cao, Wen, Timofte, Van Gool: Denoising Diffusion Models for Plug-and-Play Image Restoration,
CVPR workshops 2023, https://arxiv.org/abs/2305.08995
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.linear import conditioning
from baselines.diffusion.sampling import descend, level, start
from sipbench.operators import LinearOperator
from sipbench.priors import Prior
from sipbench.problem import Problem

FLOOR = 0.001  # the least noise level assumed, on [0, 1]


def diffpir(
    problem: Problem,
    *,
    steps: int = 100,
    lam: float = 1.0,
    zeta: float = 0.1,
    skip: str = "quad",
    init: str = "measurement",
    clip: bool = True,
) -> Tensor:
    """Half-quadratic splitting along the noise levels, the denoiser being the proximal step of the prior:

        x_hat = E[x | x_t]
        x0    = argmin_x || y - A x ||^2 + rho_t || x - x_hat ||^2,    rho_t = lam sigma_n^2 / (sigma_t / alpha_t)^2
        e     = (x_t - alpha_t x0) / sigma_t
        x_s   = alpha_s x0 + sigma_s (sqrt(1 - zeta) e + sqrt(zeta) z)

    As published, sigma_n is the noise of intensities on [0, 1], half of that on [-1, 1], and at least 0.001, while
    sigma_t is that of x_t on [-1, 1]: lam = 4 is what the formula's own units would call 1. The last step takes
    x_hat as it is; the public code evaluates it and then returns x_t, with its noise of 0.01. It starts from the
    measurement at full size, bicubic or masked; here, for any A, from argmin_x || y - A x ||^2 + sigma_n^2 || x ||^2.
    Cost: `steps` evaluations.

    Args:
        steps: number of sampling steps.
        lam: the weight of the prior.
        zeta: the share of fresh noise; published: deblurring 0.1, super-resolution 0.25, inpainting 1 (of 20 steps).
        skip: the times, `uniform`, or `quad`: the prior's clock falls as 1 - sqrt(k), slower towards the image.
        init: start from the noised `measurement`, or from `noise`.
        clip: clip x_hat to [-1, 1], as published.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    assert prior is not None and problem.noise is not None and isinstance(f, LinearOperator)
    sigma = problem.noise.sigma
    assert sigma is not None
    if init not in ("measurement", "noise"):
        raise ValueError(f"init is measurement or noise, not {init!r}")
    sigma_n = max(FLOOR, sigma / 2)
    gain, times = conditioning(f, y.dtype), grid(prior, steps, skip)
    first = level(problem, times[0])
    with torch.no_grad():
        x_t = start(problem, first)
        if init == "measurement":
            x_t = x_t + first.alpha * gain(y, 1.0, (2 * sigma_n) ** 2)
        for now, then in descend(problem, times):
            x0 = prior.denoise(x_t, now.t)
            x0 = x0.clamp(-1, 1) if clip else x0
            if then.sigma > 0:
                rho = lam * sigma_n**2 / (now.sigma / now.alpha) ** 2
                x0 = x0 + gain(y - f(x0), 1.0, rho)
            e = (x_t - now.alpha * x0) / now.sigma
            x_t = then.alpha * x0 + then.sigma * ((1 - zeta) ** 0.5 * e + zeta**0.5 * rng.normal_like(x_t))
            problem.show(x0)
    return x_t


def grid(prior: Prior, steps: int, skip: str) -> Tensor:
    """The prior's evenly spaced times, or the same range with t_k = t_0 + (t_last - t_0) sqrt(k / (steps - 1))."""
    times = prior.times(steps)
    if skip not in ("quad", "uniform"):
        raise ValueError(f"skip is quad or uniform, not {skip!r}")
    if skip == "uniform" or steps == 1:
        return times
    share = torch.linspace(0, 1, steps, dtype=times.dtype, device=times.device).sqrt()
    return torch.cat([times[0] + (times[steps - 1] - times[0]) * share, times[steps:]])
