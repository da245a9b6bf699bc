"""Parallel-beam computed tomography: strip integrals of an image seen from several directions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sipbench.operators.base import LinearOperator
from sipbench.operators.iterative import lanczos_norm
from sipbench.problem import Rng

Window = Literal["ramp", "shepp-logan", "cosine", "hamming", "hann"]
WINDOWS = {
    "ramp": torch.ones_like,
    "shepp-logan": torch.sinc,
    "cosine": lambda f: torch.cos(torch.pi * f),
    "hamming": lambda f: 0.54 + 0.46 * torch.cos(2 * torch.pi * f),
    "hann": lambda f: 0.5 + 0.5 * torch.cos(2 * torch.pi * f),
}

LARGEST = 2**31  # entries of a sparse matrix, whose indices have 32 bits
PARTS = ("rows", "columns", "areas", "rows_t", "columns_t", "areas_t")


class Tomography(LinearOperator):
    """A sinogram y of shape (B, C, views, detectors), each channel on its own.

    View k looks along the angle theta = start + k span / views, in degrees; the end of the span is not included.
    The pixel in row i and column j falls at s = (j - (W - 1) / 2) cos theta - (i - (H - 1) / 2) sin theta from the
    middle of the detectors, which are one pixel wide and touch:

        y[k, d] = 1 / n  sum_ij  |pixel (i, j)  intersected with  strip (k, d)|  x_ij,       n = max(H, W).

    The areas are exact, so each view sums to sum(x) / n, and view 0 holds the column sums. Lengths are in units of the
    image's side: an image in [-1, 1] gives a sinogram in [-1, 1], or up to sqrt(2) in the corners' directions.

    A and A^T are both held as sparse rows: the adjoint is exact, and neither needs atomic additions. At 256 x 256 they
    take 5 MB a view, double and single precision together. No singular value decomposition is cheap.

    Attributes:
        angles: theta of each view, in radians.
    """

    exact_pinv = False
    angles: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        views: int = 60,
        span: float = 180.0,
        start: float = 0.0,
        detectors: int | None = None,
        window: Window = "ramp",
        size: Sequence[int] | None = None,
    ) -> None:
        """Views over `span` degrees.

        Args:
            detectors: how many; unless given, enough for the image's diagonal, as odd or even as its side.
            window: of the filter in `pinv`: ramp, shepp-logan, cosine, hamming or hann.
            size: height and width of x, for sinograms of oblong images without truth; else x is square.
        """
        super().__init__(shape, rng.device)
        *_, h, w = shape
        detectors = enough_detectors(max(h, w)) if detectors is None else detectors
        _check(views, span, detectors, window, size, (h, w))
        self.views, self.detectors = views, detectors
        self.weight = math.radians(span) / views * max(h, w) ** 2
        angles = tuple(math.radians(start + k * span / views) for k in range(views))
        parts = dict(zip(PARTS, matrices(h, w, angles, detectors), strict=True))
        parts |= {"angles": torch.tensor(angles, dtype=torch.float64), "filter": ramp_filter(detectors, window)}
        for name, part in parts.items():
            self.register_buffer(name, part.to(rng.device), persistent=False)

    @classmethod
    def unknown_shape(
        cls, y_shape: tuple[int, ...], *, size: Sequence[int] | None = None, **options: Any
    ) -> tuple[int, ...]:
        """`size`, or the largest square that the detectors see whole."""
        if size is None:
            side = int(y_shape[-1] / math.sqrt(2))
            size = 2 * (side - (side - y_shape[-1]) % 2,)
        return (*y_shape[:-2], *size)

    def forward(self, x: Tensor) -> Tensor:
        return _Product.apply(x.flatten(-2), self, "").unflatten(-1, (self.views, self.detectors))

    def T(self, y: Tensor) -> Tensor:
        return _Product.apply(y.flatten(-2), self, "_t").unflatten(-1, self.shape[-2:])

    def pinv(self, y: Tensor) -> Tensor:
        """Filtered back-projection: sum_k (theta_{k+1} - theta_k) B_k (y_k * ramp). Near A^+ y for many views only.

        Directions that no view looks along count as zero. It is no least-squares solution.
        """
        length = 2 * (self.cast("filter", y).shape[-1] - 1)
        spectrum = torch.fft.rfft(y, length) * self.cast("filter", y)
        return self.weight * self.T(torch.fft.irfft(spectrum, length)[..., : self.detectors])

    @property
    def norm(self) -> float:
        """The largest singular value; it is the same for every image and channel."""
        if not hasattr(self, "_norm"):
            self._norm = lanczos_norm(self, (1, 1, *self.shape[-2:]), self.device)
        return self._norm

    def picture(self, y: Tensor) -> Tensor:
        """The sinogram, each image's darkest value at 0 and its brightest at 1."""
        y = y if y.shape[1] in (1, 3) else y.mean(1, keepdim=True)
        low, high = (f((1, 2, 3), keepdim=True) for f in (y.amin, y.amax))
        return (y - low) / (high - low).clamp(min=1e-12)

    def matrix(self, which: str, like: Tensor) -> Tensor:
        """The sparse A, or A^T with `_t`, in the precision of a tensor; made once."""
        key = ("matrix" + which, like.dtype)
        if key not in self._casts:
            rows, columns = self._buffers["rows" + which], self._buffers["columns" + which]
            assert rows is not None and columns is not None
            ray, pixel = self.views * self.detectors, self.shape[-2] * self.shape[-1]
            size = (pixel, ray) if which else (ray, pixel)
            with warnings.catch_warnings(), torch.inference_mode(False):
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
                areas = self.cast("areas" + which, like)
                self._casts[key] = torch.sparse_csr_tensor(rows, columns, areas, size, check_invariants=False)
        return self._casts[key]


