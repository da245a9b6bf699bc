"""PSLD against its formulas written out in numpy, on latents whose posterior mean is known."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import psld as module
from baselines.diffusion.psld import consistent, psld
from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from sipbench.problem import Problem, Rng
from sipbench.testing.trial import Shuffle

MEAN, STD, SIZE = 0.1, 0.5, 8
CHOSEN = {"steps": 20, "gamma": 0.3, "omega": 0.6, "damping": 1e-2}


def pose(make=Inpainting, *, images=(0, 1), schedule="vp", codec=Shuffle):
    """Latents are the pixels in another order."""
    rng, shape = Rng.of(0, "psld", images), (len(images), 3, SIZE, SIZE)
    f = make(shape, rng.child("operator").portable)
    x = MEAN + STD * rng.child("x").portable.normal(*shape[1:], dtype=torch.float64)
    y = Gaussian(0.01)(f(x), rng.child("noise").portable)
    inner = IsotropicGaussian((12, SIZE // 2, SIZE // 2), MEAN, STD, schedule)
    return Problem(y, f, Gaussian(0.01), shape, Counted(LatentPrior(inner, codec(shape[1:]))), rng.child("solver"))


def reference(problem, steps, gamma, omega, damping):
    """Deterministic DDIM with PSLD's correction, one image after another."""
    P = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
    P = P[np.concatenate([np.round(np.linspace(1000, 1, steps)), [0]]).astype(int)]
    prior, shape, out = problem.prior, problem.prior.shape, []
    for i, seed in enumerate(problem.rng.portable.normal(*shape, dtype=torch.float64)):
        f = problem.f.select(slice(i, i + 1))
        units = torch.eye(seed.numel(), dtype=torch.float64)
        A = np.stack([f(prior.decode(e.view(1, *shape))).flatten().numpy() for e in units], 1)
        G = A.T @ np.linalg.inv(A @ A.T + damping * np.eye(len(A)))
        y, z = problem.y[i].flatten().numpy(), np.sqrt(1 - P[0]) * seed.flatten().numpy()
        for now, then in zip(P, P[1:], strict=False):
            gain = np.sqrt(now) * STD**2 / (now * STD**2 + 1 - now)
            z_hat = MEAN + gain * (z - np.sqrt(now) * MEAN)
            r = y - A @ z_hat
            glue = G @ r
            gradient = -omega * A.T @ r / np.linalg.norm(r) - gamma * (G @ A).T @ glue / np.linalg.norm(glue)
            e = (z - np.sqrt(now) * z_hat) / np.sqrt(1 - now)
            z = np.sqrt(then) * z_hat + np.sqrt(1 - then) * e - gain * gradient
        out.append(prior.decode(torch.from_numpy(z).view(1, *shape)))
    return torch.cat(out)


@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator):
    problem = pose(operator)
    assert (psld(problem, **CHOSEN) - reference(problem, **CHOSEN)).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("lambda c: c - pinv(f(c))", "lambda c: c"),
        ("- z_hat).flatten(1).norm(dim=1)", "- z_hat.detach()).flatten(1).norm(dim=1)"),
        (".flatten(1).norm(dim=1)", ".norm()[None]"),
        ("omega * norm + gamma", "2 * omega * norm + gamma"),
        ("now, then, z, eta)", "now, then, rng.normal_like(z_t))"),
    ],
    ids=["gluing's gradient", "one side of it", "norm over the batch", "twice the weight", "too much noise"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {"__name__": "broken"}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    assert (broken["psld"](pose(), **CHOSEN) - reference(pose(), **CHOSEN)).abs().max() > 1e-3


def test_the_gluing_gradient_is_that_of_the_formula():
    problem, noise = pose(), torch.linspace(-1, 1, 2 * 3 * SIZE * SIZE, dtype=torch.float64).view(2, 3, SIZE, SIZE)
    x, f = noise.clone().requires_grad_(), problem.f
    out = consistent(x, problem.y, f, f.T)
    (ours,) = torch.autograd.grad((out * noise).sum(), x)
    plain = x + f.T(problem.y - f(x))
    (theirs,) = torch.autograd.grad((plain * noise).sum(), x)
    assert torch.equal(out, plain) and (ours - theirs).abs().max() < 1e-12


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_guidance_fits_the_measurement(schedule):
    problem = pose(schedule=schedule)
    free, guided = (psld(problem, steps=100, gamma=0.1 * w, omega=w) for w in (0.0, 0.3))
    residual = [((problem.y - problem.f(x)) * problem.f.valid).norm() for x in (free, guided)]
    assert residual[1] < 0.3 * residual[0]


def test_one_evaluation_a_step():
    problem = pose()
    psld(problem, steps=13)
    assert problem.prior.evaluations == 13 * 2


def test_fresh_noise():
    """With eta = 1 and no guidance it is ancestral sampling of the prior."""
    x = psld(pose(images=range(40)), steps=200, gamma=0.0, omega=0.0, eta=1.0)
    assert abs(x.mean() - MEAN) < 5 * STD / x.numel() ** 0.5
    assert abs(x.var() / STD**2 - 1) < 5 * (2 / x.numel()) ** 0.5


def test_images_do_not_feel_each_other():
    together = psld(pose(), **CHOSEN)
    alone = [psld(pose(images=[i]), **CHOSEN) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9
