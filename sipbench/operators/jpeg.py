"""JPEG: the true codec for the measurement, and the same steps made differentiable for solvers."""

from __future__ import annotations

import io
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sipbench.operators.base import Operator
from sipbench.problem import Rng

Subsampling = Literal["4:2:0", "4:4:4"]

# The example tables of the standard (ITU-T T.81, annex K), row by row.
LUMINANCE = """16 11 10 16 24 40 51 61  12 12 14 19 26 58 60 55  14 13 16 24 40 57 69 56  14 17 22 29 51 87 80 62
    18 22 37 56 68 109 103 77  24 35 55 64 81 104 113 92  49 64 78 87 103 121 120 101  72 92 95 98 112 100 103 99"""
CHROMINANCE = """17 18 24 47 99 99 99 99  18 21 26 66 99 99 99 99  24 26 56 99 99 99 99 99  47 66 99 99 99 99 99 99
    99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99  99 99 99 99 99 99 99 99"""

# Left half of libjpeg's cosine transform in units of 1/8192; the right half mirrors it, odd rows with the other sign.
COSINES = """8192 8192 8192 8192  11363 9633 6437 2260  10703 4433 -4433 -10703  9633 -2259 -11362 -6436
    8192 -8192 -8192 8192  6437 -11362 2261 9633  4433 -10704 10704 -4433  2260 -6436 9633 -11363"""


class Jpeg(Operator):
    """y = JPEG(x) at a quality from 1 to 100, for images of one or three channels.

    `measure` is the true codec. `forward` takes the same steps: 8 bits, luma and chroma, chroma halved (4:2:0) or not
    (4:4:4), blockwise cosine transform, rounding by the tables of the standard, and back, all in the fixed point of
    libjpeg: in double precision the two agree to the last bit where the codec is libjpeg-turbo, in single precision
    but for a rounding here and there. The gradient passes every rounding unchanged (straight through) and stops where
    an image is clipped.
    """

    straight_through = True

    def __init__(
        self, shape: tuple[int, ...], rng: Rng, *, quality: int = 10, subsampling: Subsampling = "4:2:0"
    ) -> None:
        super().__init__(shape, rng.device)
        check(quality, subsampling)
        _check_channels(shape)
        self.quality = quality
        self.subsampling: Subsampling = subsampling
        for name, value in (("dct", dct_matrix()), ("tables", tables(quality))):
            self.register_buffer(name, value.to(rng.device), persistent=False)

    def measure(self, *x: Tensor) -> Tensor:
        return codec(x[0], self.quality, self.subsampling)

    def forward(self, x: Tensor) -> Tensor:
        levels = (x.clamp(-1, 1) + 1) * 127.5
        levels = _straight_through(levels, levels.round())
        if x.shape[1] == 1:
            return self._code(levels, 0) / 127.5 - 1
        luma, chroma = _to_luma_chroma(levels)
        luma = self._code(luma, 0)
        if self.subsampling == "4:2:0":
            h, w = x.shape[-2:]
            half = self._code(_halve(chroma), 1)[..., : (w + 1) // 2]
            chroma = _double(half)[..., :h, :w]
        else:
            chroma = self._code(chroma, 1)
        return _to_colours(luma, chroma) / 127.5 - 1

    def _code(self, planes: Tensor, table: int) -> Tensor:
        """Planes of whole numbers from 0 to 255, (B, C, h, w), as they come out of the rounded cosine transform."""
        h, w = planes.shape[-2:]
        dct, steps = self.cast("dct", planes), self.cast("tables", planes)[table]
        blocks = (_pad(planes, -w % 8, -h % 8) - 128).unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-2, -3)
        coefficients = _half_up(dct @ _half_up(4 * blocks @ dct.T) / 4) / (8 * steps)
        coefficients = steps * _straight_through(coefficients, _half_away(coefficients))
        blocks = _half_up(_half_up(4 * dct.T @ coefficients) @ dct / 32)
        planes = blocks.transpose(-2, -3).flatten(-4, -3).flatten(-2)[..., :h, :w]
        return (planes + 128).clamp(0, 255)


def check(quality: int, subsampling: Subsampling) -> None:
    """Whether a codec has these settings."""
    if not (isinstance(quality, int) and 1 <= quality <= 100):
        raise ValueError(f"JPEG's quality is a whole number from 1 to 100, not {quality}")


