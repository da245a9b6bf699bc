"""The orthogonal wavelet transform of images, with Daubechies' filters and periodic borders.

Daubechies: Orthonormal Bases of Compactly Supported Wavelets, CPAM 1988; Mallat: A Theory for Multiresolution Signal
Decomposition, PAMI 1989.
"""

from __future__ import annotations

from functools import cache
from math import comb

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@cache
def daubechies(order: int) -> tuple[float, ...]:
    """The 2 `order` taps of the scaling filter with `order` vanishing moments and least phase, of sum sqrt 2.

    |H|^2 = 2 ((1 + cos w) / 2)^N P((1 - cos w) / 2) with P(t) = sum_{k<N} C(N-1+k, k) t^k; of the roots of P, each a
    pair (z, 1/z), H takes those within the unit circle.
    """
    if not 1 <= order <= 12:
        raise ValueError(f"Daubechies' wavelets have 1 to 12 vanishing moments here, not {order}")
    t = np.roots([comb(order - 1 + k, k) for k in reversed(range(order))]).astype(complex)
    half = 1 - 2 * t
    z = half + np.sqrt(half**2 - 1)
    z = np.where(abs(z) < 1, z, 1 / z)
    taps = np.real(np.poly(np.concatenate([z, -np.ones(order)])))
    return tuple((taps * np.sqrt(2) / taps.sum()).tolist())


class Wavelets:
    """W, of images (B, C, H, W), and its inverse, which is its transpose.

    The coefficients stand in an image of the same size: the approximation in its upper left, of size `corner`, and
    round it the details, the coarsest first. Of a side of odd length the last sample goes to the approximation as it
    is, which keeps W orthogonal. A side is halved as long as it is no shorter than the filter, at most `levels` times.

    Args:
        order: the filter's vanishing moments: 1 is Haar's, 4 the usual db4.
        levels: how often to go to half the resolution.
        like: an image, for its size, precision and device.
    """

    def __init__(self, order: int, levels: int, like: Tensor) -> None:
        low = daubechies(order)
        self.taps = like.new_tensor([low, [(-1) ** k * tap for k, tap in enumerate(reversed(low))]])
        self.phases = _phases(self.taps)
        self.sizes = [like.shape[-2:]]
        while len(self.sizes) <= levels and min(self.sizes[-1]) >= 2 * order:
            h, w = self.sizes[-1]
            self.sizes.append(torch.Size([(h + 1) // 2, (w + 1) // 2]))
        self.corner = self.sizes.pop()

    def __call__(self, x: Tensor) -> Tensor:
        c = self._split(self._split(x, -1), -2) if self.sizes else x.clone()
        for h, w in self.sizes[1:]:
            part = c[..., :h, :w]
            part.copy_(self._split(self._split(part, -1), -2))
        return c

    def inverse(self, c: Tensor) -> Tensor:
        x = c.clone()
        for h, w in reversed(self.sizes):
            part = x[..., :h, :w]
            part.copy_(self._join(self._join(part, -2), -1))
        return x

    def _split(self, x: Tensor, dim: int) -> Tensor:
        """One side to its lows, the sample that is left over, and its highs.

        band(i) = sum_j taps(j) x(2 i + j - reach), with the reach L / 2 - 1 of a filter of L taps.
        """
        even, reach = x.shape[dim] // 2 * 2, self.taps.shape[1] // 2 - 1
        core, rest = x.narrow(dim, 0, even), x.narrow(dim, even, x.shape[dim] - even)
        wide = _wrapped(core, dim, reach, reach).flatten(0, 1)[:, None]
        taps, stride = (self.taps[:, None, None], (1, 2)) if dim == -1 else (self.taps[:, None, :, None], (2, 1))
        bands = F.conv2d(wide, taps, stride=stride).unflatten(0, x.shape[:2])
        return torch.cat([bands[:, :, 0], rest, bands[:, :, 1]], dim)

    def _join(self, c: Tensor, dim: int) -> Tensor:
        """The transpose of `_split`: the even and the odd samples apart, each from both bands."""
        n, half = c.shape[dim], c.shape[dim] // 2
        bands = torch.stack([c.narrow(dim, 0, half), c.narrow(dim, n - half, half)], 2).flatten(0, 1)
        taps, before = self.phases
        wide = _wrapped(bands, dim, before, taps.shape[-1] - 1 - before)
        pair = F.conv2d(wide, taps[:, :, None] if dim == -1 else taps[..., None])
        core = pair.movedim(1, -1).flatten(-2) if dim == -1 else pair.movedim(1, 2).flatten(1, 2)
        core = core.unflatten(0, c.shape[:2])
        return torch.cat([core, c.narrow(dim, half, n % 2)], dim) if n % 2 else core


def _wrapped(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """x continued periodically."""
    if before == after == 0:
        return x
    return torch.cat([x.narrow(dim, x.shape[dim] - before, before), x, x.narrow(dim, 0, after)], dim)


def _phases(taps: Tensor) -> tuple[Tensor, int]:
    """What turns bands into samples 2 q + r: (2 for r, 2 bands, offsets), and how many of the offsets lie before q.

    The sample n is sum_i taps(n + reach - 2 i) band(i); with r + reach = 2 d + s, 0 <= s <= 1, the tap 2 m + s meets
    band(q + d - m).
    """
    half = taps.shape[1] // 2
    d = [(r + half - 1) // 2 for r in (0, 1)]
    before = half - 1 - d[0]
    out = taps.new_zeros(2, 2, before + d[1] + 1)
    for r in (0, 1):
        s = (r + half - 1) % 2
        at = before + d[r] - half + 1
        out[r, :, at : at + half] = taps[:, s::2].flip(1)
    return out, before
