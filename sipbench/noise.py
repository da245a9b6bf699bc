"""Noise models. Each takes a clean measurement and one random stream per image.

All but `Gaussian` and `Photons` are defined on intensities in [0, 1]: they map images from [-1, 1] to there and back.
The levels low, medium and high are those of the early-stopping work, which also clips and rounds to 8 bits: so does a
model that is given one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from functools import reduce
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from sipbench import configs
from sipbench.operators import jpeg
from sipbench.operators.jpeg import Subsampling
from sipbench.problem import Rng

Moments = tuple[Tensor, Tensor]
Level = Literal["low", "medium", "high"]


class Noise(Protocol):
    """A noise model: what it adds, and the level a residual is compared with."""

    @property
    def sigma(self) -> float | None:
        """The standard deviation of y - f(x) in the units of y where it is the same everywhere, else None."""

    def rms(self, clean: Tensor) -> Tensor:
        """The root mean square of y - clean expected of each entry, broadcastable to it."""
        ...

    def __call__(self, y: Tensor, rng: Rng) -> Tensor: ...


class Model:
    """What the models share: their level follows from their moments. Rounding to 8 bits is left out of these."""

    pointwise: ClassVar[bool] = True  # whether an entry of y depends on the same entry of the clean measurement alone
    counts: ClassVar[bool] = False  # whether it counts photons: the clean measurement is then an intensity

    @property
    def sigma(self) -> float | None:
        return None

    def moments(self, clean: Tensor) -> Moments:
        """The mean and the variance of each entry of y given the clean measurement."""
        raise NotImplementedError

    def std(self, clean: Tensor) -> Tensor:
        return self.moments(clean)[1].clamp(min=0).sqrt()

    def rms(self, clean: Tensor) -> Tensor:
        """The root mean square of y - clean: the standard deviation, and the bias where the noise has one."""
        mean, variance = self.moments(clean)
        return (variance.clamp(min=0) + (mean - clean) ** 2).sqrt()


@dataclass(frozen=True)
class Gaussian(Model):
    """y + sigma z, z standard normal, in the units of y: images span [-1, 1], so 0.01 here is 0.005 on [0, 1].

    `unit` says that sigma is given on [0, 1], where the levels are 0.12, 0.18, 0.26; sigma itself is then twice that.
    `clip` keeps y within [-1, 1], and `quantise` also rounds it to 8 bits; sigma is what it was before.
    """

    sigma: float = math.nan  # pyright: ignore[reportIncompatibleMethodOverride,reportAssignmentType]
    clip: bool = False
    quantise: bool = False
    unit: InitVar[bool] = False
    level: InitVar[Level | None] = None
    levels: ClassVar[dict[str, float]] = {"low": 0.12, "medium": 0.18, "high": 0.26}

    def __post_init__(self, unit: bool, level: Level | None) -> None:
        _settle(self, "sigma", level, zero=True)
        if unit or level is not None:
            object.__setattr__(self, "sigma", 2 * self.sigma)

    def __call__(self, y: Tensor, rng: Rng) -> Tensor:
        noisy = y + self.sigma * rng.normal_like(y)
        return _finish((noisy + 1) / 2, True, self.quantise) if self.clip or self.quantise else noisy

    def moments(self, clean: Tensor) -> Moments:
        variance = torch.full_like(clean, self.sigma**2)
        if not (self.clip or self.quantise):
            return clean, variance
        mean, variance = _censored((clean + 1) / 2, variance / 4)
        return 2 * mean - 1, 4 * variance


@dataclass(frozen=True, kw_only=True)
class Intensity(Model):
    """A model on [0, 1]: it draws there, and clips or rounds to 8 bits (which clips, too) where asked.

    Each has one number; `level` (low, medium or high) may stand in its place.
    """

    clip: bool = False
    quantise: bool = False
    level: InitVar[Level | None] = None
    number: ClassVar[str]
    levels: ClassVar[dict[str, float]]

    def __post_init__(self, level: Level | None) -> None:
        _settle(self, self.number, level)

    def draw(self, u: Tensor, rng: Rng) -> Tensor:
        """Noisy intensities, before clipping."""
        raise NotImplementedError

    def unclipped(self, u: Tensor) -> Moments:
        """Mean and variance of the draw."""
        raise NotImplementedError

    def clipped(self, u: Tensor) -> Moments:
        """Mean and variance of the draw clipped to [0, 1]: as if it were normal, unless overridden."""
        return _censored(*self.unclipped(u))

    def __call__(self, y: Tensor, rng: Rng) -> Tensor:
        return _finish(self.draw((y + 1) / 2, rng), self.clip, self.quantise)

    def moments(self, clean: Tensor) -> Moments:
        find = self.clipped if self.clip or self.quantise else self.unclipped
        mean, variance = find((clean + 1) / 2)
        return 2 * mean - 1, 4 * variance


@dataclass(frozen=True)
class Shot(Intensity):
    """Poisson(rate x) / rate, negative x counting as zero. Levels: rate 25, 12, 5."""

    rate: float = math.nan
    number = "rate"
    levels = {"low": 25, "medium": 12, "high": 5}

    def draw(self, u: Tensor, rng: Rng) -> Tensor:
        return rng.poisson(self.rate * u.clamp(min=0)) / self.rate

    def unclipped(self, u: Tensor) -> Moments:
        return u.clamp(min=0), u.clamp(min=0) / self.rate

    def clipped(self, u: Tensor) -> Moments:
        """Exact: with m = rate x and K = floor(rate), E[N; N <= K] = m P(N < K), E[N(N-1); N <= K] = m^2 P(N < K-1)."""
        m = self.rate * u.clamp(min=0)
        counts = [math.floor(self.rate) - k for k in range(3)]
        p = [torch.special.gammaincc(torch.full_like(m, k + 1), m) if k >= 0 else torch.zeros_like(m) for k in counts]
        mean = m * p[1] / self.rate + 1 - p[0]
        return mean, (m**2 * p[2] + m * p[1]) / self.rate**2 + 1 - p[0] - mean**2


@dataclass(frozen=True)
class PoissonGaussian(Shot):
    """Poisson(rate x) / rate + read z: shot noise, and the read-out's with its standard deviation on [0, 1]."""

    read: float = 0.0

    def __post_init__(self, level: Level | None) -> None:
        super().__post_init__(level)
        _settle(self, "read", zero=True)

    def draw(self, u: Tensor, rng: Rng) -> Tensor:
        return super().draw(u, rng) + self.read * rng.normal_like(u)

    def unclipped(self, u: Tensor) -> Moments:
        return u.clamp(min=0), u.clamp(min=0) / self.rate + self.read**2

    def clipped(self, u: Tensor) -> Moments:
        """The sum over the counts n of P(n) times the moments of a clipped normal about n / rate."""
        m = self.rate * u.double().clamp(min=0)
        mean, square, rest = torch.zeros_like(m), torch.zeros_like(m), torch.ones_like(m)
        for n in range(math.ceil(self.rate * (1 + 6 * self.read)) + 1):  # beyond, all is clipped to 1
            p = torch.exp(torch.xlogy(torch.full_like(m, n), m) - m - math.lgamma(n + 1))
            first, variance = _censored(torch.full_like(m, n / self.rate), torch.full_like(m, self.read**2))
            mean, square, rest = mean + p * first, square + p * (variance + first**2), rest - p
        mean, square = mean + rest.clamp(min=0), square + rest.clamp(min=0)
        return mean.to(u), (square - mean**2).to(u)


