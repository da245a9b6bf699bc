"""What an untrained network is fed: a fixed z an image, with fresh noise at each iteration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from sipbench.problem import Rng

Input = Literal["uniform", "normal", "meshgrid"]


def fixed_input(kind: Input, rng: Rng, channels: int, size: Sequence[int], dtype: torch.dtype) -> Tensor:
    """z (B, channels, h, w): uniform on [0, 0.1], normal of standard deviation 0.1, or the coordinates in [0, 1]."""
    draw = rng.child("input").portable
    if kind == "uniform":
        return 0.1 * draw.uniform(channels, *size, dtype=dtype)
    if kind == "normal":
        return 0.1 * draw.normal(channels, *size, dtype=dtype)
    if channels != 2:
        raise ValueError(f"a meshgrid has input_channels=2, not {channels}")
    down, right = (torch.linspace(0, 1, n, dtype=dtype, device=rng.device) for n in size)
    grid = torch.stack(torch.meshgrid(down, right, indexing="ij"))
    return grid.expand(len(rng), -1, -1, -1)


def perturbed(z: Tensor, sigma: float, rng: Rng) -> Callable[[], Tensor]:
    """z + sigma n with a fresh n at each call; z itself where sigma is zero."""
    n = rng.child("perturbation")
    return lambda: z + sigma * n.normal_like(z) if sigma else z
