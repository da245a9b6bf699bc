"""Noise models: what they draw against the formulas, and how they are asked for."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from sipbench import configs
from sipbench.errors import UserError
from sipbench.noise import Compound, Gaussian, Impulse, Jpeg, Mixture, Photons, PoissonGaussian, Shot, Speckle
from sipbench.operators.jpeg import codec
from sipbench.problem import Rng

SIDE = 1000  # a million draws
SMALL = Gaussian(0.1)
MODELS = {
    "gaussian": Gaussian(0.1),
    "gaussian_8_bits": Gaussian(level="medium", clip=True, quantise=True),
    "shot": Shot(rate=12),
    "shot_clipped": Shot(level="high", clip=True),
    "impulse": Impulse(p=0.3),
    "impulse_8_bits": Impulse(level="high", quantise=True),
    "speckle": Speckle(c=0.2),
    "speckle_clipped": Speckle(level="high", clip=True),
    "poisson_gaussian": PoissonGaussian(rate=30, read=0.05),
    "poisson_gaussian_clipped": PoissonGaussian(rate=12, read=0.05, clip=True),
    "photons": Photons(1e6),
    "compound": Compound([Shot(rate=20), Gaussian(0.2)]),
    "compound_jpeg": Compound([Gaussian(0.2, clip=True), Jpeg(30)]),
    "jpeg": Jpeg(10),
    "mixture": Mixture([Gaussian(0.2), Impulse(p=0.5), Speckle(c=0.4)], [0.5, 0.2, 0.3]),
}
# The mean and the variance of the noisy intensity, given the clean one.
FORMULAS = {
    "gaussian": lambda u: (u, 0.05**2),
    "shot": lambda u: (u, u / 12),
    "impulse": lambda u: (0.7 * u + 0.15, 0.7 * u**2 + 0.15 - (0.7 * u + 0.15) ** 2),
    "speckle": lambda u: (u, (0.2 * u) ** 2),
    "poisson_gaussian": lambda u: (u, u / 30 + 0.05**2),
    "photons": lambda u: (u, (u - 0.5) * SIDE**2 / 1e6 / 2),
    "compound": lambda u: (u, u / 20 + 0.1**2),
    "mixture": lambda u: (
        0.8 * u + 0.2 * (0.5 * u + 0.25),
        0.5 * (u**2 + 0.01) + 0.2 * (0.5 * u**2 + 0.25) + 0.3 * (1.16 * u**2) - (0.9 * u + 0.05) ** 2,
    ),
}


def flat(u, c=1, side=SIDE):
    return torch.full((1, c, side, side), 2 * u - 1, dtype=torch.float64)


def stream(*images):
    return Rng.of(0, "noise", images or [0]).portable


def agrees(noise, u, mean, variance, side=SIDE):
    """Whether mean and variance of side^2 draws lie within three standard errors."""
    v = (noise(flat(u, side=side), stream()).flatten() + 1) / 2
    off = v - v.mean()
    spread, kurtosis = float(off.square().mean()), float((off**4).mean())
    error = math.sqrt((kurtosis - spread**2) / len(v))
    return abs(float(v.mean()) - mean) <= 3 * math.sqrt(variance / len(v)) and abs(spread - variance) <= 3 * error


@pytest.mark.parametrize("u", [0.55, 0.8])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_million_draws_have_the_mean_and_the_variance_of_the_formula(name, u):
    mean, variance = FORMULAS[name](u)
    if name == "photons":  # y itself is an intensity: I = 2 u - 1, a million pixels share a million photons
        mean, variance = u, (2 * u - 1) ** 2 / 4
    assert agrees(MODELS[name], u, mean, variance)
    assert not agrees(MODELS[name], u, mean + 0.002, variance)
    assert not agrees(MODELS[name], u, mean, 1.02 * variance)


@pytest.mark.parametrize("u", [0.1, 0.9])
@pytest.mark.parametrize("name", [n for n in MODELS if "jpeg" not in n and n != "photons"])
def test_draws_have_the_moments_that_the_model_states(name, u):
    mean, variance = (float(m) for m in MODELS[name].moments(flat(u, side=1)))
    assert agrees(MODELS[name], u, (mean + 1) / 2, variance / 4, side=500)


class TooLoud(Gaussian):
    def __call__(self, y, rng):
        return y + 1.005 * self.sigma * rng.normal_like(y)


class Biased(Speckle):
    def draw(self, u, rng):
        return super().draw(u, rng) + 1e-3


class Rounded(Shot):
    def draw(self, u, rng):
        return (self.rate * u + (self.rate * u).sqrt() * rng.normal_like(u)).round() / self.rate


def test_a_wrong_model_is_seen():
    assert not agrees(TooLoud(0.1), 0.5, 0.5, 0.0025)
    assert not agrees(Biased(c=0.2), 0.5, 0.5, 0.01)
    assert not agrees(Rounded(rate=12), 0.5, 0.5, 0.5 / 12)  # rounding adds a twelfth of a step squared


def test_gaussian_is_normal():
    def p_value(z):
        return stats.kstest(z.flatten()[:200_000].numpy(), "norm").pvalue

    z = Gaussian(0.1)(flat(0.5), stream()) / 0.1
    assert p_value(z) > 0.01
    assert p_value(1.02 * z) < 0.001
    assert p_value((stream().uniform(SIDE, SIDE, dtype=torch.float64) - 0.5) * math.sqrt(12)) < 0.001


def test_gaussian_draws_what_it_always_drew():
    y = stream(3, 5).uniform(3, 8, 8)
    assert torch.equal(Gaussian(0.01)(y, stream(1, 2)), y + 0.01 * stream(1, 2).normal_like(y))


@pytest.mark.parametrize(("noise", "gain"), [(Shot(rate=12), 12), (Shot(rate=255), 255)])
def test_shot_counts_are_whole(noise, gain):
    counts = gain * (noise(flat(0.6, side=300), stream()) + 1) / 2
    assert float((counts - counts.round()).abs().max()) < 1e-9
    rate = gain * 0.6
    seen = np.bincount(counts.round().long().flatten().numpy(), minlength=2 * gain) / counts.numel()
    expected = stats.poisson.pmf(np.arange(len(seen)), rate)
    assert np.abs(seen - expected).max() < 4 * math.sqrt(expected.max() / counts.numel())


def test_photons_are_counted_for_each_image():
    intensity = torch.stack([flat(0.6, side=200)[0], 30 * flat(0.9, side=200)[0]])
    intensity[:, :, :100] = 0
    y = Photons(1e5)(intensity, stream(0, 1))
    for dark, found in zip(intensity, y, strict=True):
        gain = 1e5 / float(dark.sum())
        assert float((gain * found - (gain * found).round()).abs().max()) < 1e-6
        assert not found[:, :100].any()
        assert abs(gain * float(found.sum()) - 1e5) < 4 * math.sqrt(1e5)
    assert not Photons(10)(torch.zeros(1, 1, 4, 4), stream()).any()


def all_hit(noise, p):
    """Whether channels are hit independently of each other: P(all three) = p^3, within three standard errors."""
    hit = (noise(flat(0.5, 3, 500), stream()) != 0).all(1).double()
    return abs(float(hit.mean()) - p**3) <= 3 * math.sqrt(p**3 * (1 - p**3) / hit.numel())


class Shared(Impulse):
    def draw(self, u, rng):
        chance = rng.uniform(1, *u.shape[2:], dtype=u.dtype)
        return torch.where(chance < self.p, (chance < self.p / 2).to(u), u)


@pytest.mark.parametrize("p", [0.3, 0.5, 0.7])
def test_impulses_hit_scalars_half_black_half_white(p):
    y = Impulse(p=p)(flat(0.5, 3, 500), stream())
    for value, chance in ((-1, p / 2), (1, p / 2), (0, 1 - p)):
        assert abs(float((y == value).double().mean()) - chance) <= 3 * math.sqrt(chance * (1 - chance) / y.numel())
    assert all_hit(Impulse(p=p), p)
    assert not all_hit(Shared(p=p), p)


@pytest.mark.parametrize("name", MODELS)
def test_an_image_has_the_same_noise_in_any_batch(name):
    x = Rng.of(0, "x", [3, 5]).uniform(3, 16, 24, dtype=torch.float64) * 2 - 1
    together = MODELS[name](x, stream(3, 5))
    swapped = MODELS[name](x.flip(0), stream(5, 3))
    alone = MODELS[name](x[1:], stream(5))
    assert torch.equal(together, swapped.flip(0))
    assert torch.equal(together[1:], alone)
    assert not torch.equal(together - x, MODELS[name](x.flip(0), stream(3, 5)) - x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODELS)
def test_precision_and_shape_are_kept(name, dtype):
    x = (Rng.of(0, "x", [3, 5]).uniform(3, 16, 16) * 2 - 1).to(dtype)
    y, std = MODELS[name](x, stream(3, 5)), MODELS[name].std(x)
    assert y.dtype == std.dtype == dtype and y.shape == std.expand_as(x).shape == x.shape
    assert y.isfinite().all() and std.isfinite().all() and (std >= 0).all()


def ramp():
    return torch.linspace(-1, 1, 256, dtype=torch.float64).repeat(3, 256, 1)[None]


@pytest.mark.parametrize("name", [n for n in MODELS if n != "photons"])
def test_the_residual_of_the_truth_is_the_level_that_the_model_states(name):
    x = ramp()
    found = (MODELS[name](x, stream()) - x).square().mean().sqrt()
    stated = MODELS[name].rms(x).square().mean().sqrt()
    assert float(found / stated) == pytest.approx(1, abs=0.01 if MODELS[name].pointwise or name == "jpeg" else 0.04)


def test_one_level_is_told_only_where_there_is_one():
    assert Gaussian(0.1).sigma == 0.1
    assert torch.equal(Gaussian(0.1).std(flat(0.5, side=2)), torch.full((1, 1, 2, 2), 0.1, dtype=torch.float64))
    assert all(MODELS[n].sigma is None for n in MODELS if "gaussian" not in n)


def clipped(of_z):
    """E[(clip(v) - u)^2] over a ramp u, v = of_z(u, z) with z normal, by the trapezoidal rule."""
    u, z = np.linspace(0, 1, 256)[:, None], np.linspace(-8, 8, 4001)
    return integrate.trapezoid((np.clip(of_z(u, z), 0, 1) - u) ** 2 * stats.norm.pdf(z), z, axis=1).mean()


def counted(rate):
    u, n = np.linspace(0, 1, 256)[:, None], np.arange(100)
    return ((np.minimum(n / rate, 1) - u) ** 2 * stats.poisson.pmf(n, rate * u)).sum(1).mean()


def struck(p):
    u = np.linspace(0, 1, 256)
    return (p * (u**2 + (1 - u) ** 2) / 2).mean()


BENCHMARK = [
    *(
        (Gaussian, name, clipped(lambda u, z, s=s: u + s * z))
        for name, s in (("low", 0.12), ("medium", 0.18), ("high", 0.26))
    ),
    *((Shot, name, counted(rate)) for name, rate in (("low", 25), ("medium", 12), ("high", 5))),
    *((Impulse, name, struck(p)) for name, p in (("low", 0.3), ("medium", 0.5), ("high", 0.7))),
    *(
        (Speckle, name, clipped(lambda u, z, c=c: u + c * u * z))
        for name, c in (("low", 0.2), ("medium", 0.35), ("high", 0.45))
    ),
]


@pytest.mark.parametrize(("kind", "level", "mse"), BENCHMARK)
def test_the_levels_of_the_early_stopping_work_on_a_ramp(kind, level, mse):
    """The PSNR of the noisy input, clipped and at 8 bits, within 0.05 dB of the formula."""
    x = ramp()

    def off(noise):
        error = (noise(x, stream()) - x).square().mean() / 4
        return abs(10 * math.log10(float(error) / mse))

    assert off(kind(level=level, clip=True, quantise=True)) < 0.05
    other = {"low": "medium", "medium": "high", "high": "medium"}[level]
    assert off(kind(level=other, clip=True, quantise=True)) > 0.5


FREE = {Gaussian: {"sigma": 0.5}, Shot: {"rate": 5}, Impulse: {"p": 0.7}, Speckle: {"c": 0.45}}


@pytest.mark.parametrize("kind", FREE)
def test_eight_bits_are_in_range_and_on_the_grid(kind):
    y = kind(level="high")(ramp(), stream())
    levels = 127.5 * (y + 1)
    assert y.min() == -1 and y.max() == 1
    assert float((levels - levels.round()).abs().max()) < 1e-9
    free = kind(**FREE[kind])
    assert free(ramp(), stream()).abs().max() > 1 or kind is Impulse
    assert kind(clip=True, **FREE[kind])(ramp(), stream()).abs().max() == 1


def test_a_level_or_a_unit_says_the_same_in_other_words():
    file = {"clip": True, "quantise": True}
    assert Gaussian(0.12, unit=True) == Gaussian(0.24)
    assert Gaussian(level="low") == Gaussian(0.24, **file)
    assert Shot(level="low") == Shot(rate=25, **file) and Impulse(level="high") == Impulse(p=0.7, **file)
    assert Speckle(level="medium") == Speckle(c=0.35, **file)


def test_compounds_come_from_configs():
    node = {"_target_": "sipbench.noise.Gaussian", "sigma": 0.2, "clip": True}
    codec_node = {"_target_": "sipbench.noise.Jpeg", "quality": 30}
    built = configs.build({"_target_": "sipbench.noise.Compound", "noises": [node, codec_node]})
    assert built == MODELS["compound_jpeg"]
    x = ramp()
    noisy = Gaussian(0.2, clip=True)(x, stream())
    assert torch.equal(built(x, stream()), codec(noisy, 30))
    mixed = configs.build({"_target_": "sipbench.noise.Mixture", "noises": [node, codec_node], "weights": [0.5, 0.5]})
    assert isinstance(mixed.noises[0], Gaussian)
    with pytest.raises(UserError, match="sigma must be"):
        configs.build({"_target_": "sipbench.noise.Compound", "noises": [node | {"sigma": -1}]})


def test_a_mixture_takes_its_weights():
    y = Mixture([Gaussian(0.0), Impulse(p=1.0)], [0.7, 0.3])(flat(0.5, 3, 500), stream())
    share = float((y == 0).double().mean())
    assert abs(share - 0.7) <= 3 * math.sqrt(0.7 * 0.3 / y.numel())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Gaussian(), "give sigma, or level as low, medium, high"),
        (lambda: Gaussian(-1.0), "sigma must be zero or positive"),
        (lambda: Gaussian(math.inf), "sigma must be zero or positive"),
        (lambda: Gaussian(0.1, level="low"), "give sigma or level, not both"),
        (lambda: configs.typed(Gaussian, {"level": "loud"}), "unknown level 'loud'. Did you mean low"),
        (lambda: Shot(rate=0), "rate must be positive, not 0"),
        (lambda: Impulse(p=1.5), "p is a probability, not 1.5"),
        (lambda: Impulse(), "give p, or level"),
        (lambda: Speckle(c=-0.1), "c must be positive"),
        (lambda: PoissonGaussian(rate=5, read=-1.0), "read must be zero or positive"),
        (lambda: Photons(0), "photons must be positive"),
        (lambda: Jpeg(0), "quality is a whole number from 1 to 100, not 0"),
        (lambda: Compound([]), "at least one"),
        (lambda: Mixture([SMALL], [0.5]), "sum to 1"),
        (lambda: Mixture([SMALL, SMALL], [1.0]), "one number for each noise"),
    ],
)
def test_bad_input_is_one_clear_line(make, says):
    with pytest.raises(ValueError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_the_codec_wants_a_picture():
    with pytest.raises(ValueError, match="one or three channels"):
        Jpeg(50)(torch.zeros(1, 2, 8, 8), stream())