def codec(x: Tensor, quality: int, subsampling: Subsampling = "4:2:0") -> Tensor:
    """Images (B, 1 or 3, H, W) in [-1, 1] written as JPEG files at 8 bits and read again."""
    from PIL import Image

    _check_channels(tuple(x.shape))
    pixels = ((x.detach().clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu()
    decoded = []
    for image in pixels:
        file = io.BytesIO()
        one = Image.fromarray(image.squeeze(-1).numpy())
        one.save(file, "jpeg", quality=quality, subsampling=subsampling)
        with Image.open(file) as found:
            decoded.append(torch.frombuffer(bytearray(found.tobytes()), dtype=torch.uint8).view(image.shape))
    return torch.stack(decoded).permute(0, 3, 1, 2).to(x) / 127.5 - 1


def tables(quality: int) -> Tensor:
    """The steps of luma and chroma, (2, 8, 8): the standard's tables scaled as libjpeg scales them."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = torch.tensor([[int(v) for v in text.split()] for text in (LUMINANCE, CHROMINANCE)])
    return ((base * scale + 50) // 100).clamp(1, 255).view(2, 8, 8).double()


def dct_matrix() -> Tensor:
    """sqrt(8) times the orthonormal cosine transform of 8 samples, (8, 8), as libjpeg's integers have it."""
    left = torch.tensor([int(v) for v in COSINES.split()], dtype=torch.float64).view(8, 4) / 8192
    return torch.cat([left, left.flip(1) * torch.tensor([1.0, -1.0]).repeat(4)[:, None]], 1)


def _straight_through(x: Tensor, value: Tensor) -> Tensor:
    """The value, with the gradient of x. Exact: a difference of neighbours has no rounding error."""
    return x + (value - x).detach()


def _half_up(x: Tensor) -> Tensor:
    return _straight_through(x, (x + 0.5).floor())


def _half_away(x: Tensor) -> Tensor:
    return x.sign() * (x.abs() + 0.5).floor()


def _levels(planes: Tensor) -> Tensor:
    return _half_up(planes).clamp(0, 255)


def _fixed(weight: float) -> float:
    """A colour weight in libjpeg's 16-bit fixed point."""
    return round(weight * 65536) / 65536


def _to_luma_chroma(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Y (B, 1, H, W), and Cb and Cr (B, 2, H, W), whole numbers from 0 to 255."""
    r, g, b = rgb.unbind(1)
    luma = _fixed(0.299) * r + _fixed(0.587) * g + _fixed(0.114) * b
    blue = _fixed(0.5) * b - _fixed(0.16874) * r - _fixed(0.33126) * g + 128 - 1 / 65536
    red = _fixed(0.5) * r - _fixed(0.41869) * g - _fixed(0.08131) * b + 128 - 1 / 65536
    return _levels(luma[:, None]), _levels(torch.stack([blue, red], 1))


def _to_colours(luma: Tensor, chroma: Tensor) -> Tensor:
    """Red, green and blue (B, 3, H, W), whole numbers from 0 to 255."""
    y, (blue, red) = luma[:, 0], (chroma - 128).unbind(1)
    green = y - _fixed(0.34414) * blue - _fixed(0.71414) * red
    return _levels(torch.stack([y + _fixed(1.402) * red, green, y + _fixed(1.772) * blue], 1))


def _halve(planes: Tensor) -> Tensor:
    """Means of 2 x 2, halves rounded down and up in turn along a row; the last column repeated to whole blocks."""
    p = _pad(planes, -planes.shape[-1] % 16, planes.shape[-2] % 2)
    mean = (p[..., ::2, ::2] + p[..., ::2, 1::2] + p[..., 1::2, ::2] + p[..., 1::2, 1::2]) / 4
    return _straight_through(mean, (mean + _in_turn(mean, 0.25, 0.5)).floor())


def _double(planes: Tensor) -> Tensor:
    """Twice the size: each new sample is 3/4 of the near and 1/4 of the far one along both axes, the edge repeated.

    Two columns or fewer are repeated as they are, as libjpeg does.
    """
    if planes.shape[-1] < 3:
        return planes.repeat_interleave(2, -2).repeat_interleave(2, -1)
    for axis in (-2, -1):
        before = torch.cat([planes.narrow(axis, 0, 1), planes.narrow(axis, 0, planes.shape[axis] - 1)], axis)
        after = torch.cat([planes.narrow(axis, 1, planes.shape[axis] - 1), planes.narrow(axis, -1, 1)], axis)
        pair = torch.stack([(3 * planes + before) / 4, (3 * planes + after) / 4], axis % 4 + 1)
        planes = pair.flatten(axis % 4, axis % 4 + 1)
    return _straight_through(planes, (planes + _in_turn(planes, 0.5, 7 / 16)).floor())


def _in_turn(planes: Tensor, even: float, odd: float) -> Tensor:
    """One value for the even columns, another for the odd."""
    return planes.new_tensor([even, odd]).repeat(planes.shape[-1] // 2 + 1)[: planes.shape[-1]]


def _pad(planes: Tensor, right: int, below: int) -> Tensor:
    """The last column and the last row repeated."""
    return F.pad(planes, (0, right, 0, below), mode="replicate") if right or below else planes


def _check_channels(shape: tuple[int, ...]) -> None:
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise ValueError(f"JPEG takes images of one or three channels, (B, 1 or 3, H, W), not {tuple(shape)}")
