"""MMPS against exact posteriors, where it is exact, and its two parts: the linear solver and the linearised map."""

from dataclasses import replace

import pytest
import torch

from baselines.diffusion.mmps import conditional_mean, gmres, linearised, mmps
from baselines.diffusion.sampling import level
from sipbench.operators import Inpainting
from sipbench.operators.base import Operator
from sipbench.operators.nonlinear import HighDynamicRange
from sipbench.priors.field import GaussianField
from sipbench.problem import Rng
from tests.baselines.exact import far, pose
from tests.baselines.reference import SCHEDULES, gap, matrix, pooling


def inpainting(shape, rng):
    """Four of sixteen pixels are left: with the noise on the others, five iterations solve the system."""
    return Inpainting(shape, rng, removed=0.75)


def field(make=inpainting, schedule="vp", n=256):
    return pose(make, prior=GaussianField((1, 4, 4), mean=0.1, length=3.0, schedule=schedule), n=n, sigma=0.2)


def witness(solve, make=inpainting, schedule="ve", solver="gmres"):
    """Converged it samples the posterior of a field."""
    problem, steps = field(make, schedule), 250 if schedule == "vp" else 120
    assert max(far(problem, solve(problem, steps=steps, iterations=5, solver=solver))) < 4.5


@pytest.mark.parametrize(
    ("make", "schedule", "solver"),
    [
        (inpainting, "vp", "gmres"),
        (inpainting, "ve", "cg"),
        (pooling, "ve", "gmres"),
        (inpainting, "flow", "gmres"),
    ],
)
def test_converged_it_samples_the_posterior_of_a_field(make, schedule, solver):
    witness(mmps, make, schedule, solver)


def witness_conditional_mean(conditional_mean, schedule="vp"):
    """E[x | x_t, y] at a middle level is the textbook's, y and x_t as one measurement of x."""
    problem = field(schedule=schedule, n=3)
    now = level(problem, problem.prior.time_at(torch.tensor(0.8)))
    x_t = now.alpha * 0.1 + 0.7 * problem.rng.normal(1, 4, 4, dtype=torch.float64)
    x_y, _ = conditional_mean(problem, x_t, now, gmres, 6, False)
    mu, C, A = problem.prior.mean_vector(), problem.prior.covariance(), torch.from_numpy(matrix(problem))
    both = torch.cat([now.alpha * torch.eye(16, dtype=torch.float64), A])
    noise = torch.cat([now.sigma**2 * torch.ones(16), problem.noise.sigma**2 * torch.ones(16)]).diag()
    data = torch.cat([x_t.flatten(1), problem.y.flatten(1)], 1)
    expected = mu + (data - mu @ both.T) @ torch.linalg.solve(both @ C @ both.T + noise, both @ C)
    assert gap(x_y.flatten(1), expected) < 1e-8


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_conditional_mean_is_the_textbooks(schedule):
    witness_conditional_mean(conditional_mean, schedule)


def test_one_iteration_is_not_enough_for_a_correlated_field():
    once, five = (mmps(field(schedule="ve", n=2), steps=20, iterations=n) for n in (1, 5))
    assert gap(once, five) > 0.01


class Backwards:
    """A prior that counts the backward passes through its denoiser."""

    def __init__(self, prior):
        self._inner, self.count = prior, 0

    def denoise(self, x_t, t):
        x_hat = self._inner.denoise(x_t, t)
        x_hat.register_hook(lambda _: setattr(self, "count", self.count + 1))
        return x_hat

    def __getattr__(self, name):
        return getattr(self._inner, name)


@pytest.mark.parametrize("solver", ["gmres", "cg"])
def test_the_cost(solver):
    problem = field(n=2)
    prior = Backwards(problem.prior)
    mmps(replace(problem, prior=prior), steps=7, iterations=3, solver=solver)
    assert prior.evaluations == 7 * 2
    assert prior.count == 7 * (3 + 1)


def test_gmres_has_the_least_residual_of_the_krylov_space():
    rng = torch.Generator().manual_seed(0)
    M = torch.eye(6, dtype=torch.float64) + 0.5 * torch.randn(2, 6, 6, generator=rng, dtype=torch.float64)
    b = torch.randn(2, 6, generator=rng, dtype=torch.float64)
    for n in (1, 3, 6, 9):
        v = gmres(lambda u: torch.einsum("bij,bj->bi", M, u), b, n)
        for i in range(2):
            K = torch.stack([torch.linalg.matrix_power(M[i], k) @ b[i] for k in range(min(n, 6))], 1)
            best = K @ torch.linalg.lstsq(M[i] @ K, b[i, :, None]).solution
            assert ((b[i] - M[i] @ v[i]).norm() - (b[i] - M[i] @ best[:, 0]).norm()).abs() < 1e-8


def test_an_image_that_is_solved_stays_so():
    v = gmres(lambda u: 2 * u, torch.stack([torch.zeros(5), torch.ones(5)]), 4)
    assert torch.equal(v, torch.stack([torch.zeros(5), 0.5 * torch.ones(5)]))


def test_a_nonlinear_map_is_linearised():
    f = HighDynamicRange((2, 1, 3, 3), Rng.of(0, "map", [0, 1]))
    x, v, u = (
        torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in (1, 2, 3)
    )
    y, A, At = linearised(f, 0.4 * x)
    assert torch.equal(y, f(0.4 * x))
    assert gap(A(v), 2 * v * (0.8 * x.abs() < 1)) < 1e-12  # the derivative of clip(2 x, -1, 1)
    assert ((A(v) * u).sum() - (v * At(u)).sum()).abs() < 1e-12


class Unnamed(Operator):
    """A linear map that does not say so."""

    def __init__(self, f):
        super().__init__(f.shape)
        self.f = f

    def forward(self, x):
        return self.f(x)


def test_linearising_a_linear_map_changes_nothing():
    plain, hidden = field(n=3), field(n=3)
    hidden = replace(hidden, f=Unnamed(hidden.f))
    a, b = (mmps(problem, steps=10, iterations=2) for problem in (plain, hidden))
    assert gap(a, b) < 1e-10
