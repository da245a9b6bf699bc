"""EnKG against its formulas written out in numpy: no derivative, one image's particles apart from another's."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.enkg import enkg
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.base import Operator
from sipbench.problem import Rng
from tests.baselines.exact import frozen
from tests.baselines.reference import SCHEDULES, denoise, gap, parts, pose, residual

SHAPE, RHO = (1, 8, 8), 7.0
SETTINGS = {"steps": 10, "num_samples": 7, "num_updates": 2, "guidance": 0.3, "factor": 3}


class BlackBox(Operator):
    """A map that cannot be differentiated, for one batch of measurements."""

    def __init__(self, f):
        super().__init__(f.shape)
        self.f = f

    def forward(self, x):
        return torch.from_numpy(np.array(self.f(x).numpy()))


def two(make=Inpainting, schedule="vp"):
    """Two images, each with its own mask and measurement."""
    return pose(make, shape=SHAPE, sigma=0.05, schedule=schedule)


def spaced(first, last, n):
    if n == 1:
        return [first, 0.0]
    return [*(first ** (1 / RHO) + np.arange(n) / (n - 1) * (last ** (1 / RHO) - first ** (1 / RHO))) ** RHO, 0.0]


def flow(x, sigmas):
    """Euler's steps down noise levels of the exploding kind."""
    for now, then in pairwise(sigmas):
        x = x + (then - now) * (x - denoise(x, 1.0, now)[0]) / now
    return x


def reference(problem, steps, num_samples, num_updates, guidance, factor):
    """With states x_t / alpha_t, particle by particle."""
    ends = (problem.prior.scales(problem.prior.time_at(torch.tensor(v))) for v in (80.0, 0.002))
    first, last = (float(s / a) for a, s in ends)
    alpha, sigma = problem.prior.scales(problem.prior.time_at(torch.tensor(first, dtype=torch.float64)))
    start = Rng(problem.rng.keys).portable.normal(num_samples, *SHAPE, dtype=torch.float64) * float(sigma / alpha)
    levels, out = spaced(first, last, steps), []
    maps, measured, *_ = parts(problem, own=True)
    for A, y, x in zip(maps, measured, start.flatten(2).numpy(), strict=True):
        for k in range(steps):
            if 0.05 * steps < k < steps - int(0.05 * steps):
                path = spaced(levels[k], last, min(1 + (steps - k) // factor, 20))
                for _ in range(num_updates):
                    out_y = [A @ flow(particle, path) for particle in x]
                    center = sum(out_y) / num_samples
                    C = np.array([[(a - y) @ (b - center) / num_samples for b in out_y] for a in out_y])
                    x = x - guidance / np.sqrt((C**2).sum()) * C @ (x - x.mean(0))
            x = flow(x, levels[k : k + 2])
        out.append(x.reshape(num_samples, *SHAPE))
    return torch.from_numpy(np.stack(out))


def witness(solve, make=Inpainting, schedule="vp"):
    problem = two(make, schedule)
    estimate = solve(problem, **SETTINGS)
    assert gap(estimate.samples, reference(problem, **SETTINGS)) < 1e-7
    assert gap(estimate.x, estimate.samples.mean(1)) < 1e-12


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, schedule):
    witness(enkg, make, schedule)


def test_it_needs_no_derivative():
    problem = two()
    opaque = frozen(replace(problem, f=BlackBox(problem.f)))
    assert (enkg(opaque, **SETTINGS).x == enkg(problem, **SETTINGS).x).all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_guidance_fits_the_measurement(schedule):
    problem = two(BicubicDownsampling, schedule)
    free, guided = (enkg(problem, steps=30, num_samples=60, guidance=g).samples.transpose(0, 1) for g in (0.0, 2.0))
    free, guided = (torch.stack([residual(problem, x).norm() for x in samples]).mean() for samples in (free, guided))
    assert guided < 0.5 * free


def test_evaluations():
    problem = two()
    enkg(problem, **SETTINGS)
    inner = sum(min(1 + (10 - i) // 3, 20) for i in range(1, 10))
    assert problem.prior.evaluations == 2 * 7 * (10 + 2 * inner)


def test_the_length_of_the_corrections_may_fall():
    near, off, far = (
        enkg(two(), **SETTINGS | {"guidance": 0.0, "lr_min_ratio": ratio}).samples for ratio in (1e-9, 0.0, 0.3)
    )
    assert gap(near, off) < 1e-6 and gap(near, far) > 1e-3
