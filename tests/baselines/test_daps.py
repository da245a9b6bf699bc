"""DAPS against its formulas in numpy, and against exact posteriors where its chain has the exact score."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import daps as module
from baselines.diffusion.daps import daps
from sipbench.operators import BicubicDownsampling
from sipbench.operators.base import Operator
from sipbench.priors.field import GaussianField
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from sipbench.problem import Rng
from tests.baselines.exact import Frozen, far, pose

MEAN, STD = 0.1, 0.5
FINE = dict(steps=8, sigma_max=5.0, sigma_min=0.1, lr_min_ratio=1.0, tau=None, prior_solver="exact")
CHAINS = {
    "langevin": dict(FINE, mc_algo="langevin", num_steps=120, lr=6e-4),
    "hmc": dict(FINE, mc_algo="hmc", num_steps=40, lr=1e-3, momentum=0.7),
}


def bicubic(shape, rng):
    return BicubicDownsampling(shape, rng, factor=2)


def small(schedule="vp", n=2):
    return pose(bicubic, n=n, mean=MEAN, std=STD, schedule=schedule)


def field(schedule="vp"):
    return pose(bicubic, n=128, prior=GaussianField((1, 4, 4), mean=0.1, schedule=schedule), sigma=0.2)


def poly(a, b, n):
    r = np.linspace(0, 1, n)
    return (a ** (1 / 7) + r * (b ** (1 / 7) - a ** (1 / 7))) ** 7


def reference(problem, steps, num_steps, lr, ratio, tau, *, hmc=None, to_zero=False, kind="gaussian", top=50.0):
    """In the units of the code, x of variance S^2 more than the image's, noise levels as themselves; A as a matrix."""
    shape = problem.shape[1:]
    f = problem.f.select(slice(0, 1))
    A = torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(np.prod(shape), dtype=torch.float64)], 1).numpy()
    rng, y = Rng(problem.rng.keys), problem.y.flatten(1).numpy()

    def draw(source=rng):
        return source.normal(*shape, dtype=torch.float64).flatten(1).numpy()

    def denoise(x, s):
        return MEAN + STD**2 / (STD**2 + s**2) * (x - MEAN)

    S = np.append(poly(top, 0.1, steps + 1)[:-1], 0.0)
    x_t = S[0] * draw(rng.portable)
    for k in range(steps):
        s = S[k]
        inner = np.append(poly(s, 0.01, 5), 0.0) if to_zero else poly(s, 0.01, 6)
        x_hat = x_t
        for a, b in zip(inner[:-1], inner[1:], strict=True):
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
        x_t = x + S[k + 1] * draw()
    return torch.from_numpy(x_t).view(problem.shape)


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
        assert (x - expected).abs().max() < 1e-6


@pytest.mark.parametrize("chain", ["langevin", "hmc"])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_long_fine_chains_sample_the_posterior_of_a_field(schedule, chain):
    problem = field(schedule)
    assert max(far(problem, daps(problem, **CHAINS[chain]))) < 4.5


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("return 2 * sigma**2", "return sigma**2"),
        ("return 2 * sigma**2", "return 4 * sigma**2"),
        ("(2 * (1 - m)) ** 0.5", "(4 * (1 - m)) ** 0.5"),
        ("then.alpha * x_y + then.sigma", "then.alpha * x_y + now.sigma"),
        ("    return prior.decode(x_y)\n", "    return prior.decode(x_y + 0.2 * rng.normal_like(x_y))\n"),
    ],
    ids=["half the noise", "twice the noise", "twice the heat", "level too high", "noise at the end"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong, 1), "broken", "exec"), broken)
    problem = field()
    assert not max(far(problem, broken["daps"](problem, **CHAINS["hmc"]))) < 5


def test_short_chains_do_not():
    problem = field()
    assert max(far(problem, daps(problem, **CHAINS["hmc"] | dict(num_steps=4)))) > 5


def test_the_weight_of_the_noise():
    told, set_by_hand = (daps(small(), steps=3, num_steps=5, lr=1e-5, tau=tau) for tau in (None, 2**0.5 * 0.1))
    assert (told - set_by_hand).abs().max() < 1e-9
    hidden = small()
    object.__setattr__(hidden, "noise", None)
    with pytest.raises(ValueError, match="set tau"):
        daps(hidden, tau=None)


@pytest.mark.parametrize(("kind", "more"), [("gaussian", 0), ("score-t", 1), ("score-min", 1), ("exact", 6)])
def test_the_cost_and_no_graph(kind, more):
    for to_zero in (False, True):
        problem = small()
        object.__setattr__(problem, "prior", Frozen(problem.prior))
        daps(problem, steps=7, ode_steps=5, num_steps=6, lr=1e-6, prior_solver=kind, ode_to_zero=to_zero)
        assert problem.prior.evaluations == 7 * (5 + more) * 2


def test_an_image_that_breaks_is_zero_and_alone():
    broken, fine = small(), small()
    y = broken.y.clone()
    y[1, ..., 0] = torch.nan
    object.__setattr__(broken, "y", y)
    options = dict(steps=3, num_steps=5, lr=1e-6)
    x, expected = daps(broken, **options), daps(fine, **options)
    assert (x[0] - expected[0]).abs().max() < 1e-12
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
    pixel, latent = small(), small()
    object.__setattr__(pixel, "f", Flipped(pixel.f))
    object.__setattr__(latent, "prior", LatentPrior(IsotropicGaussian((1, 4, 4), MEAN, STD), Flip()))
    options = dict(steps=4, num_steps=5, lr=1e-4, tau=0.1)
    assert (daps(latent, **options) - daps(pixel, **options).flip(-1)).abs().max() < 1e-12
    assert (daps(latent, **options) - daps(latent, clip_gradient=0.1, **options)).abs().max() > 1e-4


def test_images_do_not_feel_each_other():
    together = daps(small(), steps=4, num_steps=5)
    alone = [daps(small().select(slice(i, i + 1)), steps=4, num_steps=5) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9


def test_an_unknown_part_is_named():
    for option, known in (({"mc_algo": "mala"}, "langevin, hmc"), ({"prior_solver": "flat"}, "gaussian, exact")):
        with pytest.raises(ValueError, match=known):
            daps(small(), **option)
