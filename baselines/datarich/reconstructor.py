"""Restoration by a network that was made elsewhere and is given the measurement and its operator, as those of deepinv.

Tachella et al.: DeepInverse: A Python package for solving imaging inverse problems with deep learning, JOSS 2025,
https://arxiv.org/abs/2505.20160
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from baselines.datarich.denoisers import norms
from sipbench.noise import PoissonGaussian, Shot
from sipbench.problem import Problem

try:
    import deepinv
except ImportError:
    deepinv: Any = None


@torch.no_grad()
def reconstructor(problem: Problem, *, net: nn.Module, range: Sequence[float] = (0.0, 1.0)) -> Tensor:
    """x = net(y', A / |A|) in the units of the network: images u on [low, high], an operator of norm 1.

    With x = (u - m) / h, where h = (high - low) / 2 and m = (high + low) / 2, y = A x + noise gives

        y' = (h y + m A 1) / |A| = A u / |A| + h noise / |A|

    Each image by itself, since deepinv's linear solvers stop by what the whole batch does. More: docs/external.md.

    Args:
        range: the low and the high end of the network's images.
    """
    if deepinv is None:
        raise ImportError("such a network needs the package deepinv: pip install 'sipbench[restorers]'")
    f, (low, high) = problem.linear, range
    h, m, images = (high - low) / 2, (high + low) / 2, []
    dark = m * f(torch.ones(problem.shape, dtype=problem.y.dtype, device=problem.device))
    for i, norm in enumerate(norms(problem).tolist()):
        one = slice(i, i + 1)
        u = net((h * problem.y[one] + dark[one]) / norm, physics(problem.select(one), norm, h))
        images.append((u - m) / h)
    return torch.cat(images).clamp(-1, 1)


def physics(problem: Problem, norm: float, h: float) -> Any:
    """A / |A| as deepinv has it, with its noise."""
    f = problem.linear
    return deepinv.physics.LinearPhysics(
        A=lambda x, **_: f(x) / norm,
        A_adjoint=lambda y, **_: f.T(y) / norm,
        img_size=tuple(problem.shape[1:]),
        noise_model=noise(problem, h / norm),
        device=problem.device,
    )


def noise(problem: Problem, scale: float) -> Any:
    """Gaussian noise; shot noise, whose counts are on [0, 1]; and none, where deepinv has no word for it."""
    told, kinds = problem.noise, deepinv.physics
    if isinstance(told, PoissonGaussian):
        return kinds.PoissonGaussianNoise(gain=2 * scale / told.rate, sigma=2 * scale * told.read)
    if isinstance(told, Shot):
        return kinds.PoissonNoise(gain=2 * scale / told.rate)
    return kinds.ZeroNoise() if told is None or told.sigma is None else kinds.GaussianNoise(scale * told.sigma)
