"""Nonlinear maps of an image by a formula: an overexposed camera, and blur seen through a camera's response."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor

from sipbench.operators.base import Operator
from sipbench.operators.blur import Blur
from sipbench.operators.convolution import Boundary
from sipbench.operators.kernels import Kind
from sipbench.problem import Rng


class HighDynamicRange(Operator):
    """y = clip(scale x, -1, 1): what lies beyond is lost. At scale 2 the task of DAPS."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, scale: float = 2.0) -> None:
        super().__init__(shape, rng.device)
        if not (scale > 1 and math.isfinite(scale)):
            raise ValueError(f"scale is above 1, so that something is clipped, not {scale}")
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return (self.scale * x).clamp(-1, 1)


class BlurResponse(Operator):
    """y = R(s(g k * R^-1(x))): blur k in linear light, seen by a camera that saturates and renders for the eye.

    With the pixel u = (x + 1) / 2 its light is R^-1(u) = ((u + a) / (1 + a))^gamma above u_0 = a / (gamma - 1), and the
    tangent through zero below, so that neither R^-1 nor R = (R^-1)^-1 has a kink or an infinite slope; a = 0.055, as in
    sRGB. The gain g exposes, and s(v) = v / sqrt(1 + v^2) saturates. Kernels are those of `Blur`, one an image.
    """

    offset = 0.055

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        kernel: Kind | Tensor = "motion",
        boundary: Boundary = "reflect",
        size: int = 61,
        sigma: float = 3.0,
        intensity: float = 0.5,
        gain: float = 2.0,
        gamma: float = 2.0,
    ) -> None:
        """`kernel`, `boundary`, `size`, `sigma` and `intensity` are those of `Blur`."""
        super().__init__(shape, rng.device)
        if not (gain > 0 and math.isfinite(gain)):
            raise ValueError(f"gain must be positive, not {gain}")
        if not (gamma > 1 and math.isfinite(gamma)):
            raise ValueError(f"gamma is above 1, not {gamma}")
        self.gain, self.gamma = gain, gamma
        self.blur = Blur(shape, rng, kernel=kernel, boundary=boundary, size=size, sigma=sigma, intensity=intensity)
        a = self.offset
        self.knee = a / (gamma - 1)
        self.slope = self.knee / ((self.knee + a) / (1 + a)) ** gamma

    @classmethod
    def unknown_shape(
        cls, y_shape: tuple[int, ...], *, boundary: Boundary = "reflect", size: int = 61, **options: Any
    ) -> tuple[int, ...]:
        return Blur.unknown_shape(y_shape, boundary=boundary, size=size)

    def select(self, index: slice) -> Self:
        part = super().select(index)
        part._modules = {"blur": self.blur.select(index)}
        return part

    def light(self, u: Tensor) -> Tensor:
        """R^-1: the linear light of a pixel in [0, 1]."""
        curve = ((u.clamp(min=self.knee) + self.offset) / (1 + self.offset)) ** self.gamma
        return torch.where(u < self.knee, u / self.slope, curve)

    def response(self, v: Tensor) -> Tensor:
        """R: the pixel that linear light gives."""
        toe = self.knee / self.slope
        curve = (1 + self.offset) * v.clamp(min=toe) ** (1 / self.gamma) - self.offset
        return torch.where(v < toe, self.slope * v, curve)

    def forward(self, x: Tensor) -> Tensor:
        v = self.gain * self.blur(self.light((x + 1) / 2))
        return 2 * self.response(v / (1 + v**2).sqrt()) - 1
