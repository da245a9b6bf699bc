"""Finite differences of images."""

from __future__ import annotations

from torch import Tensor


def differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences along the columns and along the rows, without those across the border."""
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]
