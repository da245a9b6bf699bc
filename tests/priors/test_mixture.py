"""Gaussian mixtures and their posteriors against sums written out, importance sampling and integrals on a grid."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from sipbench.errors import UserError
from sipbench.operators import Inpainting
from sipbench.operators.base import LinearOperator
from sipbench.priors import exact
from sipbench.priors import mixture as module
from sipbench.priors.field import GaussianField
from sipbench.priors.mixture import SETTINGS, GaussianMixture, mixture
from sipbench.problem import Rng

from .broken import broken

SHAPE = (1, 2, 3)


def states(b=5, shape=SHAPE):
    return Rng.of(0, "states", range(b)).normal(*shape, dtype=torch.float64)


def by_hand(prior, x_t, alpha, sigma):
    """E[x | x_t], a component and an image at a time."""
    p = prior.density()
    noise = sigma**2 * torch.eye(p.means.shape[1], dtype=torch.float64)
    out = []
    for x in x_t.flatten(1):
        total, weight = 0.0, 0.0
        for w, mu, C in zip(p.weights, p.means, p.covariances, strict=True):
            S = alpha**2 * C + noise
            r = w * MultivariateNormal(alpha * mu, S).log_prob(x).exp()
            total, weight = total + r * (mu + alpha * C @ torch.linalg.solve(S, x - alpha * mu)), weight + r
        out.append(total / weight)
    return torch.stack(out).view(x_t.shape)


def error_of_denoise(make, schedule):
    prior = make("cloud", SHAPE, schedule=schedule)
    gaps = []
    for t in prior.times(8)[2:-1]:
        alpha, sigma = prior.scales(t)
        x_t = (alpha**2 + sigma**2).sqrt() * 0.5 * states()
        gaps.append((prior.denoise(x_t, t) - by_hand(prior, x_t, alpha, sigma)).abs().max())
    return max(gaps)


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_the_denoiser_is_the_sum_over_components(schedule):
    assert error_of_denoise(mixture, schedule) < 1e-10


BROKEN = [
    ("means = mu + ANY", "means = ANY"),
    ("alpha * l / s * u", "l / s * u"),
    ("u**2 / s + s.log()", "u**2 / s"),
    ("0.5 * (u**2 / s + s.log()).sum(-1)", "(u**2 / s + s.log()).sum(-1)"),
    ("self._like(self._density.log_weights, u) - ANY", "-ANY"),
    ("u, s = ANY, alpha**2 * l + sigma**2", "u, s = ANY, l + sigma**2"),
]


@pytest.mark.parametrize(("right", "wrong"), BROKEN)
def test_a_broken_denoiser_is_seen(right, wrong):
    assert error_of_denoise(broken(module, right, wrong).mixture, "flow") > 1e-4


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_the_score_is_the_gradient_of_the_log_density(schedule):
    prior = mixture("ring", SHAPE, schedule=schedule)
    for t in prior.times(6)[1:-1]:
        x = (prior.scales(t)[1] * states()).requires_grad_()
        (gradient,) = torch.autograd.grad(prior.log_prob(x, t).sum(), x)
        score = prior.score(x, t)
        assert (score - gradient).abs().max() < 1e-9 * (1 + gradient.abs().max())


def test_the_noisy_density_is_that_of_noisy_samples():
    """log p_t against torch.distributions, at a time of its own for each state."""
    prior = mixture("pair", SHAPE)
    p, times, x = prior.density(), prior.times(9)[[2, 4, 5, 6, 8]], states()
    for t, log_p, x_t in zip(times, prior.log_prob(x, times), x, strict=True):
        alpha, sigma = prior.scales(t)
        S = alpha**2 * p.covariances + sigma**2 * torch.eye(6, dtype=torch.float64)
        parts = MultivariateNormal(alpha * p.means, S).log_prob(x_t.flatten())
        assert torch.allclose(log_p, (p.log_weights + parts).logsumexp(0))


def test_one_time_an_image_far_states_and_both_precisions():
    prior = mixture("ring", SHAPE)
    times, x = prior.times(9)[[2, 4, 5, 6, 8]], states()
    each = torch.cat([prior.denoise(x[i : i + 1], times[i]) for i in range(5)])
    assert (prior.denoise(x, times) - each).abs().max() < 1e-12
    assert prior.denoise(1e3 * x, times[4]).isfinite().all()
    assert prior.denoise(x.float(), times[0]).dtype == torch.float32
    assert (prior.denoise(x, torch.tensor(0.0)) - x).abs().max() < 1e-12


def test_it_is_differentiable():
    prior, x = mixture("cloud", (1, 2, 2)), states(2, (1, 2, 2)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: prior.denoise(x, prior.times(5)[3]), x)


def test_one_component_is_a_gaussian():
    field = GaussianField((1, 2, 3), mean=0.2)
    one = GaussianMixture((1, 2, 3), torch.ones(1), field.mean_vector()[None], field.covariance()[None])
    for t in field.times(5)[1:]:
        assert (one.denoise(states(), t) - field.denoise(states(), t)).abs().max() < 1e-12


@pytest.mark.parametrize("setting", SETTINGS)
def test_samples_of_every_setting_have_its_moments(setting):
    prior, n = mixture(setting, (1, 2, 4), seed=3), 4000
    x = prior.sample(Rng.of(0, "samples", range(n))).flatten(1)
    C = prior.covariance()
    assert ((x.mean(0) - prior.mean_vector()) / (C.diagonal() / n).sqrt()).abs().max() < 4.5
    assert (x.T.cov() - C).abs().max() < 8 * C.diagonal().max() / n**0.5
    assert torch.equal(mixture(setting, (1, 2, 4), seed=3).density().means, prior.density().means)
    assert not torch.equal(mixture(setting, (1, 2, 4), seed=4).density().means, prior.density().means)


class Row(LinearOperator):
    """y = <a, x>."""

    a = torch.tensor([1.0, 0.6], dtype=torch.float64)

    def forward(self, x):
        return (x.flatten(1) @ self.a)[:, None]


def importance(prior, f, y, sigma, n=200_000):
    """The posterior's mean and covariance from draws of the prior, weighted by their likelihood; effective number."""
    x = prior.density()._placed(
        torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        torch.rand(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    )
    w = (-0.5 * ((f(x.view(n, 1, 1, 2)) - y) / sigma).square().sum(1)).softmax(0)
    mean = w @ x
    return mean, (w * (x - mean).T) @ (x - mean), 1 / w.square().sum()


def far_from_importance(conditioned):
    """In standard errors."""
    prior, f, y = mixture("ring", (1, 1, 2)), Row((1, 1, 1, 2)), torch.tensor([[0.45]], dtype=torch.float64)
    posterior = conditioned(prior.density(), f, y, 0.3)
    mean, C, n = importance(prior, f, y, 0.3)
    off = (posterior.mean - mean) / (C.diagonal() / n).sqrt()
    return max(off.abs().max(), (posterior.covariance - C).abs().max() / C.diagonal().max() * (n / 2) ** 0.5)


def test_the_posterior_is_what_importance_sampling_finds():
    assert far_from_importance(exact.conditioned) < 4


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("0.5 * whitened.square().sum()", "whitened.square().sum()"),
        ("log_w - 0.5 * whitened.square().sum() - ANY", "log_w - 0.5 * ANY"),
        ("A @ C @ A.T + sigma**2 * ANY", "A @ C @ A.T + 2 * sigma**2 * ANY"),
        ("means.append(mu + G @ residual)", "means.append(mu)"),
    ],
)
def test_a_broken_posterior_is_seen(right, wrong):
    assert far_from_importance(broken(exact, right, wrong).conditioned) > 6


