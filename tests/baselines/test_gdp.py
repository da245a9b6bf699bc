"""GDP against its formulas written out in numpy, and one algorithm on every schedule."""

from itertools import pairwise

import pytest

from baselines.diffusion.gdp import gdp
from sipbench.operators import BicubicDownsampling, Inpainting
from tests.baselines.exact import pose
from tests.baselines.reference import ancestral, clipped, ddpm, denoise, gap, images, parts

SHAPE = (1, 8, 8)


def reference(problem, steps, scale, clip):
    at, (A, y, x, draw) = ddpm(steps), parts(problem)
    x = at[0][1] * x
    for now, then in pairwise(at):
        x_hat, _ = clipped(denoise(x, *now)[0], clip)
        x = ancestral(x, x_hat, now, then, draw()) - scale * (x_hat @ A.T - y) @ A / (2 * len(A))
    return images(problem, x)


def witness(solve, make=Inpainting, steps=20, clip=True):
    problem = pose(make, n=2, shape=SHAPE)
    expected = reference(problem, steps, 30.0, clip)
    assert gap(solve(problem, steps=steps, scale=30.0, clip=clip), expected) < 1e-9


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, steps, clip):
    witness(gdp, make, steps, clip)
