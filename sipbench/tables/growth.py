"""Quality against the number of training images: who passes whom, how steeply it grows, and how sure that is.

Values are (k, s, i): k numbers of training images n, s random subsets of each, i test images. Curves are means over
subsets and images, drawn as lines in log n.

    draws       curves as another sample could have given: the bootstrap over images, and for the subsets, which are too
                few to be drawn anew, their deviations mixed with normal weights; both widened to Student's law, since
                their spread is known from as few. Of a single subset only the images vary; of a single image of it
                nothing does, and no interval is a number.
    crossing    the n from which on a difference stays above 0: between two n by interpolation in log n. `START` where
                it is above from the smallest n on, `NEVER` where it is not at the largest. Its interval is between
                those of the two ends of the band: what lies in it is 0 within its own interval. (Crossings of the
                draws themselves come too late: one of the later n dips in the sample, and one more in each draw.)
    power law   PSNR = beta n^alpha by two segments that meet at one of the n, the one with the smallest squared
                residuals in log PSNR (Klug and Heckel, ICLR 2023); one segment for fewer than four n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.05
DRAWS = 2000
NAN = float("nan")
START, NEVER = float("-inf"), float("inf")
Array = Any


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PowerLaw:
    """The exponents before and after the break; those of one segment are equal, and its break is not a number."""

    before: Interval
    after: Interval
    at: float


def draws(values: Array, count: int = DRAWS, seed: int = 0) -> Array:
    """(count, k): curves of other samples."""
    values = np.asarray(values, float)
    _, subsets, images = values.shape
    rng = np.random.default_rng(seed)
    found = np.tile(values.mean((1, 2)), (count, 1))
    if images > 1:
        anew = rng.multinomial(images, np.full(images, 1 / images), count)
        found += _student(_deviations(values.mean(1)), anew - 1.0, rng)
    if subsets > 1:
        found += _student(_deviations(values.mean(2)), rng.standard_normal((count, subsets)), rng)
    return found


def _deviations(values: Array) -> Array:
    """Of (k, m), from the mean of the m, so that a mixture with weights of variance 1 moves as the mean does."""
    m = values.shape[1]
    return (values - values.mean(1, keepdims=True)) / np.sqrt(m * (m - 1))


def _student(deviations: Array, weights: Array, rng: np.random.Generator) -> Array:
    """Mixtures, widened to Student's law of m - 1 degrees of freedom."""
    free = deviations.shape[1] - 1
    return weights @ deviations.T / np.sqrt(rng.chisquare(free, (len(weights), 1)) / free)


def band(values: Array, count: int = DRAWS) -> tuple[Array, Array]:
    """The ends of the 95 % interval of the mean at each n."""
    if _alone(values):
        return np.full(len(values), NAN), np.full(len(values), NAN)
    low, high = np.quantile(draws(values, count), [LEVEL / 2, 1 - LEVEL / 2], axis=0)
    return low, high


def crossing(n: Array, difference: Array, count: int = DRAWS) -> Interval:
    """From how many images on a difference (k, s, i) is above 0."""
    difference = np.asarray(difference, float)
    low, high = band(difference, count)
    value, first, last = map(float, _crossings(n, np.stack([difference.mean((1, 2)), high, low])))
    return Interval(value, NAN, NAN) if _alone(difference) else Interval(value, first, last)


def _alone(values: Array) -> bool:
    """Whether there is one subset and one image, so that nothing tells how far another would lie."""
    return np.shape(values)[1:] == (1, 1)


def _crossings(n: Array, curves: Array) -> Array:
    """Of each of (r, k) curves."""
    u, below = np.log(np.asarray(n, float)), curves <= 0
    last = np.where(below.any(1), curves.shape[1] - 1 - below[:, ::-1].argmax(1), -1)
    k = np.clip(last, 0, max(0, len(u) - 2))
    row, after = np.arange(len(curves)), np.minimum(k + 1, len(u) - 1)
    d, e = curves[row, k], curves[row, after]
    with np.errstate(divide="ignore", invalid="ignore"):  # where it crosses, d <= 0 < e
        between = np.exp(u[k] + (u[after] - u[k]) * np.clip(d / (d - e), 0, 1))
    return np.where(last < 0, START, np.where(last == len(u) - 1, NEVER, between))


def power_law(n: Array, values: Array, count: int = DRAWS) -> PowerLaw | None:
    """The exponents of values (k, s, i) against n; None for a single n."""
    values = np.asarray(values, float)
    if len(n) < 2:
        return None
    before, after, at = _exponents(n, values.mean((1, 2))[None])
    many = _exponents(n, draws(values, count))
    ends = [np.quantile(one, [LEVEL / 2, 1 - LEVEL / 2]) for one in many[:2]]
    ends = [(NAN, NAN)] * 2 if _alone(values) else ends
    said = [Interval(float(v[0]), float(e[0]), float(e[1])) for v, e in zip((before, after), ends, strict=True)]
    return PowerLaw(*said, at=float(at[0]))


def _exponents(n: Array, curves: Array) -> tuple[Array, Array, Array]:
    """Of each of (r, k) curves: the exponents before and after the break, and the n of the break."""
    u, v = np.log(np.asarray(n, float)), np.log(np.maximum(curves, 1e-2))
    if len(u) < 4:
        slope = (np.linalg.pinv(np.stack([np.ones_like(u), u], 1)) @ v.T)[1]
        return slope, slope, np.full(len(v), np.nan)
    fits, residuals = [], []
    for b in u[1:-1]:
        design = np.stack([np.ones_like(u), u, np.maximum(u - b, 0)], 1)
        fit = np.linalg.pinv(design) @ v.T
        fits.append(fit)
        residuals.append(((design @ fit - v.T) ** 2).sum(0))
    best, row = np.argmin(residuals, 0), np.arange(len(v))
    slope, bend = (np.stack([fit[j] for fit in fits])[best, row] for j in (1, 2))
    return slope, slope + bend, np.exp(u[1:-1][best])
