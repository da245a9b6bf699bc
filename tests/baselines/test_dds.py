"""DDS against its formulas with dense matrices, and what its two forms promise."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.dds import dds
from tests.baselines.exact import pose
from tests.baselines.reference import OPERATORS, SCHEDULES, denoise, gap, images, levels, parts


def small(schedule="vp", operator="bicubic", sigma=0.1):
    return pose(OPERATORS[operator], n=2, schedule=schedule, sigma=sigma)


def krylov(M, b, x, iterations):
    """The point of least error in the norm of M in x + the Krylov space of the residual: what CG from x gives."""
    K = np.stack([np.linalg.matrix_power(M, k) @ (b - M @ x) for k in range(iterations)], 1)
    K = np.linalg.qr(K)[0]
    return x + K @ np.linalg.lstsq(K.T @ M @ K, K.T @ (b - M @ x), rcond=1e-12)[0]


def reference(problem, steps, eta, gamma, iterations):
    """CG starts at x_hat, as in the code; for states x / alpha of variance S^2 more than the image's."""
    A, y, x, draw = parts(problem)
    S = [sigma / alpha for alpha, sigma in levels(problem, steps)]
    x, keep, weight = S[0] * x, float(gamma is not None), 1.0 if gamma is None else gamma
    for now, then in pairwise(S):
        x_hat = denoise(x, 1.0, now)[0]
        e, z, M = (x - x_hat) / now, draw(), keep * np.eye(A.shape[1]) + weight * A.T @ A
        for i in range(len(x)):
            x_y = krylov(M, keep * x_hat[i] + weight * A.T @ y[i], x_hat[i], iterations)
            x[i] = x_y + then * (np.sqrt(1 - eta**2) * e[i] + eta * z[i])
    return images(problem, x)


def witness(solve, schedule="vp", gamma=1.0, steps=20, iterations=2):
    problem = small(schedule)
    expected = reference(problem, steps, 0.85, gamma, iterations)
    assert gap(solve(problem, steps=steps, gamma=gamma, iterations=iterations), expected) < 1e-8


@pytest.mark.parametrize("gamma", [1.0, 20.0, None])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_is_the_algorithm(schedule, gamma):
    for steps, iterations in ((1, 1), (20, 2)):
        witness(dds, schedule, gamma, steps, iterations)


@pytest.mark.parametrize("operator", ["bicubic", "inpainting"])
def test_the_noiseless_form_ends_on_the_measurement(operator):
    problem = small(operator=operator, sigma=0.0)
    assert gap(problem.f(dds(problem, steps=5, gamma=None, iterations=20)), problem.y) < 1e-9


def test_without_weight_it_does_not_look_at_the_measurement():
    quiet = small()
    loud = replace(small(), y=10 * quiet.y)
    assert torch.equal(dds(loud, steps=5, gamma=0.0), dds(quiet, steps=5, gamma=0.0))
