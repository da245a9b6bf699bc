"""Gaussian blur, and Gaussian blur with decimation: one matrix for each axis."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sipbench.operators.base import SVD, LinearOperator, invert
from sipbench.operators.convolution import Boundary, Convolution, cheaper_directly
from sipbench.operators.kernels import gaussian, gaussian_profile
from sipbench.problem import Rng


@lru_cache(maxsize=16)
def blur_matrix(n: int, size: int, sigma: float, boundary: Boundary, factor: int = 1) -> Tensor:
    """The matrix of a Gaussian blur of n samples of which every factor-th is kept, from the first on; float64."""
    profile = gaussian_profile(size, sigma)
    rows = torch.arange(0, n - size + 1 if boundary == "valid" else n, factor)[:, None]
    centre = size - 1 if boundary == "valid" else size // 2
    at = rows + centre - torch.arange(size)
    weights = profile.expand(at.shape)
    if boundary == "zero":
        weights = weights * ((at >= 0) & (at < n))
    return torch.zeros(len(rows), n, dtype=torch.float64).scatter_add_(1, _inside(at, n, boundary), weights)


def _inside(at: Tensor, n: int, boundary: Boundary) -> Tensor:
    """The sample of the image that stands for a sample beyond it."""
    if boundary == "circular":
        return at % n
    if boundary == "reflect":
        return n - 1 - (n - 1 - at.abs()).abs()
    return at.clamp(0, n - 1)


@lru_cache(maxsize=16)
def blur_svd(n: int, size: int, sigma: float, boundary: Boundary, factor: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """The singular value decomposition (U, s, V^T) of `blur_matrix`."""
    return torch.linalg.svd(blur_matrix(n, size, sigma, boundary, factor), full_matrices=False)


def apply(left: Tensor, x: Tensor, right: Tensor) -> Tensor:
    """left x right for every channel of every image.

    In double precision on a CPU each is a product by itself in memory of its own: rounding may depend on the alignment.
    """
    if x.dtype != torch.float64 or x.device.type != "cpu":
        return left @ x @ right
    b, c, h, w = x.shape
    products = [left @ channel.clone() @ right for channel in x.reshape(b * c, h, w)]
    return torch.stack(products).view(b, c, len(left), right.shape[1])


class Separable(LinearOperator):
    """A x = R_h x R_w^T, R the matrix of a Gaussian blur of which every factor-th row is kept.

    Its SVD is exact, the Kronecker product of those of R_h and R_w, and worked out when it is first asked for. So is
    the pseudo-inverse, to the working precision; its norm is huge, as a Gaussian blur is very ill-conditioned.
    """

    kernel: Tensor

    def __init__(
        self, shape: tuple[int, ...], rng: Rng, *, size: int, sigma: float, boundary: Boundary, factor: int
    ) -> None:
        super().__init__(shape, rng.device)
        self.boundary = boundary
        self.register_buffer("kernel", gaussian(size, sigma).to(rng.device), persistent=False)
        Convolution((shape[-2], shape[-1]), (size, size), boundary)  # says what is wrong with the sizes
        for name in ("u_h", "s_h", "vt_h", "u_w", "s_w", "vt_w"):
            self.register_buffer(name, None, persistent=False)
        self._axes = {axis: (n, size, sigma, boundary, factor) for axis, n in zip("hw", shape[-2:], strict=True)}

    def pinv(self, y: Tensor) -> Tensor:
        svd = self.svd(y.dtype)
        return svd.V(svd.Ut(y) * invert(svd.s))

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """s is the outer product of the two axes' singular values."""
        with torch.inference_mode(False):
            for axis, key in self._axes.items():
                if self._buffers[f"s_{axis}"] is None:
                    for name, value in zip(("u", "s", "vt"), blur_svd(*key), strict=True):
                        self.register_buffer(f"{name}_{axis}", value.to(self.device), persistent=False)

        def left(z: Tensor) -> Tensor:
            return apply(self.cast("u_h", z), z, self.cast("u_w", z).T)

        def left_t(y: Tensor) -> Tensor:
            return apply(self.cast("u_h", y).T, y, self.cast("u_w", y))

        def right(z: Tensor) -> Tensor:
            return apply(self.cast("vt_h", z).T, z, self.cast("vt_w", z))

        def right_t(x: Tensor) -> Tensor:
            return apply(self.cast("vt_h", x), x, self.cast("vt_w", x).T)

        s_h, s_w = self.get_buffer("s_h"), self.get_buffer("s_w")
        return SVD((s_h[:, None] * s_w).to(dtype), left, left_t, right, right_t)


