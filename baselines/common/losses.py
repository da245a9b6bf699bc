"""Data losses of the residual and penalties of the image that unknowns are fitted by; one number an image, always."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from baselines.common.differences import differences

Loss = Callable[[Tensor], Tensor]
DataLoss = Literal["mse", "rmse", "l1", "huber"]
Penalty = Literal["none", "tv", "l1_l2"]


def data_loss(kind: DataLoss, delta: float = 0.1) -> Loss:
    """A loss of the residual r (B, ...) by name, (B,): its mean over all entries of

    mse: r^2;  rmse: the root of that mean;  l1: |r|;  huber: r^2 / 2 within `delta`, delta (|r| - delta / 2) beyond.
    The delta published for images in [0, 1], 0.05, is 0.1 here.
    """
    losses: dict[str, Loss] = {
        "mse": lambda r: _mean(r.square()),
        "rmse": lambda r: _mean(r.square()).clamp(min=torch.finfo(r.dtype).tiny).sqrt(),  # a root of 0 has no gradient
        "l1": lambda r: _mean(r.abs()),
        "huber": lambda r: _mean(torch.where(r.abs() <= delta, r.square() / 2, delta * (r.abs() - delta / 2))),
    }
    return losses[kind]


def penalty(kind: Penalty, corner: float = 0.0) -> Loss:
    """A penalty of the image x (B, C, H, W) by name, (B,): none, tv or l1_l2, its corners rounded to a width."""
    penalties: dict[str, Loss] = {
        "none": lambda x: x.new_zeros(len(x)),
        "tv": lambda x: tv(x, corner),
        "l1_l2": lambda x: l1_l2(x, max(1e-8, corner**2)),
    }
    return penalties[kind]


def tv(x: Tensor, corner: float = 0.0) -> Tensor:
    """The anisotropic total variation (sum |d_h x| + sum |d_w x|) / (C H W).

    With a `corner`, |t| below it is t^2 / (2 corner) and |t| - corner / 2 above (Huber): no more than |t|.
    """
    down, right = (_rounded(d, corner) for d in differences(x))
    return (down.flatten(1).sum(1) + right.flatten(1).sum(1)) / x[0].numel()


def l1_l2(x: Tensor, eps: float = 1e-8) -> Tensor:
    """|grad x|_1 / |grad x|_2 over all channels, divided by its largest value, the root of the number of gradients.

    It does not change with the contrast of x; roots are taken of squares plus eps.
    """
    down, right = differences(x)
    squares = torch.cat([down.flatten(1), right.flatten(1)], 1).square()
    return (squares + eps).sqrt().mean(1) / (squares.mean(1) + eps).sqrt()


def _rounded(t: Tensor, corner: float) -> Tensor:
    size = t.abs()
    return torch.where(size < corner, size.square() / (2 * corner), size - corner / 2) if corner else size


def _mean(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1)
