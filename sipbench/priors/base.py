"""A model of p(x) at every noise level: one interface for diffusion, flow and analytic priors."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Prior(Protocol):
    """x_t = alpha_t x + sigma_t z, with t running from 1 (noise) down to 0 (the clean image: alpha 1, sigma 0)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (C, H, W) of one image."""
        ...

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The posterior mean E[x | x_t]; differentiable in x_t. t is a scalar or one value an image."""
        ...

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha_t, sigma_t), of the shape of t."""
        ...

    def times(self, n: int) -> Tensor:
        """n + 1 times from the noisiest the prior knows down to 0, on the CPU: n steps of a sampler."""
        ...
