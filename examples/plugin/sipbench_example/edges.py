"""How far apart the edges of two images are."""

from __future__ import annotations

from torch import Tensor


def edges(x_hat: Tensor, x: Tensor) -> Tensor:
    """mean |grad x_hat - grad x| over pixels and both directions, of each image, (B,)."""
    gap = x_hat - x
    down, across = gap.diff(dim=-2).abs(), gap.diff(dim=-1).abs()
    return (down.flatten(1).mean(1) + across.flatten(1).mean(1)) / 2
