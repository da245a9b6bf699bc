"""Curves whose crossing and exponents are known, and how often the intervals hold them."""

import numpy as np
import pytest

from sipbench.tables import growth, growth_page

N = [4, 16, 64, 256]


def sampled(curve, seed, subsets=3, images=16, of_subset=0.3, of_image=1.0, rest=0.3):
    """A curve seen through random subsets, images and what is left."""
    rng = np.random.default_rng(seed)
    wander = of_subset * rng.standard_normal((len(curve), subsets, 1))
    hard = of_image * rng.standard_normal((1, 1, images))
    return np.asarray(curve)[:, None, None] + wander + hard + rest * rng.standard_normal((len(curve), subsets, images))


def exact(curve):
    return np.broadcast_to(np.asarray(curve, float)[:, None, None], (len(curve), 3, 8))


@pytest.mark.parametrize(
    ("curve", "known"),
    [
        ([-1, 1, 2, 3], 8.0),  # half way between 4 and 16, in log n
        ([-3, -1, 3, 4], 16 * 4**0.25),
        ([1, -1, 1, 2], 32.0),  # the last time that it rises
        ([1, 2, 3, 4], growth.START),
        ([1, 1, 1, 0], growth.NEVER),
        ([-1, -1, -1, -0.1], growth.NEVER),
    ],
)
def test_where_a_difference_stays_above_nothing(curve, known):
    found = growth.crossing(N, exact(curve))
    assert (found.value, found.low, found.high) == pytest.approx((known, known, known))


def test_a_single_number_of_images_is_passed_from_the_start_or_never():
    assert growth.crossing([4], exact([1.0])).value == growth.START
    assert growth.crossing([4], exact([-1.0])).value == growth.NEVER


def test_exponents_of_two_segments_and_their_break():
    n = np.array([4, 16, 64, 256, 1024, 4096.0])
    curve = np.where(n <= 64, 20 * n**0.05, 20 * 64**0.05 * (n / 64) ** 0.01)
    law = growth.power_law(n, exact(curve))
    assert law is not None and law.at == pytest.approx(64)
    assert (law.before.value, law.after.value) == pytest.approx((0.05, 0.01))
    assert (law.before.low, law.after.high) == pytest.approx((0.05, 0.01))


def test_few_numbers_of_images_have_one_segment_and_one_none():
    law = growth.power_law([4, 16, 64], exact([20 * n**0.03 for n in (4, 16, 64)]))
    assert law is not None and law.before == law.after and law.before.value == pytest.approx(0.03) and law.at != law.at
    assert growth.power_law([4], exact([20.0])) is None


@pytest.mark.parametrize(
    "spread", [{"of_subset": 0.05}, {"of_subset": 0.6, "of_image": 0.2}, {"subsets": 1, "of_subset": 0}]
)
def test_intervals_hold_the_crossing_as_often_as_they_say(spread):
    """Of 300 samples at 95 %: three deviations of the count are 3.8 %. They may be too wide, never too narrow."""
    curve = [-2.0, -0.5, 1.0, 2.0]
    held = [
        c.low <= 16 * 4 ** (1 / 3) <= c.high
        for c in (growth.crossing(N, sampled(curve, k, **spread), 400) for k in range(300))
    ]
    assert np.mean(held) >= 0.91


@pytest.mark.parametrize("subsets", [2, 3])
def test_intervals_hold_the_crossing_of_a_curve_that_stays_near_what_it_passed(subsets):
    """Any later n of a sample may dip below by chance: what draws say of the last dip is that, once too often."""
    n, curve = [4, 16, 64, 256, 1024, 4096], [-2.0, -0.5, 0.2, 0.5, 0.6, 0.65]
    found = (growth.crossing(n, sampled(curve, k, subsets, of_subset=0.6, of_image=0.2), 400) for k in range(300))
    assert np.mean([c.low <= 16 * 4 ** (5 / 7) <= c.high for c in found]) >= 0.91


def test_intervals_hold_the_exponent():
    n = np.array([4, 16, 64, 256, 1024.0])
    curve = np.where(n <= 64, 20 * n**0.06, 20 * 64**0.06 * (n / 64) ** 0.01)
    laws = [growth.power_law(n, sampled(curve, k, of_subset=0.1), 400) for k in range(200)]
    assert np.mean([law.before.low <= 0.06 <= law.before.high for law in laws if law]) >= 0.91


def test_subsets_that_are_left_out_make_intervals_too_narrow(monkeypatch):
    """What the count of the covered crossings is there to see."""
    real = growth.draws
    monkeypatch.setattr(growth, "draws", lambda values, count: real(values.mean(1, keepdims=True), count))
    curve = [-2.0, -0.5, 1.0, 2.0]
    found = (growth.crossing(N, sampled(curve, k, of_subset=0.6, of_image=0.2), 400) for k in range(300))
    assert np.mean([c.low <= 16 * 4 ** (1 / 3) <= c.high for c in found]) < 0.8


def test_a_band_of_one_subset_is_that_of_its_images():
    values = sampled([20.0, 21.0], 0, subsets=1, of_subset=0)
    low, high = growth.band(values, 4000)
    half = 2.13 * values.std(axis=2, ddof=1)[:, 0] / 4
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_of_one_image_and_one_subset_nothing_tells_an_interval():
    one = np.array([-1.0, 1.0, 2.0, 3.0])[:, None, None]
    assert np.isnan(growth.band(one)).all()
    found, law = growth.crossing(N, one), growth.power_law(N, one + 20)
    assert found.value == pytest.approx(8) and np.isnan((found.low, found.high)).all()
    assert law is not None and law.before.value == law.before.value and np.isnan((law.before.low, law.after.high)).all()
    words = growth_page._said(found, N), growth_page._mean(20.0, float("nan"))
    assert words == ("8", "20.00")
