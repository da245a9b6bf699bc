"""Intermediate layer optimisation against its formulas in numpy, and where its constraints say how it must end."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from baselines.datarich.ilo import ilo, l1_ball
from tests.baselines.generated import CODE, Known, Matrices, posed
from tests.baselines.reference import OPERATORS, Adam, gap


def project(v, r):
    """Onto the l1 ball: the threshold found by halving."""
    low, high = 0.0, np.abs(v).max()
    if np.abs(v).sum() <= r:
        return v
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(np.abs(v) - middle, 0).sum() > r else (low, middle)
    return np.sign(v) * np.maximum(np.abs(v) - high, 0)


def rate(t):
    """The public code's get_lr."""
    up, down = 0.05, 0.75
    return (0.5 - 0.5 * math.cos(min(1, (1 - t) / down) * math.pi)) * min(1, t / up)


def reference(problem, G, iterations, lr, radius):
    known, rows = Known(problem, G), []
    z = problem.rng.portable.normal(CODE, dtype=torch.float64).numpy()
    for i in range(len(problem.y)):
        h, at, best = z[i], 0, None
        for layer, n in enumerate(iterations):
            if n == 0:
                continue
            for matrix in G.matrices[at:layer]:
                h = matrix.numpy() @ h
            at, centre, adam, least = layer, h, Adam(lr), np.inf
            for k in range(n):
                loss, slope = known.loss(i, h, layer)
                if loss < least:
                    least, best = loss, known.image(h, layer)
                adam.lr = lr * rate(k / n)
                h = adam(h, slope)
                if layer:
                    h = centre + project(h - centre, radius * h.size)
                else:
                    h = h * np.linalg.norm(centre) / np.linalg.norm(h)
        rows.append(best)
    return known.images(rows)


def witness(solve, operator="inpainting"):
    problem, G = posed(OPERATORS[operator]), Matrices(7, 12)
    restless = ([6, 5], 4.0, 50.0)  # its last iterate is not its best
    relapsing = ([12, 2], 2.0, 50.0)  # nor is the best of its second layer as good as that of the first
    plain = ([8, 6, 5], 0.3, 0.02), ([5, 0, 25], 0.3, 10.0), ([9], 0.1, 0.1)
    for iterations, lr, radius in (*plain, restless, relapsing):
        ours = solve(problem, generator=G, iterations=iterations, lr=lr, radius=radius)
        assert gap(ours, reference(problem, G, iterations, lr, radius)) < 1e-9


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator):
    witness(ilo, operator)


def test_the_nearest_point_of_the_ball():
    """Against a general optimiser, and what lies inside stays."""
    draw = np.random.default_rng(0)
    v = torch.from_numpy(draw.normal(size=(3, 2, 3)) * np.array([0.01, 1.0, 5.0])[:, None, None])
    w = l1_ball(v, 0.1)
    assert gap(w[:1], v[:1]) == 0
    assert (w.abs().flatten(1).sum(1)[1:] - 0.6).abs().max() < 1e-12
    for i in (1, 2):
        parts = v[i].flatten().numpy()
        best = minimize(
            lambda s, p=parts: np.sum((s[:6] - s[6:] - p) ** 2),
            np.full(12, 0.05),
            bounds=[(0, None)] * 12,
            constraints={"type": "ineq", "fun": lambda s: 0.6 - s.sum()},
            method="SLSQP",
            options={"ftol": 1e-14},
        ).x
        assert np.abs(best[:6] - best[6:] - w[i].flatten().numpy()).max() < 1e-4


def test_a_later_layer_reaches_what_the_code_does_not():
    problem, G = posed(OPERATORS["blur"]), Matrices(7, 20)

    def misfit(iterations, radius):
        x = ilo(problem, generator=G, iterations=iterations, radius=radius)
        return ((problem.f(x) - problem.y) ** 2).flatten(1).mean(1)

    code, near, wide = misfit([120], 0.1), misfit([60, 0, 60], 0.05), misfit([60, 0, 60], 10.0)
    assert (wide < near).all()
    assert (near < code).all()


def test_iterations_for_more_layers_than_there_are():
    with pytest.raises(ValueError, match="1 to 2 layers"):
        ilo(posed(OPERATORS["blur"]), generator=Matrices(5), iterations=[1, 1, 1])
