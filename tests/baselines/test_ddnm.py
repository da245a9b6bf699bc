"""DDNM and DDNM+ against their formulas with dense matrices, against DDRM, and against the posterior."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.diffusion import ddnm as module
from baselines.diffusion.ddnm import ddnm, itinerary
from baselines.diffusion.ddrm import ddrm
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.sampling import AveragePooling
from sipbench.problem import Rng
from tests.baselines.exact import far, pose

MEAN, STD = 0.1, 0.5


class WithoutSVD(AveragePooling):
    def svd(self, dtype=torch.float32):
        return None


OPERATORS = {
    "inpainting": lambda shape, rng: Inpainting(shape, rng, removed=0.5),
    "bicubic": lambda shape, rng: BicubicDownsampling(shape, rng, factor=2),
    "without SVD": lambda shape, rng: WithoutSVD(shape, rng, factor=2),
}


def small(operator="bicubic", schedule="vp", sigma=0.1):
    return pose(OPERATORS[operator], n=3, sigma=sigma, schedule=schedule, mean=MEAN, std=STD)


def reference(problem, steps, eta, plus):
    """On matrices, Sigma and Phi written out as such; no travels."""
    prior, shape, sigma_y = problem.prior, problem.shape[1:], problem.noise.sigma
    f = problem.f.select(slice(0, 1))
    d = np.prod(shape)
    A = torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(d, dtype=torch.float64)], 1).numpy()
    y, inverse, eye = problem.y.flatten(1).numpy(), np.linalg.pinv(A, rcond=1e-9), np.eye(d)
    _, s, Vt = np.linalg.svd(A)
    s = np.where(np.arange(d) < len(s), np.pad(s, (0, max(0, d - len(s))))[:d], 0)
    times = prior.times(steps)
    (alpha, sigma), rng = (v.numpy() for v in prior.scales(times)), Rng(problem.rng.keys)
    x = sigma[0] * rng.portable.normal(*shape, dtype=torch.float64).flatten(1).numpy()
    for k in range(steps):
        a, b, c, S = alpha[k], sigma[k], alpha[k + 1], sigma[k + 1]
        x_hat = MEAN + a * STD**2 / (a**2 * STD**2 + b**2) * (x - a * MEAN)
        z, e = rng.normal(*shape, dtype=torch.float64).flatten(1).numpy(), (x - a * x_hat) / b
        Sigma, fresh, kept = eye, S * eta * eye, S * np.sqrt(1 - eta**2) * eye
        if plus and problem.f.svd() is None:
            lam = 1 if S >= c * sigma_y else S / (c * sigma_y)
            factor = np.sqrt(S**2 - (c * lam * sigma_y) ** 2) / max(S, 1e-300)
            Sigma, fresh, kept = lam * eye, factor * fresh, factor * kept
        elif plus:
            lam, phi, psi = np.ones(d), np.full(d, S * eta), np.full(d, S * np.sqrt(1 - eta**2))
            for i in np.flatnonzero(s > 1e-9):
                psi[i] = 0
                if S >= c * sigma_y / s[i]:
                    phi[i] = np.sqrt(S**2 - (c * sigma_y / s[i]) ** 2)
                else:
                    lam[i] = s[i] * S * np.sqrt(1 - eta**2) / (c * sigma_y)
            Sigma, fresh, kept = (Vt.T @ np.diag(v) @ Vt for v in (lam, phi, psi))
        x = c * (x_hat + (y - x_hat @ A.T) @ inverse.T @ Sigma.T) + z @ fresh.T + e @ kept.T
    return torch.from_numpy(x).view(problem.shape)


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule, plus):
    x = ddnm(small(operator, schedule), steps=20, plus=plus)
    assert (x - reference(small(operator, schedule), 20, 0.85, plus)).abs().max() < 1e-8


def broken(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    variant = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), variant)
    return variant["ddnm"]


BROKEN = {
    "half the projection": ("r = x_hat - f.pinv(", "r = x_hat - 0.5 * f.pinv(", False),
    "fresh and kept swapped": ("kept, fresh = shares", "fresh, kept = shares", False),
    "the level of now": ("then.alpha * r + then.sigma", "then.alpha * r + now.sigma", False),
    "twice the noise of y": ("sigma_y * inverse, inverse", "2 * sigma_y * inverse, inverse", True),
    "no noise": ("+ S * fresh * z", "", True),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_variant_is_seen(name):
    *change, plus = BROKEN[name]
    x = broken(*change)(small(), steps=20, plus=plus)
    assert (x - reference(small(), 20, 0.85, plus)).abs().max() > 1e-3


@pytest.mark.parametrize("eta", [0.85, 0.0, None])
@pytest.mark.parametrize("operator", ["inpainting", "bicubic"])
def test_plus_is_ddrm(operator, eta):
    x = ddnm(small(operator), steps=20, eta=eta, plus=True)
    assert (x - ddrm(small(operator), steps=20, eta=eta)).abs().max() < 1e-9


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_with_the_share_of_the_diffusion_plus_samples_the_posterior(schedule):
    problem = pose(OPERATORS["bicubic"], n=150, sigma=0.3, schedule=schedule)
    assert max(far(problem, ddnm(problem, steps=300, eta=None, plus=True))) < 5


@pytest.mark.parametrize("name", ["fresh and kept swapped", "twice the noise of y"])
def test_the_posterior_is_missed_by_a_broken_variant(name):
    problem = pose(OPERATORS["bicubic"], n=150, sigma=0.3)
    assert not max(far(problem, broken(*BROKEN[name][:2])(problem, steps=300, eta=None, plus=True))) < 5


@pytest.mark.parametrize("eta", [0.85, None])
@pytest.mark.parametrize("operator", OPERATORS)
def test_without_noise_all_agree_and_are_consistent(operator, eta):
    x = ddnm(small(operator, sigma=0.0), steps=10, eta=eta)
    assert (problem := small(operator, sigma=0.0)).f(x).sub(problem.y).abs().max() < 1e-9
    if eta is None or operator == "without SVD":
        same = ddnm(problem, steps=10, eta=eta, plus=operator == "without SVD")
        assert (x - same).abs().max() < 1e-9


def test_the_noise_must_be_told_for_plus():
    problem = replace(small(), noise=None)
    ddnm(problem, steps=2)
    with pytest.raises(ValueError, match="plus=false"):
        ddnm(problem, steps=2, plus=True)


def test_travels_go_back_where_they_should():
    assert itinerary(5, 1, 1) == [0, 1, 2, 3, 4, 5]
    assert itinerary(4, 1, 2) == [0, 1, 0, 1, 2, 1, 2, 3, 2, 3, 4]
    assert itinerary(6, 2, 2) == [0, 1, 2, 3, 1, 2, 3, 4, 5, 3, 4, 5, 6]
    with pytest.raises(ValueError, match="travel_length"):
        itinerary(4, 0, 1)


@pytest.mark.parametrize(("length", "repeat", "evaluations"), [(1, 1, 10), (1, 3, 10 + 9 * 2), (4, 2, 10 + 4 * 2)])
def test_evaluations_without_a_graph(length, repeat, evaluations):
    problem = small()
    denoise = problem.prior.denoise

    def watched(x_t, t):
        assert not torch.is_grad_enabled()
        return denoise(x_t, t)

    problem.prior.denoise = watched
    ddnm(problem, steps=10, travel_length=length, travel_repeat=repeat)
    assert problem.prior.evaluations == evaluations * 3


def test_a_travel_noises_the_estimate_to_the_level_it_returns_to():
    """What is denoised after a travel is alpha x_hat + sigma z, with the x_hat of the step before."""
    problem = small()
    seen, denoise = [], problem.prior.denoise

    def watched(x_t, t):
        seen.append((x_t, t, denoise(x_t, t)))
        return seen[-1][-1]

    problem.prior.denoise = watched
    ddnm(problem, steps=6, travel_length=2, travel_repeat=2)
    rng = Rng(problem.rng.keys)
    z = [rng.normal(*problem.shape[1:], dtype=torch.float64) for _ in range(4)][3]
    alpha, sigma = problem.prior.scales(problem.prior.times(6)[1])
    assert (seen[3][0] - alpha * seen[2][2] - sigma * z).abs().max() < 1e-12
    assert seen[3][1] == seen[1][1]
