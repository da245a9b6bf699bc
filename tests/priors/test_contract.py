"""The contract of every prior listed in conf/prior whose weights are here, and of the analytic one."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from sipbench import checkpoints, configs
from sipbench.errors import UserError
from sipbench.priors import schedules
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.network import NetworkPrior
from sipbench.priors.schedules import LINEAR
from sipbench.problem import Rng
from tests import listed
from tests.priors.test_schedules import times_fall_to_zero


@pytest.fixture(scope="module", params=["analytic", *listed.PRIORS])
def prior(request):
    """A prior by name; skipped where there is nothing to load."""
    if request.param == "analytic":
        return IsotropicGaussian((3, 16, 16), 0.1, 0.4)
    cfg = configs.compose([f"prior={request.param}"])
    if OmegaConf.is_missing(cfg.prior, "path") or cfg.prior["_target_"] is None:
        pytest.skip("it stands for any folder, or for no prior")
    node = OmegaConf.to_container(cfg.prior, resolve=True)
    node = {k: v for k, v in node.items() if k not in ("variants", "get")}
    if "path" not in node:
        return configs.build(node)
    try:
        checkpoints.find(node["path"], cfg.weights)
    except UserError as missing:
        pytest.skip(str(missing))
    return configs.build(node, weights=cfg.weights)


def draw(prior, b=2):
    return Rng.of(0, "priors", range(b)).normal(*prior.shape)


def test_times_fall_to_zero(prior):
    limited = isinstance(prior.schedule, schedules.VariancePreserving) and prior.schedule.first < prior.schedule.T
    times_fall_to_zero(prior, start=0.995 if limited else 1.0)


def test_scales_run_from_noise_to_the_clean_image(prior):
    alpha, sigma = prior.scales(prior.times(50))
    assert (alpha.diff() >= 0).all() and (sigma.diff() <= 0).all()
    assert alpha[-1] == 1 and sigma[-1] == 0
    if isinstance(prior.schedule, schedules.VariancePreserving):
        assert torch.allclose(alpha**2 + sigma**2, torch.ones_like(alpha), atol=1e-12)
    assert sigma[0] / alpha[0] > 10


@pytest.mark.parametrize("at", [3, 40])
def test_denoise_is_differentiable_and_keeps_images_apart(prior, at):
    t, x_t = prior.times(50)[at], draw(prior).requires_grad_()
    x_hat = prior.denoise(x_t, t)
    assert x_hat.shape == x_t.shape and x_hat.dtype == x_t.dtype
    (gradient,) = torch.autograd.grad(x_hat[0].square().sum(), x_t)
    assert gradient[0].abs().max() > 0
    assert not gradient[1].any()
    alpha = prior.scales(t)[0]  # a network that predicts the noise has its rounding divided by alpha
    assert torch.allclose(alpha * prior.denoise(x_t[1:], t), alpha * x_hat[1:], atol=1e-5)


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


class Exact(nn.Module):
    """What a perfect network predicts where x ~ N(mean, std^2 I): the noise, the velocity, the image or the flow."""

    def __init__(self, gaussian, kind, time):
        super().__init__()
        self.one = nn.Parameter(torch.ones((), dtype=torch.float64))
        self.config = SimpleNamespace(in_channels=3, sample_size=4)
        self.gaussian, self.kind, self.time = gaussian, kind, time

    def forward(self, x_t, clock):
        t = self.time(clock.double())
        alpha, sigma = (s.view(-1, 1, 1, 1) for s in self.gaussian.scales(t))
        norm = (sigma**2 + S**2).sqrt()  # the input of preconditioned networks is x_t over this
        x_t = x_t * norm if self.kind.startswith("edm") else x_t
        x = self.gaussian.denoise(x_t, t)
        z = (x_t - alpha * x) / sigma
        residual = (x - (S / norm) ** 2 * x_t) * norm / (sigma * S)
        out = {"epsilon": z, "sample": x, "v_prediction": alpha * z - sigma * x, "flow": z - x,
               "edm_epsilon": residual, "edm_v_prediction": -residual}  # fmt: skip
        return SimpleNamespace(sample=self.one * out[self.kind])


S = 0.5  # sigma_data
VE = schedules.VarianceExploding()
EXACT = {
    "epsilon": ("vp", LINEAR, lambda clock: (clock + 1) / 1000),
    "v_prediction": ("vp", LINEAR | {"prediction_type": "v_prediction"}, lambda clock: (clock + 1) / 1000),
    "sample": ("vp", LINEAR | {"prediction_type": "sample"}, lambda clock: (clock + 1) / 1000),
    "flow": ("flow", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, lambda clock: clock / 1000),
    "edm_epsilon": ("ve", {"_class_name": "EDMEulerScheduler"}, lambda clock: VE.time_at((4 * clock).exp())),
    "edm_v_prediction": (
        "ve",
        {"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction"},
        lambda clock: VE.time_at((4 * clock).exp()),
    ),
}


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("step", [450, 600, 990])
def test_an_exact_network_gives_the_posterior_mean(kind, step):
    schedule, scheduler, time = EXACT[kind]
    gaussian = IsotropicGaussian((3, 4, 4), 0.2, 0.7, schedule)
    network = NetworkPrior(Exact(gaussian, kind, time), scheduler)
    x, z = (Rng.of(0, name, [0, 1]).normal(3, 4, 4, dtype=torch.float64) for name in "xz")
    t = torch.tensor(step / 1000, dtype=torch.float64)
    alpha, sigma = gaussian.scales(t)
    x_t = alpha * (0.2 + 0.7 * x) + sigma * z
    wanted = gaussian.denoise(x_t, t)
    assert torch.allclose(network.denoise(x_t, t), wanted, atol=1e-5)
    assert not torch.allclose(network.denoise(x_t, t - 0.01), wanted, atol=1e-5)
    wrong = NetworkPrior(Exact(gaussian, kind, lambda clock: time(clock) - 0.01), scheduler)
    assert not torch.allclose(wrong.denoise(x_t, t), wanted, atol=1e-5)


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
