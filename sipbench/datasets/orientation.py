"""Which way round a kernel lies: releases differ, and within one too. y tells, where x is known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MIDDLE = 320  # pixels of a side that are looked at
REACH = 10  # pixels that k * x may lie beside y: a camera that is moved is not put back to the pixel


@torch.no_grad()
def explains_better(k: Tensor, other: Tensor, x: Tensor, y: Tensor) -> bool:
    """Whether k * x is nearer to y than other * x, each at its best whole shift; all are (1, height, width)."""
    if x.shape != y.shape or min(x.shape[-2:]) <= max(k.shape[-2:]) + 4 * REACH:
        return False  # too little to see
    x, y = (_middle(image.double()) for image in (x, y))
    return _distance(k, x, y) < _distance(other, x, y)


def _middle(image: Tensor) -> Tensor:
    h, w = image.shape[-2:]
    top, left = max(0, (h - MIDDLE) // 2), max(0, (w - MIDDLE) // 2)
    return image[..., top : top + MIDDLE, left : left + MIDDLE]


def _distance(k: Tensor, x: Tensor, y: Tensor) -> float:
    """min over shifts u of sum (k * x (i + u) - y(i))^2, over the i that need nothing outside."""
    kh, kw = k.shape[-2:]
    blurred = F.conv2d(x[None], k.double()[None].flip(-2, -1))[0]  # its pixel (0, 0) lies at (kh - 1 - kh // 2, ...)
    top, left = kh - 1 - kh // 2, kw - 1 - kw // 2
    h, w = blurred.shape[-2] - 2 * REACH, blurred.shape[-1] - 2 * REACH
    inner = y[..., top + REACH : top + REACH + h, left + REACH : left + REACH + w]
    shifts = range(2 * REACH + 1)
    return min(float((blurred[..., i : i + h, j : j + w] - inner).square().sum()) for i in shifts for j in shifts)
