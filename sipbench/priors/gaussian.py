"""The one prior whose posterior mean has a formula in a line: to check solvers with, without a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sipbench.priors.base import Prior
from sipbench.priors.schedules import named


class IsotropicGaussian(Prior):
    """x ~ N(mean, std^2 I) on the times of a schedule: vp, ve or flow.

    E[x | x_t] = mean + k (x_t - alpha mean),   k = alpha std^2 / (alpha^2 std^2 + sigma^2)
    """

    def __init__(self, shape: Sequence[int], mean: float = 0.0, std: float = 0.5, schedule: str = "vp") -> None:
        if not std > 0:
            raise ValueError(f"std must be positive, not {std}")
        super().__init__(named(schedule))
        self.shape = tuple(shape)
        self.mean, self.std = mean, std

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (self.spread(s, x_t) for s in self.scales(t))
        k = alpha * self.std**2 / (alpha**2 * self.std**2 + sigma**2)
        return self.mean + k * (x_t - alpha * self.mean)
