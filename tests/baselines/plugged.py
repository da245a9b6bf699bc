"""What the tests of plug-and-play share: images of a Gaussian field, and its exact denoiser on dense matrices.

The denoiser x -> m + C (C + sigma^2)^-1 (x - m) is at once the posterior mean and the proximal step of sigma^2 g with
g(x) = (x - m)^T C^-1 (x - m) / 2, so that where each algorithm ends is the solution of a linear system.
"""

import numpy as np
import torch

from sipbench.priors.field import GaussianField
from tests.baselines.exact import moments
from tests.baselines.reference import OPERATORS, dense, pose

SIDE = 6
NOISE = 0.1


def posed(operator="bicubic", schedule="vp", sigma=NOISE):
    prior = GaussianField((1, SIDE, SIDE), mean=0.1, length=1.0, schedule=schedule)
    return pose(OPERATORS[operator], shape=prior.shape, sigma=sigma, prior=prior)


class Dense:
    """The problem as matrices: the map and the measurement of each image, and the Gaussian they are drawn from."""

    def __init__(self, problem):
        self.problem = problem
        self.m, self.C = (v.numpy() for v in moments(problem.prior._prior, problem.shape[1:]))
        self.A = [dense(problem.f.select(slice(i, i + 1)), problem.prior.shape) for i in range(len(problem.y))]
        self.y, self.eye = problem.y.flatten(1).numpy(), np.eye(len(self.m))

    def images(self, solve):
        """solve(A, y) of each image, with the level of the noise."""
        rows = [solve(A, y) for A, y in zip(self.A, self.y, strict=True)]
        return torch.from_numpy(np.stack(rows)).view(self.problem.shape)

    def denoised(self, x, sigma):
        return self.m + self.C @ np.linalg.solve(self.C + sigma**2 * self.eye, x - self.m)

    def data_step(self, A, y, z, rho):
        return np.linalg.solve(A.T @ A + rho * self.eye, A.T @ y + rho * z)

    def likeliest(self, noise, precision):
        """argmin_x |A x - y|^2 / (2 noise) + (x - m)^T P (x - m) / 2."""
        return self.images(
            lambda A, y: self.m + np.linalg.solve(A.T @ A / noise + precision, A.T @ (y - A @ self.m) / noise)
        )
