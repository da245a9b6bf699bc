"""DMPS against its formulas in numpy, and against the exact posterior where its assumption holds: a flat prior."""

from itertools import pairwise

import numpy as np
import pytest

from baselines.diffusion.dmps import dmps
from tests.baselines.exact import far, pose
from tests.baselines.reference import OPERATORS, SCHEDULES, ancestral, clipped, denoise, images, levels, parts


def small():
    return pose(OPERATORS["bicubic"], n=2)


def flat(schedule="vp"):
    return pose(OPERATORS["inpainting"], n=256, std=30.0, sigma=0.2, schedule=schedule)


def reference(problem, steps, scale, clip, point="code"):
    """The published update in P and a, for states of unit scale; A as a matrix."""
    at, (A, y, x, draw) = levels(problem, steps), parts(problem)
    U, d, Vt = np.linalg.svd(A, full_matrices=False)
    x = at[0][1] * x
    for now, then in pairwise(at):
        t, s = now[0] ** 2, then[0] ** 2
        x_hat, _ = clipped(denoise(x, *now)[0], clip)
        new = ancestral(x, x_hat, now, then, draw())
        x_0 = {"code": new / np.sqrt(t), "level": new / np.sqrt(s), "paper": x / np.sqrt(t)}[point]
        v = (y - x_0 @ A.T) @ U / (d**2 * (1 - t) / t + problem.noise.sigma**2)
        x = new + scale * (1 - t / s) / np.sqrt(t / s) / np.sqrt(t) * v * d @ Vt
    return images(problem, x)


@pytest.mark.parametrize("point", ["code", "level", "paper"])
@pytest.mark.parametrize("clip", [True, False])
def test_it_is_the_algorithm(clip, point):
    for steps in (1, 100):
        x = dmps(small(), steps=steps, clip=clip, point=point)
        expected = reference(small(), steps, 1.75, clip, point)
        assert (x - expected).abs().max() < 1e-7 * expected.abs().max().clamp(min=1)


def witness(solve, schedule="ve", point="level"):
    """With the whole score it samples the posterior of a flat prior."""
    problem = flat(schedule)
    assert max(far(problem, solve(problem, steps=300, scale=1.0, point=point, clip=False))) < 4.5


@pytest.mark.parametrize("point", ["level", "paper"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_with_the_whole_score_it_samples_the_posterior_of_a_flat_prior(schedule, point):
    witness(dmps, schedule, point)


def test_the_published_weight_does_not_sample_it():
    problem = flat("ve")
    assert max(far(problem, dmps(problem, steps=300, clip=False))) > 6


def test_the_published_point_is_off_where_steps_are_few():
    problem = flat()
    assert max(far(problem, dmps(problem, steps=300, scale=1.0, point="code", clip=False))) > 6
