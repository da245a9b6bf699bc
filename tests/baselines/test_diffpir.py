"""DiffPIR against its formulas on dense matrices, the data step by a linear solver."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.diffpir import diffpir, grid
from sipbench.priors.gaussian import IsotropicGaussian
from tests.baselines.exact import pose
from tests.baselines.reference import OPERATORS, SCHEDULES, clipped, denoise, gap, images, parts


def small(operator="bicubic", schedule="vp", sigma=0.1):
    return pose(OPERATORS[operator], n=3, sigma=sigma, schedule=schedule)


def reference(problem, steps, lam=1.0, zeta=0.1, skip="quad", init="measurement", clip=True):
    """In the public code's units: the data step on [0, 1] with the noise of [0, 1], sigma_t on [-1, 1]."""
    prior, (A, y, x, draw) = problem.prior, parts(problem)
    eye, noise, even = np.eye(A.shape[1]), max(0.001, problem.noise.sigma / 2), prior.times(steps).numpy()
    quad = even[0] + (even[-2] - even[0]) * np.sqrt(np.arange(steps) / max(steps - 1, 1))
    times = even if skip == "uniform" else np.append(quad, 0.0)
    at = list(zip(*(v.numpy() for v in prior.scales(torch.from_numpy(times))), strict=True))
    x = at[0][1] * x
    if init == "measurement":
        x = x + at[0][0] * np.linalg.solve(A.T @ A + 4 * noise**2 * eye, A.T @ y.T).T
    for k, ((a, b), (c, s)) in enumerate(pairwise(at)):
        x_hat, _ = clipped(denoise(x, a, b)[0], clip)
        if k < steps - 1:
            rho = lam * noise**2 / (b / a) ** 2
            level = A @ np.full(len(eye), 0.5)  # of an image on [0, 1] that is zero on [-1, 1]
            right = A.T @ (y / 2 + level).T + rho * (x_hat / 2 + 0.5).T
            x_hat = 2 * np.linalg.solve(A.T @ A + rho * eye, right).T - 1
        x = c * x_hat + s * (np.sqrt(1 - zeta) * (x - a * x_hat) / b + np.sqrt(zeta) * draw())
    return images(problem, x)


def witness(solve, operator="bicubic", schedule="flow", sigma=0.1, **options):
    problem = small(operator, schedule, sigma)
    assert gap(solve(problem, steps=20, **options), reference(problem, 20, **options)) < 1e-6


@pytest.mark.parametrize(
    "options", [{}, {"zeta": 1.0, "lam": 7.0, "skip": "uniform"}, {"init": "noise", "zeta": 0.25, "clip": False}]
)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule, options):
    witness(diffpir, operator, schedule, **options)


def test_the_noise_has_a_floor():
    witness(diffpir, schedule="vp", sigma=0.0)


def test_the_quadratic_grid_is_the_public_one_to_its_rounding():
    public = 1000 - np.sqrt(np.linspace(0, 1000**2, 100)).astype(int)
    times = grid(IsotropicGaussian((1, 4, 4)), 100, "quad") * 1000
    assert np.abs(times[:99].numpy() - public[:99]).max() <= 1 + 1e-9
    assert times[99:].tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_grids_share_their_ends(schedule, steps):
    prior = IsotropicGaussian((1, 4, 4), schedule=schedule)
    uniform, quad = (grid(prior, steps, skip) for skip in ("uniform", "quad"))
    assert len(quad) == len(uniform) == steps + 1
    assert torch.allclose(quad[[0, -2, -1]], uniform[[0, -2, -1]])
    assert (quad.diff() < 0).all()