def test_posterior_density_and_sets_on_a_grid():
    """Bayes' rule on a grid: the density, and how much of it the highest-density sets hold."""
    prior, f, y = mixture("cloud", (1, 1, 2), seed=1), Row((1, 1, 1, 2)), torch.tensor([[0.2]], dtype=torch.float64)
    posterior = prior.posterior(f, y, 0.2)
    axis = torch.linspace(-3, 3, 601, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis).view(-1, 1, 1, 2)
    log_p = prior.density().log_prob(x) - 0.5 * ((f(x) - y) / 0.2).square().sum(1)
    log_p = log_p - log_p.logsumexp(0) - 2 * math.log(0.01)
    assert (posterior.log_prob(x) - log_p).abs().max() < 1e-6
    for level in (0.5, 0.9):
        assert abs(posterior.inside(x, level).double() @ log_p.exp() * 1e-4 - level) < 0.02


def test_posterior_samples_fill_its_sets():
    prior, rng = mixture("cloud", (1, 4, 4)), Rng.of(2, "sets", [0])
    f = Inpainting((1, 1, 4, 4), rng.child("f"), removed=0.5)
    y = f(prior.sample(rng)) + 0.1 * rng.child("noise").normal(1, 4, 4, dtype=torch.float64)
    posterior = prior.posterior(f, y, 0.1)
    x = posterior.sample(Rng.of(3, "draws", range(2000)))
    for level in (0.5, 0.9):
        assert abs(posterior.inside(x, level).double().mean() - level) < 0.05
    centre = posterior.mean.view(1, 1, 4, 4)
    assert posterior.inside(centre + 1.5 * (x - centre), 0.9).double().mean() < 0.7


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UserError, match="Did you mean ring"):
        mixture("rign", SHAPE)
    with pytest.raises(ValueError, match="means and covariances"):
        GaussianMixture((1, 1, 2), torch.ones(2), torch.zeros(2, 3), torch.zeros(2, 3, 3))
