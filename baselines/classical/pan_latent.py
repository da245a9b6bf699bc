"""Images from a blurred one and its kernel, with few gradients and few bright pixels where it is dark.

All images are (B, C, h, w) on [0, 1] and periodic; kernels are (B, 1, kh, kw) with their centre at k // 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.common.algebra import each, where

LARGEST = 1e5  # the weight of the split gradients at which the continuation ends
DARKEST = 8.0  # that of the split pixels
WINDOW = 35  # of the dark channel


def otf(k: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """The transform of kernels on a torus of this size."""
    kh, kw = k.shape[-2:]
    padded = F.pad(k, (0, size[1] - kw, 0, size[0] - kh))
    return torch.fft.rfft2(padded.roll((-(kh // 2), -(kw // 2)), (-2, -1)))


class Deconvolution:
    """x with (K* y + b G* g + a u) / (|K|^2 + b |G|^2 + a), all in Fourier space; G the forward differences."""

    def __init__(self, y: Tensor, k: Tensor) -> None:
        self.size = y.shape[-2:]
        K = otf(k, self.size)
        self.data, self.power = K.conj() * torch.fft.rfft2(y), K.abs().square()
        h, w = self.size
        down = (2 - 2 * torch.cos(2 * torch.pi * torch.fft.fftfreq(h, dtype=y.dtype, device=y.device)))[:, None]
        right = 2 - 2 * torch.cos(2 * torch.pi * torch.fft.rfftfreq(w, dtype=y.dtype, device=y.device))
        self.gradients = down + right

    def __call__(self, b: float, g: tuple[Tensor, Tensor], a: Tensor | float = 0.0, u: Tensor | None = None) -> Tensor:
        down, right = g
        pulled = b * ((down.roll(1, -2) - down) + (right.roll(1, -1) - right))
        pulled = pulled if u is None else pulled + a * u
        top = self.data + torch.fft.rfft2(pulled)
        return torch.fft.irfft2(top / (self.power + b * self.gradients + a), s=self.size)


def differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences on the torus, downwards and to the right."""
    return x.roll(-1, -2) - x, x.roll(-1, -1) - x


def few_gradients(
    x: Tensor, solve: Deconvolution, mu: float, a: Tensor | float = 0.0, u: Tensor | None = None
) -> Tensor:
    """min_x |k * x - y|^2 + mu |grad x|_0 + a |x - u|^2 by splitting, from x on, the weight b doubled from 2 mu to 1e5.

    In turn: g is grad x where its squared length over all channels is at least mu / b, else 0; x follows from g.
    """
    b = 2 * mu
    while b < LARGEST:
        down, right = differences(x)
        kept = (down.square() + right.square()).sum(1, keepdim=True) >= mu / b if b else torch.zeros_like(x)
        x = solve(b, (down * kept, right * kept), a, u)
        if b == 0:
            break
        b *= 2
    return x


def few_pixels(y: Tensor, k: Tensor, lam: float, mu: float, first: Tensor, some: Callable[[Tensor], Tensor]) -> Tensor:
    """`few_gradients` with lam |x|_0 over `some` pixels besides, by splitting, from y on.

    In turn: u is x, with 0 where x^2 < lam / a among these pixels; x follows from u. The weight a of |x - u|^2, for
    each image, is doubled from `first` on up to 8.
    """
    solve, x, a = Deconvolution(y, k), y, each(first, y)
    rounds = torch.log2(DARKEST / first).ceil().clamp(min=0)
    for i in range(int(rounds.max())):
        u = torch.where(some(x) & (x.square() < lam / a), 0.0, x)
        x = where(i < rounds, few_gradients(x, solve, mu, a, u), x)
        a = 2 * a
    return x


def darkest(x: Tensor) -> Tensor:
    """Whether a pixel is the darkest of some window of 35 x 35 pixels of its image: where the opening of x is x.

    The dark channel D(x) is the least value of each window; this says where these values are attained.
    """
    r = WINDOW // 2

    def largest(v: Tensor) -> Tensor:
        return F.max_pool2d(F.max_pool2d(v, (WINDOW, 1), 1, (r, 0)), (1, WINDOW), 1, (0, r))

    return largest(-largest(-x)) == x


def everywhere(x: Tensor) -> Tensor:
    """All pixels."""
    return torch.ones_like(x, dtype=torch.bool)


def otsu(x: Tensor) -> Tensor:
    """The threshold on [0, 1] that parts each image's pixels best, (B,): between-class variance over 256 bins."""
    bins = (x.clamp(0, 1).flatten(1) * 255).round().long()
    p = torch.zeros(len(x), 256, dtype=torch.float64, device=x.device)
    p.scatter_add_(1, bins, torch.full_like(bins, 1, dtype=torch.float64) / bins.shape[1])
    levels = torch.arange(256, dtype=torch.float64, device=x.device)
    below, mean = p.cumsum(1), (p * levels).cumsum(1)
    between = (mean[:, -1:] * below - mean).square() / (below * (1 - below)).clamp(min=1e-12)
    return (between.argmax(1) / 255).clamp(min=1 / 255).to(x.dtype)


def total_variation(y: Tensor, k: Tensor, lam: float) -> Tensor:
    """min_x |k * x - y|^2 / 2 + lam |grad x|_1 (anisotropic) by splitting, the weight b doubled from lam on up to 1000.

    In turn: g is grad x shrunk by lam / b; x follows from g.
    """
    solve, b, x = Deconvolution(y, k), lam, y
    while b < 1e3:
        x = solve(b, tuple(F.softshrink(d, lam / b) for d in differences(x)))  # pyright: ignore
        b *= 2
    return x


def bilateral(x: Tensor, spatial: float = 3.0, value: float = 0.1, reach: int = 6) -> Tensor:
    """Means of neighbours weighted by distance and by how alike they are in all channels; the border is repeated."""
    h, w = x.shape[-2:]
    wide = F.pad(x, (reach,) * 4, mode="replicate")
    total, weights = torch.zeros_like(x), torch.zeros_like(x[:, :1])
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            near = wide[..., reach + dy : reach + dy + h, reach + dx : reach + dx + w]
            apart = (near - x).square().sum(1, keepdim=True) / value**2
            weight = torch.exp(-0.5 * ((dy * dy + dx * dx) / spatial**2 + apart))
            total, weights = total + weight * near, weights + weight
    return total / weights
