"""Densities that are known in closed form, and what a linear measurement with Gaussian noise makes of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, cached_property

import torch
from torch import Tensor

from sipbench.operators.base import LinearOperator
from sipbench.problem import Rng

DRAWS = 16384  # exact draws that the size of a mixture's credible set rests on


class Mixture:
    """p(x) = sum_k w_k N(x; mu_k, C_k) over states of any shape, in double precision.

    Args:
        shape: the shape (C, H, W) of one state; d is the number of its entries.
        log_weights: log w_k, (K,); they are normalised.
        means: mu_k, (K, d).
        covariances: C_k, (K, d, d), positive definite.
    """

    def __init__(self, shape: Sequence[int], log_weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        self.shape = tuple(shape)
        self.log_weights = log_weights.double().log_softmax(0)
        self.means, self.covariances = means.double(), covariances.double()
        self._factors = torch.linalg.cholesky(self.covariances)

    @property
    def weights(self) -> Tensor:
        return self.log_weights.exp()

    @cached_property
    def mean(self) -> Tensor:
        """E[x], (d,)."""
        return self.weights @ self.means

    @cached_property
    def covariance(self) -> Tensor:
        """E[(x - E x)(x - E x)^T], (d, d): within the components and between them."""
        offsets = self.means - self.mean
        return torch.einsum("k,kij->ij", self.weights, self.covariances) + (self.weights * offsets.T) @ offsets

    def sample(self, rng: Rng) -> Tensor:
        """One exact draw a stream, (B, *shape)."""
        z = rng.normal(*self.shape, dtype=torch.float64).flatten(1)
        return self._placed(z, rng.uniform(1, dtype=torch.float64)).view(-1, *self.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) of each state, (B,)."""
        parts = [self.log_weights[k] + self._log_normal(x, k) for k in range(len(self.means))]
        return torch.stack(parts).logsumexp(0)

    def inside(self, x: Tensor, level: float) -> Tensor:
        """Whether each state lies in the highest-density set that holds this much of the probability, (B,).

        The set is {x: log p(x) >= q}, with q the quantile 1 - level of log p over exact draws.
        """
        return self.log_prob(x) >= torch.quantile(self._heights, 1 - level)

    @cached_property
    def _heights(self) -> Tensor:
        """log p at exact draws, always the same ones."""
        generator = torch.Generator().manual_seed(0)
        z = torch.empty(DRAWS, self.means.shape[1], dtype=torch.float64).normal_(generator=generator)
        u = torch.empty(DRAWS, 1, dtype=torch.float64).uniform_(generator=generator)
        return self.log_prob(self._placed(z, u))

    def _placed(self, z: Tensor, u: Tensor) -> Tensor:
        """mu_k + L_k z, the component k picked by u in [0, 1)."""
        k = (u > self.weights.cumsum(0)[:-1]).sum(1)
        x = torch.empty_like(z)
        for i, (mean, factor) in enumerate(zip(self.means, self._factors, strict=True)):
            x[k == i] = mean + z[k == i] @ factor.T
        return x

    def _log_normal(self, x: Tensor, k: int) -> Tensor:
        w = self._whitened(x, k)
        log_det = self._factors[k].diagonal().log().sum()
        return -0.5 * w.square().sum(1) - log_det - 0.5 * w.shape[1] * math.log(2 * math.pi)

    def _whitened(self, x: Tensor, k: int) -> Tensor:
        """L_k^-1 (x - mu_k), (B, d)."""
        return torch.linalg.solve_triangular(self._factors[k], (x.flatten(1).double() - self.means[k]).T, upper=False).T


class Gaussian(Mixture):
    """N(mean, C), whose highest-density sets are ellipsoids: (x - mean)^T C^-1 (x - mean) ~ chi^2_d."""

    def __init__(self, shape: Sequence[int], mean: Tensor, covariance: Tensor) -> None:
        super().__init__(shape, torch.zeros(1), mean[None], covariance[None])

    def inside(self, x: Tensor, level: float) -> Tensor:
        """Whether the Mahalanobis distance is within the chi^2 radius of this level, (B,)."""
        return self._whitened(x, 0).square().sum(1) <= _chi_square(level, self.means.shape[1])


def conditioned(prior: Mixture, f: LinearOperator, y: Tensor, sigma: float) -> Mixture:
    """p(x | y) of one measurement y = A x + N(0, sigma^2 I): a mixture again, a Gaussian of a Gaussian.

        S_k = A C_k A^T + sigma^2 I,   G_k = C_k A^T S_k^-1
        w_k' ~ w_k N(y; A mu_k, S_k),  mu_k' = mu_k + G_k (y - A mu_k),  C_k' = (1 - G_k A) C_k

    C_k' is computed as (1 - G A) C (1 - G A)^T + sigma^2 G G^T, which stays positive definite.

    Args:
        f: the map of one image.
        y: its measurement, with a first dimension of 1.
    """
    if len(y) != 1:
        raise ValueError(f"a posterior is that of one measurement, not of {len(y)}")
    A, data = matrix(f, prior.shape), y.flatten().double()
    eye = torch.eye(A.shape[1], dtype=torch.float64)
    log_weights, means, covariances = [], [], []
    for log_w, mu, C in zip(prior.log_weights, prior.means, prior.covariances, strict=True):
        factor = torch.linalg.cholesky(A @ C @ A.T + sigma**2 * torch.eye(len(data), dtype=torch.float64))
        G, residual = torch.cholesky_solve(A @ C, factor).T, data - A @ mu
        whitened = torch.linalg.solve_triangular(factor, residual[:, None], upper=False)
        log_weights.append(log_w - 0.5 * whitened.square().sum() - factor.diagonal().log().sum())
        means.append(mu + G @ residual)
        covariances.append((eye - G @ A) @ C @ (eye - G @ A).T + sigma**2 * G @ G.T)
    if isinstance(prior, Gaussian):
        return Gaussian(prior.shape, means[0], covariances[0])
    return Mixture(prior.shape, torch.stack(log_weights), torch.stack(means), torch.stack(covariances))


def matrix(f: LinearOperator, shape: Sequence[int]) -> Tensor:
    """The map of one image of this shape as a matrix (m, d), float64."""
    d = math.prod(shape)
    columns = [f(e.view(1, *shape)).flatten() for e in torch.eye(d, dtype=torch.float64)]
    return torch.stack(columns, 1)


@cache
def _chi_square(level: float, d: int) -> float:
    from scipy.stats import chi2

    return float(chi2.ppf(level, d))
