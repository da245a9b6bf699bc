"""Maps that keep some samples of an image: super-resolution and inpainting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sipbench.operators import masks
from sipbench.operators.base import SVD, LinearOperator, invert
from sipbench.operators.masks import Side
from sipbench.problem import Rng


def bicubic_matrix(n: int, factor: int, a: float = -0.5) -> Tensor:
    """The (n / factor, n) matrix of antialiased bicubic downsampling, float64.

    Output sample i sits at u_i = (i + 1/2) factor - 1/2. Its weights are the cubic kernel stretched by the factor,
    k((j - u_i) / factor), normalised to sum 1; indices outside the image mirror, the edge sample repeated.
    This is the resizer of the DPS and DMPlug code, where a = -1/2.
    """
    out = n // factor
    centre = (torch.arange(out, dtype=torch.float64) + 0.5) * factor - 0.5
    reach = 2 * factor + 1
    taps = centre.floor().long()[:, None] + torch.arange(-reach, reach + 1)
    weights = _cubic((taps - centre[:, None]) / factor, a)
    weights = weights / weights.sum(1, keepdim=True)
    mirrored = taps % (2 * n)
    mirrored = torch.where(mirrored < n, mirrored, 2 * n - 1 - mirrored)
    return torch.zeros(out, n, dtype=torch.float64).scatter_add_(1, mirrored, weights)


def _cubic(u: Tensor, a: float) -> Tensor:
    """Keys' cubic convolution kernel."""
    u = u.abs()
    near = (a + 2) * u**3 - (a + 3) * u**2 + 1
    far = a * u**3 - 5 * a * u**2 + 8 * a * u - 4 * a
    return torch.where(u <= 1, near, torch.where(u < 2, far, torch.zeros_like(u)))


Band = tuple[slice, slice]
BLOCK = 32  # rows of a banded matrix multiplied at once


def bands(matrix: Tensor) -> list[Band]:
    """Blocks of rows of a banded matrix, each with the columns that are not all zero in it."""
    found = []
    for start in range(0, len(matrix), BLOCK):
        rows = slice(start, min(start + BLOCK, len(matrix)))
        used = matrix[rows].any(0).nonzero()[:, 0]
        found.append((rows, slice(int(used[0]), int(used[-1]) + 1)))
    return found


def along_both(h: Tensor, w: Tensor, x: Tensor, of_h: list[Band], of_w: list[Band]) -> Tensor:
    """h x w^T for banded h and w.

    In double precision on a CPU each channel of each image is a product by itself: one matrix and many are multiplied
    by different routines, which round differently on some processors.
    """
    if x.dtype == torch.float64 and x.device.type == "cpu" and x.ndim > 2:
        planes = [along_both(h, w, plane.clone(), of_h, of_w) for plane in x.reshape(-1, *x.shape[-2:])]
        return torch.stack(planes).view(*x.shape[:-2], *planes[0].shape)
    x = torch.cat([h[rows, used] @ x[..., used, :] for rows, used in of_h], -2)
    return torch.cat([x[..., used] @ w[rows, used].mT for rows, used in of_w], -1)


class Downsampling(LinearOperator):
    """Super-resolution: A x = R_h x R_w^T with a banded matrix R for each axis; SVD exact (Kronecker product).

    Args:
        matrix: the (n / factor, n) matrix of n samples.
    """

    def __init__(self, shape: tuple[int, ...], rng: Rng, factor: int, matrix: Callable[[int], Tensor]) -> None:
        super().__init__(shape, rng.device)
        *_, h, w = shape
        if factor < 1:
            raise ValueError(f"the factor is a whole number from 1 on, not {factor}")
        if h % factor or w % factor:
            raise ValueError(f"super-resolution x{factor} needs a size divisible by {factor}, not {h} x {w}")
        self.down, self.up = [], []
        for axis, n in (("h", h), ("w", w)):
            R = matrix(n)
            self.down.append(bands(R))
            self.up.append(bands(R.T))
            u, s, vt = torch.linalg.svd(R, full_matrices=False)
            for part, value in (("r", R), ("u", u), ("s", s), ("vt", vt)):
                self.register_buffer(f"{part}_{axis}", value.to(rng.device), persistent=False)

    def _pair(self, part: str, like: Tensor) -> tuple[Tensor, Tensor]:
        return self.cast(f"{part}_h", like), self.cast(f"{part}_w", like)

    def forward(self, x: Tensor) -> Tensor:
        return along_both(*self._pair("r", x), x, *self.down)

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], *, factor: int = 4, **options: Any) -> tuple[int, ...]:
        return (*y_shape[:-2], factor * y_shape[-2], factor * y_shape[-1])

    def T(self, y: Tensor) -> Tensor:
        h, w = self._pair("r", y)
        return along_both(h.T, w.T, y, *self.up)

    def pinv(self, y: Tensor) -> Tensor:
        svd = self.svd(y.dtype)
        return svd.V(svd.Ut(y) * invert(svd.s))

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """s is the outer product of the two axes' singular values."""

        def left(z: Tensor) -> Tensor:
            h, w = self._pair("u", z)
            return h @ z @ w.T

        def left_t(y: Tensor) -> Tensor:
            h, w = self._pair("u", y)
            return h.T @ y @ w

        def right(z: Tensor) -> Tensor:
            h, w = self._pair("vt", z)
            return h.T @ z @ w

        def right_t(x: Tensor) -> Tensor:
            h, w = self._pair("vt", x)
            return h @ x @ w.T

        s_h, s_w = self._buffers["s_h"], self._buffers["s_w"]
        assert s_h is not None and s_w is not None
        return SVD((s_h[:, None] * s_w).to(dtype), left, left_t, right, right_t)


