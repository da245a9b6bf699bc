"""Wirtinger flow: its formulas with |a_r|^2 = n, and recovery from random measurements."""

import math

import numpy as np
import pytest
import torch

from baselines.classical.wirtinger import wirtinger
from sipbench.metrics.alignment import relative_error
from sipbench.operators.phase import FourierMagnitude
from sipbench.operators.phase_random import CodedDiffraction, GaussianMagnitude
from sipbench.problem import Problem, Rng


def pose(make, channels, images=(0, 1), size=8):
    rng, shape = Rng.of(0, "flow", images), (len(images), channels, size, size)
    x = rng.child("x").portable.uniform(*shape[1:], dtype=torch.float64) - 0.3
    x = x if channels < 3 else (x[:, :1] + 0.2 * x).contiguous()  # the channels of a picture look alike
    f = make(shape, rng.child("operator").portable)
    return Problem(f(x), f, None, shape, None, rng.child("solver")), x


def gaussian(shape, rng):
    return GaussianMagnitude(shape, rng, ratio=8, matrix="complex", measure="intensity", complex_image=True)


MAPS = {
    "gaussian, real": (lambda s, r: GaussianMagnitude(s, r, ratio=8), 1),
    "gaussian, complex": (gaussian, 2),
    "codes, three channels": (lambda s, r: CodedDiffraction(s, r, patterns=8), 3),
    "codes, complex": (lambda s, r: CodedDiffraction(s, r, patterns=8, complex_image=True, measure="intensity"), 2),
}


def reference(problem, steps, power):
    """The paper's steps with matrices written out, the rows scaled to |a_r|^2 = n on average by the measured gain."""
    start = problem.rng.child("spectral").portable.normal(1, 2 * 64, dtype=torch.float64).numpy()
    out = []
    for i in range(len(problem.y)):
        A = problem.f.matrix[i].numpy().astype(complex)
        M, n = A.shape
        v = start[i, 0, :n] + 1j * start[i, 0, n:]
        v = v / np.linalg.norm(v)
        scale = M / np.linalg.norm(A @ v) ** 2  # brings |A v|^2 to M |v|^2
        A, y = A * scale**0.5, problem.y[i, 0].numpy() * scale
        for _ in range(power):
            v = A.conj().T @ (y * (A @ v))
            v = v / np.linalg.norm(v)
        length2 = n * y.sum() / (M * n)
        z = v * length2**0.5
        for k in range(steps):
            p = A @ z
            mu = min(1 - math.exp(-(k + 1) / 330), 0.2)
            z = z - mu / length2 / M * (A.conj().T @ ((np.abs(p) ** 2 - y) * p))
        out.append(np.stack([z.real, z.imag]).reshape(2, 8, 8))
    return torch.from_numpy(np.stack(out))


def witness(solve):
    problem, _ = pose(gaussian, 2)
    assert (solve(problem, iterations=41, power=7).x - reference(problem, 40, 7)).abs().max() < 1e-9


@pytest.mark.parametrize("name", MAPS)
def test_random_measurements_determine_the_image(name):
    make, channels = MAPS[name]
    problem, x = pose(make, channels)
    got = wirtinger(problem, iterations=1000).x
    assert (relative_error(got, x, problem.f.symmetries) < 1e-5).all()


def test_without_the_spectral_start_it_fails_more():
    """From the random vector itself, few measurements lead astray."""
    make = MAPS["gaussian, complex"][0]
    problem, x = pose(make, 2, images=range(6))
    worst = [relative_error(wirtinger(problem, iterations=150, power=p).x, x, ("phase",)).max() for p in (0, 50)]
    assert worst[1] < worst[0]


@pytest.mark.parametrize("domain", ["signed", "unit"])
def test_a_far_field_does_not_diverge(domain):
    """The published step does, as the middle of the pattern outshines the rest; here it is halved where it would."""
    problem, _ = pose(lambda s, r: FourierMagnitude(s, r, domain=domain), 3)
    got = wirtinger(problem, iterations=300).x
    start = wirtinger(problem, iterations=1).x
    loss = [(problem.f(v).square() - problem.y.square()).square().flatten(1).mean(1) for v in (start, got)]
    assert got.isfinite().all() and (loss[1] < loss[0]).all()
