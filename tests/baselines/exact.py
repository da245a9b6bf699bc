"""A problem whose posterior is known, many draws of one measurement at a time, and how far draws are from it."""

from dataclasses import replace

import torch

from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng
from tests.baselines.reference import MEAN, STD, matrix


def pose(make, *, n=512, shape=(1, 4, 4), prior=None, mean=MEAN, std=STD, sigma=0.1, schedule="vp", seed=0):
    """One measurement, n streams for the solver; double precision.

    make(shape, rng) is the operator; `prior` is an analytic prior, an isotropic Gaussian unless given.
    """
    prior = IsotropicGaussian(shape, mean, std, schedule) if prior is None else prior
    shape = tuple(prior.image_shape)
    same = Rng.of(seed, "exact", [0] * n)
    f = make((n, *shape), same.child("operator").portable)
    mu, cov = moments(prior, shape)
    z = same.child("x").portable.normal(*shape, dtype=torch.float64).flatten(1)
    x = (mu + z @ torch.linalg.cholesky(cov).T).view(n, *shape)
    y = Gaussian(sigma)(f(x), same.child("noise").portable)
    return Problem(y, f, Gaussian(sigma), (n, *shape), Counted(prior), Rng.of(seed, "draws", range(n)))


class Frozen(Counted):
    """A counted prior for solvers that do not differentiate it: it refuses to be called with gradients enabled."""

    def denoise(self, x_t, t):
        assert not torch.is_grad_enabled() and not x_t.requires_grad
        return super().denoise(x_t, t)


def frozen(problem):
    """The same problem, whose prior refuses to be differentiated."""
    return replace(problem, prior=Frozen(problem.prior._prior))


def moments(prior, shape):
    """The mean (d) and the covariance (d, d) of the prior of one image."""
    if isinstance(prior, IsotropicGaussian):
        d = torch.Size(shape).numel()
        eye = torch.eye(d, dtype=torch.float64)
        return torch.full((d,), float(prior.mean), dtype=torch.float64), prior.std**2 * eye
    return prior.mean_vector(), prior.covariance()


def posterior(problem):
    """The mean (d) and the covariance (d, d) of x given the measurement, by the textbook formula."""
    mu, C = moments(problem.prior._prior, problem.shape[1:])
    A = torch.from_numpy(matrix(problem))
    y = problem.y[0].flatten().double()
    gain = C @ A.T @ torch.linalg.inv(A @ C @ A.T + problem.noise.sigma**2 * torch.eye(len(y), dtype=torch.float64))
    return mu + gain @ (y - A @ mu), C - gain @ A @ C


def whitened(problem, x):
    """Draws in coordinates where the posterior is N(0, I): (n, d)."""
    mu, C = posterior(problem)
    return torch.linalg.solve_triangular(torch.linalg.cholesky(C), (x.flatten(1).double() - mu).T, upper=False).T


def far(problem, x):
    """How far the draws' mean and variance are from the posterior's, in standard errors of the most extreme coordinate.

    Exact draws give about 3 for tens of coordinates; more than 5 is no accident.
    """
    w = whitened(problem, x)
    n = len(w)
    return float((w.mean(0) * n**0.5).abs().max()), float(((w.var(0) - 1) * (n / 2) ** 0.5).abs().max())
