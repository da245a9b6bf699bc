"""True convolution of images with kernels, with any boundary, and its exact adjoint: direct or by Fourier transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]
Boundary = Literal["circular", "zero", "reflect", "replicate", "valid"]
BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)
PAD_MODE = {"circular": "circular", "zero": "constant", "reflect": "reflect", "replicate": "replicate"}
MANY, SMALL = 64, 1024  # images, and samples of each
DIRECT_TAPS = {"cpu": 121, "cuda": 25}  # up to so many taps summing directly takes less time than transforming


@dataclass(frozen=True)
class Convolution:
    """y(i) = sum_j k(j) x(i + c - j) on each axis, with c = k // 2: an even kernel reaches one pixel further right.

    Outside the image x is periodic (`circular`), zero (`zero`), mirrored without the edge sample (`reflect`), or the
    edge sample (`replicate`); `valid` gives only those y that need nothing outside: n - k + 1 of them, the first at
    i = k - 1 - c. All are an extension E of the image, a circular convolution on a grid, and a crop; the adjoint is
    the same backwards, E^T folding back what was extended.

    Attributes:
        image: the size (h, w) of x.
        kernel: the size (kh, kw) of k.
        boundary: one of BOUNDARIES.
    """

    image: Pair
    kernel: Pair
    boundary: Boundary

    def __post_init__(self) -> None:
        assert self.boundary in BOUNDARIES, self.boundary
        (h, w), (kh, kw) = self.image, self.kernel
        if kh > h or kw > w:
            raise ValueError(f"the kernel of {kh} x {kw} is larger than the image of {h} x {w}")

    @cached_property
    def extended(self) -> bool:
        """Whether the Fourier route needs the extension written out."""
        return self.boundary in ("reflect", "replicate")

    @cached_property
    def size(self) -> Pair:
        """The size of y."""
        return self._each(lambda n, k: n - k + 1 if self.boundary == "valid" else n)

    @cached_property
    def span(self) -> Pair:
        """The size of what is transformed."""
        return self._each(lambda n, k: n + k - 1 if self.extended else n)

    @cached_property
    def grid(self) -> Pair:
        """The size of the transform, no smaller than what keeps the wrap-around off y."""
        if self.boundary == "circular":
            return self.image
        reach = self._each(lambda n, k: n + k // 2)
        rows, columns = reach if self.boundary == "zero" else self.span
        return fast_length(rows), fast_length(columns)

    @cached_property
    def pads(self) -> tuple[int, int, int, int]:
        """How far the kernel reaches beyond the image: left, right, top, bottom."""
        if self.boundary == "valid":
            return 0, 0, 0, 0
        kh, kw = self.kernel
        return (kw - 1) // 2, kw // 2, (kh - 1) // 2, kh // 2

    def transfer(self, k: Tensor) -> Tensor:
        """The Fourier transform of kernels (B, 1, kh, kw), moved so that y begins at the first sample of the grid."""
        return each(self._transfer, k).mT

    def filtered(self, x: Tensor, transfer: Tensor) -> Tensor:
        """k * x from the kernel's transform."""
        return each(self._filtered, x, transfer)

    def filtered_back(self, y: Tensor, transfer: Tensor) -> Tensor:
        """The adjoint of `filtered`."""
        return each(self._filtered_back, y, transfer)

    def direct(self, x: Tensor, k: Tensor) -> Tensor:
        """k * x tap by tap."""
        return _by_channel(F.conv2d, self.extend(x), k)

    def direct_back(self, y: Tensor, k: Tensor) -> Tensor:
        """The adjoint of `direct`."""
        return self.fold(_by_channel(F.conv_transpose2d, y, k)).contiguous()

    def extend(self, x: Tensor) -> Tensor:
        """x and what the boundary says lies round it, as far as the kernel reaches."""
        return x if self.boundary == "valid" else F.pad(x, self.pads, mode=PAD_MODE[self.boundary])

    def fold(self, z: Tensor) -> Tensor:
        """The adjoint of the extension: every sample is added to the one it was copied from. z is overwritten."""
        left, right, top, bottom = self.pads
        return _fold(_fold(z, -2, top, bottom, self.boundary), -1, left, right, self.boundary)

    def _transfer(self, k: Tensor) -> Tensor:
        origin = self._each(lambda n, k: k // 2 if self.boundary in ("circular", "zero") else k - 1)
        rows = torch.fft.rfft(_placed(k, self.grid[1], origin[1]))
        return torch.fft.fft(_placed(rows.mT, self.grid[0], origin[0]))

    def _filtered(self, x: Tensor, transfer: Tensor) -> Tensor:
        left, _, top, _ = self.pads
        rows = torch.fft.rfft(self._filled(x, left, self.grid[1]), n=self.grid[1])
        rows = self._multiplied(self._filled(rows.mT, top, self.grid[0]), transfer, self.size[0])
        return torch.fft.irfft(rows, n=self.grid[1])[..., : self.size[1]]

    def _filtered_back(self, y: Tensor, transfer: Tensor) -> Tensor:
        left, right, top, bottom = self.pads if self.extended else (0, 0, 0, 0)
        rows = torch.fft.rfft(y, n=self.grid[1])
        rows = self._multiplied(rows.mT, transfer.conj(), self.span[0])
        z = torch.fft.irfft(_fold(rows, -2, top, bottom, self.boundary), n=self.grid[1])
        return _fold(z[..., : self.span[1]], -1, left, right, self.boundary)

    def _filled(self, z: Tensor, before: int, length: int) -> Tensor:
        """The last axis continued by the boundary, over as much of the grid as it can be: the rest reaches no y."""
        n = z.shape[-1]
        after = min(length - before - n, n - 1)
        return F.pad(z, (before, after, 0, 0), mode=PAD_MODE[self.boundary]) if self.extended else z

    def _multiplied(self, columns: Tensor, transfer: Tensor, rows: int) -> Tensor:
        """The first rows of the circular convolution on the grid, from columns (B, C, frequencies, height) to rows.

        Columns lie in one piece where they are transformed; rows that are known or not wanted never are.
        """
        spectrum = torch.fft.fft(columns, n=self.grid[0]).mul_(transfer.mT)
        return _turned(torch.fft.ifft(spectrum)[..., :rows])

    def _each(self, rule: Callable[[int, int], int]) -> Pair:
        (h, w), (kh, kw) = self.image, self.kernel
        return rule(h, kh), rule(w, kw)


def each(step: Callable[..., Tensor], x: Tensor, *more: Tensor) -> Tensor:
    """A step over the images of a batch; where a tensor has a single one, it goes with all the others.

    On a CPU a few at a time, as many as there are threads: what one step leaves in the cache the next one finds there.
    In double precision one by one, since MKL rounds a single transform otherwise than the same one among several; but
    MANY that are SMALL, such as the draws from a density, go together: one by one they would take tens of times longer.
    """
    x = x.expand(max(len(t) for t in (x, *more)), *x.shape[1:])
    group = 1 if x.dtype == torch.float64 else torch.get_num_threads()
    if x.device.type != "cpu" or len(x) <= group or (len(x) > MANY and x[0].numel() <= SMALL):
        return step(x, *more).contiguous()
    starts = range(0, len(x), group)
    parts = ([t[i : i + group] if len(t) > 1 else t for t in (x, *more)] for i in starts)
    if torch.is_grad_enabled() and any(t.requires_grad for t in (x, *more)):
        return torch.cat([step(*part) for part in parts])
    first = step(*next(parts))
    y = first.new_empty((len(x), *first.shape[1:]))
    y[:group] = first
    for i, part in zip(starts[1:], parts, strict=True):
        y[i : i + group] = step(*part)
    return y


def cheaper_directly(x: Tensor, kernel: Pair) -> bool:
    """Whether so small a kernel is best summed tap by tap: there is fast code for many channels in single precision."""
    few = x.device.type == "cpu" and x.shape[0] * x.shape[1] < 8
    return x.dtype == torch.float32 and not few and kernel[0] * kernel[1] <= DIRECT_TAPS.get(x.device.type, 0)


def _by_channel(convolve: Callable[..., Tensor], z: Tensor, k: Tensor) -> Tensor:
    """One of torch's convolutions, which turn the kernel by 180 degrees, with the kernel of each image."""
    b, c, h, w = max(len(z), len(k)), *z.shape[1:]
    weight = k.flip(-2, -1).expand(b, c, -1, -1).reshape(b * c, 1, *k.shape[-2:])
    y = convolve(z.expand(b, -1, -1, -1).reshape(1, b * c, h, w), weight, groups=b * c)
    return y.view(b, c, *y.shape[-2:])


def fast_length(n: int) -> int:
    """The smallest even m >= n with no prime factor above 5; n itself where it is one and even."""
    m = n + n % 2
    while _rough_part(m) > 1:
        m += 2
    return m


def _rough_part(m: int) -> int:
    for p in (2, 3, 5):
        while m % p == 0:
            m //= p
    return m


def _placed(z: Tensor, length: int, origin: int) -> Tensor:
    """The last axis with zeros up to a length, turned round so that a sample comes first."""
    return F.pad(z, (0, length - z.shape[-1])).roll(-origin, -1)


def _turned(z: Tensor) -> Tensor:
    """z.mT in one piece, copied in strips: a cache holds few lines that are a stride like 320 numbers apart."""
    return torch.cat(z.mT.split(64, -1), -1)


def _fold(z: Tensor, axis: int, before: int, after: int, boundary: str) -> Tensor:
    """The samples between the first and the last, with those added where they came from; z is overwritten."""
    n = z.shape[axis] - before - after
    core, first, last = z.narrow(axis, before, n), z.narrow(axis, 0, before), z.narrow(axis, before + n, after)
    if boundary in ("zero", "valid"):
        return core
    if boundary == "circular":
        core.narrow(axis, n - before, before).add_(first)
        core.narrow(axis, 0, after).add_(last)
    elif boundary == "reflect":
        core.narrow(axis, 1, before).add_(first.flip(axis))
        core.narrow(axis, n - 1 - after, after).add_(last.flip(axis))
    else:
        core.narrow(axis, 0, 1).add_(first.sum(axis, keepdim=True))
        core.narrow(axis, n - 1, 1).add_(last.sum(axis, keepdim=True))
    return core