class _Product(torch.autograd.Function):
    """A x along the last dimension, or A^T with `_t`; the gradient of either is the other."""

    @staticmethod
    def forward(x: Tensor, operator: Tomography, which: str) -> Tensor:
        """Each column of the sparse product is summed by itself, in the order of the row."""
        columns = x.reshape(-1, x.shape[-1]).T.contiguous()
        return (operator.matrix(which, x) @ columns).T.reshape(*x.shape[:-1], -1).contiguous()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tomography, str], output: Tensor) -> None:
        _, ctx.operator, ctx.which = inputs

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Product.apply(gradient[0], ctx.operator, "" if ctx.which else "_t"), None, None

    @staticmethod
    def jvp(ctx: Any, *tangent: Tensor) -> Tensor:
        return _Product.apply(tangent[0], ctx.operator, ctx.which)


def enough_detectors(side: int) -> int:
    """The least number that covers the diagonal of a square and is as odd or even as its side."""
    count = math.ceil(math.sqrt(2) * side)
    return count + (count - side) % 2


@lru_cache(maxsize=1)
def matrices(h: int, w: int, angles: tuple[float, ...], detectors: int) -> tuple[Tensor, ...]:
    """Row pointers, columns and values of A, and those of A^T, in double precision."""
    A: Any = sparse.vstack([view(h, w, angle, detectors) for angle in angles], format="csr") / max(h, w)
    pair = (A, A.T.tocsr())
    return tuple(torch.from_numpy(p) for M in pair for p in (M.indptr.astype("i4"), M.indices.astype("i4"), M.data))


def view(h: int, w: int, angle: float, detectors: int) -> sparse.csr_matrix:
    """The area that each pixel shares with each strip: (detectors, h w). A pixel reaches three strips at most."""
    i, j = np.ogrid[:h, :w]
    s = (j - (w - 1) / 2) * np.cos(angle) - (i - (h - 1) / 2) * np.sin(angle)
    s = s.ravel()[:, None] + (detectors - 1) / 2
    nearest = np.rint(s).astype(np.int32)
    strips = nearest + np.arange(-1, 2, dtype=np.int32)
    edges = nearest + np.arange(-1.5, 2)
    areas = np.diff(area_before(edges - s, angle), axis=1)
    met = (areas > 0) & (strips >= 0) & (strips < detectors)
    ends = np.concatenate([[0], met.sum(1).cumsum()])
    return sparse.csr_matrix((areas[met], strips[met], ends), shape=(h * w, detectors)).T.tocsr()


def area_before(t: np.ndarray, angle: float) -> np.ndarray:
    """The part of a unit square, centred at 0 and turned by an angle, whose coordinate along the detectors is below t.

    Its shadow is a trapezoid: the convolution of two boxes of widths a = max(|cos|, |sin|) and b = min(|cos|, |sin|).
    """
    a, b = sorted((abs(math.cos(angle)), abs(math.sin(angle))), reverse=True)
    half, flat, u = (a + b) / 2, (a - b) / 2, np.abs(t)
    slope = np.clip(half - u, 0, None) ** 2 / (2 * a * max(b, 1e-300))
    beyond = np.where(u < flat, 0.5 - u / a, slope)
    return np.where(t < 0, beyond, 1 - beyond)


@cache
def ramp_filter(detectors: int, window: Window) -> Tensor:
    """The transfer function of the ramp |f| cut off at f = 1/2, from its samples 1/4, -1 / (pi n)^2 at odd n, else 0.

    It is that of a line twice as long as the detectors, so that the ends do not meet.
    """
    length = max(64, 2 ** math.ceil(math.log2(2 * detectors)))
    n = torch.arange(length, dtype=torch.float64)
    n = torch.minimum(n, length - n)
    kernel = torch.where(n % 2 == 1, -1 / (torch.pi * n.clamp(min=1)) ** 2, torch.zeros_like(n))
    kernel[0] = 0.25
    frequency = torch.arange(length // 2 + 1, dtype=torch.float64) / length
    return torch.fft.rfft(kernel).real * WINDOWS[window](frequency)


def _check(
    views: int, span: float, detectors: int, window: Window, size: Sequence[int] | None, image: tuple[int, int]
) -> None:
    if views < 1:
        raise ValueError(f"tomography needs one view or more, not {views}")
    if not 0 < span <= 180:
        raise ValueError(f"the views span more than 0 and at most 180 degrees (the rest repeats them), not {span}")
    if detectors < 1:
        raise ValueError(f"tomography needs one detector or more, not {detectors}")
    if 2.5 * views * image[0] * image[1] > LARGEST:  # a pixel meets 2.3 strips of a view on average
        raise ValueError(
            f"{views} views of {image[0]} x {image[1]} pixels are more than a sparse matrix holds: take less"
        )
    if size is not None and tuple(size) != image:
        raise ValueError(f"size says {tuple(size)}, but the images are {image[0]} x {image[1]}")
