"""Convolution with a kernel that the solver is not told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sipbench.operators import kernels
from sipbench.operators.base import BlindOperator
from sipbench.operators.blur import Blur
from sipbench.operators.convolution import Boundary, Convolution, cheaper_directly
from sipbench.problem import Rng


class BlindBlur(BlindOperator):
    """f(x, {"kernel": k}) = k * x, a true convolution, with k (B, 1, kh, kw) the same for all channels of an image.

    What is known of k is a box that holds it, `theta_shapes`; a smaller k counts as lying in the middle of it. Two
    settings are in use:

    - `zero` boundary and the size known (64, even), as DMPlug and BlindDPS have it: outside, the image is 0 on [-1, 1],
      mid-grey. Their code correlates with its kernel w: y(i) = sum_j w(j) x(i - 31 + j). That is the convolution with
      w turned by 180 degrees, so the kernels drawn here are turned ones, and y is theirs.
    - `valid` and not even the size known: y is the central part of k * x, which needs nothing outside the image. With
      `size` null the box is half as large as y, n_k the odd number nearest to n_y / 2 with n_y = n_x - n_k + 1, and the
      side of the true kernel is drawn between the two parts of the box's side that `support` gives. A shift of the
      kernel within its box and the opposite one of the image leave y as it is: a symmetry. An estimate may be moved by
      quarter pixels, up to half the box, and is compared on the field of y. With another boundary the border of y tells
      one shift from another.
    """

    secrets = ("kind", "intensity", "sigma", "support")

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        kernel: Literal["motion", "gaussian"] = "motion",
        size: int | None = 64,
        boundary: Boundary = "zero",
        intensity: float = 0.5,
        sigma: float = 3.0,
        support: Sequence[float] | None = None,
    ) -> None:
        super().__init__(shape, rng.device)
        if size is None and boundary != "valid":
            raise ValueError(f"a box of half the measurement needs the boundary valid, not {boundary}")
        if support is not None and not (len(support) == 2 and 0 < support[0] <= support[1] <= 1):
            raise ValueError(f"support is two parts of the box, [low, high] within (0, 1], not {support}")
        if size is not None and size < 1:
            raise ValueError(f"a kernel has at least one pixel, not size {size}")
        if kernel == "motion" and not 0 <= intensity <= 1:
            raise ValueError(f"the intensity of a motion kernel lies in [0, 1], not {intensity}")
        if kernel == "gaussian" and not 0 < sigma < math.inf:
            raise ValueError(f"a Gaussian kernel needs a positive sigma, not {sigma}")
        self.kind, self.intensity, self.sigma, self.support = kernel, intensity, sigma, support
        self.boundary: Boundary = boundary
        box = tuple(half_of_measurement(n) if size is None else size for n in shape[-2:])
        self.box = (box[0], box[1])
        self.convolution = Convolution((shape[-2], shape[-1]), self.box, boundary)
        if boundary == "valid":
            self.symmetries, self.margin = ("bounded_shift",), ((box[0] - 1) // 2, (box[1] - 1) // 2)

    @property
    def theta_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"kernel": (1, *self.box)}

    @classmethod
    def unknown_shape(
        cls, y_shape: tuple[int, ...], *, size: int | None = 64, boundary: Boundary = "zero", **options: Any
    ) -> tuple[int, ...]:
        """The shape of y; for the `valid` part larger by the box less one sample, the box being half of y or given."""
        if boundary != "valid":
            return y_shape
        if size is not None and size > (most := min(y_shape[-2:])):
            which = f"a box of {size} pixels is larger than the measurement of {y_shape[-2]} x {y_shape[-1]}"
            raise ValueError(f"{which}: degradation.operator.size={most} or less")
        h, w = (n + (nearest_odd(n / 2) if size is None else size) - 1 for n in y_shape[-2:])
        return (*y_shape[:-2], h, w)

    def draw(self, rng: Rng) -> dict[str, Tensor]:
        """Kernels (B, 1, *box), zero outside the part of the box that they need."""
        low, high = self.support or (1.0, 1.0)
        share = low + (high - low) * rng.uniform(1, dtype=torch.float64)[:, 0]
        sides = [max(1, round(float(s) * min(self.box))) for s in share]
        own = rng.child("kernel")
        drawn = [self._kernel(own.select(slice(i, i + 1)), side) for i, side in enumerate(sides)]
        return {"kernel": torch.cat(drawn).to(rng.device)}

    def forward(self, x: Tensor, theta: Mapping[str, Tensor]) -> Tensor:
        k = self.boxed(theta["kernel"].to(x.dtype))
        if cheaper_directly(x, self.box):
            return self.convolution.direct(x, k)
        return self.convolution.filtered(x, self.convolution.transfer(k))

    def given(self, theta: Mapping[str, Tensor]) -> Blur:
        """The linear operator that is left when the kernel is known: x -> f(x, theta)."""
        k = self.boxed(theta["kernel"])
        return Blur(self.shape, Rng((), k.device), kernel=k, boundary=self.boundary)

    def boxed(self, k: Tensor) -> Tensor:
        """Kernels with zeros round them, so that they fill the box and their centre k // 2 falls on its own."""
        if k.ndim != 4 or k.shape[1] != 1:
            raise ValueError(f"the kernels of B images are (B, 1, kh, kw), not {tuple(k.shape)}")
        kh, kw = k.shape[-2:]
        if kh > self.box[0] or kw > self.box[1]:
            raise ValueError(f"a kernel of {kh} x {kw} does not fit into the box of {self.box[0]} x {self.box[1]}")
        top, left = (n // 2 - m // 2 for n, m in zip(self.box, (kh, kw), strict=True))
        return F.pad(k, (left, self.box[1] - kw - left, top, self.box[0] - kh - top))

    def _kernel(self, rng: Rng, side: int) -> Tensor:
        k = kernels.gaussian(side, self.sigma) if self.kind == "gaussian" else kernels.motion(rng, side, self.intensity)
        k = k.to(rng.device)
        return self.boxed(k.flip(-2, -1) if self.boundary == "zero" else k)


def half_of_measurement(n_x: int) -> int:
    """The odd n_k nearest to half of n_y = n_x - n_k + 1, that is to (n_x + 1) / 3; the smaller of two as near."""
    return nearest_odd((n_x + 1) / 3)


def nearest_odd(value: float) -> int:
    """The odd number nearest to a value, the smaller of two as near; at least 1."""
    below = max(1, 2 * int((value - 1) // 2) + 1)
    return below if value - below <= 1 else below + 2
