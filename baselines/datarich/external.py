"""Restoration by a network that was made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.algebra import each
from baselines.common.inverse import first_image
from baselines.datarich.denoisers import norms
from baselines.datarich.frames import Padding, by_channels, padded, tiled
from sipbench.problem import Problem


@torch.no_grad()
def external(
    problem: Problem,
    *,
    net: nn.Module,
    given: Literal["y", "adjoint", "pinv"] = "y",
    cutoff: float = 0.03,
    range: Sequence[float] = (0.0, 1.0),
    order: Literal["rgb", "bgr", "grey"] = "rgb",
    scale: int | None = None,
    multiple: int | None = None,
    minimum: int | None = None,
    padding: Padding = "reflect",
    extra: bool = False,
    tile: int | None = None,
    overlap: int = 32,
) -> Tensor:
    """x = post(net(pre(v))), one evaluation, with

        v = y,  A^T y / |A|^2  or  A^+ y
        pre(v) = (v + 1) / 2 (high - low) + low    its channels in order, its sides padded
        post = pre^-1, clipped to [-1, 1]

    y that is smaller than x / scale is interpolated first. Images larger than a tile are restored in tiles that
    overlap, and each pixel is taken from a tile that it lies well within. More: docs/external.md.

    Args:
        given: y, adjoint (A^T y / |A|^2) or pinv (A^+ y).
        cutoff: singular values of A below it count as zero in A^+: see `first_image`.
        range: the low and the high end of the network's images: [0, 1], [-1, 1], [0, 255].
        order: rgb, bgr, or grey, which gives it each channel by itself.
        scale: by how much its images are larger than what it is given; None: as its file says.
        multiple: of what its sides must be; None: as its file says.
        minimum: the least that they may be; None: as its file says.
        padding: reflect, edge, or zero in the network's range; below and to the right, and cut off again.
        extra: pad by a whole `multiple` where the sides are one already, as DeblurGAN-v2 does.
        tile: side of the largest image that is restored whole; None: any.
        overlap: pixels that neighbouring tiles share.
    """
    shape, (low, high) = problem.shape, range
    s: int = scale or getattr(net, "scale", 1)
    v = _given(problem, given, cutoff)
    v = _sized(v.expand(-1, max(v.shape[1], shape[1]), -1, -1), [n // s for n in shape[-2:]])
    framed: Any = partial(padded, net, sides=(multiple, minimum), padding=padding, extra=extra, scale=s)
    through = partial(by_channels, partial(tiled, framed, side=tile, overlap=overlap, scale=s), net, order)
    x = through((v + 1) / 2 * (high - low) + low)
    if x.shape != shape:
        raise ValueError(f"the network made {tuple(x.shape[1:])} of {tuple(v.shape[1:])}, and x is {tuple(shape[1:])}")
    return ((x - low) / (high - low) * 2 - 1).clamp(-1, 1)


def _given(problem: Problem, given: str, cutoff: float) -> Tensor:
    """What the network is given of a problem."""
    if given == "y":
        return problem.y
    if given == "pinv":
        return first_image(problem, cutoff)
    v = problem.linear.T(problem.y)
    return v / each(norms(problem).square(), v)


def _sized(v: Tensor, sides: list[int]) -> Tensor:
    return v if list(v.shape[-2:]) == sides else F.interpolate(v, sides, mode="bicubic", antialias=True)
