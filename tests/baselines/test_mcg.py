"""MCG against its formulas on dense matrices, the gradient by hand."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.mcg import mcg
from sipbench.priors.base import Prior
from sipbench.priors.schedules import named
from tests.baselines.exact import pose
from tests.baselines.reference import (
    MEAN,
    OPERATORS,
    SCHEDULES,
    ancestral,
    clipped,
    gap,
    images,
    levels,
    parts,
    pinv,
    unit,
)


class Correlated(Prior):
    """x ~ N(mean, C) with neighbours alike, so that what is measured says something of what is not."""

    shape = (1, 4, 4)

    def __init__(self, schedule):
        super().__init__(named(schedule))
        row = 0.6 ** (torch.arange(4.0)[:, None] - torch.arange(4.0)).abs().double()
        self.C = 0.3 * torch.kron(row, row)

    def mean_vector(self):
        return torch.full((16,), MEAN, dtype=torch.float64)

    def covariance(self):
        return self.C

    def slope(self, alpha, sigma):
        return alpha * torch.linalg.solve(alpha**2 * self.C + sigma**2 * torch.eye(16), self.C)

    def denoise(self, x_t, t):
        alpha, sigma = self.scales(t)
        return MEAN + ((x_t - alpha * MEAN).flatten(1) @ self.slope(alpha, sigma)).view_as(x_t)


def small(operator="bicubic", schedule="vp"):
    return pose(OPERATORS[operator], n=3, prior=Correlated(schedule))


def reference(problem, steps, zeta, clip, measurement_noise):
    at, (A, y, x, draw) = levels(problem, steps), parts(problem)
    inverse, x = pinv(A), at[0][1] * x
    for now, then in pairwise(at):
        slope = problem.prior.slope(*now).numpy()
        x_hat, inside = clipped(MEAN + (x - now[0] * MEAN) @ slope, clip)
        pulled = -unit((y - x_hat @ A.T) @ inverse.T) @ (inverse @ A).T  # the norm's gradient in x_hat
        step = zeta * np.hypot(*now) * np.hypot(*then)
        x = ancestral(x, x_hat, now, then, draw()) - step * (inside * pulled) @ slope
        z = draw(shape=problem.y.shape[1:]) if measurement_noise else draw() @ A.T
        x = x - x @ A.T @ inverse.T + (then[0] * y + then[1] * z) @ inverse.T
    return images(problem, x)


def witness(solve, operator="bicubic", schedule="vp", clip=True, measurement_noise=False):
    problem = small(operator, schedule)
    x = solve(problem, steps=20, zeta=0.7, clip=clip, measurement_noise=measurement_noise)
    assert gap(x, reference(problem, 20, 0.7, clip, measurement_noise)) < 1e-8


@pytest.mark.parametrize(("clip", "measurement_noise"), [(True, False), (False, True)])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", ["inpainting", "bicubic", "blur"])
def test_it_is_the_algorithm(operator, schedule, clip, measurement_noise):
    witness(mcg, operator, schedule, clip, measurement_noise)


def test_the_result_agrees_with_the_measurement():
    problem = small()
    assert gap(problem.f(mcg(problem, steps=10)), problem.y) < 1e-9


def test_the_map_and_its_inverse_are_not_differentiated():
    problem = small()
    forward = type(problem.f).forward

    def watched(x):
        assert not torch.is_grad_enabled()
        return forward(problem.f, x)

    problem.f.forward = watched
    mcg(problem, steps=13)
