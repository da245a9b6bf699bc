"""PSLD against its formulas written out in numpy, on latents whose posterior mean is known."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.psld import consistent, psld
from sipbench.operators import BicubicDownsampling, Inpainting
from tests.baselines.reference import back, ddpm, denoise, gap, images, mul, parts, pose_latent, unit

CHOSEN = {"steps": 20, "gamma": 0.3, "omega": 0.6, "damping": 1e-2}


def reference(problem, steps, gamma, omega, damping):
    """Deterministic DDIM with PSLD's correction."""
    at, (A, y, z, _) = ddpm(steps), parts(problem, own=True)
    G, z = np.stack([B.T @ np.linalg.inv(B @ B.T + damping * np.eye(len(B))) for B in A]), at[0][1] * z
    for (a, b), (c, s) in pairwise(at):
        z_hat, gain = denoise(z, a, b)
        r = y - mul(A, z_hat)
        gradient = -omega * back(A, unit(r)) - gamma * back(G @ A, unit(mul(G, r)))
        z = c * z_hat + s * (z - a * z_hat) / b - gain * gradient
    return images(problem, z)


def witness(solve, make=Inpainting):
    problem = pose_latent(make)
    assert gap(solve(problem, **CHOSEN), reference(problem, **CHOSEN)) < 1e-9


@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make):
    witness(psld, make)


def test_the_gluing_gradient_is_that_of_the_formula():
    problem = pose_latent()
    noise = torch.linspace(-1, 1, problem.y.numel(), dtype=torch.float64).view_as(problem.y)
    x, f = noise.clone().requires_grad_(), problem.f
    out = consistent(x, problem.y, f, f.T)
    (ours,) = torch.autograd.grad((out * noise).sum(), x)
    plain = x + f.T(problem.y - f(x))
    (theirs,) = torch.autograd.grad((plain * noise).sum(), x)
    assert torch.equal(out, plain) and gap(ours, theirs) < 1e-12
