"""Stationary Gaussian fields and their posteriors against dense formulas, written out otherwise."""

import math

import pytest
import torch

from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.blur import Blur
from sipbench.priors import exact, field
from sipbench.priors.field import GaussianField
from sipbench.problem import Rng

from .broken import broken

SCHEDULES = ("vp", "ve", "flow")
SHAPE = (2, 4, 5)


def states(b=3, shape=SHAPE):
    return Rng.of(0, "states", range(b)).normal(*shape, dtype=torch.float64)


def dense(prior, x_t, alpha, sigma):
    """E[x | x_t] by a matrix inverse, the covariance from the correlation of each pair of pixels."""
    c, h, w = prior.shape
    pixels = [(i, j) for i in range(h) for j in range(w)]
    k = torch.cartesian_prod(torch.arange(h), torch.arange(w)).double()
    unit = 2 * math.pi / torch.tensor([h, w], dtype=torch.float64)
    folded = (k * unit + math.pi).remainder(2 * math.pi) - math.pi
    power = (1 + 2.0**2 * folded.square().sum(1)) ** -1.5
    power = 0.5**2 * power / power.mean()
    lag = torch.tensor([[(a[0] - b[0], a[1] - b[1]) for b in pixels] for a in pixels]).double()
    C = (power * (lag[:, :, None] * k * unit).sum(-1).cos()).mean(-1)
    gain = alpha * C @ torch.linalg.inv(alpha**2 * C + sigma**2 * torch.eye(h * w, dtype=torch.float64))
    return 0.1 + ((x_t - alpha * 0.1).flatten(2) @ gain.T).view(x_t.shape)


def error_of_denoise(kind, schedule):
    prior = kind(SHAPE, mean=0.1, std=0.5, length=2.0, slope=3.0, schedule=schedule)
    gaps = []
    for t in prior.times(7)[1:-1]:
        alpha, sigma = prior.scales(t)
        gaps.append((prior.denoise(states(), t) - dense(prior, states(), alpha, sigma)).abs().max())
    return max(gaps)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_denoiser_is_the_dense_formula(schedule):
    assert error_of_denoise(GaussianField, schedule) < 1e-12


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("alpha * P / (alpha**2 * P + sigma**2)", "alpha * P / (alpha**2 * P + 2 * sigma**2)"),
        ("alpha * P / (alpha**2 * P + sigma**2)", "P / (alpha**2 * P + sigma**2)"),
        ("x_t - alpha * self.mean", "x_t - self.mean"),
        ("power.mean()", "power.max()"),
        ("-slope / 2", "-slope"),
    ],
)
def test_a_broken_denoiser_is_seen(right, wrong):
    assert error_of_denoise(broken(field, right, wrong).GaussianField, "flow") > 1e-3


def test_one_time_an_image_and_the_precision_is_kept():
    prior = GaussianField(SHAPE)
    times, x = prior.times(9)[[2, 5, 7]], states()
    each = torch.cat([prior.denoise(x[i : i + 1], times[i]) for i in range(3)])
    assert (prior.denoise(x, times) - each).abs().max() < 1e-12
    assert prior.denoise(x, times[0]).dtype == torch.float64
    assert prior.denoise(x.float(), times[0]).dtype == torch.float32


def test_it_is_differentiable():
    prior = GaussianField((1, 3, 4))
    x = states(2, prior.shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: prior.denoise(x, prior.times(5)[2]), x)


def test_samples_have_its_moments():
    prior = GaussianField((2, 3, 4), mean=0.3, std=0.7, length=1.0)
    x = prior.sample(Rng.of(0, "samples", range(4000))).flatten(1)
    mean, C = prior.mean_vector(), prior.covariance()
    assert torch.allclose(C.diagonal(), torch.tensor(0.49, dtype=torch.float64))
    assert not C[:12, 12:].any() and C[0, 1] > 0.1
    assert ((x.mean(0) - mean) / (C.diagonal() / 4000).sqrt()).abs().max() < 4.5
    spread = ((C**2 + C.diagonal()[:, None] * C.diagonal()) / 4000).sqrt()
    assert ((x.T.cov() - C) / spread).abs().max() < 5.5


