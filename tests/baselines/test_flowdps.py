"""FlowDPS against its formulas written out for a flow; every other prior is that flow, scaled."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.diffusion import flowdps as module
from baselines.diffusion.flowdps import flowdps
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.base import Prior
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from sipbench.problem import Rng
from tests.baselines.exact import Frozen, pose

MEAN, STD, SHAPE = 0.1, 0.5, (1, 8, 8)
SETTINGS = {"steps": 12, "step_size": 0.4, "iterations": 3, "shift": 4.0}


class Halved:
    """A codec whose code of an image is its blocks' means, and whose image of a code is smoothly bent."""

    image_shape = SHAPE

    def encode(self, x):
        return torch.nn.functional.avg_pool2d(x, 2)

    def decode(self, z):
        return torch.tanh(z).repeat_interleave(2, -1).repeat_interleave(2, -2)


def times(problem, steps, shift):
    """The flow's times by the formula, from the noisiest the prior knows."""
    alpha, sigma = (float(v) for v in problem.prior.scales(problem.prior.times(1)[0]))
    top = sigma / (alpha + sigma)
    v = np.linspace(1, 0, steps + 1) * top / (shift - (shift - 1) * top)
    return shift * v / (1 + (shift - 1) * v)


def reference(problem, steps, step_size, iterations, shift, back=None):
    """z_u = (1 - u) x0 + u x1 with velocity x1 - x0, one image after another; `back` maps the residual."""
    u, rng = times(problem, steps, shift), Rng(problem.rng.keys)
    first = rng.portable.normal(*SHAPE, dtype=torch.float64).numpy() * u[0]
    n = [rng.normal(*SHAPE, dtype=torch.float64).numpy() for _ in range(steps)]
    f, d = problem.f.select(slice(0, 1)), torch.Size(SHAPE).numel()
    A = np.stack([f(e.view(1, *SHAPE)).flatten().numpy() for e in torch.eye(d, dtype=torch.float64)], 1)
    B = np.diag((np.abs(A).sum(1) > 0).astype(float)) if back is None else back(A)
    out = []
    for i, y in enumerate(problem.y.flatten(1).numpy()):
        z = first[i].ravel()
        for k in range(steps):
            slope = (1 - u[k]) * STD**2 / ((1 - u[k]) ** 2 * STD**2 + u[k] ** 2)
            x0 = MEAN + slope * (z - (1 - u[k]) * MEAN)
            v = (z - x0) / u[k]
            x1, fitted = z + (1 - u[k]) * v, x0
            for _ in range(iterations):
                r = B @ (A @ fitted - y)
                fitted = fitted - step_size * (B @ A).T @ r / np.linalg.norm(r)
            x0 = (1 - u[k]) * x0 + u[k] * fitted
            noise = np.sqrt(u[k + 1]) * x1 + np.sqrt(1 - u[k + 1]) * n[k][i].ravel()
            z = x0 + u[k + 1] * (noise - x0)
        out.append(z.reshape(SHAPE))
    return torch.from_numpy(np.stack(out))


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, schedule):
    problem = pose(operator, n=2, shape=SHAPE, schedule=schedule)
    assert (flowdps(problem, **SETTINGS) - reference(problem, **SETTINGS)).abs().max() < 1e-8


