"""Phase retrieval from random measurements: Gaussian matrices and coded diffraction patterns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from sipbench.operators.centred import carrier, to_complex, to_real
from sipbench.operators.phase import Measure, PhaseRetrieval
from sipbench.problem import Rng

LARGEST = 2**30  # real numbers in the matrices of a batch: 4 GiB
DRAWN_AT_ONCE = 2**20


class GaussianMagnitude(PhaseRetrieval):
    """y = |A x| or |A x|^2 with an i.i.d. Gaussian A of m = round(ratio H W) rows for each image; y is (B, C, m).

    The entries have variance 1 / m, so that |A x| is |x| on average; complex ones have independent real and imaginary
    parts. All channels of a real image share A. A `complex_image` is two channels and one vector, and needs a complex
    A: a real one could not tell x from its conjugate. Where it is `stacked`, each channel is a vector by itself, its
    real part above its imaginary part, and all share A. A vector in R^5 is an image of shape (1, 1, 5); seven in C^5
    are one of (7, 2, 5). The entries are float32 numbers, and float64 computes with the very same.
    """

    symmetries = ("sign",)
    per_image = ("matrix",)
    matrix: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        ratio: float = 4.0,
        matrix: Literal["real", "complex"] = "real",
        measure: Measure = "magnitude",
        complex_image: bool | Literal["stacked"] = False,
    ) -> None:
        super().__init__(shape, rng.device, measure)
        b, c, h, w = shape
        if complex_image not in (False, True, "stacked"):
            raise ValueError(f"complex_image is false, true or stacked, not {complex_image!r}")
        if complex_image and matrix == "real":
            raise ValueError("a complex image needs matrix=complex: a real one cannot tell x from its conjugate")
        self.stacked = complex_image == "stacked"
        if self.stacked and h % 2:
            raise ValueError(f"a stacked complex image has as many real as imaginary rows, not {h} in all")
        _check_complex(complex_image is True, c)
        n, parts = h * w // (2 if self.stacked else 1), {"real": 1, "complex": 2}[matrix]
        m = round(ratio * n) if ratio > 0 else 0
        if m < 1:
            raise ValueError(f"a ratio of {ratio} leaves no measurement of {n} pixels")
        if b * m * n * parts > LARGEST:
            raise ValueError(
                f"{b} {matrix} matrices of {m} x {n} are more than {LARGEST} numbers: take smaller images, a smaller "
                f"ratio or batch, or phase_cdp, which stores no matrix"
            )
        self.complex_image = bool(complex_image)
        self.symmetries = ("phases",) if self.stacked else ("phase",) if complex_image else ("sign",)
        drawn = [_gaussian(m, n, rng) / math.sqrt(m * parts) for _ in range(parts)]
        self.register_buffer("matrix", torch.complex(*drawn) if parts == 2 else drawn[0], persistent=False)

    def lift(self, x: Tensor) -> Tensor:
        """A x, (B, C, m), or (B, 1, m) for a complex image that is not stacked; real where A and x are."""
        u = torch.complex(*x.chunk(2, 2)) if self.stacked else to_complex(x) if self.complex_image else x
        u = u.flatten(2)
        matrix = self.cast("matrix", x)
        return torch.stack([v @ a.mT for v, a in _pairs(u.to(matrix.dtype), matrix)])

    def lower(self, z: Tensor) -> Tensor:
        matrix = self.cast("matrix", z.real)
        u = torch.stack([(v.conj() @ a).conj() for v, a in _pairs(z.to(matrix.dtype), matrix)])
        if self.stacked:
            return torch.cat([u.real, u.imag], 2).unflatten(2, self.shape[-2:])
        u = u.unflatten(2, self.shape[-2:])
        return to_real(u) if self.complex_image else u.real

    def picture(self, y: Tensor) -> Tensor:
        """The magnitudes as the rows of a square."""
        side = math.ceil(math.sqrt(y.shape[-1]))
        return super().picture(torch.nn.functional.pad(y, (0, side**2 - y.shape[-1])).unflatten(-1, (side, side)))

    @classmethod
    def unknown_shape(
        cls,
        y_shape: tuple[int, ...],
        *,
        ratio: float = 4.0,
        complex_image: bool | Literal["stacked"] = False,
        **options: Any,
    ) -> tuple[int, ...]:
        """A square where the number of pixels is one, else a row."""
        n = round(y_shape[-1] / ratio)
        side = math.isqrt(n)
        h, w = (side, side) if side * side == n else (1, n)
        if complex_image == "stacked":
            return (*y_shape[:2], 2 * h, w)
        return (y_shape[0], 2 if complex_image else y_shape[1], h, w)


def _pairs(u: Tensor, matrix: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Each vector with its matrix; a single one stands for all."""
    n = max(len(u), len(matrix))
    return zip(u.expand(n, -1, -1), matrix.expand(n, -1, -1), strict=True)


