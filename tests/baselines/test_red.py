"""RED against its formulas on dense matrices, and against where both of its rules must end."""

import numpy as np
import pytest

from baselines.datarich.red import red
from tests.baselines.plugged import NOISE, Dense, posed
from tests.baselines.reference import OPERATORS, SCHEDULES, gap

RULES = ["fixed_point", "steepest_descent"]
ENOUGH = {"fixed_point": 200, "steepest_descent": 800}


def reference(problem, rule="fixed_point", iterations=6, lam=0.02, sigma_f=3.25, sigma_1=None):
    """In the paper's units, intensities out of 255."""
    known, noise = Dense(problem), 127.5 * NOISE
    levels = np.geomspace(sigma_1 or sigma_f, sigma_f, iterations)

    def solve(A, y):
        y, grey = 127.5 * y, 127.5 * A @ np.ones(len(known.m))
        L = np.linalg.norm(A, 2) ** 2
        x, y, mu = 127.5 + A.T @ y / L, y + grey, 2 / (L / noise**2 + lam)
        for level in levels:
            v = 127.5 * known.denoised(x / 127.5 - 1, level / 127.5) + 127.5
            if rule == "fixed_point":
                x = np.linalg.solve(A.T @ A / noise**2 + lam * known.eye, A.T @ y / noise**2 + lam * v)
            else:
                x = x - mu * (A.T @ (A @ x - y) / noise**2 + lam * (x - v))
        return x / 127.5 - 1

    return known.images(solve)


def witness(solve, operator="bicubic", schedule="vp"):
    problem = posed(operator, schedule)
    for rule in RULES:
        for options in ({}, {"lam": 0.005, "sigma_f": 10.0, "sigma_1": 60.0}):
            assert gap(solve(problem, rule=rule, iterations=6, **options), reference(problem, rule, **options)) < 1e-6


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule):
    witness(red, operator, schedule)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_ends_where_its_gradient_is_zero(operator, rule):
    """For the exact denoiser of a Gaussian: the likeliest image for the precision lam sigma^2 (C + sigma^2)^-1."""
    problem = posed(operator)
    known, sigma, lam = Dense(problem), 0.5, 0.002
    precision = lam * 127.5**2 * sigma**2 * np.linalg.inv(known.C + sigma**2 * known.eye)
    ours = red(problem, rule=rule, iterations=ENOUGH[rule], lam=lam, sigma_f=127.5 * sigma)
    assert gap(ours, known.likeliest(NOISE**2, precision)) < 1e-5
