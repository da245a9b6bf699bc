"""Noise models. Each takes a clean measurement and one random stream per image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sipbench.problem import Rng


class Noise(Protocol):
    """A noise model: what it adds, and the level a residual is compared with."""

    @property
    def sigma(self) -> float:
        """The standard deviation of y - f(x), in the units of y."""
        ...

    def __call__(self, y: Tensor, rng: Rng) -> Tensor: ...


@dataclass(frozen=True)
class Gaussian:
    """y + sigma z, z standard normal, in the units of y: images span [-1, 1], so 0.01 here is 0.005 on [0, 1]."""

    sigma: float

    def __post_init__(self) -> None:
        if not (self.sigma >= 0 and math.isfinite(self.sigma)):
            raise ValueError(f"sigma must be zero or positive, not {self.sigma}")

    def __call__(self, y: Tensor, rng: Rng) -> Tensor:
        return y + self.sigma * rng.normal_like(y)
