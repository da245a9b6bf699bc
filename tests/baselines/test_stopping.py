"""Early stopping: the rules' numbers, the iterate they choose, and that no image feels another."""

import pytest
import torch
import torch.nn.functional as F

from baselines.common.stopping import EMV, WMV, Stop, make_stopper
from sipbench.problem import Rng

SHAPE = (3, 1, 4, 5)


def iterates(n, scale=lambda k: 1.0, *, images=3, seed=0):
    """x^k = mean + scale(k) noise, in float64."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, *SHAPE, generator=generator, dtype=torch.float64)
    return [(0.5 + scale(k) * x)[:images] for k, x in enumerate(noise)]


def quiet_at(k_best):
    """A noise level that is smallest over the iterations before k_best."""
    return lambda k: 0.01 if k_best - 10 < k <= k_best else 0.1


def run(stopper, xs):
    for k, x in enumerate(xs):
        stopper.update(k, x)
    return stopper


def naive_wmv(xs, window):
    """The definition, from a re-scan of each window."""
    windows = (torch.stack(xs[k - window + 1 : k + 1]).flatten(2) for k in range(window - 1, len(xs)))
    return [(w - w.mean(0)).square().mean((0, 2)) for w in windows]


@pytest.mark.parametrize(
    ("xs", "close"),
    [
        (iterates(60, lambda k: 1 / (1 + k)), {"rtol": 0, "atol": 1e-10}),
        ([x.float() for x in iterates(300, lambda k: 1e-4)], {"rtol": 1e-6, "atol": 0}),
    ],
    ids=["float64", "float32, which does not cancel"],
)
def test_streaming_wmv_is_the_windows_variance(xs, close):
    wmv = WMV(xs[0], 10)
    scores = [wmv(x) for x in xs]
    assert all(s is None for s in scores[:9])
    for streamed, naive in zip(scores[9:], naive_wmv([x.double() for x in xs], 10), strict=True):
        torch.testing.assert_close(streamed, naive, **close)


def test_emv_returns_an_iterate_from_the_end_of_the_quiet():
    xs = iterates(300, lambda k: 0.001 if 150 < k <= 200 else 0.1)
    stopper = run(make_stopper("emv", xs[0], patience=50), xs)
    assert all(190 < k <= 200 for k in stopper.stopped.tolist())


def test_emv_matches_its_recursion():
    xs = iterates(20)
    emv, mean, variance = EMV(xs[0], alpha=0.3, burn_in=0), xs[0], torch.zeros(3, dtype=torch.float64)
    emv(xs[0])
    for x in xs[1:]:
        variance = 0.7 * variance + 0.3 * 0.7 * (x - mean).square().sum((1, 2, 3))
        mean = 0.7 * mean + 0.3 * x
        torch.testing.assert_close(emv(x), variance, rtol=1e-12, atol=0)


def test_emv_judges_nothing_before_its_burn_in():
    xs = iterates(140, lambda k: 0.0 if k < 50 else 0.1)
    stopper = run(make_stopper("emv", xs[0], patience=1000), xs)
    assert all(k > 100 for k in stopper.stopped.tolist())
    early = run(make_stopper("emv", xs[0], patience=1000, burn_in=0), xs)
    assert all(k < 50 for k in early.stopped.tolist()), "without burn-in the zero it starts from must win"


@pytest.mark.parametrize("rule", ["fixed", "wmv", "emv"])
def test_an_image_is_judged_by_itself(rule):
    xs = [x.clone() for x in iterates(260)]
    for i, k_best in enumerate((130, 160, 190)):
        for k in range(k_best - 15, k_best + 1):
            xs[k][i] = 0.5 + 0.01 * xs[k][i]
    batch = run(make_stopper(rule, xs[0], window=10, patience=150), xs)
    for i in range(3):
        alone = run(make_stopper(rule, xs[0][i : i + 1], window=10, patience=150), [x[i : i + 1] for x in xs])
        assert torch.equal(alone.best, batch.best[i : i + 1])
        assert alone.stopped[0] == batch.stopped[i]
    assert len(set(batch.stopped.tolist())) == (1 if rule == "fixed" else 3)


@pytest.mark.parametrize(
    ("rule", "patience", "xs", "k", "done"),
    [
        ("wmv", 50, iterates(120, quiet_at(42)), 42, True),
        ("wmv", 30, iterates(60, quiet_at(20)) + iterates(40, lambda k: 1e-6), 20, True),
        ("wmv", 1, iterates(8), 7, False),
        ("fixed", 1, iterates(30), 29, False),
    ],
    ids=["the newest of the quietest window", "frozen once it has stopped", "the newest before a score", "the last"],
)
def test_the_iterate_that_is_returned(rule, patience, xs, k, done):
    stopper = run(make_stopper(rule, xs[0], window=10, patience=patience), xs)
    assert stopper.stopped.tolist() == [k] * 3
    assert torch.equal(stopper.best, xs[k])
    assert stopper.done == done


def test_mistakes_are_named():
    x = torch.zeros(SHAPE)
    with pytest.raises(ValueError, match="fixed, loss, wmv, emv"):
        make_stopper("wvm", x)
    with pytest.raises(ValueError, match="window=1"):
        make_stopper("wmv", x, window=1)


def test_the_loss_rule_keeps_the_least_loss_that_is_half_a_percent_lower():
    """As in the public code: best > 1.005 loss."""
    xs = iterates(4)
    stopper = make_stopper("loss", xs[0])
    for k, (x, loss) in enumerate(zip(xs, (1.005 * 0.9 + 1e-5, 0.9, 0.9 / 1.005 + 1e-5, 1.0), strict=True)):
        stopper.update(k, x, loss=torch.full((len(x),), loss))
    assert stopper.stopped.tolist() == [1] * 3 and torch.equal(stopper.best, xs[1])
    stopper.update(10**6, xs[0], loss=torch.full((3,), 1.0))
    assert not stopper.done


def test_what_belongs_to_an_iterate_is_kept_with_it():
    """A kernel; or an output, in the iterate's place."""
    xs = iterates(200, quiet_at(120))
    stopper = make_stopper("wmv", xs[0], window=10, patience=200)
    for k, x in enumerate(xs):
        stopper.update(k, x, torch.full_like(x, k), theta={"kernel": x[:, :, :2]})
    assert stopper.stopped.tolist() == [120] * 3
    assert torch.equal(stopper.best, torch.full_like(xs[0], 120))
    assert torch.equal(stopper.theta["kernel"], xs[120][:, :, :2])


