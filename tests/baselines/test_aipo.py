"""Amortised optimisation against its formulas in numpy, and against the closed form of a generator that is a matrix."""

import numpy as np
import pytest

from baselines.datarich.aipo import aipo
from sipbench.operators.colour import Denoise
from tests.baselines.generated import Known, Matrices, posed
from tests.baselines.reference import OPERATORS, Adam, gap, pooling


def reference(problem, G, rounds, iterations, lr, lam):
    known, rows = Known(problem, G), []
    for i, (A, y) in enumerate(zip(known.A, known.y, strict=True)):
        z, adam = np.linalg.pinv(G.matrix()) @ (np.linalg.pinv(A) @ y - known.b), Adam(lr)
        for weight in np.linspace(0, lam, rounds):
            for _ in range(iterations):
                z = adam(z, known.loss(i, z, lam=weight)[1])
        rows.append(known.image(z))
    return known.images(rows)


def witness(solve, operator="bicubic"):
    problem, G = posed(OPERATORS[operator]), Matrices(5)
    for rounds, iterations in ((2, 6), (4, 3)):
        options = {"rounds": rounds, "iterations": iterations, "lr": 0.2, "lam": 0.4}
        assert gap(solve(problem, generator=G, cutoff=0.0, **options), reference(problem, G, **options)) < 1e-6


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator):
    witness(aipo, operator)


@pytest.mark.parametrize("operator", ["inpainting", "bicubic"])
def test_with_a_matrix_it_ends_at_ridge_regression(operator):
    problem, G = posed(OPERATORS[operator]), Matrices()
    known = Known(problem, G)
    exact = known.images([known.image(known.ridge(i, 0.2)) for i in range(len(problem.y))])
    assert gap(aipo(problem, generator=G, rounds=3, iterations=150, lam=0.2), exact) < 1e-4


def test_the_encoder_s_code_is_where_it_starts():
    """Nothing is left to do where the encoder is an inverse and everything is measured alike."""
    problem, G = posed(Denoise), Matrices()
    known = Known(problem, G)
    exact = known.images([known.image(known.ridge(i, 0.0)) for i in range(len(problem.y))])
    assert gap(aipo(problem, generator=G, rounds=2, iterations=0), exact) < 1e-9


def test_the_adjoint_starts_as_the_pseudo_inverse_where_singular_values_are_equal():
    problem, G = posed(pooling), Matrices()
    starts = [aipo(problem, generator=G, iterations=0, start=start) for start in ("pinv", "adjoint")]
    assert gap(*starts) < 1e-6
    problem = posed(OPERATORS["blur"])
    starts = [aipo(problem, generator=G, iterations=0, cutoff=0.0, start=start) for start in ("pinv", "adjoint")]
    assert starts[1].abs().max() < starts[0].abs().max() / 4


def test_one_round_is_none():
    with pytest.raises(ValueError, match="rounds is 2 or more"):
        aipo(posed(OPERATORS["blur"]), generator=Matrices(), rounds=1)
