"""What x may be, made of a dataset's picture: the picture itself, its luminance, or a complex image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sipbench.problem import Rng

LUMA = (0.299, 0.587, 0.114)  # Rec. 601


def image(x: Tensor, rng: Rng) -> Tensor:
    """The picture as it is."""
    return x


def grey(x: Tensor, rng: Rng) -> Tensor:
    """The luminance, (B, 1, H, W) in [-1, 1]."""
    if x.shape[1] == 1:
        return x
    if x.shape[1] == 2:
        return 2 * x.norm(dim=1, keepdim=True) - 1
    return (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def complex_(x: Tensor, rng: Rng) -> Tensor:
    """Magnitude the luminance on [0, 1], phase a smooth random field within a quarter turn: (B, 2, H, W).

    A picture that has two channels is complex already and stays as it is.
    """
    if x.shape[1] == 2:
        return x
    magnitude = (grey(x, rng)[:, 0] + 1) / 2
    phase = torch.pi / 2 * _smooth(rng, *x.shape[-2:], like=x)
    return torch.stack([magnitude * phase.cos(), magnitude * phase.sin()], 1)


def object_(x: Tensor, rng: Rng) -> Tensor:
    """The complex image at half its size in the middle of an empty frame; a complex picture stays as it is."""
    if x.shape[1] == 2:
        return x
    h, w = x.shape[-2:]
    half = torch.nn.functional.avg_pool2d(complex_(x, rng), 2)
    top, left = (h - half.shape[-2]) // 2, (w - half.shape[-1]) // 2
    sides = (left, w - half.shape[-1] - left, top, h - half.shape[-2] - top)
    return torch.nn.functional.pad(half, sides)


def _smooth(rng: Rng, h: int, w: int, like: Tensor) -> Tensor:
    """A sum of the lowest cosines with random weights, in [-1, 1]."""
    weights = rng.uniform(3, 3, dtype=torch.float64).to(like) * 2 - 1
    rows, columns = (torch.stack([_cosine(k, n, like) for k in range(3)]) for n in (h, w))
    field = sum(
        weights[:, i, j, None, None] * rows[i][:, None] * columns[j] / (1 + i + j) for i in range(3) for j in range(3)
    )
    assert isinstance(field, Tensor)
    return field / field.abs().flatten(1).amax(1).clamp(min=1e-12)[:, None, None]


def _cosine(k: int, n: int, like: Tensor) -> Tensor:
    return torch.cos(torch.pi * k * (torch.arange(n, device=like.device, dtype=like.dtype) + 0.5) / n)


UNKNOWNS: dict[str, Callable[[Tensor, Rng], Tensor]] = {
    "image": image,
    "grey": grey,
    "complex": complex_,
    "object": object_,
}
CHANNELS: dict[str, int | None] = {"image": None, "grey": 1, "complex": 2, "object": 2}