def test_one_option_says_it_all():
    xs, options = iterates(120, quiet_at(42)), {"window": 10, "patience": 50}
    stopper = run(Stop("wmv", **options)(xs[0], Rng.of(0, "s", range(3))), xs)
    assert torch.equal(stopper.best, run(make_stopper("wmv", xs[0], **options), xs).best)
    assert Stop("emv", alpha=0.3)(xs[0]).score.alpha == 0.3
    assert Stop("self_validation", epochs=0.5)(xs[0], Rng.of(0, "s", range(3))).score.batches == 0.5 * 256 / 32


def blobs(n, *, images=2):
    """Iterates of 8 x 8: a picture that comes out of grey until half time, then noise that grows."""
    rng = Rng.of(0, "self validation", range(images))
    picture = F.interpolate(rng.normal(1, 4, 4, dtype=torch.float64), size=8, mode="bicubic").clamp(-1, 1)
    noise = rng.child("noise")
    grown = [(min(1, 2 * k / n) * picture, max(0, 2 * k / n - 1)) for k in range(n)]
    return [x + 0.5 * s * noise.normal_like(x) for x, s in grown]


def test_self_validation_stops_before_the_noise():
    xs = blobs(240)
    stopper = make_stopper("self_validation", xs[0], window=64, patience=200, rng=Rng.of(0, "s", range(2)))
    chosen = run(stopper, xs).stopped
    assert ((chosen > 64) & (chosen < 150)).all(), chosen


def test_self_validation_judges_each_image_by_itself():
    xs = blobs(90)
    rng = Rng.of(0, "s", range(2))
    both = make_stopper("self_validation", xs[0], window=32, patience=200, rng=rng)
    one = make_stopper("self_validation", xs[0][1:], window=32, patience=200, rng=rng.select(slice(1, 2)))
    for x in xs:
        a, b = both.score(x), one.score(x[1:])
    torch.testing.assert_close(a[1:], b, rtol=1e-6, atol=0)


def test_self_validation_asks_for_streams():
    with pytest.raises(ValueError, match="rng"):
        make_stopper("self_validation", iterates(1)[0])
