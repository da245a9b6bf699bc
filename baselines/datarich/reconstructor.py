"""Our problem as deepinv's reconstructors take it: model(y, physics), on [0, 1], with an operator of unit norm.

Tachella et al.: DeepInverse: A Python package for solving imaging inverse problems with deep learning, JOSS 2025,
https://arxiv.org/abs/2505.20160
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sipbench.noise import PoissonGaussian, Shot
from sipbench.problem import Problem


def reconstructed(problem: Problem, net: nn.Module, low: float, high: float) -> Tensor:
    """Each image by itself: deepinv's solvers stop by what the whole batch does.

    x = 2 u - 1 on [-1, 1] with u on [0, 1] gives y = A x = 2 A u - A 1, so that A u / |A| = (y + A 1) / (2 |A|), with
    noise of sigma / (2 |A|); likewise between other ends.
    """
    images, f = [], problem.linear
    for i in range(len(problem.y)):
        one = slice(i, i + 1)
        images.append(_one(problem.select(one), f.select(one), net, low, high))
    return torch.cat(images)


def _one(problem: Problem, f: Any, net: nn.Module, low: float, high: float) -> Tensor:
    half, middle, norm = (high - low) / 2, (high + low) / 2, f.norm
    ones = torch.ones(problem.shape, dtype=problem.y.dtype, device=problem.device)
    y = (half * problem.y + middle * f(ones)) / norm
    return (net(y, physics(problem, f, half / norm)) - middle) / half


def physics(problem: Problem, f: Any, scale: float) -> Any:
    """A / |A| as a deepinv physics; `scale` is what the noise of y is multiplied with."""
    deepinv = _deepinv()
    return deepinv.physics.LinearPhysics(
        A=lambda x, **_: f(x) / f.norm,
        A_adjoint=lambda y, **_: f.T(y) / f.norm,
        img_size=tuple(problem.shape[1:]),
        noise_model=_noise(deepinv.physics, problem, scale),
        device=problem.device,
    )


def _noise(kinds: Any, problem: Problem, scale: float) -> Any:
    """Gaussian noise and shot noise, which counts on [0, 1]; none that deepinv has no word for."""
    noise = problem.noise
    if isinstance(noise, PoissonGaussian):
        return kinds.PoissonGaussianNoise(gain=2 * scale / noise.rate, sigma=2 * scale * noise.read)
    if isinstance(noise, Shot):
        return kinds.PoissonNoise(gain=2 * scale / noise.rate)
    if noise is None or noise.sigma is None:
        return kinds.ZeroNoise()
    return kinds.GaussianNoise(scale * noise.sigma)


def _deepinv() -> Any:
    try:
        import deepinv
    except ImportError as error:
        raise ImportError("given=physics needs the package deepinv: pip install 'sipbench[restorers]'") from error
    return deepinv
