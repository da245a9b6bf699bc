"""Plug-and-play proximal gradients against their formulas on dense matrices, and against where they must end."""

import numpy as np
import pytest

from baselines.datarich.pgd_pnp import pgd_pnp
from tests.baselines.plugged import Dense, posed
from tests.baselines.reference import OPERATORS, SCHEDULES, gap


def reference(problem, iterations=6, gamma=1.0, sigma=5.0, sigma_1=None, momentum=False):
    known = Dense(problem)
    levels = 2 / 255 * np.geomspace(sigma_1 or sigma, sigma, iterations)

    def solve(A, y):
        L, t = np.linalg.norm(A, 2) ** 2, 1.0
        x = s = A.T @ y / L
        for level in levels:
            new = known.denoised(s - gamma / L * A.T @ (A @ s - y), level)
            t, last = (1 + np.sqrt(1 + 4 * t**2)) / 2, t
            x, s = new, new + ((last - 1) / t * (new - x) if momentum else 0)
        return x

    return known.images(solve)


def witness(solve, operator="bicubic", schedule="vp"):
    problem = posed(operator, schedule)
    for options in ({}, {"sigma_1": 60.0, "sigma": 20.0, "gamma": 0.7}, {"momentum": True, "sigma": 40.0}):
        assert gap(solve(problem, iterations=6, **options), reference(problem, **options)) < 1e-6


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule):
    witness(pgd_pnp, operator, schedule)


@pytest.mark.parametrize("momentum", [False, True])
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_ends_at_the_likeliest_image(operator, momentum):
    """The exact denoiser of a Gaussian: the posterior's mode for noise of the variance sigma^2 |A|^2 / gamma."""
    problem = posed(operator)
    known, sigma, gamma = Dense(problem), 0.3, 0.8
    noise = sigma**2 * np.linalg.norm(known.A[0], 2) ** 2 / gamma
    exact = known.likeliest(noise, np.linalg.inv(known.C))
    ours = pgd_pnp(problem, iterations=400, gamma=gamma, sigma=255 * sigma / 2, momentum=momentum)
    assert gap(ours, exact) < 1e-5
