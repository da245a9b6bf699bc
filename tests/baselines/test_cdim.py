"""CDIM against its formulas written out in numpy, and its bound against the law of the residual."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion import cdim as module
from baselines.diffusion.cdim import cdim
from baselines.diffusion.sampling import level
from sipbench.bench.watch import Counted
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.sampling import AveragePooling
from sipbench.problem import Rng
from tests.baselines.exact import pose
from tests.baselines.reference import MEAN, SCHEDULES, STD, clipped, denoise, gap, images, levels, residual, streams

SHAPE, SIGMA = (1, 8, 8), 0.1
SETTINGS = {"steps": 15, "K": 3, "c": 0.1}


def least(distance, bound):
    """The least step that brings the distance to the bound, or the step where it is least: by search."""
    high = 1e-6
    while distance(2 * high) < distance(high):
        high *= 2
    low, top = 0.0, 2 * high
    for _ in range(100):  # the minimum, by thirds
        a, b = low + (top - low) / 3, top - (top - low) / 3
        low, top = (low, b) if distance(a) < distance(b) else (a, top)
    if distance(low) > bound:
        return low, False
    left, right = 0.0, low
    for _ in range(100):
        middle = (left + right) / 2
        left, right = (middle, right) if distance(middle) > bound else (left, middle)
    return right, True


def reference(problem, steps, K, c, clip):
    """One image after another in scaled states, with the exact traces of a mask."""
    keep, rows = problem.f.mask[0].flatten().numpy().astype(bool), []
    at = [tuple(at / np.hypot(*at)) for at in levels(problem, steps)]
    m = keep.sum()
    for x, y in zip(at[0][1] * streams(problem)[0], problem.y.flatten(1).numpy()[:, keep], strict=True):
        for (alpha, sigma), (a, s) in pairwise(at):
            x_hat, _ = denoise(x, alpha, sigma)
            x = a * clipped(x_hat, clip)[0] + s * (x - alpha * x_hat) / sigma
            if not s:
                break
            mu = (1 - a) ** 2 * y @ y + s**2 * m + (1 - (1 - a) ** 2) * m * SIGMA**2
            var = 2 * m * (s**2 + SIGMA**2) ** 2 + 4 * (1 - a) ** 2 * (s**2 + SIGMA**2) * (y @ y - m * SIGMA**2)
            bound = mu + c * np.sqrt(var)
            for _ in range(K):
                if np.sum((x[keep] - y) ** 2) <= bound:
                    break
                x_hat, slope = denoise(x, a, s)
                g = np.zeros_like(x)
                g[keep] = 2 * slope * (x_hat[keep] - y)
                if g[keep] @ (x[keep] - y) <= 0:
                    break
                eta, there = least(lambda eta, x=x, g=g, y=y: np.sum(((x - eta * g)[keep] - y) ** 2), bound)
                x = x - eta * g
                if there:
                    break
        rows.append(x)
    return images(problem, rows)


def witness(solve, schedule="vp", clip=True):
    problem = pose(Inpainting, n=3, shape=SHAPE, sigma=SIGMA, schedule=schedule)
    assert gap(solve(problem, **SETTINGS, clip=clip), reference(problem, **SETTINGS, clip=clip)) < 1e-6


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_is_the_algorithm(schedule, clip):
    witness(cdim, schedule, clip)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [Inpainting, AveragePooling, BicubicDownsampling])
def test_the_bound_is_the_law_of_the_residual(make, schedule):
    n, sigma = 400, 0.3
    problem = pose(make, n=n, shape=SHAPE, schedule=schedule)
    x = MEAN + STD * Rng.of(1, "x", [0]).normal(*SHAPE, dtype=torch.float64).expand(n, *SHAPE)
    noise = problem.rng.child("noise")
    y = problem.f(x)
    problem = replace(problem, y=y + sigma * noise.normal_like(y), noise=type(problem.noise)(sigma))
    at = level(problem, problem.prior.time_at(torch.tensor(0.4)))
    mean, deviation = (module._plausible(problem, c, 16)(at) for c in (0.0, 1.0))
    deviation = deviation - mean
    distance = residual(problem, at.alpha * x + at.sigma * noise.normal_like(x)) ** 2
    assert abs((distance - mean).mean()) < 4 * (distance - mean).std() / n**0.5
    assert abs(distance.std() / deviation.mean() - 1) < 0.12


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_the_residual_becomes_that_of_the_noise(make, schedule):
    problem = pose(make, n=8, shape=(1, 16, 16), sigma=SIGMA, schedule=schedule)
    m = problem.y[0].numel() if problem.f.valid is None else problem.f.valid[0].sum()
    led, free = (residual(problem, cdim(problem, K=K)) ** 2 / (m * SIGMA**2) for K in (20, 0))
    assert led.max() < 1.3 and free.min() > 1.8


def test_evaluations():
    """One a step and one for each projection, which an image pays that needs it."""
    problem = pose(Inpainting, n=2, shape=SHAPE)
    cdim(problem, steps=13, K=0)
    assert problem.prior.evaluations == 13 * 2
    loud = replace(problem, y=torch.cat([problem.y[:1], 10 * problem.y[1:]]), prior=Counted(problem.prior._prior))
    alone = [replace(loud.select(slice(i, i + 1)), prior=Counted(problem.prior._prior)) for i in (0, 1)]
    for one in (loud, *alone):
        cdim(one, steps=13, K=3)
    first, second = (one.prior.evaluations for one in alone)
    assert first != second and all(13 < n <= 13 + 12 * 3 for n in (first, second))
    assert loud.prior.evaluations == first + second


def test_the_sampling_step_keeps_no_graph():
    """The network is differentiated at the lower level of a projection only."""
    problem, modes = pose(Inpainting, n=1, shape=SHAPE), []

    class Listening(Counted):
        def denoise(self, x_t, t):
            modes.append(torch.is_grad_enabled())
            return super().denoise(x_t, t)

    assert not cdim(replace(problem, prior=Listening(problem.prior._prior)), steps=13, K=3).requires_grad
    assert modes.count(False) == 13
