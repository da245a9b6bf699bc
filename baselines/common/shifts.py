"""What a shift leaves open between a blur kernel and its image: k * x is the same when they move by opposite steps."""

from __future__ import annotations

import torch
from torch import Tensor


def cut(k: Tensor, threshold: float) -> Tensor:
    """Kernels without the entries below a part of their largest, of sum 1 again: softmax is zero nowhere."""
    k = torch.where(k < threshold * k.amax((-2, -1), keepdim=True), 0.0, k)
    return k / k.sum((-2, -1), keepdim=True)


def off_centre(k: Tensor) -> Tensor:
    """How many whole pixels the centroids of kernels (B, 1, h, w) lie below and right of their middle: (B, 2).

    The middle is (n - 1) / 2, of an even side the sample before it."""
    h, w = k.shape[-2:]
    down, right = (torch.arange(n, dtype=k.dtype, device=k.device) - (n - 1) // 2 for n in (h, w))
    centroid = torch.stack([(k.sum((1, 3)) * down).sum(1), (k.sum((1, 2)) * right).sum(1)], 1)
    return (centroid / k.sum((1, 2, 3))[:, None]).round().long()


def moved(v: Tensor, by: Tensor, *, edge: bool) -> Tensor:
    """v(i - by) of each image; what comes in is the nearest sample at the edge, or zero."""
    for axis, n in ((-2, v.shape[-2]), (-1, v.shape[-1])):
        at = torch.arange(n, device=v.device) - by[:, axis, None]
        shape = (len(v), 1, n, 1) if axis == -2 else (len(v), 1, 1, n)
        from_ = at.clamp(0, n - 1).view(shape).expand_as(v)
        v = v.gather(axis, from_)
        if not edge:
            v = v * ((at >= 0) & (at < n)).view(shape)
    return v


def centred(x: Tensor, k: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """The pair (x, k) with the centroid of the kernel's main part in the middle, and x moved the opposite way.

    A shift of the kernel and the opposite one of the image leave k * x as it is but for the border.
    """
    k = cut(k, threshold)
    by = off_centre(k)
    k = moved(k, -by, edge=False)
    return moved(x, by, edge=True), k / k.sum((-2, -1), keepdim=True)
