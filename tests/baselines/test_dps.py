"""DPS against its formulas written out in numpy, on a prior whose posterior mean is known."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import dps as module
from baselines.diffusion.dps import dps
from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng

MEAN, STD, SIZE = 0.1, 0.5, 8


def pose(operator=Inpainting, *, images=(0, 1), size=SIZE, mean=MEAN):
    rng, shape = Rng.of(0, "dps", images), (len(images), 3, size, size)
    f = operator(shape, rng.child("operator").portable)
    x = mean + STD * rng.child("x").portable.normal(*shape[1:], dtype=torch.float64)
    y = Gaussian(0.01)(f(x), rng.child("noise").portable)
    prior = Counted(IsotropicGaussian(shape[1:], mean, STD))
    return Problem(y, f, Gaussian(0.01), shape, prior, rng.child("solver"))


def reference(problem, steps, zeta, clip):
    """DDPM's ancestral step with DPS's correction, one image after another, the gradient by hand."""
    P = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
    index = np.concatenate([np.round(np.linspace(1000, 1, steps)), [0]]).astype(int)
    rng, shape = Rng(problem.rng.keys), problem.shape[1:]
    x_T = (1 - P[1000]) ** 0.5 * rng.portable.normal(*shape, dtype=torch.float64).numpy()
    z = [rng.normal(*shape, dtype=torch.float64).numpy() for _ in range(steps)]
    out = []
    for i in range(len(x_T)):
        f = problem.f.select(slice(i, i + 1))
        n = x_T[i].size
        A = np.stack([f(e.view(1, *shape)).flatten().numpy() for e in torch.eye(n, dtype=torch.float64)], 1)
        y, x = problem.y[i].flatten().numpy(), x_T[i].ravel()
        for k in range(steps):
            now, then = P[index[k]], P[index[k + 1]]
            beta = 1 - now / then
            slope = np.sqrt(now) * STD**2 / (now * STD**2 + 1 - now)
            raw = MEAN + slope * (x - np.sqrt(now) * MEAN)
            x_hat, inside = (np.clip(raw, -1, 1), np.abs(raw) <= 1) if clip else (raw, np.ones(n))
            residual = y - A @ x_hat
            gradient = -slope * inside * (A.T @ residual) / np.linalg.norm(residual)
            mean = np.sqrt(then) * beta / (1 - now) * x_hat + np.sqrt(1 - beta) * (1 - then) / (1 - now) * x
            x = mean + np.sqrt(beta * (1 - then) / (1 - now)) * z[k][i].ravel() - zeta * gradient
        out.append(x.reshape(shape))
    return torch.from_numpy(np.stack(out))


def witness(solve):
    expected = reference(pose(), 20, 0.7, True)
    assert (solve(pose(), steps=20, zeta=0.7) - expected).abs().max() < 1e-9


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, steps, clip):
    problem = pose(operator)
    expected = reference(problem, steps, 0.7, clip)
    assert (dps(problem, steps=steps, zeta=0.7, clip=clip) - expected).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (".flatten(1).norm(dim=1)", ".flatten(1).square().sum(1)"),
        (".flatten(1).norm(dim=1)", ".norm()[None]"),
        ("- zeta * gradient", "- 2 * zeta * gradient"),
        ("autograd.grad(norm.sum(), x_t)", "autograd.grad(norm.sum(), x_hat)"),
        ("rng.normal_like(x_t)", "2 * rng.normal_like(x_t)"),
    ],
    ids=["norm squared", "norm over the batch", "twice the step", "gradient at x_hat", "too much noise"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    expected = reference(pose(), 20, 0.7, True)
    assert (broken["dps"](pose(), steps=20, zeta=0.7) - expected).abs().max() > 1e-3


def test_one_evaluation_a_step():
    problem = pose()
    dps(problem, steps=13)
    assert problem.prior.evaluations == 13 * 2


def test_without_guidance_it_samples_the_prior():
    problem = pose(images=range(6), size=32)
    x = dps(problem, steps=1000, zeta=0.0, clip=False)
    n = x.numel()
    assert abs(x.mean() - MEAN) < 5 * STD / n**0.5
    assert abs(x.var() / STD**2 - 1) < 5 * (2 / n) ** 0.5


def test_guidance_fits_the_measurement():
    problem = pose(size=16)
    free, guided = (dps(problem, steps=100, zeta=zeta) for zeta in (0.0, 1.0))
    residual = [(problem.y - problem.f(x)).mul(problem.f.valid).norm() for x in (free, guided)]
    assert residual[1] < 0.2 * residual[0]


def test_images_do_not_feel_each_other():
    together = dps(pose(), steps=20)
    alone = [dps(pose(images=[i]), steps=20) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9
