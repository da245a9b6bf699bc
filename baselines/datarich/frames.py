"""What stands between an image and a network with a frame of its own: channels, padding, tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Padding = Literal["reflect", "edge", "zero"]
Sides = tuple[int | None, int | None]  # of what they are a multiple, and their least; None: as the network says
Restore = Callable[[Tensor], Tensor]


def by_channels(restore: Restore, net: nn.Module, order: str, v: Tensor) -> Tensor:
    """With the channels in the network's order; one that takes a single one gets each by itself, one that takes three
    gets a grey image three times, and the mean of what it makes of it counts."""
    count, takes = v.shape[1], getattr(net, "channels", None)
    if order == "grey" or takes == 1:
        return restore(v.flatten(0, 1).unsqueeze(1)).unflatten(0, v.shape[:2]).squeeze(2)
    if takes == 3 and count == 1:
        return restore(v.expand(-1, 3, -1, -1)).mean(1, keepdim=True)
    if takes not in (None, count):
        raise ValueError(f"the network takes {takes} channels, and the images have {count}")
    return restore(v.flip(1)).flip(1) if order == "bgr" else restore(v)


def padded(net: nn.Module, v: Tensor, *, sides: Sides, padding: Padding, extra: bool, scale: int) -> Tensor:
    """The network on an image that is padded below and to the right, and cut again."""
    h, w = v.shape[-2:]
    m, least = sides[0] or getattr(net, "multiple", 1), sides[1] or getattr(net, "minimum", 0)
    H, W = (max(n // m * m + m if extra else -(-n // m) * m, -(-least // m) * m) for n in (h, w))
    H, W = (max(H, W),) * 2 if getattr(net, "square", False) else (H, W)
    return net(_pad(v, H - h, W - w, padding))[..., : h * scale, : w * scale]


def tiled(restore: Restore, v: Tensor, *, side: int | None, overlap: int, scale: int) -> Tensor:
    """In tiles; of what two share each gives the half that is its own."""
    h, w = v.shape[-2:]
    if side is None or max(h, w) <= side:
        return restore(v)
    if not 0 <= overlap < side:
        raise ValueError(f"tiles of {side} cannot overlap by {overlap}")
    x = v.new_empty(0)
    for top, skip_rows in _starts(h, side, overlap):
        for left, skip_columns in _starts(w, side, overlap):
            part = restore(v[..., top : top + side, left : left + side])
            x = x if x.numel() else part.new_empty(*part.shape[:2], h * scale, w * scale)
            rows, columns = (top + skip_rows) * scale, (left + skip_columns) * scale
            own = part[..., skip_rows * scale :, skip_columns * scale :]
            x[..., rows : rows + own.shape[-2], columns : columns + own.shape[-1]] = own
    return x


def _starts(n: int, side: int, overlap: int) -> list[tuple[int, int]]:
    """Where tiles begin, and how much of each belongs to the one before."""
    if n <= side:
        return [(0, 0)]
    starts = [*range(0, n - side, side - overlap), n - side]
    return [(start, overlap // 2 if start else 0) for start in starts]


def _pad(v: Tensor, below: int, right: int, padding: Padding) -> Tensor:
    """Reflection reaches no further than the image does; what is left is its edge."""
    if padding == "zero":
        return F.pad(v, (0, right, 0, below))
    if padding == "reflect":
        h, w = (min(p, n - 1) for p, n in zip((below, right), v.shape[-2:], strict=True))
        v, below, right = F.pad(v, (0, w, 0, h), "reflect"), below - h, right - w
    return F.pad(v, (0, right, 0, below), "replicate") if max(below, right) else v
