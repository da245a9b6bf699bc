"""ReSample against its formulas written out in numpy, on latents whose posterior mean is known."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import resample as module
from baselines.diffusion.resample import fit, resample
from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from sipbench.problem import Problem, Rng
from sipbench.testing.trial import Shuffle

MEAN, STD, SIZE = 0.1, 0.5, 8
CHEAP = {"steps": 24, "interval": 4, "travel": 3, "pixel_iterations": 30, "latent_iterations": 20}


def pose(make=Inpainting, *, images=(0, 1), schedule="vp", size=SIZE, noise=0.01):
    """Latents are the pixels in another order."""
    rng, shape = Rng.of(0, "resample", images), (len(images), 3, size, size)
    f = make(shape, rng.child("operator").portable)
    x = MEAN + STD * rng.child("x").portable.normal(*shape[1:], dtype=torch.float64)
    y = Gaussian(noise)(f(x), rng.child("noise").portable)
    inner = IsotropicGaussian((12, size // 2, size // 2), MEAN, STD, schedule)
    return Problem(y, f, Gaussian(noise), shape, Counted(LatentPrior(inner, Shuffle(shape[1:]))), rng.child("solver"))


def adamw(v, A, y, lr, iterations, tolerance, wait):
    m, u, seen = np.zeros_like(v), np.zeros_like(v), []
    for k in range(1, iterations + 1):
        r = A @ v - y
        g, loss = A.T @ r * 2 / len(y), (r**2).mean()
        m, u = 0.9 * m + 0.1 * g, 0.999 * u + 0.001 * g**2
        v = v * (1 - lr * 0.01) - lr * (m / (1 - 0.9**k)) / (np.sqrt(u / (1 - 0.999**k)) + 1e-8)
        seen.append(loss)
        if loss < tolerance**2 or (k > wait and seen[k - 1 - wait] < loss):
            break
    return v


def reference(problem, literal, steps, interval, travel, pixel_iterations, latent_iterations):
    """One image after another, in scaled states; S counts down as in the paper's code."""
    P = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
    P = P[np.concatenate([np.round(np.linspace(1000, 1, steps)), [0]]).astype(int)]
    shape, prior, out = problem.prior.shape, problem.prior, []
    rng = Rng(problem.rng.keys)
    draws = [rng.normal(*shape, dtype=torch.float64) for _ in range(steps)]
    seeds = rng.portable.normal(*shape, dtype=torch.float64)

    def noise(z, p):
        gain = np.sqrt(p) * STD**2 / (p * STD**2 + 1 - p)
        x_hat = MEAN + gain * (z - np.sqrt(p) * MEAN)
        return (z - np.sqrt(p) * x_hat) / np.sqrt(1 - p), (1 - np.sqrt(p) * gain) / np.sqrt(1 - p)

    for i, seed in enumerate(seeds):
        f, n = problem.f.select(slice(i, i + 1)), seed.numel()
        units = torch.eye(n, dtype=torch.float64)
        A = np.stack([f(prior.decode(e.view(1, *shape))).flatten().numpy() for e in units], 1)
        y, z, drawn = problem.y[i].flatten().numpy(), np.sqrt(1 - P[0]) * seed.flatten().numpy(), 0
        for k in range(steps):
            p, q, index = P[k], P[k + 1], steps - 1 - k
            e, slope = noise(z, p)
            power = 1 - p if literal else np.sqrt(1 - p)
            z_0 = (z - power * e) / np.sqrt(p)
            r = y - A @ z_0
            gradient = -(1 - (0 if literal else power * slope)) / np.sqrt(p) * (A.T @ r) / np.linalg.norm(r)
            z = np.sqrt(q) * (z - np.sqrt(1 - p) * e) / np.sqrt(p) + np.sqrt(1 - q) * e - 0.5 * p * gradient
            if index % interval or not 0 < index <= steps - steps // 3:
                continue
            w = z
            for j in range(k, min(k + travel, steps - 1)):
                e, _ = noise(w, P[j + 1])
                a, b = (P[j], P[j + 1]) if literal else (P[j + 1], P[j + 2])
                z_0 = (w - (1 - a if literal else np.sqrt(1 - a)) * e) / np.sqrt(a)
                w = np.sqrt(b) * (w - np.sqrt(1 - a) * e) / np.sqrt(a) + np.sqrt(1 - b) * e
            pixels = index >= steps // 3
            lr, iterations, wait = (1e-2, pixel_iterations, 10**6) if pixels else (5e-3, latent_iterations, 200)
            z_0 = adamw(z_0, A, y, lr, iterations, 1e-3, wait)
            v = 40 * (1 - q) / (1 - p) * (1 - p / q)
            z = (v * np.sqrt(q) * z_0 + (1 - q) * z) / (v + 1 - q)
            z = z + draws[drawn][i].flatten().numpy() * np.sqrt(1 / (1 / v + 1 / (1 - q)))
            drawn += 1
        assert drawn > 3
        z = adamw(z, A, y, 5e-3, latent_iterations, 1e-3, 200)
        out.append(prior.decode(torch.from_numpy(z).view(1, *shape)))
    return torch.cat(out)


