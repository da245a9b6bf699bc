"""FlowChef against its formulas written out for a flow; every other prior is that flow, scaled."""

from dataclasses import replace

import pytest
import torch

from baselines.diffusion.flowchef import flowchef
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from tests.baselines.exact import pose
from tests.baselines.reference import MEAN, SCHEDULES, STD, denoise, flow_times, gap, images, parts, residual, unit

SHAPE = (1, 8, 8)
SETTINGS = {"steps": 12, "gradient_scale": 8.0}


class Halved:
    """A codec whose code of an image is its blocks' means."""

    image_shape = SHAPE

    def encode(self, x):
        return torch.nn.functional.avg_pool2d(x, 2)

    def decode(self, z):
        return z.repeat_interleave(2, -1).repeat_interleave(2, -2)


def reference(problem, steps, gradient_scale, loss="mse", shift=1.0):
    """z_u = (1 - u) x0 + u x1 and Euler's steps with the velocity x1 - x0."""
    u, (A, y, z, _) = flow_times(problem, steps, shift), parts(problem)
    z, used = u[0] * z, abs(A).sum(1) > 0
    for k in range(steps):
        x0 = denoise(z, 1 - u[k], u[k])[0]
        velocity, r = (z - x0) / u[k], used * (x0 @ A.T - y)
        g = 2 * r @ A / len(A) if loss == "mse" else unit(r) @ A
        z = z - (k < steps - 1) * gradient_scale * g + (u[k + 1] - u[k]) * velocity
    return images(problem, z)


def witness(solve, make=Inpainting, schedule="flow", loss="mse"):
    problem = pose(make, n=2, shape=SHAPE, schedule=schedule)
    options = SETTINGS | {"loss": loss, "shift": 3.0 if loss == "norm" else 1.0}
    assert gap(solve(problem, **options), reference(problem, **options)) < 1e-8


@pytest.mark.parametrize("loss", ["mse", "norm"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, schedule, loss):
    witness(flowchef, make, schedule, loss)


def test_a_latent_is_steered_through_its_decoder():
    inner = IsotropicGaussian((1, 4, 4), MEAN, STD, "flow")
    problem = replace(pose(Inpainting, n=4, shape=SHAPE), prior=LatentPrior(inner, Halved()))
    free, guided = (flowchef(problem, gradient_scale=s) for s in (0.0, 20.0))
    assert (free[..., ::2, ::2] == free[..., 1::2, 1::2]).all()
    assert residual(problem, guided).norm() < 0.8 * residual(problem, free).norm()