@pytest.mark.parametrize("options", [{"length": 0.0}, {"slope": 0.0}])
def test_white_noise_is_a_field(options):
    prior = GaussianField((1, 4, 4), std=0.5, **options)
    assert torch.allclose(prior.covariance(), 0.25 * torch.eye(16, dtype=torch.float64))


def test_what_makes_no_sense_is_refused():
    for shape, options in (((4, 4), {}), (SHAPE, {"std": 0.0}), (SHAPE, {"length": -1.0})):
        with pytest.raises(ValueError):
            GaussianField(shape, **options)


OPERATORS = {
    "inpainting": lambda shape, rng: Inpainting(shape, rng, removed=0.5),
    "bicubic": lambda shape, rng: BicubicDownsampling(shape, rng, factor=2),
    "blur": lambda shape, rng: Blur(shape, rng, size=3, sigma=0.7),
}


def measured(prior, operator, sigma, seed=0):
    rng = Rng.of(seed, "measured", [0])
    f = OPERATORS[operator]((1, *prior.shape), rng.child("operator"))
    y = f(prior.sample(rng.child("x")))
    return f, y + sigma * rng.child("noise").normal_like(y)


def textbook(prior, f, y, sigma):
    """The posterior's moments from its precision matrix."""
    A = torch.func.jacrev(lambda x: f(x.view(1, *prior.shape)).flatten())(torch.zeros(prior.shape).double().flatten())
    precision = torch.linalg.inv(prior.covariance())
    C = torch.linalg.inv(precision + A.T @ A / sigma**2)
    return C @ (precision @ prior.mean_vector() + A.T @ y.flatten() / sigma**2), C


def error_of_posterior(conditioned, operator):
    prior = GaussianField((2, 4, 4), mean=0.2, length=1.0)
    f, y = measured(prior, operator, 0.1)
    posterior, (mean, C) = conditioned(prior.density(), f, y, 0.1), textbook(prior, f, y, 0.1)
    return max((posterior.mean - mean).abs().max(), (posterior.covariance - C).abs().max())


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_posterior_is_the_textbook_one(operator):
    assert error_of_posterior(exact.conditioned, operator) < 1e-10


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("A @ C @ A.T + sigma**2 * ANY", "A @ C @ A.T + 2 * sigma**2 * ANY"),
        ("sigma**2 * G @ G.T", "sigma * G @ G.T"),
        ("torch.cholesky_solve(A @ C, factor)", "A @ C"),
        ("means.append(mu + G @ residual)", "means.append(G @ residual)"),
    ],
)
def test_a_broken_posterior_is_seen(right, wrong):
    assert error_of_posterior(broken(exact, right, wrong).conditioned, "inpainting") > 1e-3


def test_posterior_samples_have_its_moments_and_fill_its_sets():
    prior = GaussianField((1, 4, 4), length=1.0)
    posterior = prior.posterior(*measured(prior, "blur", 0.1), 0.1)
    n = 4000
    x = posterior.sample(Rng.of(1, "posterior", range(n)))
    assert x.shape == (n, 1, 4, 4)
    w = torch.linalg.solve(torch.linalg.cholesky(posterior.covariance), (x.flatten(1) - posterior.mean).T)
    assert (w.mean(1) * n**0.5).abs().max() < 4.5
    assert ((w.var(1) - 1) * (n / 2) ** 0.5).abs().max() < 4.5
    for level in (0.5, 0.9):
        held = posterior.inside(x, level).double().mean()
        assert abs(held - level) < 4.5 * (level * (1 - level) / n) ** 0.5
    wide = posterior.mean.view(1, 1, 4, 4) + 2**0.5 * (x - posterior.mean.view(1, 1, 4, 4))
    assert posterior.inside(wide, 0.9).double().mean() < 0.6


def test_log_prob_is_the_density():
    prior = GaussianField((1, 2, 3), mean=0.1)
    normal = torch.distributions.MultivariateNormal(prior.mean_vector(), prior.covariance())
    x = states(5, prior.shape)
    assert torch.allclose(prior.density().log_prob(x), normal.log_prob(x.flatten(1)))


def test_a_posterior_is_of_one_measurement():
    prior = GaussianField((1, 4, 4))
    f, y = measured(prior, "blur", 0.1)
    with pytest.raises(ValueError, match="one measurement"):
        prior.posterior(f, y.expand(2, -1, -1, -1), 0.1)