class GaussianBlur(Separable):
    """A x = k * x with the kernel of `kernels.gaussian`, by Fourier transform.

    The boundary is any of `Convolution`; the SVD and the pseudo-inverse are exact with every one (see `Separable`).
    """

    def __init__(
        self, shape: tuple[int, ...], rng: Rng, *, size: int = 61, sigma: float = 3.0, boundary: Boundary = "reflect"
    ) -> None:
        super().__init__(shape, rng, size=size, sigma=sigma, boundary=boundary, factor=1)
        used = self.kernel if boundary == "valid" else without_zeros(self.kernel)
        self.convolution = Convolution((shape[-2], shape[-1]), (used.shape[-2], used.shape[-1]), boundary)
        self.register_buffer("used", used.contiguous(), persistent=False)
        self.register_buffer("transfer", self.convolution.transfer(used), persistent=False)

    @classmethod
    def unknown_shape(
        cls, y_shape: tuple[int, ...], *, size: int = 61, boundary: Boundary = "reflect", **options: Any
    ) -> tuple[int, ...]:
        """The shape of y, larger by the kernel less one sample where y is the `valid` part."""
        more = size - 1 if boundary == "valid" else 0
        return (*y_shape[:-2], y_shape[-2] + more, y_shape[-1] + more)

    def forward(self, x: Tensor) -> Tensor:
        if cheaper_directly(x, self.convolution.kernel):
            return self.convolution.direct(x, self.cast("used", x))
        return self.convolution.filtered(x, self.cast("transfer", x))

    def T(self, y: Tensor) -> Tensor:
        if cheaper_directly(y, self.convolution.kernel):
            return self.convolution.direct_back(y, self.cast("used", y))
        return self.convolution.filtered_back(y, self.cast("transfer", y))


class BlurDownsampling(Separable):
    """A x = (k * x) at every factor-th pixel, from the first on, with a Gaussian k: super-resolution by decimation.

    The SVD and the pseudo-inverse are exact (see `Separable`).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        factor: int = 4,
        size: int = 17,
        sigma: float = 2.0,
        boundary: Boundary = "circular",
    ) -> None:
        if factor < 1 or shape[-2] % factor or shape[-1] % factor:
            raise ValueError(
                f"super-resolution x{factor} needs a size divisible by {factor}, not {shape[-2]} x {shape[-1]}"
            )
        if boundary == "valid":
            raise ValueError("decimation keeps the frame of the image: its boundary cannot be valid")
        super().__init__(shape, rng, size=size, sigma=sigma, boundary=boundary, factor=factor)
        for axis, key in self._axes.items():
            self.register_buffer(f"r_{axis}", blur_matrix(*key).to(rng.device), persistent=False)

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], *, factor: int = 4, **options: Any) -> tuple[int, ...]:
        return (*y_shape[:-2], factor * y_shape[-2], factor * y_shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return apply(self.cast("r_h", x), x, self.cast("r_w", x).T)

    def T(self, y: Tensor) -> Tensor:
        return apply(self.cast("r_h", y).T, y, self.cast("r_w", y))


def without_zeros(kernel: Tensor) -> Tensor:
    """A square kernel, symmetric to the diagonal, without the zeros round it, its centre kept at the sample k // 2."""
    n = kernel.shape[-1]
    used = kernel[0, 0].sum(0).nonzero().flatten()
    off = min(int(used[0]), n - 1 - int(used[-1]))
    return kernel[..., off : n - off, off : n - off]
