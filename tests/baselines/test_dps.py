"""DPS against its formulas written out in numpy, on a prior whose posterior mean is known."""

from itertools import pairwise

import pytest

from baselines.diffusion.dps import dps
from sipbench.operators import BicubicDownsampling, Inpainting
from tests.baselines.reference import ancestral, back, clipped, ddpm, denoise, gap, images, mul, parts, pose, unit


def reference(problem, steps, zeta, clip):
    """DDPM's ancestral step with DPS's correction, the gradient by hand."""
    at, (A, y, x, draw) = ddpm(steps), parts(problem, own=True)
    x = at[0][1] * x
    for now, then in pairwise(at):
        raw, slope = denoise(x, *now)
        x_hat, inside = clipped(raw, clip)
        gradient = -slope * inside * back(A, unit(y - mul(A, x_hat)))
        x = ancestral(x, x_hat, now, then, draw()) - zeta * gradient
    return images(problem, x)


def witness(solve, make=Inpainting, steps=20, clip=True):
    problem = pose(make)
    assert gap(solve(problem, steps=steps, zeta=0.7, clip=clip), reference(problem, steps, 0.7, clip)) < 1e-9


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, steps, clip):
    witness(dps, make, steps, clip)
