"""Total variation.

Rudin, Osher, Fatemi: Nonlinear Total Variation Based Noise Removal Algorithms, Physica D 1992; for colours Blomgren,
Chan: Color TV, IEEE TIP 1998. Minimised as in `baselines.classical.primal_dual`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from baselines.classical.gradient import SQUARED_NORM, gradient, gradient_T
from baselines.classical.primal_dual import Data, minimise
from baselines.classical.weights import weight
from sipbench.problem import Estimate, Problem


@torch.no_grad()
def tv(
    problem: Problem,
    *,
    c: float | None = 5.0,
    lam: float = 0.02,
    isotropic: bool = True,
    channels: Literal["joint", "separate"] = "joint",
    box: bool = False,
    iterations: int = 1000,
    tolerance: float = 1e-5,
    rho: float = 1.9,
    scale: float = 0.1,
) -> Estimate:
    """min_x |A x - y|^2 / 2 + lambda TV(x),   TV(x) = sum_pixels |grad x|,   lambda = c sigma^2, or lam

    with forward differences that end at the border. |.| is Euclidean over the two directions (isotropic) or sums
    their absolute values, and Euclidean over the channels (joint) or summed over them (separate). Cost: one A and A^T
    an iteration. The minimiser is unique where A has no null space; lambda is in the units of [-1, 1], where it is
    twice that of the same problem on [0, 1].

    Args:
        c: lambda = c sigma^2 where sigma is told; None takes lam.
        lam: lambda itself elsewhere.
        isotropic: rotation invariant, against a sum over the two directions.
        channels: joint or separate.
        box: keep x in [-1, 1]; the data's step is then explicit, which takes more iterations.
        iterations: at most so many.
        tolerance: an image stops where its relative change is below this.
        rho: over-relaxation, below 2.
        scale: how far x is from its start, about; balances the steps: sigma = lambda / (scale sqrt 8).
    """
    over = dual_axes(isotropic, channels)
    data = Data(problem, box)
    strength = weight(problem, c, lam)
    x = data.start
    return minimise(
        data,
        x,
        torch.zeros_like(gradient(x)),
        K=gradient,
        K_T=gradient_T,
        bound=SQUARED_NORM,
        project=lambda u: project(u, strength, over),
        penalty=lambda x: strength * mixed_norm(gradient(x), over),
        sigma=max(strength, 1e-8) / (scale * math.sqrt(SQUARED_NORM)),
        rho=rho,
        iterations=iterations,
        tolerance=tolerance,
    )


def dual_axes(isotropic: bool, channels: str) -> tuple[int, ...]:
    """The dimensions of a field (B, n, C, H, W) that share one Euclidean norm."""
    return ((1,) if isotropic else ()) + ((2,) if channels == "joint" else ())


def lengths(u: Tensor, over: tuple[int, ...]) -> Tensor:
    """The Euclidean norm over these dimensions, which stay as ones."""
    if not over:
        return u.abs()
    square = u.square()
    for axis in over:
        parts = square.unbind(axis)
        square = sum(parts[1:], parts[0]).unsqueeze(axis)
    return square.sqrt_()


def mixed_norm(u: Tensor, over: tuple[int, ...]) -> Tensor:
    """The sum of the lengths of each image, (B,)."""
    return lengths(u, over).flatten(1).sum(1)


def project(u: Tensor, radius: float, over: tuple[int, ...]) -> Tensor:
    """Onto lengths of at most `radius`; u is overwritten."""
    if radius == 0:
        return u.zero_()
    return u.div_((lengths(u, over) / radius).clamp_(min=1)) if over else u.clamp_(-radius, radius)
