"""Methods compared over the same images: differences to the best, and the group that n images cannot separate from it.

Images differ more than methods do: what counts is the difference of two methods on one image. Values are (n, k): n
images, one value of each of k methods, each image first averaged over its seeds and draws, so that it is one cluster.

    group        every method that is not worse than the best beyond chance. Of each set of methods the hypothesis is
                 that all are equal; its statistic is the largest |t| of all pairs, its law that of the same statistic
                 when the sign of each image's differences is drawn anew (exact where these are symmetric about 0).
                 While it is rejected at 5 %, the worst is taken out: the model confidence set of Hansen, Lunde and
                 Nason (Econometrica 2011) with sign flips in the place of the bootstrap. That any method as good as
                 the best is left out has a probability of at most 5 %, whatever their number, where the differences of
                 equal methods are symmetric about 0. Where one fails badly on few images they are not, and a sample
                 without such an image leaves the other one out too often. With fewer than 6 images nothing can be
                 rejected: one of 2^4 signs is all that 5 images have.
    interval     of the mean difference to the best: the bootstrap of the studentised mean over images, 95 %; Student's
                 of fewer than 6 images, and where too many images have the same difference: what is drawn of these
                 alone has no spread, and a bootstrap that knows no end.
    wilcoxon     the signed-rank test of the difference to the best, to be corrected over a table by `holm`; exact also
                 where images tie, as those of a share do: the normal law makes 5 wins of 16 images and no loss a
                 difference, p = 0.025, and the signs of 5 give 0.063. Like the
                 interval it does not know that the same images chose the best: of many equal rows, more than 5 % of
                 the tables have one with p below 0.05.
    resolvable   the smallest mean difference that n images find in four of five cases by a paired t test at 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

LEVEL = 0.05
FLIPS = 4096
FEWEST = 6  # images: fewer separate nothing, and have too few resamples
RESAMPLES = 10_000
FLAT = 0.01  # of the spread of all images: a resample with less says nothing of it
EXACT = 50  # images: of more the normal law is as good
Array = Any
NAN = float("nan")


@dataclass(frozen=True)
class Difference:
    """A method against the best of its problem, in the units of the measure: its value minus the best's.

    Attributes:
        best_group: whether the method is in the group of the best; False for all where nothing is separated.
        low, high: the 95 % interval of the mean difference.
        p: of the signed-rank test, not corrected.
        wins, ties, losses: on how many images it is better, equal, worse.
    """

    best_group: bool
    mean: float = NAN
    low: float = NAN
    high: float = NAN
    p: float = NAN
    resolvable: float = NAN
    wins: int = 0
    ties: int = 0
    losses: int = 0


def compare(values: Array, *, higher_is_better: bool) -> list[Difference]:
    """Each method against the best mean. Methods with a value that is not finite are not compared.

    Beside one that is infinitely good nothing is: no difference to the best is a number then.
    """
    values = np.asarray(values, float)
    n, k = values.shape
    usable = [j for j in range(k) if np.isfinite(values[:, j]).all()]
    score = values if higher_is_better else -values
    if n < 2 or len(usable) < 2 or np.isposinf(score).any():
        return [Difference(False) for _ in range(k)]
    means = score[:, usable].mean(0)
    best = usable[int(np.argmax(means))]
    kept = {usable[i] for i in group(score[:, usable])}
    separated = len(kept) < len(usable)
    found = []
    for j in range(k):
        if j not in usable:
            found.append(Difference(False))
        elif j == best:
            found.append(Difference(separated, 0.0, 0.0, 0.0))
        else:
            found.append(_against(values[:, j], values[:, best], higher_is_better, separated and j in kept))
    return found


def group(score: Array, level: float = LEVEL) -> list[int]:
    """The columns of (n, k), larger is better, that cannot be separated from the best."""
    left = list(range(score.shape[1]))
    while len(left) > 1:
        p, worst = equality(score[:, left])
        if p > level:
            break
        left.pop(worst)
    return left


def equality(score: Array) -> tuple[float, int]:
    """The p value of the hypothesis that all columns have one mean, and the column that speaks most against it."""
    n, k = score.shape
    one, other = np.triu_indices(k, 1)
    d = score[:, one] - score[:, other]
    signs = _signs(n)
    t = _t(signs @ d / n, d)  # the first row is what was seen
    largest = np.abs(t).max(1)
    p = float(np.mean(largest >= largest[0] * (1 - 1e-12)))
    against = np.full(k, -np.inf)
    np.maximum.at(against, one, -t[0])
    np.maximum.at(against, other, t[0])
    return p, int(np.argmax(against))


def interval(d: Array, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a mean by the bootstrap of the studentised mean, Student's where there are too few values."""
    from scipy.special import stdtrit

    d = np.asarray(d, float)
    n, mean, scale = len(d), float(d.mean()), float(d.std(ddof=1) / np.sqrt(len(d)))
    if scale <= 1e-12 * abs(mean):
        return mean, mean
    low, high = _studentised(d - mean, scale, level) if n >= FEWEST else (-np.inf, np.inf)
    if not np.isfinite((low, high)).all():
        high = float(stdtrit(n - 1, 1 - level / 2))
        low = -high
    return mean - high * scale, mean - low * scale


