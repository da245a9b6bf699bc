"""The symmetries an operator may declare: maps g with f(g x) = f(x), each by name with its random elements."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sipbench.problem import Rng


def sign(x: Tensor, rng: Rng) -> Tensor:
    """-x."""
    return -x


def phase(x: Tensor, rng: Rng) -> Tensor:
    """e^{i theta} x for a complex image (two channels), theta uniform."""
    theta = 2 * torch.pi * rng.uniform(1, 1, dtype=x.dtype)
    return torch.stack(
        [theta.cos() * x[:, 0] - theta.sin() * x[:, 1], theta.sin() * x[:, 0] + theta.cos() * x[:, 1]], 1
    )


def shift(x: Tensor, rng: Rng) -> Tensor:
    """x moved round its frame by a whole number of pixels."""
    h, w = x.shape[-2:]
    by = (rng.uniform(2, dtype=torch.float64) * torch.tensor([h, w], device=x.device)).long().tolist()
    return torch.stack([row.roll((dy, dx), (-2, -1)) for row, (dy, dx) in zip(x, by, strict=True)])


def flip(x: Tensor, rng: Rng) -> Tensor:
    """x turned by 180 degrees (real images)."""
    return x.flip(-2, -1)


def conjugate_flip(x: Tensor, rng: Rng) -> Tensor:
    """The complex conjugate of x turned by 180 degrees (complex images: two channels)."""
    return x.flip(-2, -1) * x.new_tensor([1, -1]).view(1, 2, 1, 1)


SYMMETRIES: dict[str, Callable[[Tensor, Rng], Tensor]] = {
    "sign": sign,
    "phase": phase,
    "shift": shift,
    "flip": flip,
    "conjugate_flip": conjugate_flip,
}
