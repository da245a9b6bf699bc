"""DDRM against its formulas in the dense singular vectors of A, and against the posterior where it samples that."""

from itertools import pairwise

import numpy as np
import pytest

from baselines.diffusion.ddrm import ddrm
from sipbench.operators.sampling import AveragePooling
from sipbench.operators.separable import GaussianBlur
from tests.baselines.exact import far, pose
from tests.baselines.reference import MEAN, OPERATORS, SCHEDULES, STD, gap, images, levels, parts

OPERATORS = {
    "inpainting": OPERATORS["inpainting"],
    "pooling": lambda shape, rng: AveragePooling(shape, rng, factor=2),
    "bicubic": OPERATORS["bicubic"],
    "blur": lambda shape, rng: GaussianBlur(shape, rng, size=3, sigma=0.6),
}


def reference(problem, steps, eta, eta_b, cutoff=0.03):
    """One coordinate after the other, in float64; V is whatever numpy gives."""
    A, y, w, draw = parts(problem)
    U, d, Vt = np.linalg.svd(A)
    sigma_y, rank = problem.noise.sigma, int((d > max(cutoff, 1e-9)).sum())
    S, mean, w = [b / a for a, b in levels(problem, steps)], Vt @ np.full(len(Vt), MEAN), w @ Vt.T
    y_bar = (y @ U)[:, :rank] / d[:rank]
    x = S[0] * w
    for i in range(rank):
        if sigma_y / d[i] < S[0]:
            x[:, i] = y_bar[:, i] + np.sqrt(S[0] ** 2 - (sigma_y / d[i]) ** 2) * w[:, i]
    for now, then in pairwise(S):
        h, z = mean + STD**2 / (STD**2 + now**2) * (x - mean), draw() @ Vt.T
        for i in range(len(Vt)):
            known, floor = i < rank, sigma_y / d[i] if i < rank else np.inf
            if known and then >= floor:
                x[:, i] = (1 - eta_b) * h[:, i] + eta_b * y_bar[:, i]
                x[:, i] += np.sqrt(then**2 - (eta_b * floor) ** 2) * z[:, i]
                continue
            from_y = known and (eta is not None or now >= floor)
            e = (y_bar[:, i] - h[:, i]) / floor if from_y else (x[:, i] - h[:, i]) / now
            kept = np.sqrt(1 - eta**2) if eta is not None else then / (floor if from_y else now)
            x[:, i] = h[:, i] + then * (kept * e + np.sqrt(1 - kept**2) * z[:, i])
    return images(problem, x @ Vt)


def small(operator="bicubic", schedule="vp", sigma=0.1):
    return pose(OPERATORS[operator], n=3, sigma=sigma, schedule=schedule)


def witness(solve, operator="bicubic", schedule="vp", eta=0.85, eta_b=0.7, cutoff=0.03):
    problem = small(operator, schedule)
    x = solve(problem, steps=20, eta=eta, eta_b=eta_b, cutoff=cutoff)
    assert gap(x, reference(problem, 20, eta, eta_b, cutoff)) < 1e-8


def witness_blur(solve):
    """Half of the blur's singular values are below the cutoff."""
    witness(solve, "blur", cutoff=0.5)


@pytest.mark.parametrize(("eta", "eta_b"), [(0.85, 1.0), (0.4, 0.7), (None, 1.0)])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule, eta, eta_b):
    witness(ddrm, operator, schedule, eta, eta_b)


def test_small_singular_values_are_left_to_the_prior():
    witness_blur(ddrm)


def witness_posterior(solve, operator="inpainting", schedule="vp"):
    """With the share of the diffusion it samples the posterior."""
    problem = pose(OPERATORS[operator], n=150, sigma=0.3, schedule=schedule)
    assert max(far(problem, solve(problem, steps=300, eta=None))) < 5


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", ["inpainting", "bicubic"])
def test_with_the_share_of_the_diffusion_it_samples_the_posterior(operator, schedule):
    witness_posterior(ddrm, operator, schedule)


def test_a_constant_share_does_not_sample_the_posterior():
    """Where y says nothing, the variance is (1 + sqrt(1 - eta^2)) / 2 of what it should be, as steps grow."""
    problem = pose(OPERATORS["inpainting"], n=150, sigma=0.1)
    x = ddrm(problem, steps=1000, eta=0.85)
    assert max(far(problem, x)) > 5
    free = x[:, problem.f.mask[0] == 0]
    expected = STD**2 * (1 + (1 - 0.85**2) ** 0.5) / 2
    assert abs(free.var(0).mean() / expected - 1) < 5 * (2 / free.numel()) ** 0.5 + 0.02


@pytest.mark.parametrize("operator", OPERATORS)
def test_without_noise_it_is_consistent(operator):
    problem = small(operator, sigma=0.0)
    assert gap(problem.f(ddrm(problem, steps=5)), problem.y) < 1e-9
