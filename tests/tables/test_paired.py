"""Paired comparisons: against independent packages, known answers, and the rate of false positives."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from sipbench.tables import paired


def images(rng, n, k, *, spread=3.0, noise=1.0):
    """Images differ by `spread`, methods on an image by `noise`."""
    return spread * rng.normal(size=(n, 1)) + noise * rng.normal(size=(n, k))


@pytest.mark.parametrize(("n", "k"), [(6, 4), (8, 10), (32, 4), (100, 3)])
def test_a_method_as_good_as_the_best_is_rarely_left_out(n, k):
    """Of equal methods with unequal noise, beside one that is far worse, some is left out of 5 % of the groups."""
    rng, missed, trials = np.random.default_rng(n + k), 0, 400 if n < 20 else 150
    for _ in range(trials):
        scores = images(rng, n, k, noise=rng.uniform(0.3, 1.5, size=k))
        scores[:, -1] -= 2
        missed += not set(range(k - 1)) <= set(paired.group(scores))
    assert missed <= stats.binom.ppf(0.999, trials, 0.05)


def test_wilcoxon_against_the_best_does_not_know_that_these_images_chose_it():
    """Of tables of equal methods, how many have a p below 0.05 after Holm: docs/tables.md says so, and what ranks."""
    rng, n, k, trials, found = np.random.default_rng(11), 32, 10, 120, 0
    for _ in range(trials):
        scores = images(rng, n, k)
        best = int(np.argmax(scores.mean(0)))
        p = [paired.wilcoxon(scores[:, j] - scores[:, best]) for j in range(k) if j != best]
        found += min(paired.holm(p)) < 0.05
    assert 0.06 <= found / trials <= 0.24


def test_what_is_worse_on_every_image_is_left_out_though_images_differ_much_more():
    scores = images(np.random.default_rng(0), 8, 1) + np.array([0.0, -1.0, -2.0]) + 0.1 * np.eye(8, 3)
    assert paired.group(scores) == [0]
    unpaired = stats.ttest_ind(scores[:, 0], scores[:, 2])
    assert unpaired.pvalue > 0.05


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_fewer_than_six_images_separate_nothing(n):
    assert paired.group(np.array([[0.0, -100.0]] * n) + np.arange(n)[:, None]) == [0, 1]


def test_equality_of_two_is_the_exact_test_by_sign_flips():
    rng = np.random.default_rng(3)
    for n in (6, 9, 12):
        scores = images(rng, n, 2) + [0.0, 0.8]
        test = stats.permutation_test(
            (scores[:, 0], scores[:, 1]),
            lambda a, b: np.abs(np.mean(a - b)),
            permutation_type="samples",
            alternative="greater",
            n_resamples=np.inf,
        )
        assert paired.equality(scores)[0] == pytest.approx(test.pvalue)


def test_the_interval_covers_the_mean():
    """Of a skewed law and 12 images, 95 % intervals hold the mean in 90 to 98 % of the cases; Student's no oftener."""
    rng, held, student = np.random.default_rng(1), 0, 0
    trials = 400
    for _ in range(trials):
        d = rng.exponential(size=12) - 1
        low, high = paired.interval(d)
        held += low <= 0 <= high
        a, b = stats.t.interval(0.95, 11, d.mean(), stats.sem(d))
        student += a <= 0 <= b
    assert 0.9 <= held / trials <= 0.98 and held >= student


def test_the_interval_is_that_of_scipys_bootstrap_of_the_mean_where_there_are_many_images():
    d = np.random.default_rng(2).normal(0.3, 1.0, size=300)
    other = stats.bootstrap((d,), np.mean, method="BCa", random_state=np.random.default_rng(0)).confidence_interval
    assert paired.interval(d) == pytest.approx((other.low, other.high), abs=0.02)
    assert paired.interval(np.full(5, 2.0)) == (2.0, 2.0)
    few = stats.t.interval(0.95, 2, d[:3].mean(), stats.sem(d[:3]))
    assert paired.interval(d[:3]) == pytest.approx(few)


