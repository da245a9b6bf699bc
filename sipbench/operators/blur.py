"""Convolution with a known kernel of each image's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sipbench.operators import kernels
from sipbench.operators.base import SVD, LinearOperator
from sipbench.operators.convolution import Boundary, Convolution, cheaper_directly
from sipbench.operators.iterative import lanczos_norm
from sipbench.operators.kernel_file import read
from sipbench.operators.kernels import Kind
from sipbench.problem import Rng


class Blur(LinearOperator):
    """A x = k * x, a true convolution: one kernel an image, the same for all its channels.

    y(i) = sum_j k(j) x(i + c - j) with c = k // 2 on each axis, and x continued beyond the image by the boundary; see
    `Convolution`. A `circular` blur is diagonal in Fourier space: its SVD is exact and cheap, and so is its
    pseudo-inverse A^+ y = F^-1 (F y / F k where F k is not zero). With any other boundary there is no SVD, and `pinv`
    stops conjugate gradients after 500 steps: blurs are so ill-conditioned that this only comes near A^+
    (`exact_pinv` is False).
    """

    per_image = ("kernel", "transfer")
    kernel: Tensor
    transfer: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        kernel: Kind | Tensor = "gaussian",
        boundary: Boundary = "circular",
        size: int = 61,
        sigma: float = 3.0,
        radius: float = 5.0,
        intensity: float = 0.5,
        path: str | None = None,
    ) -> None:
        """Blur with kernels (B or 1, 1, kh, kw), or with those that `kernels.make` makes of a kind.

        Args:
            kernel: `gaussian` (size, sigma), `defocus` (size, radius), `motion` (size, intensity; drawn for each
                image), `file` (path; without one, a fixed example), or the kernels themselves.
            boundary: `circular`, `zero`, `reflect`, `replicate` or `valid`.
        """
        super().__init__(shape, rng.device)
        if isinstance(kernel, str):
            options = {"size": size, "sigma": sigma, "radius": radius, "intensity": intensity, "path": path}
            kernel = kernels.make(kernel, rng, **options)
        if kernel.ndim != 4 or kernel.shape[1] != 1 or kernel.shape[0] not in (1, shape[0]):
            raise ValueError(f"kernels for {shape[0]} images are ({shape[0]}, 1, kh, kw), not {tuple(kernel.shape)}")
        self.boundary = boundary
        self.convolution = Convolution((shape[-2], shape[-1]), (kernel.shape[-2], kernel.shape[-1]), boundary)
        self.exact_pinv = boundary == "circular"  # pyright: ignore[reportAttributeAccessIssue]
        kernel = kernel.detach().double()
        for name, value in (("kernel", kernel), ("transfer", self.convolution.transfer(kernel))):
            self.register_buffer(name, value.to(rng.device).expand(shape[0], -1, -1, -1), persistent=False)

    @classmethod
    def unknown_shape(
        cls,
        y_shape: tuple[int, ...],
        *,
        kernel: Kind | Tensor = "gaussian",
        boundary: Boundary = "circular",
        size: int = 61,
        path: str | None = None,
        **options: Any,
    ) -> tuple[int, ...]:
        """The shape of y, larger by the kernel less one sample where y is the `valid` part."""
        if boundary != "valid":
            return y_shape
        if kernel == "file":
            kernel = kernels.example() if path is None else read(path)
        kh, kw = (size, size) if isinstance(kernel, str) else kernel.shape[-2:]
        return (*y_shape[:-2], y_shape[-2] + kh - 1, y_shape[-1] + kw - 1)

    def forward(self, x: Tensor) -> Tensor:
        if cheaper_directly(x, self.convolution.kernel):
            return self.convolution.direct(x, self.cast("kernel", x))
        return self.convolution.filtered(x, self.cast("transfer", x))

    def T(self, y: Tensor) -> Tensor:
        if cheaper_directly(y, self.convolution.kernel):
            return self.convolution.direct_back(y, self.cast("kernel", y))
        return self.convolution.filtered_back(y, self.cast("transfer", y))

    def pinv(self, y: Tensor) -> Tensor:
        if self.boundary != "circular":
            return super().pinv(y)
        return self.convolution.filtered(y, self._inverse(y))

    @property
    def norm(self) -> float:
        """The largest singular value, over the whole batch; one channel tells it."""
        if self.boundary == "circular":
            return float(self.transfer.abs().max())
        return lanczos_norm(self, (self.shape[0], 1, *self.shape[2:]), self.device)

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD | None:
        """For a circular blur: V is the Hartley transform, s = |F k|, and U = Q V with Q = F^-1 (F k / |F k|) F."""
        if self.boundary != "circular":
            return None
        gain = self.transfer.abs()
        phase = torch.where(gain > 0, self.transfer / gain.clamp(min=1e-300), 1.0).to(dtype.to_complex())

        def left(z: Tensor) -> Tensor:
            return self.convolution.filtered(hartley(z), phase)

        def left_t(y: Tensor) -> Tensor:
            return hartley(self.convolution.filtered_back(y, phase))

        return SVD(whole(gain, gain, self.shape[-1]).to(dtype), left, left_t, hartley, hartley)

    def _inverse(self, like: Tensor) -> Tensor:
        """1 / F k, and 0 where F k is zero to the working precision; each image by its own largest."""
        key = ("inverse", like.dtype)
        if key not in self._casts:
            with torch.inference_mode(False):
                gain = self.transfer.abs()
                floor = gain.amax((-2, -1), keepdim=True) * torch.finfo(like.dtype).eps * 10
                inverse = torch.where(gain > floor, self.transfer.conj() / gain.clamp(min=floor) ** 2, 0.0)
                self._casts[key] = inverse.to(like.dtype.to_complex())
        return self._casts[key]


def hartley(x: Tensor) -> Tensor:
    """sum_i x(i) (cos + sin)(2 pi <f, i>) / sqrt(h w), a real orthonormal transform that is its own inverse."""
    half = torch.fft.rfft2(x, norm="ortho")
    return whole(half.real - half.imag, half.real + half.imag, x.shape[-1])


def whole(here: Tensor, opposite: Tensor, width: int) -> Tensor:
    """A function on all frequencies from the half that `rfft2` keeps: its values at f `here`, at -f `opposite`."""
    return torch.cat([here, opposite[..., 1 : (width + 1) // 2].flip(-2, -1).roll(1, -2)], -1)
