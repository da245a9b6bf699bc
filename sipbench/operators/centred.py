"""Fourier transforms whose zero frequency lies in the middle, and complex images as pairs of real channels.

torch.roll is slower than the transform itself. A shift of one domain is a phase ramp, the carrier, in the other:
one multiplication, by 1 and -1 alone where the size is even.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_complex(x: Tensor) -> Tensor:
    """(B, 2n, H, W) real -> (B, n, H, W) complex; the channels are real, imaginary, real, imaginary, ..."""
    return torch.complex(x[:, 0::2], x[:, 1::2])


def to_real(z: Tensor) -> Tensor:
    """(B, n, H, W) complex -> (B, 2n, H, W) real: the inverse of `to_complex`, and its adjoint."""
    return torch.stack([z.real, z.imag], 2).flatten(1, 2)


def exchanged(x: Tensor) -> Tensor:
    """i times the conjugate of `to_complex`: real and imaginary parts have changed places.

    An adjoint is the transpose between two conjugations, A^H z = i conj(A^T (i conj(z))), and these two cost nothing:
    the transpose of a diagonal and of a Fourier transform is itself.
    """
    return torch.complex(x[:, 1::2], x[:, 0::2])


def to_exchanged(z: Tensor) -> Tensor:
    """i times the conjugate, as real channels."""
    return torch.stack([z.imag, z.real], 2).flatten(1, 2)


def carrier(h: int, w: int) -> Tensor:
    """e^{2 pi i (c_h n / h + c_w m / w)} with c = size // 2, (h, w) complex128.

    fft2(x carrier) = fftshift(fft2(x)); where both sizes are even its entries are exactly 1 and -1.
    """
    return _ramp(h)[:, None] * _ramp(w)


def centring(h: int, w: int) -> tuple[Tensor, Tensor]:
    """Phases (before, after) with after * fft2(x * before) = fftshift(fft2(ifftshift(x))), (h, w) complex128 each."""
    before = carrier(h, w)
    return before, before * before[h // 2, w // 2].conj()


def _ramp(n: int) -> Tensor:
    """e^{2 pi i (n // 2) k / n}, k = 0..n-1, exact where n is even."""
    k = torch.arange(n)
    if n % 2 == 0:
        return (1 - 2 * (k % 2)).to(torch.complex128)
    angle = 2 * torch.pi * ((k * (n // 2)) % n).double() / n
    return torch.polar(torch.ones(n, dtype=torch.float64), angle)
