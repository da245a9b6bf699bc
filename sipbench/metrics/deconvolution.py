"""Deblurring with the true kernel: what an error of blind deblurring is measured against.

A. Levin, R. Fergus, F. Durand, W. Freeman: Image and depth from a conventional camera with a coded aperture, SIGGRAPH
2007 (the prior); A. Levin, Y. Weiss, F. Durand, W. Freeman: Understanding and evaluating blind deconvolution
algorithms, CVPR 2009 (the ratio).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sipbench.operators.base import LinearOperator
from sipbench.operators.iterative import conjugate_gradients

EXPONENT = 0.8  # of the gradients, as published
WEIGHT = 6.0  # of the prior, times sigma^2: between the best at 0.01 (10) and at 0.05 (4) on validation faces
LEAST_SIGMA = 0.005  # a measurement without noise is deblurred as one with so much
CORNER = 0.02  # below this a gradient counts as if it were this: a hundredth of the range of an image


@torch.no_grad()
def deblurred(A: LinearOperator, y: Tensor, sigma: float | None, *, rounds: int = 5, steps: int = 50) -> Tensor:
    """argmin |A x - y|^2 + w sum |D x|^0.8 of each image, w = WEIGHT sigma^2, D the differences down and across.

    Iteratively reweighted: |t|^0.8 is 0.4 t^2 / |t_before|^1.2 up to what does not depend on t. Each round goes on from
    the one before, by conjugate gradients in double precision; the first has equal weights.
    """
    y = y.double()
    strength = WEIGHT * max(sigma or 0.0, LEAST_SIGMA) ** 2 * EXPONENT / 2
    goal = A.T(y)
    x, weights = goal, [torch.full_like(d, 1 / CORNER) for d in _differences(goal)]
    for _ in range(rounds):
        x = conjugate_gradients(lambda v, w=weights: A.T(A(v)) + strength * _bending(v, w), goal, x, steps)
        weights = [d.abs().clamp(min=CORNER) ** (EXPONENT - 2) for d in _differences(x)]
    return x


def _differences(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.diff(dim=-2), x.diff(dim=-1)


def _bending(x: Tensor, weights: list[Tensor]) -> Tensor:
    """D^T W D x."""
    down, across = (w * d for w, d in zip(weights, _differences(x), strict=True))
    out = torch.zeros_like(x)
    out[..., 1:, :] += down
    out[..., :-1, :] -= down
    out[..., 1:] += across
    out[..., :-1] -= across
    return out
