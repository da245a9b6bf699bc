"""GDP against its formulas written out in numpy, and one algorithm on every schedule."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.diffusion import gdp as module
from baselines.diffusion.gdp import gdp
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.schedules import Schedule, named
from sipbench.problem import Rng
from tests.baselines.exact import Frozen, pose

MEAN, STD, SHAPE = 0.1, 0.5, (1, 8, 8)


class Exploding(Schedule):
    """The variance-preserving schedule with its states divided by alpha."""

    def __init__(self):
        self.vp = named("vp")
        self.times, self.time_at = self.vp.times, self.vp.time_at

    def scales(self, t):
        alpha, sigma = self.vp.scales(t)
        return alpha / alpha, sigma / alpha


def reference(problem, steps, scale, clip):
    """DDPM's ancestral step in the terms of its betas, one image after another."""
    P = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
    index = np.concatenate([np.round(np.linspace(1000, 1, steps)), [0]]).astype(int)
    rng, n = Rng(problem.rng.keys), torch.Size(SHAPE).numel()
    x_T = (1 - P[1000]) ** 0.5 * rng.portable.normal(*SHAPE, dtype=torch.float64).numpy()
    z = [rng.normal(*SHAPE, dtype=torch.float64).numpy() for _ in range(steps)]
    f = problem.f.select(slice(0, 1))
    A = np.stack([f(e.view(1, *SHAPE)).flatten().numpy() for e in torch.eye(n, dtype=torch.float64)], 1)
    out = []
    for i, y in enumerate(problem.y.flatten(1).numpy()):
        x = x_T[i].ravel()
        for k in range(steps):
            now, then = P[index[k]], P[index[k + 1]]
            beta = 1 - now / then
            slope = np.sqrt(now) * STD**2 / (now * STD**2 + 1 - now)
            x_hat = MEAN + slope * (x - np.sqrt(now) * MEAN)
            x_hat = np.clip(x_hat, -1, 1) if clip else x_hat
            mean = np.sqrt(then) * beta / (1 - now) * x_hat + np.sqrt(1 - beta) * (1 - then) / (1 - now) * x
            mean -= scale * A.T @ (A @ x_hat - y) / (2 * len(y))
            x = mean + np.sqrt(beta * (1 - then) / (1 - now)) * z[k][i].ravel()
        out.append(x.reshape(SHAPE))
    return torch.from_numpy(np.stack(out))


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, steps, clip):
    problem = pose(operator, n=2, shape=SHAPE)
    expected = reference(problem, steps, 30.0, clip)
    assert (gdp(problem, steps=steps, scale=30.0, clip=clip) - expected).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(f(x_hat) - y) / 2", "(f(x_hat) - y)"),
        (".flatten(1).mean(1)", ".flatten(1).sum(1)"),
        ("problem.rng", "problem.rng.child('other')"),
        ("rng.normal_like(x_t))", "2 * rng.normal_like(x_t))"),
        ("ddim(x_t, x_hat, now, then,", "ddim(x_t, x_hat, then, now,"),
    ],
    ids=["range", "sum", "stream", "too much noise", "levels swapped"],
)
def test_a_broken_variant_is_seen(right, wrong):
    problem, broken = pose(Inpainting, n=2, shape=SHAPE), {}
    source = inspect.getsource(module)
    assert right in source
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    assert not (broken["gdp"](problem, steps=20, scale=30.0) - reference(problem, 20, 30.0, True)).abs().max() < 1e-4


def test_it_is_the_same_on_a_scaled_state():
    prior = IsotropicGaussian(SHAPE, MEAN, STD)
    prior.schedule = Exploding()
    scaled, plain = (pose(Inpainting, n=2, shape=SHAPE, prior=p) for p in (prior, None))
    assert (gdp(scaled, steps=20, scale=30.0) - gdp(plain, steps=20, scale=30.0)).abs().max() < 1e-9


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_guidance_fits_the_measurement(schedule):
    problem = pose(Inpainting, n=4, shape=SHAPE, schedule=schedule)
    free, guided = (gdp(problem, steps=100, scale=scale) for scale in (0.0, 20.0))
    residual = [(problem.y - problem.f(x)).mul(problem.f.valid).norm() for x in (free, guided)]
    assert residual[1] < 0.3 * residual[0]


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_without_guidance_it_samples_the_prior(schedule):
    problem = pose(Inpainting, n=4, shape=(1, 32, 32), schedule=schedule)
    x = gdp(problem, steps=500, scale=0.0, clip=False)
    n = x.numel()
    assert abs(x.mean() - MEAN) < 5 * STD / n**0.5
    assert abs(x.var() / STD**2 - 1) < 5 * (2 / n) ** 0.5


def test_one_evaluation_a_step_without_a_graph():
    problem = pose(Inpainting, n=2, shape=SHAPE)
    problem = replace(problem, prior=Frozen(problem.prior._prior))
    gdp(problem, steps=13)
    assert problem.prior.evaluations == 13 * 2
