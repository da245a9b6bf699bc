"""FlowChef against its formulas written out for a flow; every other prior is that flow, scaled."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.diffusion import flowchef as module
from baselines.diffusion.flowchef import flowchef
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from sipbench.problem import Rng
from tests.baselines.exact import Frozen, pose

MEAN, STD, SHAPE = 0.1, 0.5, (1, 8, 8)
SETTINGS = {"steps": 12, "gradient_scale": 8.0}


class Halved:
    """A codec whose code of an image is its blocks' means."""

    image_shape = SHAPE

    def encode(self, x):
        return torch.nn.functional.avg_pool2d(x, 2)

    def decode(self, z):
        return z.repeat_interleave(2, -1).repeat_interleave(2, -2)


def reference(problem, steps, gradient_scale, loss="mse", shift=1.0):
    """z_u = (1 - u) x0 + u x1 and Euler's steps with the velocity x1 - x0, one image after another."""
    alpha, sigma = (float(v) for v in problem.prior.scales(problem.prior.times(1)[0]))
    top = sigma / (alpha + sigma)
    v = np.linspace(1, 0, steps + 1) * top / (shift - (shift - 1) * top)
    u = shift * v / (1 + (shift - 1) * v)
    first = Rng(problem.rng.keys).portable.normal(*SHAPE, dtype=torch.float64).numpy() * u[0]
    f, d = problem.f.select(slice(0, 1)), torch.Size(SHAPE).numel()
    A = np.stack([f(e.view(1, *SHAPE)).flatten().numpy() for e in torch.eye(d, dtype=torch.float64)], 1)
    used = np.abs(A).sum(1) > 0
    out = []
    for i, y in enumerate(problem.y.flatten(1).numpy()):
        z = first[i].ravel()
        for k in range(steps):
            slope = (1 - u[k]) * STD**2 / ((1 - u[k]) ** 2 * STD**2 + u[k] ** 2)
            x0 = MEAN + slope * (z - (1 - u[k]) * MEAN)
            velocity = (z - x0) / u[k]
            r = used * (A @ x0 - y)
            g = 2 * A.T @ r / len(y) if loss == "mse" else A.T @ r / np.linalg.norm(r)
            z = z - (k < steps - 1) * gradient_scale * g + (u[k + 1] - u[k]) * velocity
        out.append(z.reshape(SHAPE))
    return torch.from_numpy(np.stack(out))


@pytest.mark.parametrize("loss", ["mse", "norm"])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, schedule, loss):
    problem = pose(operator, n=2, shape=SHAPE, schedule=schedule)
    options = SETTINGS | {"loss": loss, "shift": 3.0 if loss == "norm" else 1.0}
    assert (flowchef(problem, **options) - reference(problem, **options)).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("square().mean(1)", "square().sum(1)"),
        ("if then.sigma > 0", "if True"),
        ("(then.alpha + then.sigma) * ", "(now.alpha + now.sigma) * 2 * "),
        ("ddim(x_t, x_0, now, then)", "ddim(x_t, x_0, now, now)"),
        ("ddim(x_t, x_0, now, then)", "ddim(x_t, x_0, now, then, torch.ones_like(x_t), 0.1)"),
    ],
    ids=["sum", "guided at the end", "twice the step", "never moves on", "noise"],
)
def test_a_broken_variant_is_seen(right, wrong):
    problem, broken = pose(Inpainting, n=2, shape=SHAPE, schedule="flow"), {}
    source = inspect.getsource(module)
    assert right in source
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    assert not (broken["flowchef"](problem, **SETTINGS) - reference(problem, **SETTINGS)).abs().max() < 1e-4


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_without_guidance_it_samples_the_prior(schedule):
    problem = pose(Inpainting, n=8, shape=(1, 32, 32), schedule=schedule)
    x = flowchef(problem, gradient_scale=0.0)
    n = x.numel()
    assert abs(x.mean() - MEAN) < 5 * STD / n**0.5
    assert abs(x.var() / STD**2 - 1) < 5 * (2 / n) ** 0.5 + 0.03  # Euler's error, which falls with the steps


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_guidance_fits_the_measurement(schedule):
    problem = pose(Inpainting, n=4, shape=SHAPE, schedule=schedule)
    free, guided = (flowchef(problem, gradient_scale=s) for s in (0.0, 5.0))
    residual = [(problem.y - problem.f(x)).mul(problem.f.valid).norm() for x in (free, guided)]
    assert residual[1] < 0.5 * residual[0]


def test_a_latent_is_steered_through_its_decoder():
    inner = IsotropicGaussian((1, 4, 4), MEAN, STD, "flow")
    problem = pose(Inpainting, n=4, shape=SHAPE)
    problem = replace(problem, prior=LatentPrior(inner, Halved()))
    free, guided = (flowchef(problem, gradient_scale=s) for s in (0.0, 20.0))
    assert (free[..., ::2, ::2] == free[..., 1::2, 1::2]).all()
    residual = [(problem.y - problem.f(x)).mul(problem.f.valid).norm() for x in (free, guided)]
    assert residual[1] < 0.8 * residual[0]


def test_cost_and_memory():
    problem = pose(Inpainting, n=2, shape=SHAPE, schedule="flow")
    problem = replace(problem, prior=Frozen(problem.prior._prior))
    assert not flowchef(problem, steps=13).requires_grad
    assert problem.prior.evaluations == 13 * 2


def test_a_loss_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="loss is mse or norm"):
        flowchef(pose(Inpainting, n=1, shape=SHAPE), loss="l1")
