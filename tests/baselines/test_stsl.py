"""STSL against its formulas written out once more, on latents that are a mixture of two Gaussians."""

import pytest
import torch

from baselines.diffusion.stsl import stsl
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.base import Prior
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.schedules import named
from tests.baselines.reference import SCHEDULES, ddpm, gap, images, matrix, pose_latent, residual, streams

CENTRE, STD = 0.5, 0.2
CHOSEN = {"steps": 8, "K": 3, "lam": 0.2, "eta": 0.4, "damping": 1e-2}


class TwoValued(Prior):
    """Each number by itself is N(+-0.5, 0.2^2), either sign as likely: the Hessian's trace depends on the place."""

    def __init__(self, shape, schedule):
        super().__init__(named(schedule))
        self.shape = shape

    def denoise(self, x_t, t):
        alpha, sigma = self.scales(t)
        v = alpha**2 * STD**2 + sigma**2
        side = torch.tanh(alpha * CENTRE * x_t / v)
        return CENTRE * side + alpha * STD**2 / v * (x_t - alpha * CENTRE * side)


def pose(make=Inpainting, inner=TwoValued, **options):
    return pose_latent(make, inner=inner, **options)


def log_density(z, alpha, sigma):
    """log p_t(z) of one latent: its gradient is the score."""
    v = alpha**2 * STD**2 + sigma**2
    two = torch.stack([-((z - s * alpha * CENTRE) ** 2) / (2 * v) for s in (-1, 1)])
    return torch.logsumexp(two, 0).sum()


def reference(problem, steps, K, lam, eta, damping):
    """One image after another; the score by differentiating log p_t, the posterior mean by Tweedie's formula."""
    at, (seeds, draw), rows = ddpm(steps), streams(problem), []
    draws = [torch.from_numpy(draw()) for _ in range(K * steps)]
    for i, seed in enumerate(torch.from_numpy(seeds)):
        A, y = torch.from_numpy(matrix(problem, i)), problem.y[i].flatten()
        z_0 = A.T @ torch.linalg.solve(A @ A.T + damping * torch.eye(len(A)).double(), y)
        z = at[0][0] * z_0 + at[0][1] * seed
        for k in range(steps):
            (a, s), (c, q) = at[k : k + 2]

            def score(z, a=a, s=s):
                z = z if z.requires_grad else z.detach().requires_grad_()
                return torch.autograd.grad(log_density(z, a, s), z, create_graph=True)[0]

            for j in range(K):
                e = draws[k * K + j][i]
                z = z.detach().requires_grad_()
                z_hat = (z + s**2 * score(z)) / a
                trace = (e * (score(z + e) - score(z))).sum() / len(e)
                loss = lam * torch.linalg.norm(y - A @ z_hat) + eta * trace
                z = (z - torch.autograd.grad(loss, z)[0]).detach()
            z_hat = ((z + s**2 * score(z)) / a).detach()
            z = c * z_hat + q * (z - a * z_hat) / s
        rows.append(z)
    return images(problem, rows)


def witness(solve, make=Inpainting, eta=0.4):
    problem, chosen = pose(make), CHOSEN | {"eta": eta}
    assert gap(solve(problem, **chosen), reference(problem, **chosen)) < 1e-7


@pytest.mark.parametrize("eta", [0.4, 0.0])
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, eta):
    witness(stsl, make, eta)


def test_on_a_gaussian_the_second_order_says_nothing():
    """The Hessian of a Gaussian's logarithm is the same everywhere."""
    problem = pose(inner=IsotropicGaussian)
    with_it, without = (stsl(problem, steps=10, eta=eta) for eta in (0.5, 0.0))
    assert gap(with_it, without) < 1e-9


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_guidance_fits_the_measurement(schedule):
    problem = pose(schedule=schedule)
    free, guided = (residual(problem, stsl(problem, steps=50, lam=lam)).norm() for lam in (0.0, 0.1))
    assert guided < 0.5 * free


@pytest.mark.parametrize(("eta", "each"), [(0.02, 11), (0.0, 6)])
def test_evaluations(eta, each):
    problem = pose()
    stsl(problem, steps=4, eta=eta)
    assert problem.prior.evaluations == each * 4 * 2
