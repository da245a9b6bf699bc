"""Denoisers to plug in: D(x, sigma) for x with noise of standard deviation sigma on [-1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from baselines.common.algebra import each
from baselines.common.block_matching import block_matching
from baselines.common.differences import differences
from sipbench.problem import Problem

Denoiser = Callable[[Tensor, Tensor], Tensor]  # the images; a noise level, or one for each
Name = Literal["prior", "network", "bm3d", "tv"]
LEAST_LEARNED = 0.01  # the least noise level that `sipbench train net` shows a denoiser
LEAST_SIGMA = 0.002  # the least noise of a measurement that is assumed, 0.255 of 255


def denoiser_of(problem: Problem, name: Name, net: nn.Module | None = None) -> Denoiser:
    """The diffusion prior, which gives E[x | x + sigma z]; a network; or one that knows no data: BM3D or TV."""
    match name:
        case "prior":
            return prior_denoiser(problem)
        case "network":
            return network_denoiser(net)
        case "bm3d":
            return bm3d_denoiser()
        case "tv":
            return total_variation


def network_denoiser(net: nn.Module | None) -> Denoiser:
    """net(x, sigma) with a noise level for each image, not below those it has learned, in its own precision."""
    assert net is not None, "denoiser network is one that the method's config names under networks: net"
    weight = next(net.parameters())

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        level = weight.new_zeros(len(x)) + sigma.to(weight.dtype)  # a copy from the CPU would wait
        return net(x.to(weight.dtype), level.clamp(min=LEAST_LEARNED)).to(x.dtype)

    return denoise


def prior_denoiser(problem: Problem) -> Denoiser:
    """The prior at the time t whose sigma_t / alpha_t is sigma, or at its nearest: x + sigma z = x_t / alpha_t."""
    prior = problem.prior

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        t = prior.time_at(sigma)
        alpha, _ = prior.scales(t)
        return prior.denoise(prior.spread(alpha, x) * x, t)

    return denoise


def bm3d_denoiser() -> Denoiser:
    """BM3D, one image after another on the CPU."""
    filtered = block_matching()

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        images, levels = ((x + 1) / 2).double().cpu(), (sigma / 2).expand(len(x)).tolist()
        return (2 * torch.stack(list(map(filtered, images, levels))) - 1).to(x)

    return denoise


def total_variation(x: Tensor, sigma: Tensor, iterations: int = 100) -> Tensor:
    """argmin_v |v - x|^2 / 2 + sigma^2 TV(v), Euclidean over directions and channels.

    By accelerated projected gradients on the dual: Beck, Teboulle: Fast Gradient-Based Algorithms for Constrained
    Total Variation Image Denoising and Deblurring Problems, IEEE TIP 2009.
    """
    weight = each(sigma.to(x) ** 2, x).clamp(min=torch.finfo(x.dtype).tiny)
    p = q = x.new_zeros(2, *x.shape)
    t = 1.0
    for _ in range(iterations):
        step = q + _gradient(x - weight * _gradient_T(q)) / (8 * weight)
        new = step / step.square().sum((0, 2), keepdim=True).sqrt().clamp(min=1)
        t, before = (1 + (1 + 4 * t * t) ** 0.5) / 2, t
        q, p = new + (before - 1) / t * (new - p), new
    return x - weight * _gradient_T(p)


def _gradient(x: Tensor) -> Tensor:
    """The two forward differences, (2, B, C, H, W), zero across the border."""
    u = x.new_zeros(2, *x.shape)
    u[0, ..., :-1, :], u[1, ..., :-1] = differences(x)
    return u


def _gradient_T(u: Tensor) -> Tensor:
    """Its adjoint."""
    x = torch.zeros_like(u[0])
    x[..., 1:, :] += u[0, ..., :-1, :]
    x[..., :-1, :] -= u[0, ..., :-1, :]
    x[..., 1:] += u[1, ..., :-1]
    x[..., :-1] -= u[1, ..., :-1]
    return x


def spaced(first: float, last: float, n: int) -> list[Tensor]:
    """n noise levels with even ratios, from the first down to the last: scalars on the CPU, as a schedule has them."""
    if min(first, last) <= 0:
        raise ValueError(f"a denoiser's noise levels are above 0, not {255 * min(first, last) / 2:g} out of 255")
    return list(torch.logspace(math.log10(first), math.log10(last), n, dtype=torch.float64, device="cpu"))


def of_255(level: float) -> float:
    """A level out of 255 on [-1, 1]."""
    return 2 * level / 255


def noise_of(problem: Problem) -> float:
    """The standard deviation of the measurement's noise, not below LEAST_SIGMA."""
    return max(problem.sigma, LEAST_SIGMA)


def norms(problem: Problem) -> Tensor:
    """The largest singular value of the forward map of each image, (B,), to divide by: 1 of a map that is zero."""
    f, count = problem.linear, len(problem.y) if problem.linear.per_image else 1
    return problem.y.new_tensor([f.select(slice(i, i + 1)).norm or 1.0 for i in range(count)]).expand(len(problem.y))
