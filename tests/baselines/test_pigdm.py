"""PiGDM: the published coefficients written out in numpy, and the exact posterior of N(0, I) with Bayes' rule."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import pigdm as module
from baselines.diffusion.pigdm import pigdm
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.problem import Rng
from tests.baselines.exact import far, pose

MEAN, STD = 0.1, 0.5


def bicubic(shape, rng):
    return BicubicDownsampling(shape, rng, factor=2)


def inpainting(shape, rng):
    return Inpainting(shape, rng, removed=0.5)


def unit(make=bicubic, schedule="vp"):
    return pose(make, n=256, mean=0.0, std=1.0, sigma=0.2, schedule=schedule)


def small(schedule="vp", make=bicubic):
    return pose(make, n=2, mean=MEAN, std=STD, schedule=schedule)


def reference(problem, steps, eta, guidance, noisy):
    """In the units in which alpha^2 + sigma^2 = 1, as published, whatever those of the prior; A as a matrix."""
    prior, sigma_y, shape = problem.prior, problem.noise.sigma, problem.shape[1:]
    f = problem.f.select(slice(0, 1))
    A = torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(np.prod(shape), dtype=torch.float64)], 1).numpy()
    alpha, sigma = (s.numpy() for s in prior.scales(prior.times(steps)))
    P, rng = alpha**2 / (alpha**2 + sigma**2), Rng(problem.rng.keys)
    x = np.sqrt(1 - P[0]) * rng.portable.normal(*shape, dtype=torch.float64).flatten(1).numpy()
    y = problem.y.flatten(1).numpy()
    for k in range(steps):
        t, s = P[k], P[k + 1]
        J = np.sqrt(t) * STD**2 / (t * STD**2 + 1 - t)
        x_hat = MEAN + J * (x - np.sqrt(t) * MEAN)
        r2 = 1 - t
        inverse = np.linalg.inv(r2 * A @ A.T + sigma_y**2 * np.eye(len(A))) * r2 if noisy else np.linalg.pinv(A @ A.T)
        g = J * (y - x_hat @ A.T) @ (A.T @ inverse).T
        c1 = eta * np.sqrt((1 - t / s) * (1 - s) / (1 - t))
        c2 = np.sqrt(1 - s - c1**2)
        e = (x - np.sqrt(t) * x_hat) / np.sqrt(1 - t)
        z = rng.normal(*shape, dtype=torch.float64).flatten(1).numpy()
        x = np.sqrt(s) * x_hat + c1 * z + c2 * e + (np.sqrt(s * t) if guidance == "code" else np.sqrt(t)) * g
    return torch.from_numpy(x).view(problem.shape)


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("guidance", ["code", "paper"])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_it_is_the_algorithm(schedule, guidance, noisy):
    for steps, eta in ((1, 1.0), (20, 1.0), (20, 0.2)):
        expected = reference(small(schedule), steps, eta, guidance, noisy)
        x = pigdm(small(schedule), steps=steps, eta=eta, guidance=guidance, noisy=noisy)
        assert (x - expected).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("make", "schedule"), [(bicubic, "vp"), (inpainting, "vp"), (inpainting, "ve"), (inpainting, "flow")]
)
def test_by_the_rule_of_bayes_it_samples_the_posterior_of_white_noise(make, schedule):
    problem = unit(make, schedule)
    assert max(far(problem, pigdm(problem, steps=200, guidance="score"))) < 4.5


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("max(noise.sigma, LEAST_SIGMA) ** 2", "2 * max(noise.sigma, LEAST_SIGMA) ** 2"),
        ("now.sigma**2 / (now.alpha**2 + now.sigma**2)", "2 * now.sigma**2 / (now.alpha**2 + now.sigma**2)"),
        ("now.sigma**2 / (now.alpha**2 + now.sigma**2)", "now.sigma**2 / now.alpha**4"),
        ("now, then, z, eta)\n        else", "then, now, z, eta)\n        else"),
        ("    return x_t\n", "    return x_t + 0.3 * rng.normal_like(x_t)\n"),
    ],
    ids=["twice the noise", "twice the variance", "another variance", "levels swapped", "noise at the end"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong, 1), "broken", "exec"), broken)
    problem = unit(inpainting)
    assert not max(far(problem, broken["pigdm"](problem, steps=200, guidance="score"))) < 6


@pytest.mark.parametrize("guidance", ["code", "paper"])
def test_the_published_coefficients_do_not_sample_it(guidance):
    problem = unit()
    assert max(far(problem, pigdm(problem, steps=200, guidance=guidance))) > 6


def test_one_evaluation_a_step():
    problem = small()
    pigdm(problem, steps=13)
    assert problem.prior.evaluations == 13 * 2


def test_no_noise_at_all_is_no_division_by_zero():
    problem = pose(inpainting, n=2, sigma=0.0)
    x = pigdm(problem, steps=20)
    assert x.isfinite().all()
    assert (problem.y - problem.f(x)).abs().max() < 0.2


def test_images_do_not_feel_each_other():
    together = pigdm(small(), steps=10)
    alone = [pigdm(small().select(slice(i, i + 1)), steps=10) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9


def test_an_unknown_guidance_is_named():
    with pytest.raises(ValueError, match="code, paper, score"):
        pigdm(small(), guidance="bayes")