@dataclass(frozen=True)
class Impulse(Intensity):
    """Each scalar, channel by channel, becomes 0 or 1, half and half, with probability p. Levels: p = 0.3, 0.5, 0.7."""

    p: float = math.nan
    number = "p"
    levels = {"low": 0.3, "medium": 0.5, "high": 0.7}

    def __post_init__(self, level: Level | None) -> None:
        super().__post_init__(level)
        if self.p > 1:
            raise ValueError(f"p is a probability, not {self.p}")

    def draw(self, u: Tensor, rng: Rng) -> Tensor:
        chance = rng.uniform(*u.shape[1:], dtype=u.dtype)
        return torch.where(chance < self.p, (chance < self.p / 2).to(u), u)

    def unclipped(self, u: Tensor) -> Moments:
        mean = (1 - self.p) * u + self.p / 2
        return mean, (1 - self.p) * u**2 + self.p / 2 - mean**2

    def clipped(self, u: Tensor) -> Moments:
        return self.unclipped(u.clamp(0, 1))


@dataclass(frozen=True)
class Speckle(Intensity):
    """x + c x z, z standard normal. Levels: c = 0.20, 0.35, 0.45."""

    c: float = math.nan
    number = "c"
    levels = {"low": 0.20, "medium": 0.35, "high": 0.45}

    def draw(self, u: Tensor, rng: Rng) -> Tensor:
        return u + self.c * u * rng.normal_like(u)

    def unclipped(self, u: Tensor) -> Moments:
        return u, (self.c * u) ** 2


@dataclass(frozen=True)
class Photons(Model):
    """y = Poisson(g I) / g with g = photons / sum(I) for each image: a diffraction pattern of so many counts."""

    photons: float
    counts = True

    def __post_init__(self) -> None:
        _settle(self, "photons")

    def __call__(self, y: Tensor, rng: Rng) -> Tensor:
        return rng.poisson(y.clamp(min=0) * self._gain(y)) / self._gain(y)

    def moments(self, clean: Tensor) -> Moments:
        return clean.clamp(min=0), clean.clamp(min=0) / self._gain(clean)

    def _gain(self, y: Tensor) -> Tensor:
        total = torch.stack([row.clamp(min=0).sum() for row in y]).clamp(min=torch.finfo(y.dtype).tiny ** 0.5)
        return (self.photons / total).view(-1, *[1] * (y.ndim - 1))


