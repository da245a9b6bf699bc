"""End-to-end restoration: a network trained on pairs maps what is seen of the image to the image.

The residual form and A^+ y are those of Jin, McCann, Froustey, Unser: Deep Convolutional Neural Network for Inverse
Problems in Imaging, IEEE TIP 2017, https://arxiv.org/abs/1611.03679
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.inverse import first_image
from sipbench.problem import Problem

Given = Literal["pinv", "adjoint", "y"]


def end_to_end(problem: Problem, *, net: nn.Module, given: Given = "pinv", cutoff: float = 0.03) -> Tensor:
    """x = net(v): one evaluation of a network that was trained for this very degradation.

    Args:
        given: what v is. pinv: A^+ y; adjoint: A^T y; y: the measurement itself. Where f is not linear or leaves a part
            open, the first two are y as well, but in phase retrieval: there they are A^T (y phase(A e)) of the linear
            map A whose phase is lost, with e a point in the middle: of a far field, the autocorrelation.
        cutoff: singular values of A below it count as zero in A^+: see `first_image`.
    """
    v, weight = seen(problem, given, cutoff), next(net.parameters())
    return net(v.to(weight.dtype)).to(v.dtype)


def seen(problem: Problem, given: Given, cutoff: float) -> Tensor:
    """What the network is given: an image of the shape of x."""
    y, f = problem.y, problem.f
    if given != "y" and f.linear:
        return first_image(problem, cutoff) if given == "pinv" else problem.linear.T(y)
    if given != "y" and hasattr(f, "lower"):
        return peak_normalised(with_phases_of_a_point(f, y, problem.shape))
    return as_image(y, problem.shape)


def with_phases_of_a_point(f: Any, y: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A^T (y phase(A e)) for y = |A x| or |A x|^2 and a point e in the middle.

    Of a far field's intensities it is the image's autocorrelation with no shift in the middle, of its magnitudes much
    the same.
    """
    point = y.new_zeros(shape)
    point[..., shape[-2] // 2, shape[-1] // 2] = 1
    field = f.lift(point) - f.lift(torch.zeros_like(point))  # a map of [0, 1] is affine in x
    return f.lower(y * field.sgn())


def peak_normalised(v: Tensor) -> Tensor:
    """Each image divided by its largest absolute value."""
    peak = v.flatten(1).abs().amax(1).clamp(min=torch.finfo(v.dtype).tiny)
    return v / peak.view(-1, 1, 1, 1)


def as_image(y: Tensor, shape: tuple[int, ...]) -> Tensor:
    """y in the shape of x: one channel stands for all, pixels whose side divides that of x are enlarged.

    A smaller y that is no such coarse image is one without the border: its last rows and columns are continued.
    """
    (_, channels, h, w), sides = shape, y.shape[-2:]
    if y.ndim != 4 or y.shape[1] not in (1, channels) or any(n > m for n, m in zip(sides, (h, w), strict=True)):
        raise ValueError(
            f"y of shape {tuple(y.shape[1:])} is no image of shape {tuple(shape[1:])}: take given=pinv or "
            "given=adjoint, or method=fully_learned"
        )
    y = y.expand(-1, channels, -1, -1)
    if not (h % sides[0] or w % sides[1]):
        return y.repeat_interleave(h // sides[0], -2).repeat_interleave(w // sides[1], -1)
    down, across = h - sides[0], w - sides[1]
    return F.pad(y, (across // 2, across - across // 2, down // 2, down - down // 2), mode="replicate")
