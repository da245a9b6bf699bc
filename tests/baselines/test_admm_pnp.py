"""Plug-and-play ADMM against its formulas on dense matrices, and against where it must end."""

import numpy as np
import pytest

from baselines.classical.tv import tv
from baselines.datarich.admm_pnp import admm_pnp
from sipbench.operators.sampling import Inpainting
from tests.baselines import posed as classical
from tests.baselines.plugged import NOISE, Dense, posed
from tests.baselines.reference import OPERATORS, SCHEDULES, gap


def reference(problem, iterations=6, lam=1.0, rho=0.0001, gamma=1.1, rule="monotone", eta=0.95, noise=NOISE):
    known = Dense(problem)

    def solve(A, y):
        x = v = u = np.zeros(len(known.m))
        penalty, change = rho, np.inf
        for _ in range(iterations):
            before, last = (x, v, u), change
            x = known.data_step(A, y, v - u, penalty)
            v = known.denoised(x + u, noise * np.sqrt(lam / penalty))
            u = u + x - v
            change = sum(np.linalg.norm(b - a) for a, b in zip(before, (x, v, u), strict=True))
            penalty *= gamma if rule == "monotone" or change >= eta * last else 1.0
        return v

    return known.images(solve)


ETAS = [0.4, 0.5, 0.6, 0.7, 0.8]  # between them the change of one image falls enough, that of another does not


def witness(solve, operator="inpainting", schedule="vp"):
    problem = posed(operator, schedule)
    adaptive = {"gamma": 2.0, "lam": 0.5, "rule": "adaptive", "rho": 0.3}
    for options in ({}, *({**adaptive, "eta": eta} for eta in ETAS)):
        assert gap(solve(problem, iterations=6, **options), reference(problem, **options)) < 1e-8


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule):
    witness(admm_pnp, operator, schedule)


@pytest.mark.parametrize("end", [{"rule": "monotone"}, {"rule": "adaptive", "eta": 1e9}])
def test_the_adaptive_rule_adapts(end):
    """At this eta the penalty grows in some iterations and stays in others."""
    problem, options = posed("inpainting"), {"gamma": 2.0, "rho": 0.3, "lam": 0.5}
    adaptive = reference(problem, rule="adaptive", eta=0.5, **options)
    assert gap(adaptive, reference(problem, **{**options, **end})) > 1e-4


@pytest.mark.parametrize("lam", [1.0, 0.25])
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_ends_at_the_likeliest_image(operator, lam):
    """The exact denoiser of a Gaussian: the posterior's mode at lam = 1, wherever rho is."""
    problem = posed(operator)
    known = Dense(problem)
    exact = known.likeliest(NOISE**2, lam * np.linalg.inv(known.C))
    for rho in (0.03, 0.05):
        assert gap(admm_pnp(problem, iterations=120, gamma=1.0, rho=rho, lam=lam), exact) < 1e-5


def test_with_total_variation_it_is_the_minimiser_of_total_variation():
    problem = classical.pose(Inpainting, images=(0,), size=12, sigma=0.05)
    exact = tv(problem, c=8.0, iterations=20_000, tolerance=1e-10).x
    assert classical.far(admm_pnp(problem, denoiser="tv", iterations=60, gamma=1.0, rho=0.1, lam=8.0), exact) < 1e-3


def test_the_noise_has_a_floor():
    problem = posed("inpainting", sigma=0.0)
    assert gap(admm_pnp(problem, iterations=6), reference(problem, noise=0.002)) < 1e-7
