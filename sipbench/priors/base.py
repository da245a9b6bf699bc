"""A model of p(x) at every noise level: one interface for diffusion, flow and analytic priors, of pixels or latents."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sipbench.priors.schedules import Schedule, Spacing


class Prior:
    """x_t = alpha_t x + sigma_t z, with t running from 1 (noise) down to 0 (alpha 1, sigma 0). alpha_t is never 0.

    What is modelled is a state: the image itself, or a latent that `decode` turns into one. A solver that only ever
    says `decode` and `encode` runs on both: where the state is the image, they return what they are given.

    Attributes:
        kind: "pixel" or "latent".
        shape: the shape (C, H, W) of one state.
        image_shape: the shape of one image.
    """

    kind: ClassVar[str] = "pixel"
    shape: tuple[int, ...]

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.shape

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The posterior mean E[x | x_t]; differentiable in x_t. t is a scalar or one value an image."""
        raise NotImplementedError

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha_t, sigma_t), of the shape of t."""
        return self.schedule.scales(t)

    def times(self, n: int, spacing: Spacing = "even") -> Tensor:
        """n + 1 times from the noisiest down to 0, on the CPU: n steps of a sampler."""
        return self.schedule.times(n, spacing)

    def time_at(self, level: Tensor) -> Tensor:
        """The time at which sigma_t / alpha_t is this level, or the nearest the prior knows."""
        return self.schedule.time_at(level)

    def encode(self, x: Tensor) -> Tensor:
        """The state of an image."""
        return x

    def decode(self, z: Tensor) -> Tensor:
        """The image of a state; differentiable in z."""
        return z

    def spread(self, s: Tensor, like: Tensor) -> Tensor:
        """A scalar stays one (on the CPU: no transfer); one value an image gets the dimensions of the images."""
        return s if s.ndim == 0 else s.to(like.device, like.dtype).view(-1, *[1] * (like.ndim - 1))
