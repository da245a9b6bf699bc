"""DPIR against its formulas on dense matrices, in the public code's units, and against where it must end."""

import numpy as np
import pytest

from baselines.datarich.hqs import hqs
from tests.baselines.plugged import NOISE, Dense, posed
from tests.baselines.reference import OPERATORS, SCHEDULES, gap


def reference(problem, iterations=8, lam=0.23, sigma_1=49.0, sigma_K=None):
    """On [0, 1]: the levels of 255 by numpy's logspace, the last one the noise, or what is asked where that is more."""
    known, noise = Dense(problem), NOISE / 2
    last = max(255 * noise, sigma_K or 0)
    levels = np.logspace(np.log10(sigma_1), np.log10(last), iterations) / 255

    def solve(A, y):
        grey = A @ np.full(len(known.m), 0.5)
        z = np.full(len(known.m), 0.5)
        for level in levels:
            x = known.data_step(A, y / 2 + grey, z, lam * noise**2 / level**2)
            z = known.denoised(2 * x - 1, 2 * level) / 2 + 0.5
        return 2 * z - 1

    return known.images(solve)


def witness(solve, operator="inpainting", schedule="vp"):
    problem = posed(operator, schedule)
    more = {"iterations": 5, "lam": 2.0, "sigma_1": 120.0}
    for options in ({}, more | {"sigma_K": 255 * NOISE}, more | {"sigma_K": 255 * NOISE / 4}):
        assert gap(solve(problem, **options), reference(problem, **options)) < 1e-7


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule):
    witness(hqs, operator, schedule)


@pytest.mark.parametrize("operator", OPERATORS)
def test_at_one_level_it_ends_where_data_and_denoiser_meet(operator):
    """At x = argmin |A x - y|^2 + rho |x - z|^2 and (C + sigma^2) (z - m) = C (x - m) together."""
    problem = posed(operator)
    known, sigma = Dense(problem), 0.3
    rho, n = NOISE**2 / sigma**2, len(known.m)

    def solve(A, y):
        top = [A.T @ A + rho * known.eye, -rho * known.eye]
        system = np.block([top, [-known.C, known.C + sigma**2 * known.eye]])
        return np.linalg.solve(system, np.concatenate([A.T @ y, sigma**2 * known.m]))[n:]

    level = 255 * sigma / 2
    ours = hqs(problem, iterations=150, lam=1.0, sigma_1=level, sigma_K=level)
    assert gap(ours, known.images(solve)) < 1e-6