@dataclass(frozen=True)
class Jpeg(Model):
    """The true codec, at 8 bits. Nothing about it is random: it is meant for a `Compound`, after other noise."""

    quality: int
    subsampling: Subsampling = "4:2:0"
    pointwise = False

    def __post_init__(self) -> None:
        jpeg.check(self.quality, self.subsampling)

    def __call__(self, y: Tensor, rng: Rng) -> Tensor:
        return jpeg.codec(y, self.quality, self.subsampling)

    def moments(self, clean: Tensor) -> Moments:
        return jpeg.codec(clean, self.quality, self.subsampling), torch.zeros_like(clean)


@dataclass(frozen=True)
class Compound(Model):
    """Several models, one after another: each a config node with a `_target_`, or built."""

    noises: Sequence[Any]

    def __post_init__(self) -> None:
        if not self.noises:
            raise ValueError("several noises need at least one")
        built = tuple(configs.build(dict(n)) if isinstance(n, Mapping) else n for n in self.noises)
        if isinstance(self.noises, str) or not all(callable(n) for n in built):
            raise ValueError(f"noises is a list of nodes with a _target_ each, not {self.noises!r}")
        object.__setattr__(self, "noises", built)

    def __call__(self, y: Tensor, rng: Rng) -> Tensor:
        return reduce(lambda noisy, noise: noise(noisy, rng), self.noises, y)

    @property
    def pointwise(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return all(getattr(noise, "pointwise", False) for noise in self.noises)

    @property
    def counts(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(getattr(noise, "counts", False) for noise in self.noises)

    def moments(self, clean: Tensor) -> Moments:
        """Through each model in turn, mean - s and mean + s standing for what enters it: exact for noise not clipped.

        Where a model mixes entries, estimates from 16 draws of a stream of its own.
        """
        if not self.pointwise:
            rng = Rng.of(0, "moments", [0] * len(clean), clean.device).portable
            draws = torch.stack([self(clean, rng) for _ in range(16)])
            return draws.mean(0), draws.var(0)
        mean, variance = clean, torch.zeros_like(clean)
        for noise in self.noises:
            s = variance.clamp(min=0).sqrt()
            (low, below), (high, above) = noise.moments(mean - s), noise.moments(mean + s)
            mean, variance = (low + high) / 2, (below + above) / 2 + (high - low) ** 2 / 4
        return mean, variance


@dataclass(frozen=True)
class Mixture(Compound):
    """Each entry has the noise of one of several models, chosen with these weights, which sum to 1."""

    weights: Sequence[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weights", tuple(float(w) for w in self.weights))
        if len(self.weights) != len(self.noises) or min(self.weights) < 0 or not math.isclose(sum(self.weights), 1):
            raise ValueError(f"weights are one number for each noise and sum to 1, not {list(self.weights)}")

    def __call__(self, y: Tensor, rng: Rng) -> Tensor:
        edges = torch.tensor(self.weights, dtype=torch.float64, device=y.device).cumsum(0)[:-1]
        choice = torch.bucketize(rng.uniform(*y.shape[1:], dtype=torch.float64), edges, right=True)
        return torch.stack([noise(y, rng) for noise in self.noises]).gather(0, choice[None])[0]

    def moments(self, clean: Tensor) -> Moments:
        parts = [(w, *n.moments(clean)) for w, n in zip(self.weights, self.noises, strict=True)]
        mean = torch.stack([w * m for w, m, _ in parts]).sum(0)
        return mean, torch.stack([w * (v + (m - mean) ** 2) for w, m, v in parts]).sum(0)


def _settle(model: Any, name: str, level: Level | None = None, *, zero: bool = False) -> None:
    """Put the number that a level stands for in its place, with what goes with it, and check it."""
    value = getattr(model, name)
    if level is not None:
        if not math.isnan(value):
            raise ValueError(f"give {name} or level, not both")
        object.__setattr__(model, name, value := model.levels[level])
        object.__setattr__(model, "clip", True)
        object.__setattr__(model, "quantise", True)
    if math.isnan(value) and hasattr(model, "levels"):
        raise ValueError(f"give {name}, or level as {', '.join(model.levels)}")
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise ValueError(f"{name} must be {'zero or positive' if zero else 'positive'}, not {value}")


def _finish(u: Tensor, clip: bool, quantise: bool) -> Tensor:
    """Intensities as an image in [-1, 1], clipped and rounded where asked."""
    u = u.clamp(0, 1) if clip or quantise else u
    return 2 * ((255 * u).round() / 255 if quantise else u) - 1


def _censored(mean: Tensor, variance: Tensor) -> Moments:
    """The moments of a normal variable that is clipped to [0, 1]."""
    s = variance.sqrt().clamp(min=1e-9)
    a, b = -mean / s, (1 - mean) / s
    density_a, density_b = (torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) for z in (a, b))
    inside, above = torch.special.ndtr(b) - torch.special.ndtr(a), torch.special.ndtr(-b)
    first = mean * inside + s * (density_a - density_b) + above
    second = s**2 * (inside + a * density_a - b * density_b) + mean**2 * inside + above
    second = second + 2 * mean * s * (density_a - density_b)
    return first, second - first**2
