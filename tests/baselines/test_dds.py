"""DDS against its formulas with dense matrices, and what its two forms promise."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import dds as module
from baselines.diffusion.dds import dds
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.problem import Rng
from tests.baselines.exact import Frozen, pose

MEAN, STD = 0.1, 0.5


def bicubic(shape, rng):
    return BicubicDownsampling(shape, rng, factor=2)


def inpainting(shape, rng):
    return Inpainting(shape, rng, removed=0.5)


def small(schedule="vp", make=bicubic, sigma=0.1):
    return pose(make, n=2, mean=MEAN, std=STD, schedule=schedule, sigma=sigma)


def krylov(M, b, x, iterations):
    """The point of least error in the norm of M in x + the Krylov space of the residual: what CG from x gives."""
    K = np.stack([np.linalg.matrix_power(M, k) @ (b - M @ x) for k in range(iterations)], 1)
    K = np.linalg.qr(K)[0]
    return x + K @ np.linalg.lstsq(K.T @ M @ K, K.T @ (b - M @ x), rcond=1e-12)[0]


def reference(problem, steps, eta, gamma, iterations):
    """CG starts at x_hat, as in the code; for states x / alpha of variance S^2 more than the image's."""
    prior, shape = problem.prior, problem.shape[1:]
    f = problem.f.select(slice(0, 1))
    A = torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(np.prod(shape), dtype=torch.float64)], 1).numpy()
    alpha, sigma = (s.numpy() for s in prior.scales(prior.times(steps)))
    S, rng, eye = sigma / alpha, Rng(problem.rng.keys), np.eye(A.shape[1])
    x = S[0] * rng.portable.normal(*shape, dtype=torch.float64).flatten(1).numpy()
    y = problem.y.flatten(1).numpy()
    for k in range(steps):
        x_hat = MEAN + STD**2 / (STD**2 + S[k] ** 2) * (x - MEAN)
        z = rng.normal(*shape, dtype=torch.float64).flatten(1).numpy()
        for i in range(len(x)):
            M, b = eye + (gamma or 0) * A.T @ A, x_hat[i] + (gamma or 0) * A.T @ y[i]
            M, b = (A.T @ A, A.T @ y[i]) if gamma is None else (M, b)
            e = (x[i] - x_hat[i]) / S[k]
            x[i] = krylov(M, b, x_hat[i], iterations) + S[k + 1] * (np.sqrt(1 - eta**2) * e + eta * z[i])
    return torch.from_numpy(x).view(problem.shape)


@pytest.mark.parametrize("gamma", [1.0, 20.0, None])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_it_is_the_algorithm(schedule, gamma):
    for steps, iterations in ((1, 1), (20, 2)):
        expected = reference(small(schedule), steps, 0.85, gamma, iterations)
        x = dds(small(schedule), steps=steps, gamma=gamma, iterations=iterations)
        assert (x - expected).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("weight * f.T(f(d))", "2 * weight * f.T(f(d))"),
        ("(1 - eta**2) ** 0.5 * e", "(1 - eta) ** 0.5 * e"),
        ("then.sigma * (", "now.sigma * ("),
        ("x_t - now.alpha * x_hat", "x_t - then.alpha * x_hat"),
        ("eta * rng.normal_like(x_t)", "2 * eta * rng.normal_like(x_t)"),
        ("    return x_t\n", "    return x_t + 0.01 * rng.normal_like(x_t)\n"),
    ],
    ids=["twice the weight", "eta", "levels swapped", "scale of another level", "too much noise", "noise at the end"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong, 1), "broken", "exec"), broken)
    expected = reference(small(), 20, 0.85, 1.0, 2)
    assert (broken["dds"](small(), steps=20, iterations=2) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("make", [bicubic, inpainting])
def test_the_noiseless_form_ends_on_the_measurement(make):
    problem = small(make=make, sigma=0.0)
    x = dds(problem, steps=5, gamma=None, iterations=20)
    assert (problem.f(x) - problem.y).abs().max() < 1e-9


def test_without_weight_it_does_not_look_at_the_measurement():
    loud, quiet = small(), small()
    object.__setattr__(loud, "y", 10 * loud.y)
    assert torch.equal(dds(loud, steps=5, gamma=0.0), dds(quiet, steps=5, gamma=0.0))


def test_one_evaluation_a_step_and_no_graph():
    problem = small()
    object.__setattr__(problem, "prior", Frozen(problem.prior))
    dds(problem, steps=13)
    assert problem.prior.evaluations == 13 * 2


def test_images_do_not_feel_each_other():
    together = dds(small(), steps=10)
    alone = [dds(small().select(slice(i, i + 1)), steps=10) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9
