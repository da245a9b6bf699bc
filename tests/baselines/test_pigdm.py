"""PiGDM: the published coefficients written out in numpy, and the exact posterior of N(0, I) with Bayes' rule."""

from itertools import pairwise

import numpy as np
import pytest

from baselines.diffusion.pigdm import pigdm
from tests.baselines.exact import far, pose
from tests.baselines.reference import OPERATORS, SCHEDULES, denoise, gap, images, levels, parts, pooling


def unit(make=pooling, schedule="vp"):
    return pose(make, n=256, mean=0.0, std=1.0, sigma=0.2, schedule=schedule)


def reference(problem, steps, eta, guidance, noisy):
    """In the units in which alpha^2 + sigma^2 = 1, as published, whatever those of the prior; A as a matrix."""
    A, y, x, draw = parts(problem)
    P = [a**2 / (a**2 + b**2) for a, b in levels(problem, steps)]
    x, noise = np.sqrt(1 - P[0]) * x, problem.noise.sigma**2 * np.eye(len(A))
    for t, s in pairwise(P):
        x_hat, J = denoise(x, np.sqrt(t), np.sqrt(1 - t))
        r2 = 1 - t
        inverse = np.linalg.inv(r2 * A @ A.T + noise) * r2 if noisy else np.linalg.pinv(A @ A.T)
        g = J * (y - x_hat @ A.T) @ (A.T @ inverse).T
        c1 = eta * np.sqrt((1 - t / s) * (1 - s) / (1 - t))
        e = (x - np.sqrt(t) * x_hat) / np.sqrt(1 - t)
        x = np.sqrt(s) * x_hat + c1 * draw() + np.sqrt(1 - s - c1**2) * e
        x = x + (np.sqrt(s * t) if guidance == "code" else np.sqrt(t)) * g
    return images(problem, x)


@pytest.mark.parametrize("noisy", [True, False])
@pytest.mark.parametrize("guidance", ["code", "paper"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_is_the_algorithm(schedule, guidance, noisy):
    for steps, eta in ((1, 1.0), (20, 1.0), (20, 0.2)):
        problem = pose(OPERATORS["bicubic"], n=2, schedule=schedule)
        x = pigdm(problem, steps=steps, eta=eta, guidance=guidance, noisy=noisy)
        assert gap(x, reference(problem, steps, eta, guidance, noisy)) < 1e-8


def witness(solve, make=OPERATORS["inpainting"], schedule="vp"):
    """By the rule of Bayes it samples the posterior of white noise."""
    problem = unit(make, schedule)
    assert max(far(problem, solve(problem, steps=200, guidance="score"))) < 4.5


@pytest.mark.parametrize(
    ("make", "schedule"), [(pooling, "vp"), (OPERATORS["inpainting"], "ve"), (OPERATORS["inpainting"], "flow")]
)
def test_by_the_rule_of_bayes_it_samples_the_posterior_of_white_noise(make, schedule):
    witness(pigdm, make, schedule)


@pytest.mark.parametrize("guidance", ["code", "paper"])
def test_the_published_coefficients_do_not_sample_it(guidance):
    problem = unit()
    assert max(far(problem, pigdm(problem, steps=200, guidance=guidance))) > 6


def test_no_noise_at_all_is_no_division_by_zero():
    problem = pose(OPERATORS["inpainting"], n=2, sigma=0.0)
    x = pigdm(problem, steps=20)
    assert x.isfinite().all()
    assert gap(problem.y, problem.f(x)) < 0.2


def test_the_pseudo_inverse_of_y_is_found_once(monkeypatch):
    """It may be conjugate gradients."""
    problem = pose(OPERATORS["bicubic"], n=2)
    asked, kind = [], type(problem.f)
    pinv = kind.pinv
    monkeypatch.setattr(kind, "pinv", lambda f, y: asked.append(1) or pinv(f, y))
    pigdm(problem, steps=3, noisy=False)
    assert len(asked) == 1 + 3
