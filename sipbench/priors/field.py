"""Stationary Gaussian fields: images of correlated pixels whose posterior is known exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sipbench.operators.base import LinearOperator
from sipbench.priors import exact
from sipbench.priors.base import Prior
from sipbench.priors.schedules import named
from sipbench.problem import Rng


class GaussianField(Prior):
    """x ~ N(mean, C) on a periodic grid, C diagonal in Fourier space; channels are independent.

        P(k)       = c (1 + (length |k|)^2)^(-slope / 2),   c such that every pixel has the variance std^2
        E[x | x_t] = mean + F^-1[ alpha P / (alpha^2 P + sigma^2) F(x_t - alpha mean) ]

    |k| is in radians a pixel. A slope of 3 is the exponential correlation exp(-r / length) of the plane; a length of 0
    is white noise.

    Args:
        shape: (C, H, W).
        std: the standard deviation of every pixel.
        length: correlation length in pixels.
        slope: how fast the power falls, P ~ |k|^-slope beyond 1 / length.
        schedule: vp, ve or flow.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        mean: float = 0.0,
        std: float = 0.5,
        length: float = 2.0,
        slope: float = 3.0,
        schedule: str = "vp",
    ) -> None:
        if len(shape) != 3:
            raise ValueError(f"a field has the shape (C, H, W), not {tuple(shape)}")
        if not std > 0 or not length >= 0 or not math.isfinite(slope):
            raise ValueError(f"std is above 0, length 0 or above, slope finite, not {std}, {length}, {slope}")
        super().__init__(named(schedule))
        self.shape = tuple(shape)
        self.mean, self.std = mean, std
        rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) * 2 * math.pi for n in self.shape[1:])
        power = (1 + length**2 * (rows[:, None] ** 2 + columns**2)) ** (-slope / 2)
        self.power = std**2 * power / power.mean()

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (self.spread(s, x_t) for s in self.scales(t))
        P = self._half(x_t)
        return self.mean + self._filtered(x_t - alpha * self.mean, alpha * P / (alpha**2 * P + sigma**2))

    def sample(self, rng: Rng) -> Tensor:
        """One field a stream, (B, C, H, W) in double precision: mean + F^-1[ sqrt(P) F z ]."""
        z = rng.normal(*self.shape, dtype=torch.float64)
        return self.mean + self._filtered(z, self._half(z).sqrt())

    def mean_vector(self) -> Tensor:
        """(d,)."""
        return torch.full((math.prod(self.shape),), float(self.mean), dtype=torch.float64)

    def covariance(self) -> Tensor:
        """(d, d), block diagonal over the channels."""
        c, h, w = self.shape
        unit = torch.eye(h * w, dtype=torch.float64).view(-1, h, w)
        block = self._filtered(unit, self._half(unit)).flatten(1)
        return torch.kron(torch.eye(c, dtype=torch.float64), (block + block.T) / 2)

    def density(self) -> exact.Gaussian:
        """p(x), dense: for a few thousand pixels at most."""
        return exact.Gaussian(self.shape, self.mean_vector(), self.covariance())

    def posterior(self, f: LinearOperator, y: Tensor, sigma: float) -> exact.Mixture:
        """p(x | y) of one measurement y = f(x) + N(0, sigma^2 I), (1, ...)."""
        return exact.conditioned(self.density(), f, y, sigma)

    def _half(self, like: Tensor) -> Tensor:
        """The power at the frequencies that `rfft2` keeps."""
        return self.power[:, : self.shape[-1] // 2 + 1].to(like.device, like.dtype)

    def _filtered(self, x: Tensor, gain: Tensor) -> Tensor:
        return torch.fft.irfft2(gain * torch.fft.rfft2(x), s=self.shape[1:])
