"""The symmetries an operator may declare: maps g with f(g x) = f(x), each by name with its random elements.

Those of blind operators move theta along: f(g (x, theta)) = f(x, theta). A stacked complex image is one channel, its
real part above its imaginary part, (B, C, 2 H, W): many of them are an image of as many channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from sipbench.problem import Rng


def sign(x: Tensor, rng: Rng) -> Tensor:
    """-x."""
    return -x


def phase(x: Tensor, rng: Rng) -> Tensor:
    """e^{i theta} x for a complex image (two channels), theta uniform."""
    theta = 2 * torch.pi * rng.uniform(1, 1, dtype=x.dtype)
    return torch.stack(
        [theta.cos() * x[:, 0] - theta.sin() * x[:, 1], theta.sin() * x[:, 0] + theta.cos() * x[:, 1]], 1
    )


def phases(x: Tensor, rng: Rng) -> Tensor:
    """e^{i theta_c} x_c for stacked complex images, theta_c uniform for each channel by itself."""
    theta = 2 * torch.pi * rng.uniform(x.shape[1], 1, 1, dtype=x.dtype)
    real, imaginary = x.chunk(2, dim=2)
    turned = theta.cos() * real - theta.sin() * imaginary, theta.sin() * real + theta.cos() * imaginary
    return torch.cat(turned, 2)


def unstacked(x: Tensor) -> Tensor:
    """Each channel of stacked complex images (B, C, 2 H, W) as a complex image of its own, (B C, 2, H, W)."""
    return x.unflatten(2, (2, -1)).flatten(0, 1)


def shift(x: Tensor, rng: Rng) -> Tensor:
    """x moved round its frame by a whole number of pixels."""
    h, w = x.shape[-2:]
    by = (rng.uniform(2, dtype=torch.float64) * torch.tensor([h, w], device=x.device)).long().tolist()
    return torch.stack([row.roll((dy, dx), (-2, -1)) for row, (dy, dx) in zip(x, by, strict=True)])


def flip(x: Tensor, rng: Rng) -> Tensor:
    """x turned by 180 degrees (real images)."""
    return x.flip(-2, -1)


def conjugate_flip(x: Tensor, rng: Rng) -> Tensor:
    """The complex conjugate of x turned by 180 degrees (complex images: two channels)."""
    return x.flip(-2, -1) * x.new_tensor([1, -1]).view(1, 2, 1, 1)


def bounded_shift(x: Tensor, theta: Mapping[str, Tensor], rng: Rng) -> tuple[Tensor, dict[str, Tensor]]:
    """The kernel moved to a corner of its box, along each axis as far as it goes, and x by as much the other way.

    The measured part of k * x does not see what enters x at its border.
    """
    k = theta["kernel"]
    corner = rng.uniform(2, dtype=torch.float64) < 0.5
    rows, columns = (k != 0).any(-1)[:, 0], (k != 0).any(-2)[:, 0]
    by = [
        [-_first(line) if low else _first(line.flip(0)) for line, low in zip(lines, lows, strict=True)]
        for *lines, lows in zip(rows, columns, corner.tolist(), strict=True)
    ]
    k = torch.stack([row.roll((dy, dx), (-2, -1)) for row, (dy, dx) in zip(k, by, strict=True)])
    x = torch.stack([row.roll((-dy, -dx), (-2, -1)) for row, (dy, dx) in zip(x, by, strict=True)])
    return x, dict(theta) | {"kernel": k}


def _first(line: Tensor) -> int:
    return int(line.to(torch.uint8).argmax())


def flips(x: Tensor, symmetries: tuple[str, ...]) -> Iterator[Tensor]:
    """x, and x under every product of the declared flips."""
    conjugate = x.new_tensor([1, -1]).view(1, 2, 1, 1) if "conjugate_flip" in symmetries else x.new_ones(1)
    yield x
    if "flip" in symmetries:
        yield x.flip(-2, -1)
    if "conjugate_flip" in symmetries:
        yield x.flip(-2, -1) * conjugate
    if all(flip in symmetries for flip in FLIPS):
        yield x * conjugate


def field(x: Tensor, symmetries: tuple[str, ...]) -> Tensor:
    """In double precision, and complex where the symmetries speak of complex images."""
    x = x.double()
    paired = any(name in COMPLEX for name in symmetries)
    return torch.complex(x[:, :1], x[:, 1:]) if paired else x.to(torch.complex128)


def turn(x: Tensor, product: Tensor) -> Tensor:
    """e^{i theta} x with the angle of the product; as it is where the product is zero."""
    size = product.abs()
    cos = torch.where(size > 0, product.real / size, 1).to(x).view(-1, 1, 1)
    sin = torch.where(size > 0, product.imag / size, 0).to(x).view(-1, 1, 1)
    real, imaginary = x.unbind(1)
    return torch.stack([cos * real - sin * imaginary, sin * real + cos * imaginary], 1)


FLIPS = ("flip", "conjugate_flip")
COMPLEX = ("phase", "conjugate_flip")
SYMMETRIES: dict[str, Callable[[Tensor, Rng], Tensor]] = {
    "sign": sign,
    "phase": phase,
    "shift": shift,
    "flip": flip,
    "conjugate_flip": conjugate_flip,
}

STACKED: dict[str, Callable[[Tensor, Rng], Tensor]] = {"phases": phases}
"""Symmetries of stacked complex images, each of which comes alone."""

PAIRED: dict[str, Callable[[Tensor, Mapping[str, Tensor], Rng], tuple[Tensor, dict[str, Tensor]]]] = {
    "bounded_shift": bounded_shift,
}
"""Symmetries of pairs (x, theta)."""