class CodedDiffraction(PhaseRetrieval):
    """y = |F D_l x| or its square, l = 1..L: far fields of the object behind random masks D_l drawn for each image.

    y is (B, C L, H, W): the L patterns of the first channel, of the second, and so on; (B, L, H, W) for a
    `complex_image` of two channels. F is orthonormal, zero frequency in the middle. The masks are `octanary`, one of
    1, -1, i, -i times sqrt(1/2) (with probability 4/5) or sqrt(3), or `uniform`, e^{i theta}; E |D|^2 = 1 in both.
    E. Candes, X. Li, M. Soltanolkotabi, Phase Retrieval from Coded Diffraction Patterns, 2015.
    """

    symmetries = ("sign",)
    per_image = ("codes",)
    codes: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        patterns: int = 6,
        code: Literal["octanary", "uniform"] = "octanary",
        measure: Measure = "magnitude",
        complex_image: bool = False,
    ) -> None:
        super().__init__(shape, rng.device, measure)
        _check_complex(complex_image, shape[1])
        if patterns < 1:
            raise ValueError(f"at least one pattern is measured, not {patterns}")
        h, w = shape[-2:]
        self.complex_image = complex_image
        self.symmetries = ("phase",) if complex_image else ("sign",)
        masks = CODES[code](rng, (patterns, h, w))
        self.register_buffer("codes", (masks * carrier(h, w).to(rng.device))[:, None], persistent=False)

    @property
    def masks(self) -> Tensor:
        """The masks D_l themselves, (B, L, H, W); `codes` are these times the phase ramp that centres the pattern."""
        return self.codes[:, 0] * carrier(*self.shape[-2:]).to(self.codes).conj()

    def lift(self, x: Tensor) -> Tensor:
        u = to_complex(x) if self.complex_image else x
        return torch.fft.fft2(u[:, :, None] * self.cast("codes", x), norm="ortho").flatten(1, 2)

    def lower(self, z: Tensor) -> Tensor:
        codes = self.cast("codes", z.real)
        u = torch.fft.ifft2(z.unflatten(1, (-1, codes.shape[2])), norm="ortho")
        u = u.mul_(codes.conj()).sum(2)
        return to_real(u) if self.complex_image else u.real

    def picture(self, y: Tensor) -> Tensor:
        """The first pattern of each channel."""
        return super().picture(y[:, :: self.codes.shape[2]])

    @classmethod
    def unknown_shape(
        cls, y_shape: tuple[int, ...], *, patterns: int = 6, complex_image: bool = False, **options: Any
    ) -> tuple[int, ...]:
        return (y_shape[0], 2 if complex_image else y_shape[1] // patterns, *y_shape[-2:])


def _gaussian(m: int, n: int, rng: Rng) -> Tensor:
    """Standard normal (B, m, n) float32, a few rows at a time: drawn in double precision they would fill the memory."""
    rows = max(1, DRAWN_AT_ONCE // n)
    return torch.cat([rng.normal(min(rows, m - k), n) for k in range(0, m, rows)], 1)


def _octanary(rng: Rng, shape: tuple[int, ...]) -> Tensor:
    quarter, weight = rng.uniform(2, *shape, dtype=torch.float64).unbind(1)
    turns = torch.tensor([1, 1j, -1, -1j], dtype=torch.complex128, device=rng.device)
    sizes = torch.tensor([math.sqrt(0.5), math.sqrt(3)], dtype=torch.float64, device=rng.device)
    return turns[(4 * quarter).long()] * sizes[(weight >= 0.8).long()]


def _uniform(rng: Rng, shape: tuple[int, ...]) -> Tensor:
    angle = 2 * torch.pi * rng.uniform(*shape, dtype=torch.float64)
    return torch.polar(torch.ones_like(angle), angle)


CODES = {"octanary": _octanary, "uniform": _uniform}


def _check_complex(complex_image: bool, channels: int) -> None:
    if complex_image and channels != 2:
        raise ValueError(f"a complex image has 2 channels, real and imaginary, not {channels}")
