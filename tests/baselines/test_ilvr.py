"""ILVR against its formulas on dense matrices."""

from itertools import pairwise

import numpy as np
import pytest

from baselines.diffusion.ilvr import ilvr, low_pass
from tests.baselines.exact import pose
from tests.baselines.reference import (
    OPERATORS,
    SCHEDULES,
    ancestral,
    clipped,
    denoise,
    dense,
    gap,
    images,
    levels,
    parts,
    pinv,
)


def small(operator="bicubic", schedule="vp"):
    return pose(OPERATORS[operator], n=3, schedule=schedule)


def reference(problem, steps, range_t, clip, phi=None):
    at, (A, y, x, draw) = levels(problem, steps), parts(problem)
    inverse = pinv(A)
    phi, image, x = inverse @ A if phi is None else phi, y @ inverse.T, at[0][1] * x
    for k, (now, then) in enumerate(pairwise(at)):
        x_hat, _ = clipped(denoise(x, *now)[0], clip)
        x = ancestral(x, x_hat, now, then, draw())
        noised = then[0] * image + then[1] * draw()
        if steps - 1 - k > range_t:
            x = x - x @ phi.T + noised @ phi.T
    return images(problem, x)


def witness(solve, operator="bicubic", schedule="vp", range_t=5, clip=True):
    problem = small(operator, schedule)
    expected = reference(problem, 20, range_t, clip)
    assert gap(solve(problem, steps=20, range_t=range_t, clip=clip), expected) < 1e-8


@pytest.mark.parametrize(("range_t", "clip"), [(0, True), (5, False), (-1, True)])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", ["inpainting", "bicubic", "blur"])
def test_it_is_the_algorithm(operator, schedule, range_t, clip):
    witness(ilvr, operator, schedule, range_t, clip)


def test_refined_to_the_end_it_agrees_with_the_measurement():
    problem = small()
    assert gap(problem.f(ilvr(problem, steps=10, range_t=-1)), problem.y) < 1e-9
    assert gap(problem.f(ilvr(problem, steps=10, range_t=10)), problem.y) > 0.1


def bicubic(n, factor):
    """Downsampling and upsampling as in the public resizer: weights of the cubic kernel, mirrored at the borders."""

    def cubic(u):
        u = abs(u)
        return 1.5 * u**3 - 2.5 * u**2 + 1 if u <= 1 else -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2 if u < 2 else 0

    def fold(i, m):
        return min(i % (2 * m), 2 * m - 1 - i % (2 * m))

    small = n // factor
    down, up = np.zeros((small, n)), np.zeros((n, small))
    for i in range(small):
        for j in range(-3 * n, 4 * n):
            down[i, fold(j, n)] += cubic((j - ((i + 0.5) * factor - 0.5)) / factor)
    for j in range(n):
        for i in range(-3 * small, 4 * small):
            up[j, fold(i, small)] += cubic((j + 0.5) / factor - 0.5 - i)
    return up / up.sum(1, keepdims=True) @ (down / down.sum(1, keepdims=True))


@pytest.mark.parametrize(("size", "factor"), [(8, 2), (8, 4), (16, 8)])
def test_the_low_pass_filter_is_bicubic_down_and_up(size, factor):
    problem = pose(OPERATORS["inpainting"], n=1, shape=(1, size, size))
    one = bicubic(size, factor)
    assert np.abs(dense(low_pass(problem, factor), (1, size, size)) - np.kron(one, one)).max() < 1e-12


def test_with_the_low_pass_filter():
    one = bicubic(4, 2)
    assert gap(ilvr(small(), steps=20, down_N=2), reference(small(), 20, 0, True, np.kron(one, one))) < 1e-8
