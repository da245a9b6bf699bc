"""How near draws are to a posterior that is known exactly.

Draws are (n, ...) of one measurement, compared with exact draws, with the exact mean and covariance, or with the exact
highest-density sets. All in double precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import torch
from torch import Tensor

from sipbench.priors.exact import Mixture
from sipbench.problem import Rng

PROJECTIONS = 128
REFERENCES = 6  # independent sets of exact draws
LEVELS = (0.5, 0.9)
MOST = 2**23  # entries whose quantiles are taken at once: torch.quantile refuses many more


def sliced_wasserstein(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """(mean over the directions of W_2^2 of the projections)^(1/2) of two sets of as many points each.

    On a line the optimal plan joins the sorted points: W_2^2 = mean_i (x_(i) - y_(i))^2.

    Args:
        directions: unit vectors, (P, d).
    """
    if x.shape != y.shape:
        raise ValueError(f"two sets of as many points are compared, not {tuple(x.shape)} and {tuple(y.shape)}")
    x, y = ((v.flatten(1).double() @ directions.T).sort(0).values for v in (x, y))
    return (x - y).square().mean().sqrt()


def directions(d: int, n: int = PROJECTIONS, seed: int = 0) -> Tensor:
    """Random unit vectors, (n, d), the same for the same seed."""
    z = torch.empty(n, d, dtype=torch.float64).normal_(generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(z, dim=1)


def mmse_gap(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
    """The squared error to expect of the draws' mean m over that of the MMSE estimate m*, in dB.

        10 log10( (tr C + |m - m*|^2) / tr C )

    A mean of n draws with covariance S misses its own limit by tr S / n on average: so much is taken off |m - m*|^2,
    never below 0.
    """
    draws = x.flatten(1).double()
    offset = (draws.mean(0) - mean).square().sum() - draws.var(0).sum() / len(draws)
    return float(10 * torch.log10(1 + offset.clamp(min=0) / covariance.trace()))


def inside(x: Tensor, exact: Mixture, level: float) -> float:
    """The fraction of the draws in the exact posterior's highest-density set of this level; `level` is right.

    More: the draws crowd round the mode. Less: they lie where there is little probability.
    """
    return float(exact.inside(x, level).double().mean())


def coverage(x: Tensor, exact_draws: Tensor, level: float) -> float:
    """How much of the exact posterior the draws' central interval of this level holds, pixel by pixel, averaged.

    n draws cover level (n - 1) / (n + 1) where they are exact. More: they are too wide. Less: too narrow, or off.
    """
    draws, truth = x.flatten(1).double(), exact_draws.flatten(1)
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64, device=x.device)
    few = draws.split(max(1, MOST // len(draws)), dim=1)
    low, high = torch.cat([torch.quantile(part, ends, dim=0) for part in few], 1)
    return float(((truth >= low) & (truth <= high)).double().mean())


@dataclass(frozen=True)
class Judge:
    """The exact posterior of one measurement, with sets of exact draws to compare with.

    Distances are measured where the posterior has unit covariance, L^-1 (x - mean) with L L^T its covariance: what is
    known well counts as much as what is hardly known, and the floor of a Gaussian depends on n and d alone.

    Args:
        exact: the posterior.
        n: how many draws are judged at a time.
        seed: of the exact draws and of the directions.
    """

    exact: Mixture
    n: int
    seed: int = 0

    @cached_property
    def references(self) -> Sequence[Tensor]:
        """Independent sets of n exact draws."""
        streams = [Rng.of(self.seed, "exact draws", range(k * self.n, (k + 1) * self.n)) for k in range(REFERENCES)]
        return [self.exact.sample(rng) for rng in streams]

    @cached_property
    def floor(self) -> float:
        """The mean sliced Wasserstein distance between two sets of n exact draws."""
        pairs = list(combinations(self._whitened, 2))
        return math.fsum(float(sliced_wasserstein(a, b, self._directions)) for a, b in pairs) / len(pairs)

    def distance(self, x: Tensor) -> float:
        """The mean sliced Wasserstein distance to the sets of exact draws."""
        w = self._whiten(x)
        return math.fsum(float(sliced_wasserstein(w, e, self._directions)) for e in self._whitened) / REFERENCES

    def scores(self, x: Tensor) -> dict[str, float]:
        """All figures of n draws, (n, ...)."""
        distance, truth = self.distance(x), torch.cat(list(self.references))
        percent = {level: round(100 * level) for level in LEVELS}
        return {
            "distance": distance,
            "floor": self.floor,
            "ratio": distance / self.floor,
            "mmse_gap": mmse_gap(x, self.exact.mean, self.exact.covariance),
            **{f"inside{percent[level]}": inside(x, self.exact, level) for level in LEVELS},
            **{f"coverage{percent[level]}": coverage(x, truth, level) for level in LEVELS},
        }

    def _whiten(self, x: Tensor) -> Tensor:
        factor = torch.linalg.cholesky(self.exact.covariance)
        offsets = x.flatten(1).double() - self.exact.mean
        return torch.linalg.solve_triangular(factor, offsets.T, upper=False).T

    @cached_property
    def _whitened(self) -> Sequence[Tensor]:
        return [self._whiten(x) for x in self.references]

    @cached_property
    def _directions(self) -> Tensor:
        return directions(math.prod(self.exact.shape), seed=self.seed)