def test_wilcoxon_and_holm_agree_with_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = images(np.random.default_rng(4), 20, 5) + np.array([0, 0.2, 0.5, 1.0, 1.5])
    flat, names = scores.T.ravel(), np.repeat(np.arange(5), 20)
    import pandas as pd

    frame = pd.DataFrame({"value": flat, "name": names})
    matrix = posthocs.posthoc_wilcoxon(frame, val_col="value", group_col="name", p_adjust="holm")
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    own = paired.holm([paired.wilcoxon(scores[:, i] - scores[:, j]) for i, j in pairs])
    assert own == pytest.approx([matrix.loc[i, j] for i, j in pairs])


def test_the_group_of_the_best_is_that_of_autorank_where_all_is_clear():
    """Two equal methods and three worse ones: autorank's ranks and differences single out the same."""
    autorank = pytest.importorskip("autorank")
    import pandas as pd

    rng = np.random.default_rng(6)
    scores = images(rng, 40, 5, noise=0.3) + np.array([0.0, 0.0, -1.0, -2.0, -3.0])
    result = autorank.autorank(pd.DataFrame(scores, columns=list("abcde")), alpha=0.05, force_mode="nonparametric")
    ranks = result.rankdf["meanrank"]
    near = {name for name in "abcde" if ranks[name] - ranks.min() <= result.cd}
    assert near == {"a", "b"} == {"abcde"[i] for i in paired.group(scores)}


@pytest.mark.parametrize("n", [2, 3, 6, 7])
@pytest.mark.parametrize("kind", ["shares", "ties", "apart"])
def test_wilcoxon_is_that_of_all_signs(n, kind):
    """Of every image that differs either sign is as likely: p is the part of them that says as much, whatever ties."""
    rng = np.random.default_rng(n)
    for _ in range(5):
        draw = {"shares": rng.integers(-1, 2, n), "ties": rng.integers(-2, 6, n), "apart": rng.normal(0.5, size=n)}
        d = draw[kind].astype(float)
        ranks = stats.rankdata(np.abs(d))[d != 0]
        signs = np.array([[1 - 2 * (i >> k & 1) for k in range(len(ranks))] for i in range(2 ** len(ranks))])
        sums, seen = signs @ ranks, float(np.sign(d[d != 0]) @ ranks)
        both = 2 * min(np.mean(sums <= seen + 1e-9), np.mean(sums >= seen - 1e-9))
        assert paired.wilcoxon(d) == pytest.approx(min(1.0, both) if len(ranks) else 1.0)


def test_five_wins_without_a_loss_separate_nothing_however_many_images_tie():
    """Signs of five images fall alike in one of 16 cases; the normal law knows no such floor and says 0.025."""
    for ties in (0, 3, 11, 30):
        assert paired.wilcoxon(np.r_[np.ones(5), np.zeros(ties)]) == pytest.approx(2 / 2**5)
    assert asymptotic(np.r_[np.ones(5), np.zeros(11)]) < 0.05


@pytest.mark.parametrize("zeros", [0, 7])
def test_of_many_images_wilcoxon_is_by_the_normal_law(zeros):
    rng = np.random.default_rng(0)
    d = np.r_[rng.normal(0.1, 1, 70).round(1), np.zeros(zeros)]
    assert paired.wilcoxon(d) == pytest.approx(asymptotic(d), rel=1e-9)


def asymptotic(d):
    """By scipy, under a name that all of its versions know; older ones warn of zeros."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stats.wilcoxon(d, zero_method="pratt", method="approx").pvalue


@pytest.mark.parametrize("n", [6, 8, 16])
@pytest.mark.parametrize("others", [0.0, 1e-7])
def test_the_interval_has_an_end_where_all_images_but_one_are_alike(n, others):
    """Most resamples do not have that one: what they say of the spread is nothing, and Student's is what is left."""
    d = np.r_[1.0, others * np.random.default_rng(n).normal(size=n - 1)]
    assert paired.interval(d) == pytest.approx(stats.t.interval(0.95, n - 1, d.mean(), stats.sem(d)))


