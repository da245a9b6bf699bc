"""DDNM and DDNM+ against their formulas with dense matrices, against DDRM, and against the posterior."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from baselines.diffusion.ddnm import ddnm, itinerary
from baselines.diffusion.ddrm import ddrm
from sipbench.operators.separable import GaussianBlur
from tests.baselines.exact import far, frozen, pose
from tests.baselines.reference import OPERATORS, SCHEDULES, denoise, gap, images, levels, parts, pinv, streams


def small(operator="bicubic", schedule="vp", sigma=0.1):
    return pose(OPERATORS[operator], n=3, sigma=sigma, schedule=schedule)


def reference(problem, steps, eta, plus, cutoff=0.03):
    """On matrices, Sigma and Phi written out as such; no travels."""
    at, (A, y, x, draw) = levels(problem, steps), parts(problem)
    d, sigma_y, without = A.shape[1], problem.noise.sigma, problem.f.svd() is None
    inverse, eye, x = pinv(A, cutoff, without), np.eye(d), at[0][1] * x
    _, s, Vt = np.linalg.svd(A)
    s = np.pad(s, (0, d - len(s)))
    for (a, b), (c, S) in pairwise(at):
        x_hat = denoise(x, a, b)[0]
        z, e = draw(), (x - a * x_hat) / b
        Sigma, fresh, kept = eye, S * eta * eye, S * np.sqrt(1 - eta**2) * eye
        if plus and without:
            inverse = np.linalg.solve(A.T @ A + (sigma_y * c / S) ** 2 * eye, A.T) if S else 0 * A.T
        elif plus:
            lam, phi, psi = np.ones(d), np.full(d, S * eta), np.full(d, S * np.sqrt(1 - eta**2))
            for i in np.flatnonzero(s > max(cutoff, 1e-9)):
                psi[i] = 0
                if S >= c * sigma_y / s[i]:
                    phi[i] = np.sqrt(S**2 - (c * sigma_y / s[i]) ** 2)
                else:
                    lam[i] = s[i] * S * np.sqrt(1 - eta**2) / (c * sigma_y)
            Sigma, fresh, kept = (Vt.T @ np.diag(v) @ Vt for v in (lam, phi, psi))
        x = c * (x_hat + (y - x_hat @ A.T) @ inverse.T @ Sigma.T) + z @ fresh.T + e @ kept.T
    return images(problem, x)


def witness(solve, operator="bicubic", schedule="vp", plus=False, cutoff=0.03):
    problem = small(operator, schedule)
    x = solve(problem, steps=20, plus=plus, cutoff=cutoff)
    assert gap(x, reference(problem, 20, 0.85, plus, cutoff)) < 1e-8


def witness_plus(solve):
    witness(solve, plus=True)


def witness_blur(solve):
    witness(solve, "blur", plus=True, cutoff=0.1)


def witness_without(solve):
    witness(solve, "without SVD", plus=True)


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule, plus):
    witness(ddnm, operator, schedule, plus)


@pytest.mark.parametrize("plus", [False, True])
def test_small_singular_values_are_left_to_the_prior(plus):
    witness(ddnm, "blur", plus=plus, cutoff=0.1)


@pytest.mark.parametrize("sigma", [0.1, 0.0])
def test_it_makes_room_for_noise_that_is_told(sigma):
    def problem():
        return small("blur", sigma=sigma)

    assert gap(ddnm(problem(), steps=5), ddnm(problem(), steps=5, plus=sigma > 0)) < 1e-12
    assert gap(ddnm(replace(problem(), noise=None), steps=5), ddnm(problem(), steps=5, plus=False)) < 1e-12


def test_an_ill_conditioned_blur_does_not_blow_up_the_noise():
    problem = pose(partial(GaussianBlur, size=7, sigma=2.0), n=3, shape=(1, 8, 8))
    largest = [
        float(ddnm(problem, steps=20, **o).abs().max()) for o in ({}, {"plus": False}, {"plus": False, "cutoff": 0})
    ]
    assert largest[0] < 3 and largest[1] < 10 and largest[2] > 100


@pytest.mark.parametrize("eta", [0.85, 0.0, None])
@pytest.mark.parametrize("operator", ["inpainting", "bicubic"])
def test_plus_is_ddrm(operator, eta):
    x = ddnm(small(operator), steps=20, eta=eta, plus=True)
    assert gap(x, ddrm(small(operator), steps=20, eta=eta)) < 1e-9


def witness_posterior(solve, schedule="vp"):
    """With the share of the diffusion DDNM+ samples the posterior."""
    problem = pose(OPERATORS["bicubic"], n=150, sigma=0.3, schedule=schedule)
    assert max(far(problem, solve(problem, steps=300, eta=None, plus=True))) < 5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_with_the_share_of_the_diffusion_plus_samples_the_posterior(schedule):
    witness_posterior(ddnm, schedule)


@pytest.mark.parametrize("eta", [0.85, None])
@pytest.mark.parametrize("operator", OPERATORS)
def test_without_noise_all_agree_and_are_consistent(operator, eta):
    x = ddnm(small(operator, sigma=0.0), steps=10, eta=eta, cutoff=0.0)
    problem = small(operator, sigma=0.0)
    assert gap(problem.f(x), problem.y) < 1e-9
    if eta is None and operator != "without SVD":
        assert gap(x, ddnm(problem, steps=10, eta=eta, plus=True)) < 1e-9


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
    problem = frozen(small())
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
    _, draw = streams(problem)
    z = images(problem, [draw() for _ in range(4)][3])
    alpha, sigma = levels(problem, 6)[1]
    assert gap(seen[3][0], alpha * seen[2][2] + sigma * z) < 1e-12
    assert seen[3][1] == seen[1][1]
