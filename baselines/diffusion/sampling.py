"""What the samplers of this family share: going down the noise levels, and one step between two of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from sipbench.problem import Problem


class Level(NamedTuple):
    """A time t with its x_t = alpha x + sigma z."""

    t: Tensor
    alpha: Tensor
    sigma: Tensor

    @property
    def S(self) -> Tensor:
        """The noise of x_t / alpha, which is x and noise of this size."""
        return self.sigma / self.alpha

    @property
    def size(self) -> Tensor:
        """sqrt(alpha^2 + sigma^2), by which x_t is divided to be variance preserving: 1 where it is."""
        return (self.alpha**2 + self.sigma**2).sqrt()

    @property
    def u(self) -> Tensor:
        """The time of x_t / (alpha + sigma) on the straight path (1 - u) x + u z."""
        return self.sigma / (self.alpha + self.sigma)


def level(problem: Problem, t: Tensor) -> Level:
    """The level of a time, or of all of them."""
    return Level(t, *problem.prior.scales(t))


def descend(problem: Problem, times: Tensor) -> Iterator[tuple[Level, Level]]:
    """Each noise level with the next lower one; progress is told, and the budget ends it."""
    levels = [Level(*values) for values in zip(*(v.unbind() for v in level(problem, times)), strict=True)]
    for _, pair in zip(problem.steps(len(levels) - 1), pairwise(levels), strict=False):
        yield pair


def start(problem: Problem, at: Level) -> Tensor:
    """x_T = sigma_T z, the same on every device."""
    return at.sigma * problem.rng.portable.normal(*problem.prior.shape, dtype=problem.y.dtype)


def clipped(x_hat: Tensor, clip: bool = True) -> Tensor:
    """The estimate clipped to [-1, 1], where that is asked for."""
    return x_hat.clamp(-1, 1) if clip else x_hat


def ddim(x_t: Tensor, x_hat: Tensor, now: Level, then: Level, z: Tensor | None = None, eta: float = 1.0) -> Tensor:
    """From one level to the next, towards x_hat (Song, Meng, Ermon 2021); eta = 1 is DDPM's ancestral step.

        e   = (x_t - alpha_t x_hat) / sigma_t
        x_s = alpha_s x_hat + sqrt(sigma_s^2 - c^2) e + c z,    c as in `fresh`

    Without z it is deterministic.
    """
    e = (x_t - now.alpha * x_hat) / now.sigma
    if z is None:
        return then.alpha * x_hat + then.sigma * e
    c = fresh(now, then, eta)
    return then.alpha * x_hat + (then.sigma**2 - c**2).sqrt() * e + c * z


def fresh(now: Level, then: Level, eta: float = 1.0) -> Tensor:
    """The fresh part of the next level's noise: c = eta sigma_s sqrt(1 - (alpha_t sigma_s / (alpha_s sigma_t))^2)."""
    kept = (now.alpha * then.sigma / (then.alpha * now.sigma)) ** 2
    return eta * then.sigma * (1 - kept).sqrt()