def _studentised(centred: Array, scale: float, level: float) -> tuple[float, float]:
    """The quantiles of the studentised means of resamples; not finite where they are of resamples without a spread."""
    n, counts = len(centred), _counts(len(centred))
    means = counts @ centred / n
    spread = np.sqrt(np.maximum(counts @ centred**2 / n - means**2, 0) / (n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(spread > FLAT * scale, means / spread, np.copysign(np.inf, means))
        low, high = np.quantile(t, [level / 2, 1 - level / 2])  # not a number between two that are infinite
    return float(low), float(high)


def wilcoxon(d: Array) -> float:
    """The p value of the signed-rank test: exact up to 50 images, with ties too, else by the normal law; zeros split.

    Where images do not differ at all (zeros) their ranks are left out, those of the others stay: Pratt.
    """
    from scipy.stats import rankdata

    d = np.asarray(d, float)
    if not np.any(d):
        return 1.0
    ranks = np.rint(2 * rankdata(np.abs(d))).astype(int)  # twice, so that ties have whole ones
    if len(d) > EXACT:
        own = ranks[d != 0]
        z = (ranks[d > 0].sum() - own.sum() / 2) / math.sqrt(float((own.astype(float) ** 2).sum()) / 4)
        return math.erfc(abs(z) / math.sqrt(2))
    law = np.ones(1)  # of the sum of the ranks with a + sign, where every sign is as likely as the other
    for rank in ranks[d != 0]:
        law = (np.pad(law, (0, rank)) + np.pad(law, (rank, 0))) / 2
    seen = int(ranks[d > 0].sum())
    return float(min(1.0, 2 * min(law[: seen + 1].sum(), law[seen:].sum())))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction of all p values that are numbers."""
    values = np.asarray(p, float)
    adjusted, order = np.full(len(values), NAN), np.argsort(values, kind="stable")
    order = [i for i in order if np.isfinite(values[i])]
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * values[i]))
        adjusted[i] = running
    return adjusted.tolist()


def resolvable(d: Array) -> float:
    """The smallest mean that a paired t test at 5 % finds in four of five cases, given the spread of these.

    Differences that are all the same have none, and tell nothing of it: not a number.
    """
    from scipy.special import stdtrit

    n = len(d)
    if np.ptp(d) <= 1e-12 * np.abs(d).max():
        return NAN
    return float((stdtrit(n - 1, 1 - LEVEL / 2) + stdtrit(n - 1, 0.8)) * np.std(d, ddof=1) / np.sqrt(n))


def _against(own: Array, best: Array, higher_is_better: bool, kept: bool) -> Difference:
    d = own - best
    better = d > 0 if higher_is_better else d < 0
    ties = int((d == 0).sum())
    wins = int(better.sum())
    return Difference(kept, float(d.mean()), *interval(d), wilcoxon(d), resolvable(d), wins, ties, len(d) - wins - ties)


def _t(means: Array, d: Array) -> Array:
    """The t statistics of these means of d with signs drawn anew: the sum of squares stays what it is."""
    n = len(d)
    square = (d**2).sum(0)
    variance = np.maximum(square - n * means**2, 0) / (n - 1)
    tiny = variance <= 1e-24 * np.maximum(square, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = means / np.sqrt(variance / n)
    return np.where(tiny, np.sign(means) * np.where(np.abs(means) > 0, 1e12, 0.0), t)


@cache
def _signs(n: int) -> Array:
    """Signs of n images, all + first: every one of the 2^(n-1) that differ by more than a common sign, or a sample."""
    if 2 ** (n - 1) <= FLIPS:
        codes = np.arange(2 ** (n - 1))
        return 1.0 - 2.0 * ((codes[:, None] >> np.arange(n)) & 1)
    drawn = np.random.default_rng(0).integers(0, 2, (FLIPS, n)) * 2.0 - 1.0
    drawn[0] = 1.0
    return drawn


@cache
def _counts(n: int) -> Array:
    """How often each of n images is in each resample."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)
