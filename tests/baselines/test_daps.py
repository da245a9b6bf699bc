"""DAPS against its formulas in numpy, and against exact posteriors where its chain has the exact score."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.daps import daps
from sipbench.operators.base import Operator
from sipbench.priors.field import GaussianField
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from tests.baselines.exact import far, frozen, pose
from tests.baselines.reference import MEAN, OPERATORS, SCHEDULES, STD, gap, images, parts, pooling

FINE = dict(steps=8, sigma_max=5.0, sigma_min=0.1, lr_min_ratio=1.0, tau=None, prior_solver="exact")
CHAINS = {
    "langevin": dict(FINE, mc_algo="langevin", num_steps=120, lr=6e-4),
    "hmc": dict(FINE, mc_algo="hmc", num_steps=40, lr=1e-3, momentum=0.7),
}


def small(schedule="vp"):
    return pose(OPERATORS["bicubic"], n=2, schedule=schedule)


def field(schedule="vp"):
    prior = GaussianField((1, 4, 4), mean=0.1, schedule=schedule)
    return pose(pooling, n=128, prior=prior, sigma=0.2)


def poly(a, b, n):
    r = np.linspace(0, 1, n)
    return (a ** (1 / 7) + r * (b ** (1 / 7) - a ** (1 / 7))) ** 7


def reference(problem, steps, num_steps, lr, ratio, tau, *, hmc=None, to_zero=False, kind="gaussian", top=50.0):
    """In the units of the code, x of variance S^2 more than the image's, noise levels as themselves; A as a matrix."""
    A, y, x_t, draw = parts(problem)

    def denoise(x, s):
        return MEAN + STD**2 / (STD**2 + s**2) * (x - MEAN)

    S = np.append(poly(top, 0.1, steps + 1)[:-1], 0.0)
    x_t = S[0] * x_t
    for k, (s, then) in enumerate(pairwise(S)):
        inner = np.append(poly(s, 0.01, 5), 0.0) if to_zero else poly(s, 0.01, 6)
        x_hat = x_t
        for a, b in pairwise(inner):
            x_hat = x_hat + (b - a) * (x_hat - denoise(x_hat, a)) / a
        h = lr * (1 + k / (steps + 1) * (ratio - 1))
        x, v = x_hat, draw() if hmc is not None else 0.0
        for _ in range(num_steps):
            prior = {
                "gaussian": (x_hat - x_t) / s**2,
                "score-t": (denoise(x_t, s) - x_t) / s**2,
                "score-min": (denoise(x_hat, 0.01) - x_hat) / 1e-4,
                "exact": (denoise(x, 0.01) - x) / 1e-4,
            }[kind]
            score = 2 * (y - x @ A.T) @ A / tau**2 + (x_t - x) / s**2 + prior
            if hmc is None:
                x = x + h * score + np.sqrt(2 * h) * draw()
            else:
                v = hmc * v + np.sqrt(h) * score + np.sqrt(2 * (1 - hmc)) * draw()
                x = x + np.sqrt(h) * v
        x_t = x + then * draw()
    return images(problem, x_t)


@pytest.mark.parametrize("kind", ["gaussian", "score-t", "score-min", "exact"])
@pytest.mark.parametrize(("hmc", "schedule"), [(None, "vp"), (0.6, "ve"), (0.6, "flow")])
def test_it_is_the_algorithm(hmc, schedule, kind):
    chain = dict(mc_algo="langevin") if hmc is None else dict(mc_algo="hmc", momentum=hmc)
    for to_zero in (False, True):
        expected = reference(small(schedule), 4, 5, 1e-5, 0.1, 0.05, hmc=hmc, to_zero=to_zero, kind=kind)
        x = daps(
            small(schedule), steps=4, sigma_max=50, num_steps=5, lr=1e-5, lr_min_ratio=0.1, tau=0.05,
            prior_solver=kind, ode_to_zero=to_zero, **chain,
        )  # fmt: skip
        assert gap(x, expected) < 1e-6


def witness(solve, schedule="vp", chain="hmc"):
    """Long fine chains sample the posterior of a field."""
    problem = field(schedule)
    assert max(far(problem, solve(problem, **CHAINS[chain]))) < 4.5


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_long_fine_chains_sample_the_posterior_of_a_field(schedule, chain):
    witness(daps, schedule, chain)


def test_short_chains_do_not():
    problem = field()
    assert max(far(problem, daps(problem, **CHAINS["hmc"] | dict(num_steps=4)))) > 5


def test_the_weight_of_the_noise():
    told, set_by_hand = (daps(small(), steps=3, num_steps=5, lr=1e-5, tau=tau) for tau in (None, 2**0.5 * 0.1))
    assert gap(told, set_by_hand) < 1e-9
    with pytest.raises(ValueError, match="set tau"):
        daps(replace(small(), noise=None), tau=None)


@pytest.mark.parametrize(("kind", "more"), [("gaussian", 0), ("score-t", 1), ("score-min", 1), ("exact", 6)])
def test_the_cost_and_no_graph(kind, more):
    for to_zero in (False, True):
        problem = frozen(small())
        daps(problem, steps=7, ode_steps=5, num_steps=6, lr=1e-6, prior_solver=kind, ode_to_zero=to_zero)
        assert problem.prior.evaluations == 7 * (5 + more) * 2


def test_an_image_that_breaks_is_zero_and_alone():
    y = small().y.clone()
    y[1, ..., 0] = torch.nan
    x, expected = (daps(problem, steps=3, num_steps=5, lr=1e-6) for problem in (replace(small(), y=y), small()))
    assert gap(x[0], expected[0]) < 1e-12
    assert not x[1].any()


class Flip:
    """An autoencoder that loses nothing."""

    image_shape = (1, 4, 4)

    def encode(self, x):
        return x.flip(-1)

    def decode(self, z):
        return z.flip(-1)


class Flipped(Operator):
    """f of the image that the code stands for."""

    def __init__(self, f):
        super().__init__(f.shape)
        self.f = f

    def forward(self, z):
        return self.f(z.flip(-1))


def test_a_latent_prior_makes_its_decoder_a_part_of_the_map():
    pixel = replace(small(), f=Flipped(small().f))
    latent = replace(small(), prior=LatentPrior(IsotropicGaussian((1, 4, 4), MEAN, STD), Flip()))
    options = dict(steps=4, num_steps=5, lr=1e-4, tau=0.1)
    assert gap(daps(latent, **options), daps(pixel, **options).flip(-1)) < 1e-12
    assert gap(daps(latent, **options), daps(latent, clip_gradient=0.1, **options)) > 1e-4
