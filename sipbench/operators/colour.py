"""Maps that act on an image's values and colours alone: denoising, colourisation, demosaicing."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from sipbench.operators.base import SVD, LinearOperator
from sipbench.problem import Rng

WEIGHTS = {"mean": (1 / 3, 1 / 3, 1 / 3), "rec601": (0.299, 0.587, 0.114)}


def same(x: Tensor) -> Tensor:
    return x


class Denoise(LinearOperator):
    """A x = x: the noise is all there is to undo. Its SVD is the identity's. What it returns is a copy."""

    def __init__(self, shape: tuple[int, ...], rng: Rng) -> None:
        super().__init__(shape, rng.device)

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()

    def T(self, y: Tensor) -> Tensor:
        return y.clone()

    def pinv(self, y: Tensor) -> Tensor:
        return y.clone()

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """U and V are the identity, s is one."""
        return SVD(torch.ones(1, dtype=dtype, device=self.device), same, same, same, same)


class Colorize(LinearOperator):
    """Colourisation: A x = w^T x in each pixel, from three channels to one, (B, 1, H, W).

    The weights w are those of the mean (1/3 each) or of the Rec. 601 luma (0.299, 0.587, 0.114); they sum to one.
    A^T y = w y, A^+ y = w y / |w|^2; SVD exact: s = |w|, U = 1, V = w / |w|.
    """

    weights: Tensor

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, weights: Literal["mean", "rec601"] = "mean") -> None:
        super().__init__(shape, rng.device)
        _three_channels(shape, "colourisation")
        self.rgb = WEIGHTS[weights]
        self.length = math.hypot(*self.rgb)
        w = torch.tensor(self.rgb, dtype=torch.float64, device=rng.device).view(3, 1, 1)
        self.register_buffer("weights", w, persistent=False)

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], **options: Any) -> tuple[int, ...]:
        return (y_shape[0], 3, *y_shape[2:])

    def forward(self, x: Tensor) -> Tensor:
        r, g, b = x.split(1, 1)
        return (self.rgb[0] * r).add(g, alpha=self.rgb[1]).add(b, alpha=self.rgb[2])

    def T(self, y: Tensor) -> Tensor:
        return self.cast("weights", y) * y

    def pinv(self, y: Tensor) -> Tensor:
        return self.T(y / self.length**2)

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """One singular value a pixel."""
        s = torch.full((1,), self.length, dtype=dtype, device=self.device)
        return SVD(s, same, same, lambda z: self.T(z / self.length), lambda x: self(x) / self.length)


class Demosaic(LinearOperator):
    """Demosaicing: A x keeps one colour of each pixel, as a Bayer filter does, in one channel (B, 1, H, W).

    The pattern names the colours of the four pixels at the image's top left, row by row. A A^T = 1, so A^+ = A^T;
    SVD exact: s = 1, U = 1, V = A^T.
    """

    pattern: Tensor

    def __init__(
        self, shape: tuple[int, ...], rng: Rng, *, pattern: Literal["RGGB", "BGGR", "GRBG", "GBRG"] = "RGGB"
    ) -> None:
        super().__init__(shape, rng.device)
        _three_channels(shape, "demosaicing")
        *_, h, w = shape
        mask = torch.zeros(3, h, w, dtype=torch.float64, device=rng.device)
        for k, colour in enumerate(pattern):
            mask["RGB".index(colour), k // 2 :: 2, k % 2 :: 2] = 1
        self.register_buffer("pattern", mask, persistent=False)
        self.red, self.blue = (divmod(pattern.index(colour), 2) for colour in "RB")

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], **options: Any) -> tuple[int, ...]:
        return (y_shape[0], 3, *y_shape[2:])

    def forward(self, x: Tensor) -> Tensor:
        y = x[:, 1].clone()
        for channel, (i, j) in ((0, self.red), (2, self.blue)):
            y[:, i::2, j::2] = x[:, channel, i::2, j::2]
        return y[:, None]

    def T(self, y: Tensor) -> Tensor:
        return self.cast("pattern", y) * y

    def pinv(self, y: Tensor) -> Tensor:
        return self.T(y)

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """One singular value a pixel, all of them one."""
        return SVD(torch.ones(1, dtype=dtype, device=self.device), same, same, self.T, self)

    def picture(self, y: Tensor) -> Tensor:
        """Each pixel in the one colour that was seen, as under the filter."""
        return ((y + 1) / 2).clamp(0, 1) * self.cast("pattern", y)


def _three_channels(shape: tuple[int, ...], what: str) -> None:
    if shape[1] != 3:
        raise ValueError(f"{what} needs colour images of 3 channels, not {shape[1]}")
