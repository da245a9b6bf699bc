"""FlowDPS against its formulas written out for a flow; every other prior is that flow, scaled."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.flowchef import flowchef
from baselines.diffusion.flowdps import flowdps, shifted
from sipbench.operators import BicubicDownsampling, Inpainting, LinearOperator
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from tests.baselines.exact import pose
from tests.baselines.reference import MEAN, SCHEDULES, STD, denoise, flow_times, gap, images, parts, residual, unit

SHAPE = (1, 8, 8)
SETTINGS = {"steps": 12, "step_size": 0.4, "iterations": 3, "shift": 4.0}


class Halved:
    """A codec whose code of an image is its blocks' means, and whose image of a code is smoothly bent."""

    image_shape = SHAPE

    def encode(self, x):
        return torch.nn.functional.avg_pool2d(x, 2)

    def decode(self, z):
        return torch.tanh(z).repeat_interleave(2, -1).repeat_interleave(2, -2)


def reference(problem, steps, step_size, iterations, shift, back=None):
    """z_u = (1 - u) x0 + u x1 with velocity x1 - x0; `back` maps the residual."""
    u, (A, y, z, draw) = flow_times(problem, steps, shift), parts(problem)
    B, z = np.diag((np.abs(A).sum(1) > 0).astype(float)) if back is None else back(A), u[0] * z
    for now, then in pairwise(u):
        x0 = fitted = denoise(z, 1 - now, now)[0]
        x1 = z + (1 - now) * (z - x0) / now
        for _ in range(iterations):
            fitted = fitted - step_size * unit((fitted @ A.T - y) @ B.T) @ B @ A
        x0 = (1 - now) * x0 + now * fitted
        z = x0 + then * (np.sqrt(then) * x1 + np.sqrt(1 - then) * draw() - x0)
    return images(problem, z)


def witness(solve, make=Inpainting, schedule="flow", residual="plain", back=None):
    problem = pose(make, n=2, shape=SHAPE, schedule=schedule)
    assert gap(solve(problem, **SETTINGS, residual=residual), reference(problem, **SETTINGS, back=back)) < 1e-8


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, schedule):
    witness(flowdps, make, schedule)


@pytest.mark.parametrize(("residual", "back"), [("pinv", np.linalg.pinv), ("adjoint", np.transpose)])
def test_the_residuals_of_the_public_code(residual, back):
    witness(flowdps, BicubicDownsampling, residual=residual, back=back)


class Stepwise(BicubicDownsampling):
    """One whose A^+ is found by conjugate gradients, as a motion blur's is."""

    pinv = LinearOperator.pinv

    def svd(self, dtype=torch.float32):
        return None


@pytest.mark.parametrize(("solve", "settings"), [
    (flowdps, SETTINGS), (flowchef, {"steps": 12, "gradient_scale": 8.0}),
    (flowchef, {"steps": 12, "gradient_scale": 0.4, "loss": "norm"}),
])  # fmt: skip
def test_an_inverse_that_is_found_step_by_step_guides_the_same(solve, settings):
    closed, stepwise = (
        solve(pose(make, n=2, shape=SHAPE, schedule="flow"), **settings, residual="pinv")
        for make in (BicubicDownsampling, Stepwise)
    )
    assert gap(stepwise, closed) < 1e-6


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [10, 100])
def test_without_guidance_its_spread_is_what_the_formula_gives(steps, schedule):
    """Less than the prior's, however many the steps: it draws more noise anew than keeps the law of the flow."""
    problem = pose(Inpainting, n=8, shape=(1, 16, 16), schedule=schedule)
    u = flow_times(problem, steps, 4.0)
    variance = u[0] ** 2
    for now, then in pairwise(u):
        total = (1 - now) ** 2 * STD**2 + now**2
        kept = ((1 - then) * (1 - now) * STD**2 + then * np.sqrt(then) * now) / total
        variance = kept**2 * variance + then**2 * (1 - then)
    x = flowdps(problem, steps=steps, iterations=0)
    assert abs(x.mean() - MEAN) < 0.02
    assert abs(x.var() / variance - 1) < 5 * (2 / x.numel()) ** 0.5
    assert 0.35 * STD**2 < variance < 0.7 * STD**2


def test_the_gradient_of_a_latent_goes_through_the_decoder():
    """One step of descent from the latent estimate, against a difference quotient."""
    prior = LatentPrior(IsotropicGaussian((1, 4, 4), MEAN, STD, "flow"), Halved())
    problem = replace(pose(Inpainting, n=2, shape=SHAPE), prior=prior)
    first = prior.times(1)[0]
    x_t = prior.scales(first)[1] * problem.rng.portable.normal(1, 4, 4, dtype=torch.float64)
    z = prior.denoise(x_t, first)
    bumps = 1e-6 * torch.eye(16, dtype=torch.float64).view(16, 1, 1, 4, 4)
    up, down = (torch.stack([residual(problem, prior.decode(z + s * bump)) for bump in bumps], 1) for s in (1, -1))
    u = float(prior.scales(first)[1])
    expected = prior.decode((1 - u) * z + u * (z - 0.3 * ((up - down) / 2e-6).view_as(z)))
    assert gap(flowdps(problem, steps=1, step_size=0.3, iterations=1), expected) < 1e-7


def test_a_residual_that_needs_a_linear_map_is_refused_without():
    problem = pose(Inpainting, n=1, shape=SHAPE)
    problem.f.linear = False  # pyright: ignore
    with pytest.raises(ValueError, match="needs a linear forward map"):
        flowdps(problem, residual="pinv")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_times_are_spaced_on_every_schedule(schedule):
    prior = IsotropicGaussian(SHAPE, schedule=schedule)
    t = shifted(prior, 28, 4.0)
    assert t[0] == prior.times(1)[0] and t[-1] == 0
    assert (t.diff() < 0).all()