def test_the_interval_of_a_difference_of_shares_covers_it_about_as_often_as_students():
    """None does well where most images tie. Without the resamples that have no spread it was held in 30 of 100."""
    rng, held, student, n, share = np.random.default_rng(8), 0, 0, 8, 0.15
    for _ in range(60):
        d = rng.binomial(1, share, n).astype(float)
        low, high = paired.interval(d)
        held += low <= share <= high
        a, b = stats.t.interval(0.95, n - 1, d.mean(), stats.sem(d)) if d.any() else (0.0, 0.0)
        student += a <= share <= b
    assert held >= student - 3


def test_holm_by_hand_and_without_numbers():
    assert paired.holm([0.01, 0.04, math.nan, 0.03]) == pytest.approx([0.03, 0.06, math.nan, 0.06], nan_ok=True)
    assert paired.holm([]) == []


def test_comparison_by_hand():
    values = np.array([[3.0, 1.0], [5.0, 2.0], [4.0, 4.0], [6.0, 7.0], [9.0, 5.0], [8.0, 6.0]])
    best, other = paired.compare(values, higher_is_better=True)
    assert (best.mean, best.low, best.high) == (0, 0, 0) and math.isnan(best.p)
    d = values[:, 1] - values[:, 0]
    assert other.mean == pytest.approx(d.mean()) and other.low < d.mean() < other.high
    assert (other.wins, other.ties, other.losses) == (1, 1, 4)
    assert other.p == pytest.approx(
        4 / 32
    )  # by Pratt the ranks are 2, 3.5, 3.5, 5 and 6, of which 2 alone has the sign +
    best, other = reversed(paired.compare(values, higher_is_better=False))
    assert best.mean == 0 and other.mean == pytest.approx(-d.mean()) and (other.wins, other.losses) == (1, 4)


def test_the_resolvable_difference_is_found_in_four_of_five_cases():
    rng, found, trials = np.random.default_rng(7), 0, 600
    true = paired.resolvable(np.array([-1.0, 1.0] * 8) * math.sqrt(15 / 16))  # of 16 images whose spread is 1
    for _ in range(trials):
        found += stats.ttest_1samp(rng.normal(true, 1.0, 16), 0).pvalue < 0.05
    assert found / trials == pytest.approx(0.8, abs=0.05)


def test_differences_that_are_all_the_same_do_not_tell_what_so_many_images_find():
    assert math.isnan(paired.resolvable(np.zeros(8))) and math.isnan(paired.resolvable(np.full(8, 0.1)))
    first, second = paired.compare(np.column_stack([np.zeros(8), np.zeros(8)]), higher_is_better=True)
    assert math.isnan(second.resolvable) and (second.mean, second.ties) == (0, 8)


def test_ties_are_nobodys_win():
    assert not any(d.best_group for d in paired.compare(np.zeros((8, 3)), higher_is_better=True))


@pytest.mark.parametrize("higher", [True, False])
def test_beside_an_infinitely_good_method_no_other_is_the_best(higher):
    """An exact reproduction has an infinite PSNR: no difference to it is a number, and no other one leads."""
    sign = 1 if higher else -1
    for exact in (np.full(8, np.inf), np.r_[np.inf, np.zeros(7)]):
        values = sign * np.column_stack([exact, np.arange(8.0), np.arange(8.0) - 1])
        found = paired.compare(values, higher_is_better=higher)
        assert not any(d.best_group for d in found) and all(math.isnan(d.mean) for d in found)


@pytest.mark.parametrize("lost", [math.nan, -math.inf])
def test_a_method_without_a_value_or_with_an_infinitely_bad_one_is_not_compared(lost):
    values = np.column_stack([np.full(8, lost), np.arange(8.0), np.arange(8.0) - 1])
    first, second, third = paired.compare(values, higher_is_better=True)
    assert math.isnan(first.mean) and second.best_group and not third.best_group
