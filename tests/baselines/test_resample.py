"""ReSample against its formulas written out in numpy, on latents whose posterior mean is known."""

import numpy as np
import pytest
import torch

from baselines.diffusion.resample import fit, resample
from sipbench.operators import BicubicDownsampling, Inpainting
from tests.baselines.reference import Adam, ddpm, denoise, gap, images, matrix, pose_latent, residual, streams, unit

CHEAP = {"steps": 24, "interval": 4, "travel": 3, "pixel_iterations": 30, "latent_iterations": 20}


def adamw(v, A, y, lr, iterations, tolerance, wait):
    step, seen = Adam(lr, decay=0.01), []
    for k in range(1, iterations + 1):
        r = A @ v - y
        v, loss = step(v, A.T @ r * 2 / len(y)), (r**2).mean()
        seen.append(loss)
        if loss < tolerance**2 or (k > wait and seen[k - 1 - wait] < loss):
            break
    return v


def reference(problem, literal, steps, interval, travel, pixel_iterations, latent_iterations):
    """One image after another, in scaled states; S counts down as in the paper's code."""
    at, (seeds, draw), rows = ddpm(steps), streams(problem), []
    draws = [draw() for _ in range(steps)]

    def noise(z, a, b):
        x_hat, gain = denoise(z, a, b)
        return (z - a * x_hat) / b, (1 - a * gain) / b

    for i, (seed, y) in enumerate(zip(seeds, problem.y.flatten(1).numpy(), strict=True)):
        A, z, drawn = matrix(problem, i), at[0][1] * seed, 0
        for k in range(steps):
            (a, b), (c, s), index = at[k], at[k + 1], steps - 1 - k
            e, slope = noise(z, a, b)
            power = b**2 if literal else b
            z_0 = (z - power * e) / a
            gradient = -(1 - (0 if literal else power * slope)) / a * (A.T @ unit(y - A @ z_0))
            z = c * (z - b * e) / a + s * e - 0.5 * a**2 * gradient
            if index % interval or not 0 < index <= steps - steps // 3:
                continue
            w = z
            for j in range(k, min(k + travel, steps - 1)):
                e, _ = noise(w, *at[j + 1])
                (f, g), (h, q) = at[j : j + 2] if literal else at[j + 1 : j + 3]
                z_0 = (w - (g**2 if literal else g) * e) / f
                w = h * (w - g * e) / f + q * e
            pixels = index >= steps // 3
            lr, iterations, wait = (1e-2, pixel_iterations, 10**6) if pixels else (5e-3, latent_iterations, 200)
            z_0 = adamw(z_0, A, y, lr, iterations, 1e-3, wait)
            v = 40 * s**2 / b**2 * (1 - a**2 / c**2)
            z = (v * c * z_0 + s**2 * z) / (v + s**2) + draws[drawn][i] * np.sqrt(1 / (1 / v + 1 / s**2))
            drawn += 1
        assert drawn > 3
        rows.append(adamw(z, A, y, 5e-3, latent_iterations, 1e-3, 200))
    return images(problem, rows)


def witness(solve, make=Inpainting, literal=True):
    problem = pose_latent(make)
    assert gap(solve(problem, literal=literal, **CHEAP), reference(problem, literal, **CHEAP)) < 1e-7


@pytest.mark.parametrize("literal", [True, False])
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, literal):
    witness(resample, make, literal)


@pytest.mark.parametrize("schedule", ["ve", "flow"])
def test_every_schedule_serves(schedule):
    problem = pose_latent(schedule=schedule)
    x = resample(problem, literal=False, **CHEAP | {"steps": 60, "latent_iterations": 100})
    assert (residual(problem, x) < 0.2 * problem.y.flatten(1).norm(dim=1)).all()


def test_evaluations():
    """The published 500 steps and 33 fits after 5 further steps each."""
    problem = pose_latent(images=[0], side=4)
    resample(problem, pixel_iterations=1, latent_iterations=1)
    assert problem.prior.evaluations == 500 + 33 * 5


def test_a_fit_ends_for_each_image_by_itself():
    y = torch.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    starts = y + torch.tensor([[0.05], [0.5], [0.0]], dtype=torch.float64)

    def losses(v, y=y):
        return (v - y).square().mean(1)

    together = fit(starts, losses, 1e-2, 400, 1e-2)
    alone = [fit(starts[i : i + 1], lambda v, y=y[i : i + 1]: losses(v, y), 1e-2, 400, 1e-2) for i in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert (losses(together).sqrt() < 1e-2).all()


def test_a_fit_that_gets_worse_ends():
    seen = []

    def losses(v):
        seen.append(0)
        return v.flatten(1).sum(1) * 0 + 1 + len(seen)

    fit(torch.zeros(1, 2), losses, 1e-2, 1000, 1e-3, wait=30)
    assert len(seen) == 40
