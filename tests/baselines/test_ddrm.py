"""DDRM against its formulas in the dense singular vectors of A, and against the posterior where it samples that."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import ddrm as module
from baselines.diffusion.ddrm import ddrm
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.sampling import AveragePooling
from sipbench.operators.separable import GaussianBlur
from sipbench.problem import Rng
from tests.baselines.exact import far, pose

MEAN, STD = 0.1, 0.5
OPERATORS = {
    "inpainting": lambda shape, rng: Inpainting(shape, rng, removed=0.5),
    "pooling": lambda shape, rng: AveragePooling(shape, rng, factor=2),
    "bicubic": lambda shape, rng: BicubicDownsampling(shape, rng, factor=2),
    "blur": lambda shape, rng: GaussianBlur(shape, rng, size=3, sigma=0.6),
}


def reference(problem, steps, eta, eta_b):
    """One coordinate after the other, in float64; V is whatever numpy gives."""
    prior, sigma_y, shape = problem.prior, problem.noise.sigma, problem.shape[1:]
    f = problem.f.select(slice(0, 1))
    A = torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(np.prod(shape), dtype=torch.float64)], 1).numpy()
    U, d, Vt = np.linalg.svd(A)
    alpha, sigma = (s.numpy() for s in prior.scales(prior.times(steps)))
    S, rank = sigma / alpha, int((d > 1e-9).sum())
    rng, mean = Rng(problem.rng.keys), Vt @ np.full(len(Vt), MEAN)
    w = rng.portable.normal(*shape, dtype=torch.float64).flatten(1).numpy() @ Vt.T
    y_bar = (problem.y.flatten(1).numpy() @ U)[:, :rank] / d[:rank]
    x = S[0] * w
    for i in range(rank):
        if sigma_y / d[i] < S[0]:
            x[:, i] = y_bar[:, i] + np.sqrt(S[0] ** 2 - (sigma_y / d[i]) ** 2) * w[:, i]
    for k in range(steps):
        now, then = S[k], S[k + 1]
        h = mean + STD**2 / (STD**2 + now**2) * (x - mean)
        z = rng.normal(*shape, dtype=torch.float64).flatten(1).numpy() @ Vt.T
        for i in range(len(Vt)):
            known, floor = i < rank, sigma_y / d[i] if i < rank else np.inf
            if known and then >= floor:
                x[:, i] = (1 - eta_b) * h[:, i] + eta_b * y_bar[:, i]
                x[:, i] += np.sqrt(then**2 - (eta_b * floor) ** 2) * z[:, i]
                continue
            from_y = known and (eta is not None or now >= floor)
            e = (y_bar[:, i] - h[:, i]) / floor if from_y else (x[:, i] - h[:, i]) / now
            kept = np.sqrt(1 - eta**2) if eta is not None else then / (floor if from_y else now)
            x[:, i] = h[:, i] + then * (kept * e + np.sqrt(1 - kept**2) * z[:, i])
    return torch.from_numpy(x @ Vt).view(problem.shape)


def small(operator="bicubic", schedule="vp", sigma=0.1):
    return pose(OPERATORS[operator], n=3, sigma=sigma, schedule=schedule, mean=MEAN, std=STD)


@pytest.mark.parametrize(("eta", "eta_b"), [(0.85, 1.0), (0.4, 0.7), (None, 1.0)])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule, eta, eta_b):
    problem = small(operator, schedule)
    x = ddrm(problem, steps=20, eta=eta, eta_b=eta_b)
    assert (x - reference(small(operator, schedule), 20, eta, eta_b)).abs().max() < 1e-8


def broken(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    variant = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), variant)
    return variant["ddrm"]


BROKEN = {
    "twice the noise of y": ("sigma_y * inverse, inverse", "2 * sigma_y * inverse, inverse"),
    "the level of now": ("S_t, S = now.sigma / now.alpha, then.sigma / then.alpha", "S_t = S = now.sigma / now.alpha"),
    "no root": ("(eta_b * floor) ** 2).clamp(min=0).sqrt()", "(eta_b * floor) ** 2).clamp(min=0)"),
    "noise twice": ("fresh * z)\n            x_bar", "2 * fresh * z)\n            x_bar"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_variant_is_seen(name):
    problem = small()
    x = broken(*BROKEN[name])(problem, steps=20, eta=0.85, eta_b=0.7)
    assert (x - reference(small(), 20, 0.85, 0.7)).abs().max() > 1e-3


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", ["inpainting", "bicubic"])
def test_with_the_share_of_the_diffusion_it_samples_the_posterior(operator, schedule):
    problem = pose(OPERATORS[operator], n=150, sigma=0.3, schedule=schedule)
    assert max(far(problem, ddrm(problem, steps=300, eta=None))) < 5


@pytest.mark.parametrize("name", ["twice the noise of y", "the level of now", "noise twice"])
def test_the_posterior_is_missed_by_a_broken_variant(name):
    problem = pose(OPERATORS["inpainting"], n=150, sigma=0.3)
    assert not max(far(problem, broken(*BROKEN[name])(problem, steps=300, eta=None))) < 5


def test_a_constant_share_does_not_sample_the_posterior():
    """Where y says nothing, the variance is (1 + sqrt(1 - eta^2)) / 2 of what it should be, as steps grow."""
    problem = pose(OPERATORS["inpainting"], n=150, sigma=0.1)
    x = ddrm(problem, steps=1000, eta=0.85)
    assert max(far(problem, x)) > 5
    free = x[:, problem.f.mask[0] == 0]
    expected = STD**2 * (1 + (1 - 0.85**2) ** 0.5) / 2
    assert abs(free.var(0).mean() / expected - 1) < 5 * (2 / free.numel()) ** 0.5 + 0.02


@pytest.mark.parametrize("operator", OPERATORS)
def test_without_noise_it_is_consistent(operator):
    problem = small(operator, sigma=0.0)
    x = ddrm(problem, steps=5)
    assert (problem.f(x) - problem.y).abs().max() < 1e-9


def test_one_evaluation_a_step_without_a_graph():
    problem = small()
    denoise = problem.prior.denoise

    def watched(x_t, t):
        assert not torch.is_grad_enabled()
        return denoise(x_t, t)

    problem.prior.denoise = watched
    ddrm(problem, steps=13)
    assert problem.prior.evaluations == 13 * 3