@pytest.mark.parametrize(("residual", "back"), [("pinv", np.linalg.pinv), ("adjoint", np.transpose)])
def test_the_residuals_of_the_public_code(residual, back):
    problem = pose(BicubicDownsampling, n=2, shape=SHAPE, schedule="flow")
    expected = reference(problem, **SETTINGS, back=back)
    assert (flowdps(problem, **SETTINGS, residual=residual) - expected).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("x_y.detach() - step_size", "x_0 - step_size"),
        ("(1 - u_t) * x_0 + u_t * x_y", "(1 - u_s) * x_0 + u_s * x_y"),
        ("u_s.sqrt() * x_1", "u_s * x_1"),
        ("fit(image).norm(dim=1)", "fit(image).square().sum(1)"),
        ("now.alpha * x_0) / now.sigma", "now.alpha * x_0) / now.alpha"),
        ("shift * v / (1", "v / (1"),
    ],
    ids=["one step only", "swapped times", "too little noise", "norm squared", "the noise's scale", "no shift"],
)
def test_a_broken_variant_is_seen(right, wrong):
    problem, broken = pose(Inpainting, n=2, shape=SHAPE, schedule="flow"), {}
    source = inspect.getsource(module)
    assert right in source
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    assert (broken["flowdps"](problem, **SETTINGS) - reference(problem, **SETTINGS)).abs().max() > 1e-4


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("steps", [10, 100])
def test_without_guidance_its_spread_is_what_the_formula_gives(steps, schedule):
    """Less than the prior's, however many the steps: it draws more noise anew than keeps the law of the flow."""
    problem = pose(Inpainting, n=8, shape=(1, 16, 16), schedule=schedule)
    u = times(problem, steps, 4.0)
    variance = u[0] ** 2
    for now, then in zip(u, u[1:], strict=False):
        total = (1 - now) ** 2 * STD**2 + now**2
        kept = ((1 - then) * (1 - now) * STD**2 + then * np.sqrt(then) * now) / total
        variance = kept**2 * variance + then**2 * (1 - then)
    x = flowdps(problem, steps=steps, iterations=0)
    n = x.numel()
    assert abs(x.mean() - MEAN) < 0.02
    assert abs(x.var() / variance - 1) < 5 * (2 / n) ** 0.5
    assert 0.35 * STD**2 < variance < 0.7 * STD**2


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_guidance_fits_the_measurement(schedule):
    problem = pose(Inpainting, n=4, shape=SHAPE, schedule=schedule)
    free, guided = (flowdps(problem, step_size=s) for s in (0.0, 0.5))
    residual = [(problem.y - problem.f(x)).mul(problem.f.valid).norm() for x in (free, guided)]
    assert residual[1] < 0.7 * residual[0]


def test_the_gradient_of_a_latent_goes_through_the_decoder():
    """One step of descent from the latent estimate, against a difference quotient."""
    prior = LatentPrior(IsotropicGaussian((1, 4, 4), MEAN, STD, "flow"), Halved())
    problem = replace(pose(Inpainting, n=2, shape=SHAPE), prior=prior)
    x_t = prior.scales(prior.times(1)[0])[1] * problem.rng.portable.normal(1, 4, 4, dtype=torch.float64)
    z = prior.denoise(x_t, prior.times(1)[0])

    def norm(code):
        return (problem.y - problem.f(prior.decode(code))).mul(problem.f.valid).flatten(1).norm(dim=1)

    bumps = 1e-6 * torch.eye(16, dtype=torch.float64).view(16, 1, 1, 4, 4)
    slope = torch.stack([(norm(z + bump) - norm(z - bump)) / 2e-6 for bump in bumps], 1).view_as(z)
    u = float(prior.scales(prior.times(1)[0])[1])
    expected = prior.decode((1 - u) * z + u * (z - 0.3 * slope))
    assert (flowdps(problem, steps=1, step_size=0.3, iterations=1) - expected).abs().max() < 1e-7


def test_cost_and_memory():
    problem = pose(Inpainting, n=2, shape=SHAPE, schedule="flow")
    problem = replace(problem, prior=Frozen(problem.prior._prior))
    assert not flowdps(problem, steps=13).requires_grad
    assert problem.prior.evaluations == 13 * 2


def test_what_cannot_be_is_refused():
    problem = pose(Inpainting, n=1, shape=SHAPE)
    with pytest.raises(ValueError, match="choose plain, pinv or adjoint"):
        flowdps(problem, residual="norm")
    problem.f.linear = False  # pyright: ignore
    with pytest.raises(ValueError, match="needs a linear forward map"):
        flowdps(problem, residual="pinv")


def test_times_are_spaced_on_every_schedule():
    for schedule in ("vp", "ve", "flow"):
        prior: Prior = IsotropicGaussian(SHAPE, schedule=schedule)
        t = module.shifted(prior, 28, 4.0)
        assert t[0] == prior.times(1)[0] and t[-1] == 0
        assert (t.diff() < 0).all()
