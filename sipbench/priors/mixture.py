"""Mixtures of Gaussians in any dimension: priors of many modes whose posterior is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sipbench.errors import unknown
from sipbench.operators.base import LinearOperator
from sipbench.priors import exact
from sipbench.priors.base import Prior
from sipbench.priors.schedules import named
from sipbench.problem import Rng


class GaussianMixture(Prior):
    """x ~ sum_k w_k N(mu_k, C_k). C_k = Q_k diag(l_k) Q_k^T is computed once, a time only scales:

        u_k = Q_k^T (x_t - alpha mu_k),   s_k = alpha^2 l_k + sigma^2
        r_k        ~ w_k N(x_t; alpha mu_k, alpha^2 C_k + sigma^2) ~ w_k exp(-1/2 sum (u_k^2 / s_k + log s_k))
        E[x | x_t] = sum_k r_k ( mu_k + Q_k (alpha l_k / s_k) u_k )

    Args:
        shape: (C, H, W); d is the number of its entries.
        weights: w_k, (K,), positive; they are normalised.
        means: mu_k, (K, d).
        covariances: C_k, (K, d, d), positive definite.
        schedule: vp, ve or flow.
    """

    def __init__(
        self, shape: Sequence[int], weights: Tensor, means: Tensor, covariances: Tensor, *, schedule: str = "vp"
    ) -> None:
        d, k = math.prod(shape), len(weights)
        if tuple(means.shape) != (k, d) or tuple(covariances.shape) != (k, d, d):
            given = f"{tuple(means.shape)} and {tuple(covariances.shape)}"
            raise ValueError(f"means and covariances of {k} components are {(k, d)} and {(k, d, d)}, not {given}")
        super().__init__(named(schedule))
        self.shape = tuple(shape)
        self._density = exact.Mixture(shape, weights.double().log(), means, covariances)
        self._spectrum, self._basis = torch.linalg.eigh(self._density.covariances)

    def density(self) -> exact.Mixture:
        """p(x)."""
        return self._density

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = self._scales(x_t, t)
        Q, l, mu = (self._like(a, x_t) for a in (self._basis, self._spectrum, self._density.means))  # noqa: E741
        u, s = self._coordinates(x_t, alpha), alpha**2 * l + sigma**2
        means = mu + torch.einsum("kij,bkj->bki", Q, alpha * l / s * u)
        return torch.einsum("bk,bki->bi", self._log_parts(u, s).softmax(1), means).view(x_t.shape)

    def log_prob(self, x_t: Tensor, t: Tensor) -> Tensor:
        """log p_t(x_t) of each state, (B,): the density of the noisy state."""
        alpha, sigma = self._scales(x_t, t)
        s = alpha**2 * self._like(self._spectrum, x_t) + sigma**2
        parts = self._log_parts(self._coordinates(x_t, alpha), s)
        return parts.logsumexp(1) - 0.5 * math.prod(self.shape) * math.log(2 * math.pi)

    def score(self, x_t: Tensor, t: Tensor) -> Tensor:
        """grad log p_t(x_t) = (alpha E[x | x_t] - x_t) / sigma^2."""
        alpha, sigma = (self.spread(s, x_t) for s in self.scales(t))
        return (alpha * self.denoise(x_t, t) - x_t) / sigma**2

    def sample(self, rng: Rng) -> Tensor:
        """One state a stream, (B, C, H, W) in double precision."""
        return self._density.sample(rng)

    def mean_vector(self) -> Tensor:
        """(d,)."""
        return self._density.mean

    def covariance(self) -> Tensor:
        """(d, d)."""
        return self._density.covariance

    def posterior(self, f: LinearOperator, y: Tensor, sigma: float) -> exact.Mixture:
        """p(x | y) of one measurement y = f(x) + N(0, sigma^2 I), (1, ...)."""
        return exact.conditioned(self._density, f, y, sigma)

    def _scales(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars, or (B, 1, 1)."""
        alpha, sigma = (s if s.ndim == 0 else s.to(x_t.device, x_t.dtype).view(-1, 1, 1) for s in self.scales(t))
        return alpha, sigma

    def _coordinates(self, x_t: Tensor, alpha: Tensor) -> Tensor:
        """u_k, (B, K, d)."""
        offsets = x_t.flatten(1)[:, None] - alpha * self._like(self._density.means, x_t)
        return torch.einsum("kij,bki->bkj", self._like(self._basis, x_t), offsets)

    def _log_parts(self, u: Tensor, s: Tensor) -> Tensor:
        """log w_k N(x_t; ...) but for the powers of 2 pi, (B, K)."""
        return self._like(self._density.log_weights, u) - 0.5 * (u**2 / s + s.log()).sum(-1)

    def _like(self, a: Tensor, x: Tensor) -> Tensor:
        return a.to(x.device, x.dtype)


def mixture(setting: str, shape: Sequence[int], *, seed: int = 0, schedule: str = "vp") -> GaussianMixture:
    """A mixture of a named setting, drawn from a seed: pair, ring or cloud."""
    if setting not in SETTINGS:
        raise unknown("mixture", setting, SETTINGS)
    generator = torch.Generator().manual_seed(seed)
    return GaussianMixture(shape, *SETTINGS[setting](math.prod(shape), generator), schedule=schedule)


Parts = tuple[Tensor, Tensor, Tensor]


def pair(d: int, generator: torch.Generator) -> Parts:
    """Two round modes of width 0.2, 1.4 apart in a random direction, one twice as heavy."""
    direction = torch.nn.functional.normalize(_normal(generator, d), dim=0)
    means = 0.7 * torch.stack([direction, -direction])
    return torch.tensor([2.0, 1.0]), means, 0.04 * torch.eye(d, dtype=torch.float64).expand(2, d, d)


def ring(d: int, generator: torch.Generator) -> Parts:
    """Eight narrow modes on a circle of radius 0.8 in a random plane; width 0.1 in all directions."""
    angle = torch.arange(8, dtype=torch.float64) * math.pi / 4
    plane = torch.linalg.qr(_normal(generator, d, 2)).Q
    means = 0.8 * torch.stack([angle.cos(), angle.sin()], 1) @ plane.T
    return torch.ones(8), means, 0.01 * torch.eye(d, dtype=torch.float64).expand(8, d, d)


def cloud(d: int, generator: torch.Generator) -> Parts:
    """Four modes anywhere (means N(0, 0.5^2)) with random covariances, standard deviations between 0.1 and 0.4."""
    bases = torch.linalg.qr(_normal(generator, 4, d, d)).Q
    std = 0.1 + 0.3 * torch.empty(4, d, dtype=torch.float64).uniform_(generator=generator)
    weights = 0.5 + torch.empty(4, dtype=torch.float64).uniform_(generator=generator)
    return weights, 0.5 * _normal(generator, 4, d), bases @ torch.diag_embed(std**2) @ bases.mT


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.empty(*shape, dtype=torch.float64).normal_(generator=generator)


SETTINGS: dict[str, Callable[[int, torch.Generator], Parts]] = {"pair": pair, "ring": ring, "cloud": cloud}
