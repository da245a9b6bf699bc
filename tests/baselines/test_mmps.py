"""MMPS against exact posteriors, where it is exact, and its two parts: the linear solver and the linearised map."""

import inspect

import pytest
import torch

from baselines.diffusion import mmps as module
from baselines.diffusion.mmps import conditional_mean, gmres, linearised, mmps
from baselines.diffusion.sampling import level
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.base import Operator
from sipbench.operators.nonlinear import HighDynamicRange
from sipbench.priors.field import GaussianField
from sipbench.problem import Rng
from tests.baselines.exact import far, pose


def bicubic(shape, rng):
    return BicubicDownsampling(shape, rng, factor=2)


def inpainting(shape, rng):
    """Four of sixteen pixels are left: with the noise on the others, five iterations solve the system."""
    return Inpainting(shape, rng, removed=0.75)


def field(make=inpainting, schedule="vp", n=256, sigma=0.2):
    return pose(make, prior=GaussianField((1, 4, 4), mean=0.1, length=3.0, schedule=schedule), n=n, sigma=sigma)


@pytest.mark.parametrize(
    ("make", "schedule", "solver"),
    [
        (inpainting, "vp", "gmres"),
        (inpainting, "ve", "cg"),
        (bicubic, "ve", "gmres"),
        (inpainting, "flow", "gmres"),
    ],
)
def test_converged_it_samples_the_posterior_of_a_field(make, schedule, solver):
    problem = field(make, schedule)
    steps = 250 if schedule == "vp" else 120
    assert max(far(problem, mmps(problem, steps=steps, iterations=5, solver=solver))) < 4.5


def mean_error(conditional_mean, schedule):
    """The distance of E[x | x_t, y] at a middle level from the textbook's, y and x_t as one measurement of x."""
    problem = field(schedule=schedule, n=3)
    now = level(problem, problem.prior.time_at(torch.tensor(0.8)))
    x_t = now.alpha * 0.1 + 0.7 * problem.rng.normal(1, 4, 4, dtype=torch.float64)
    x_y, _ = conditional_mean(problem, x_t, now, gmres, 6, False)
    mu, C = problem.prior.mean_vector(), problem.prior.covariance()
    f, eye = problem.f.select(slice(0, 1)), torch.eye(16, dtype=torch.float64)
    A = torch.stack([f(e.view(1, 1, 4, 4)).flatten() for e in eye], 1)
    both = torch.cat([now.alpha * eye, A])
    noise = torch.cat([now.sigma**2 * torch.ones(16), problem.noise.sigma**2 * torch.ones(16)]).diag()
    data = torch.cat([x_t.flatten(1), problem.y.flatten(1)], 1)
    expected = mu + (data - mu @ both.T) @ torch.linalg.solve(both @ C @ both.T + noise, both @ C)
    return (x_y.flatten(1) - expected).abs().max()


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_the_conditional_mean_is_the_textbooks(schedule):
    assert mean_error(conditional_mean, schedule) < 1e-8


def broken(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    names = {}
    exec(compile(source.replace(right, wrong, 1), "broken", "exec"), names)
    return names


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("variance = noise.sigma**2", "variance = 2 * noise.sigma**2"),
        ("now.sigma**2 / now.alpha *", "2 * now.sigma**2 / now.alpha *"),
        ("now.sigma**2 / now.alpha *", "now.sigma**2 *"),
        ("prior.denoise(x_t, now.t)", "prior.denoise(x_t, 0.97 * now.t)"),
    ],
    ids=["twice the noise", "twice the covariance", "covariance unscaled", "time"],
)
def test_a_broken_mean_is_seen(right, wrong):
    assert mean_error(broken(right, wrong)["conditional_mean"], "vp") > 1e-3


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("variance = noise.sigma**2", "variance = 2 * noise.sigma**2"),
        ("now.sigma**2 / now.alpha *", "2 * now.sigma**2 / now.alpha *"),
        ("    return x_t\n", "    return x_t + 0.2 * problem.rng.normal_like(x_t)\n"),
        ("x_y, now, then,", "x_y, then, now,"),
    ],
    ids=["twice the noise", "twice the covariance", "noise at the end", "levels swapped"],
)
def test_a_broken_sampler_is_seen(right, wrong):
    problem = field(schedule="ve")
    worst = max(far(problem, broken(right, wrong)["mmps"](problem, steps=120, iterations=5)))
    assert not worst < 6


def test_one_iteration_is_not_enough_for_a_correlated_field():
    once, five = (mmps(field(schedule="ve", n=2), steps=20, iterations=n) for n in (1, 5))
    assert (once - five).abs().max() > 0.01


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
    object.__setattr__(problem, "prior", prior)
    mmps(problem, steps=7, iterations=3, solver=solver)
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
    assert (A(v) - 2 * v * (0.8 * x.abs() < 1)).abs().max() < 1e-12  # the derivative of clip(2 x, -1, 1)
    assert ((A(v) * u).sum() - (v * At(u)).sum()).abs() < 1e-12


def test_linearising_a_linear_map_changes_nothing():
    class Unnamed(Operator):
        def __init__(self, f):
            super().__init__(f.shape)
            self.f = f

        def forward(self, x):
            return self.f(x)

    plain, hidden = field(n=3), field(n=3)
    object.__setattr__(hidden, "f", Unnamed(hidden.f))
    a, b = (mmps(problem, steps=10, iterations=2) for problem in (plain, hidden))
    assert (a - b).abs().max() < 1e-10


def test_images_do_not_feel_each_other():
    problem = field(n=2)
    together = mmps(problem, steps=10, iterations=2)
    alone = [mmps(field(n=2).select(slice(i, i + 1)), steps=10, iterations=2) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9


def test_an_unknown_solver_is_named():
    with pytest.raises(ValueError, match="gmres, cg"):
        mmps(field(n=1), solver="lu")