@pytest.mark.parametrize("literal", [True, False])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, literal):
    problem = pose(operator)
    x = resample(problem, literal=literal, **CHEAP)
    assert (x - reference(problem, literal, **CHEAP)).abs().max() < 1e-7


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("z - now.sigma**2 * e", "z - now.sigma * e"),
        ("set_grad_enabled(not literal)", "enable_grad()"),
        ("at[i : i + travel + 2]", "at[i : i + travel + 1]"),
        ("z_0, then = (z - before.sigma**2", "z_0, then = (z - now.sigma**2"),
        ("1 / v + 1 / then", "2 / v + 1 / then"),
        ("(now.alpha / then.alpha) ** 2)", "(then.alpha / now.alpha) ** 2).abs()"),
        ("(1 / (1 / v + 1 / then.sigma**2)).sqrt()", "(1 / (1 / v + 1 / then.sigma**2))"),
        (".flatten(1).norm(dim=1)", ".norm()[None]"),
    ],
    ids=["pseudo", "through the network", "travel", "scales", "variance", "swapped levels", "no root", "one norm"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {"__name__": "broken"}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    expected = reference(pose(), True, **CHEAP)
    assert not (broken["resample"](pose(), **CHEAP) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("schedule", ["ve", "flow"])
def test_every_schedule_serves(schedule):
    problem = pose(schedule=schedule)
    x = resample(problem, literal=False, **CHEAP | {"steps": 60, "latent_iterations": 100})
    residual = ((problem.y - problem.f(x)) * problem.f.valid).flatten(1).norm(dim=1)
    assert (residual < 0.2 * problem.y.flatten(1).norm(dim=1)).all()


def test_evaluations():
    """The published 500 steps and 33 fits after 5 further steps each."""
    problem = pose(images=[0], size=4)
    resample(problem, pixel_iterations=1, latent_iterations=1)
    assert problem.prior.evaluations == 500 + 33 * 5


def test_a_fit_ends_for_each_image_by_itself():
    y = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    starts = y + torch.tensor([[0.05], [0.5], [0.0]], dtype=torch.float64)

    def losses(v):
        return (v - y).square().mean(1)

    together = fit(starts, losses, 1e-2, 400, 1e-2)
    alone = []
    for i in range(3):
        y_i = y[i : i + 1]
        alone.append(fit(starts[i : i + 1], lambda v, y_i=y_i: (v - y_i).square().mean(1), 1e-2, 400, 1e-2))
    assert torch.equal(together, torch.cat(alone))
    assert ((together - y).square().mean(1).sqrt() < 1e-2).all()


def test_a_fit_that_gets_worse_ends():
    seen = []

    def losses(v):
        seen.append(0)
        return v.flatten(1).sum(1) * 0 + 1 + len(seen)

    fit(torch.zeros(1, 2), losses, 1e-2, 1000, 1e-3, wait=30)
    assert len(seen) == 40


def test_images_do_not_feel_each_other():
    together = resample(pose(), **CHEAP)
    alone = [resample(pose(images=[i]), **CHEAP) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9
