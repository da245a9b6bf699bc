"""The contract of every prior listed in conf/prior whose weights are here, and of the analytic one."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sipbench import parts
from sipbench.errors import UserError
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.network import NetworkPrior
from sipbench.priors.schedules import LINEAR, alphas_cumprod
from sipbench.problem import Rng
from tests import listed


@pytest.fixture(scope="module", params=["analytic", *listed.PRIORS])
def prior(request):
    """A prior by name; skipped where there is nothing to load."""
    if request.param == "analytic":
        return IsotropicGaussian((3, 16, 16), 0.1, 0.4)
    try:
        cell = listed.cell(f"prior={request.param}", "method=dps")
        if not cell.takes_prior:
            pytest.skip("it stands for no prior")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parts.load_prior(cell, torch.device("cpu"))
    except UserError as error:
        pytest.skip(str(error))


def draw(prior, b=2):
    return Rng.of(0, "priors", range(b)).normal(*prior.shape)


def test_times_fall_to_zero(prior):
    for n in (1, 2, 7, 50):
        times = prior.times(n)
        assert times.shape == (n + 1,)
        assert times[0] == 1 and times[-1] == 0
        assert (times.diff() < 0).all()


def test_scales_run_from_noise_to_the_clean_image(prior):
    alpha, sigma = prior.scales(prior.times(50))
    assert (alpha.diff() >= 0).all() and (sigma.diff() <= 0).all()
    assert alpha[-1] == 1 and sigma[-1] == 0
    if isinstance(prior, NetworkPrior):
        assert torch.allclose(alpha**2 + sigma**2, torch.ones_like(alpha), atol=1e-12)
        assert alpha[0] < 0.1


@pytest.mark.parametrize("at", [3, 40])
def test_denoise_is_differentiable_and_keeps_images_apart(prior, at):
    t, x_t = prior.times(50)[at], draw(prior).requires_grad_()
    x_hat = prior.denoise(x_t, t)
    assert x_hat.shape == x_t.shape and x_hat.dtype == x_t.dtype
    (gradient,) = torch.autograd.grad(x_hat[0].square().sum(), x_t)
    assert gradient[0].abs().max() > 0
    assert not gradient[1].any()
    assert torch.allclose(prior.denoise(x_t[1:], t), x_hat[1:], atol=1e-4)


def test_one_time_an_image_is_that_of_each(prior):
    times, x_t = prior.times(10)[[2, 7]], draw(prior)
    each = torch.cat([prior.denoise(x_t[i : i + 1], times[i]) for i in range(2)])
    assert torch.allclose(prior.denoise(x_t, times), each, atol=1e-4)


def test_a_nearly_clean_image_stays(prior):
    """At the least noise the prior knows, E[x | x_t] is x_t but for that noise."""
    t = prior.times(1000)[-2]
    x = draw(prior, 1).mul(0.1)
    alpha, sigma = prior.scales(t)
    noisy = alpha.float() * x + sigma.float() * draw(prior, 1)
    assert (prior.denoise(noisy, t) - noisy / alpha.float()).abs().mean() < 3 * sigma


def test_the_linear_schedule_has_the_published_products():
    """P_i of the 1000-step schedule with beta from 1e-4 to 0.02."""
    P = alphas_cumprod(LINEAR)
    table = {0: 0.99990, 250: 0.5214, 333: 0.31862, 500: 0.0778, 666: 0.010984, 749: 0.00335, 999: 4.036e-5}
    for i, value in table.items():
        assert float(P[i]) == pytest.approx(value, rel=1e-3), i


class Exact(nn.Module):
    """The noise that a perfect network predicts where x ~ N(mean, std^2 I), or v, or x itself."""

    def __init__(self, kind, mean, std, products):
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.config = SimpleNamespace(in_channels=3, sample_size=4)
        self.kind, self.mean, self.std, self.products = kind, mean, std, products

    def forward(self, x_t, step):
        P = self.products[step.long()].view(-1, 1, 1, 1)
        x = self.mean + P.sqrt() * self.std**2 / (P * self.std**2 + 1 - P) * (x_t - P.sqrt() * self.mean)
        z = (x_t - P.sqrt() * x) / (1 - P).sqrt()
        out = {"epsilon": z, "sample": x, "v_prediction": P.sqrt() * z - (1 - P).sqrt() * x}[self.kind]
        return SimpleNamespace(sample=self.scale * out)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("step", [1, 250, 1000])
def test_an_exact_network_gives_the_posterior_mean(kind, step):
    mean, std = 0.2, 0.5
    diffusion = NetworkPrior(Exact(kind, mean, std, alphas_cumprod(LINEAR)), LINEAR | {"prediction_type": kind})
    gaussian = IsotropicGaussian((3, 4, 4), mean, std)
    x_t, t = Rng.of(0, "x", [0, 1]).normal(3, 4, 4, dtype=torch.float64), torch.tensor(step / 1000)
    assert torch.allclose(diffusion.denoise(x_t, t), gaussian.denoise(x_t, t), atol=1e-9)
    late = torch.tensor((step - 1) / 1000) if step > 1 else torch.tensor(0.1)
    assert not torch.allclose(diffusion.denoise(x_t, t), gaussian.denoise(x_t, late), atol=1e-9)


def test_the_gaussian_posterior_mean_by_regression():
    """E[x | x_t] is the linear map that fits x best: its slope is Cov(x, x_t) / Var(x_t)."""
    mean, std, n = -0.3, 0.4, 200_000
    prior, t = IsotropicGaussian((n,), mean, std), torch.tensor(0.3)
    alpha, sigma = (float(s) for s in prior.scales(t))
    rng = Rng.of(0, "x", [0])
    x = mean + std * rng.normal(n, dtype=torch.float64)[0]
    x_t = alpha * x + sigma * rng.normal(n, dtype=torch.float64)[0]
    error = x - prior.denoise(x_t[None], t)[0]
    assert abs(error.mean()) < 5 * error.std() / n**0.5
    assert abs((error * (x_t - x_t.mean())).mean()) < 5 * error.std() * x_t.std() / n**0.5
