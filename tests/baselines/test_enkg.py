"""EnKG against its formulas written out in numpy: no derivative, one image's particles apart from another's."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.diffusion import enkg as module
from baselines.diffusion.enkg import enkg
from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.base import Operator
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng
from tests.baselines.exact import Frozen, pose

MEAN, STD, SHAPE, RHO = 0.1, 0.5, (1, 8, 8), 7.0
SETTINGS = {"steps": 10, "num_samples": 7, "num_updates": 2, "guidance": 0.3, "factor": 3}


class BlackBox(Operator):
    """A map that cannot be differentiated, for one batch of measurements."""

    def __init__(self, f):
        super().__init__(f.shape)
        self.f = f

    def forward(self, x):
        return torch.from_numpy(np.array(self.f(x).numpy()))


def two(operator=Inpainting, schedule="vp"):
    """Two images, each with its own mask and measurement."""
    rng, shape = Rng.of(0, "enkg", [0, 1]), (2, *SHAPE)
    f = operator(shape, rng.child("operator").portable)
    x = MEAN + STD * rng.child("x").portable.normal(*SHAPE, dtype=torch.float64)
    y = Gaussian(0.05)(f(x), rng.child("noise").portable)
    return Problem(y, f, Gaussian(0.05), shape, Counted(IsotropicGaussian(SHAPE, MEAN, STD, schedule)), rng)


def spaced(first, last, n):
    if n == 1:
        return [first, 0.0]
    return [*(first ** (1 / RHO) + np.arange(n) / (n - 1) * (last ** (1 / RHO) - first ** (1 / RHO))) ** RHO, 0.0]


def clean(x, sigma):
    """The posterior mean at a noise level of the exploding kind."""
    return MEAN + STD**2 / (STD**2 + sigma**2) * (x - MEAN)


def flow(x, sigmas):
    for now, then in zip(sigmas, sigmas[1:], strict=False):
        x = x + (then - now) * (x - clean(x, now)) / now
    return x


def reference(problem, steps, num_samples, num_updates, guidance, factor):
    """With states x_t / alpha_t, particle by particle."""
    ratio = [
        float(s / a) for a, s in (problem.prior.scales(problem.prior.time_at(torch.tensor(v))) for v in (80.0, 0.002))
    ]
    alpha, sigma = problem.prior.scales(problem.prior.time_at(torch.tensor(ratio[0], dtype=torch.float64)))
    start = Rng(problem.rng.keys).portable.normal(num_samples, *SHAPE, dtype=torch.float64) * float(sigma / alpha)
    levels, out = spaced(*ratio, steps), []
    for i in range(len(problem.y)):
        f, y = problem.f.select(slice(i, i + 1)), problem.y[i].flatten().numpy()
        A = np.stack([f(e.view(1, *SHAPE)).flatten().numpy() for e in torch.eye(64, dtype=torch.float64)], 1)
        x = start[i].flatten(1).numpy()
        for k in range(steps):
            if 0.05 * steps < k < steps - int(0.05 * steps):
                path = spaced(levels[k], ratio[1], min(1 + (steps - k) // factor, 20))
                for _ in range(num_updates):
                    out_y = [A @ flow(particle, path) for particle in x]
                    center = sum(out_y) / num_samples
                    C = np.array([[(a - y) @ (b - center) / num_samples for b in out_y] for a in out_y])
                    x = x - guidance / np.sqrt((C**2).sum()) * C @ (x - x.mean(0))
            x = flow(x, levels[k : k + 2])
        out.append(x.reshape(num_samples, *SHAPE))
    return torch.from_numpy(np.stack(out))


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, schedule):
    problem = two(operator, schedule)
    estimate = enkg(problem, **SETTINGS)
    assert (estimate.samples - reference(problem, **SETTINGS)).abs().max() < 1e-7
    assert (estimate.x - estimate.samples.mean(1)).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("- y.flatten(1)[:, None]", "+ y.flatten(1)[:, None]"),
        ("f_x.mean(1, keepdim=True)", "f_x.mean((0, 1), keepdim=True)"),
        ("C / torch.linalg.matrix_norm(C, keepdim=True)", "C / torch.linalg.norm(C)"),
        ("ddim(x, x_hat, now, then)", "ddim(x, x_hat, now, then, torch.ones_like(x))"),
        ("else guidance) * move", "else guidance) * 2 * move"),
        ("(steps - i) // factor", "steps // factor"),
    ],
    ids=["sign", "mean over images", "norm over images", "noise", "twice the step", "the inner flow"],
)
def test_a_broken_variant_is_seen(right, wrong):
    problem, broken = two(), {}
    source = inspect.getsource(module)
    assert right in source
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    assert (broken["enkg"](problem, **SETTINGS).samples - reference(problem, **SETTINGS)).abs().max() > 1e-4


def test_it_needs_no_derivative():
    problem = two()
    opaque = replace(problem, f=BlackBox(problem.f), prior=Frozen(problem.prior._prior))
    assert (enkg(opaque, **SETTINGS).x == enkg(problem, **SETTINGS).x).all()


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_without_guidance_it_samples_the_prior(schedule):
    problem = pose(Inpainting, n=4, shape=SHAPE, schedule=schedule)
    x = enkg(problem, steps=300, num_samples=40, guidance=0.0, num_updates=0).samples
    n = x.numel()
    assert abs(x.mean() - MEAN) < 5 * STD / n**0.5
    assert abs(x.var() / STD**2 - 1) < 5 * (2 / n) ** 0.5 + 0.03  # Euler's error, which falls with the steps


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_guidance_fits_the_measurement(schedule):
    problem = two(BicubicDownsampling, schedule)
    free, guided = (enkg(problem, steps=30, num_samples=60, guidance=g).samples.transpose(0, 1) for g in (0.0, 2.0))
    residual = [torch.stack([(problem.y - problem.f(x)).norm() for x in sample]).mean() for sample in (free, guided)]
    assert residual[1] < 0.5 * residual[0]


def test_evaluations():
    problem = two()
    enkg(problem, **SETTINGS)
    inner = sum(min(1 + (10 - i) // 3, 20) for i in range(1, 10))
    assert problem.prior.evaluations == 2 * 7 * (10 + 2 * inner)


def test_the_length_of_the_corrections_may_fall():
    problem = two()
    near = enkg(problem, **SETTINGS | {"guidance": 0.0, "lr_min_ratio": 1e-9}).samples
    assert (near - enkg(problem, **SETTINGS | {"guidance": 0.0}).samples).abs().max() < 1e-6
    assert (near - enkg(problem, **SETTINGS | {"guidance": 0.0, "lr_min_ratio": 0.3}).samples).abs().max() > 1e-3