class BicubicDownsampling(Downsampling):
    """Super-resolution by antialiased bicubic resizing, as `bicubic_matrix` has it."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, factor: int = 4, a: float = -0.5) -> None:
        super().__init__(shape, rng, factor, lambda n: bicubic_matrix(n, factor, a))


class AveragePooling(LinearOperator):
    """Super-resolution: A x is the mean of each block of factor x factor pixels.

    A A^T = 1 / factor^2, so that s = 1 / factor and A^+ repeats each value over its block; SVD exact.
    """

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, factor: int = 4) -> None:
        super().__init__(shape, rng.device)
        *_, h, w = shape
        if factor < 1:
            raise ValueError(f"the factor is a whole number from 1 on, not {factor}")
        if h % factor or w % factor:
            raise ValueError(f"average pooling x{factor} needs a size divisible by {factor}, not {h} x {w}")
        self.factor = factor

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], *, factor: int = 4, **options: Any) -> tuple[int, ...]:
        return (*y_shape[:-2], factor * y_shape[-2], factor * y_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        k = self.factor
        return x.unflatten(-2, (-1, k)).sum(-2).unflatten(-1, (-1, k)).sum(-1) / k**2

    def T(self, y: Tensor) -> Tensor:
        return self.pinv(y / self.factor**2)

    def pinv(self, y: Tensor) -> Tensor:
        return y.repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2)

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """U is the identity, V = factor A^T."""

        def same(y: Tensor) -> Tensor:
            return y

        s = torch.full((1,), 1 / self.factor, dtype=dtype, device=self.device)
        return SVD(s, same, same, lambda z: self.pinv(z / self.factor), lambda x: self.factor * self(x))


class Masking(LinearOperator):
    """A x = m x: a mask per image, the same in all channels. Diagonal: its own SVD, adjoint and pseudo-inverse."""

    per_image = ("mask",)
    mask: Tensor

    def __init__(self, shape: tuple[int, ...], device: torch.device, mask: Tensor) -> None:
        super().__init__(shape, device)
        self.register_buffer("mask", mask, persistent=False)

    @property
    def valid(self) -> Tensor:
        return self.mask

    def forward(self, x: Tensor) -> Tensor:
        return self.cast("mask", x) * x

    def T(self, y: Tensor) -> Tensor:
        return self(y)

    def pinv(self, y: Tensor) -> Tensor:
        return self(y)

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """U and V are the identity, s is the mask."""

        def same(x: Tensor) -> Tensor:
            return x

        return SVD(self.mask.to(dtype), same, same, same, same)


class Inpainting(Masking):
    """Scattered pixels are removed: exactly floor(removed H W) of each image, drawn without replacement.

    `shift` moves the mask so many pixels to the right, round the edge: for a solver that is told a wrong one.
    """

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, removed: float = 0.7, shift: int = 0) -> None:
        super().__init__(shape, rng.device, masks.pixels(shape, rng, removed).roll(shift, -1))


class BoxInpainting(Masking):
    """A box is removed, somewhere in the image. Side and margin are fractions of the image's sides."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, side: float = 0.5, margin: float = 0.0625) -> None:
        super().__init__(shape, rng.device, masks.box(shape, rng, side, margin))


class HalfInpainting(Masking):
    """One half is removed: left, right, top, bottom, or either (left or right, drawn for each image)."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, side: Side = "either") -> None:
        super().__init__(shape, rng.device, masks.half(shape, rng, side))


class LineInpainting(Masking):
    """Straight lines are removed, drawn until floor(removed H W) pixels are gone; width as a fraction of the side."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, removed: float = 0.5, width: float = 0.02) -> None:
        super().__init__(shape, rng.device, masks.lines(shape, rng, removed, width))


class TextInpainting(Masking):
    """Lines of text are removed, words drawn for each image; a line's height as a fraction of the image's side."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, height: float = 0.06) -> None:
        super().__init__(shape, rng.device, masks.text(shape, rng, height))


class FileInpainting(Masking):
    """The mask is an image file of the images' size: white is kept, below the threshold is removed.

    Without a path a ring round the middle is removed, as an example.
    """

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, path: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(shape, rng.device, masks.picture(shape, rng, path, threshold))
