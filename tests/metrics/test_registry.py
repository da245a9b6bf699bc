"""The registry: names, headings, and what happens where a metric is undefined."""

import pytest
import torch

from sipbench.errors import UserError
from sipbench.metrics import HEADINGS, METRICS, OWN, Metric, available, evaluate, psnr, ssim
from tests.metrics.images import pair


def test_evaluate_gives_each_metric_per_image():
    x_hat, x = pair()
    scores = evaluate(["ssim", "psnr"], x_hat, x)
    assert list(scores) == ["ssim", "psnr"]
    torch.testing.assert_close(scores["psnr"], psnr(x_hat, x))
    torch.testing.assert_close(scores["ssim"], ssim(x_hat, x))


def test_undefined_is_nan_and_stops_nothing():
    """Of 5 x 5 pixels and two channels PSNR, relative error, aligned or not, point error and success are defined.

    Of metrics that a YAML declares those are that it says so of: its `smallest` and `channels`.
    """
    scores = evaluate(METRICS, *pair(2, 2, 5, 5))
    defined = {"psnr", "psnr_aligned", "relative_error", "relative_error_db", "success", "point_error"}
    defined.add("relative_error_unaligned")
    defined |= {n for n, metric in METRICS.items() if n not in OWN and metric.fits((2, 2 if metric.whole else 1, 5, 5))}
    assert all(score.shape == (2,) for score in scores.values())
    finite = {name for name, score in scores.items() if score.isfinite().all()}
    assert finite == defined, "a new metric says in its YAML from which size on, and of which channels, it is defined"
    assert {name for name, score in scores.items() if score.isnan().all()} == METRICS.keys() - defined


@pytest.mark.parametrize("name", ["psnr", "psnr_y", "ssim", "ssim_gaussian"])
def test_the_least_size_is_the_true_one(name):
    n = METRICS[name].smallest
    assert evaluate([name], *pair(1, 3, n, n))[name].isfinite().all()
    if n > 1:
        with pytest.raises((ValueError, RuntimeError)):
            METRICS[name].function(*pair(1, 3, n - 1, n))


def test_better_means_better():
    """The arrow points to the estimate with less noise. A metric where a value in between is right has none."""
    good, x = pair(noise=0.05)
    bad, _ = pair(noise=0.5)
    able = [name for name, metric in METRICS.items() if available(name) is None and not metric.of_draws]
    assert all(METRICS[name].arrow == "" for name in able if METRICS[name].higher_is_better is None)
    names = [name for name in able if "success" not in name and METRICS[name].higher_is_better is not None]
    for name, score in evaluate(names, good, x, best=lambda: x + 0.1).items():
        worse = evaluate([name], bad, x, best=lambda: x + 0.1)[name]
        assert ((score > worse) == METRICS[name].higher_is_better).all(), f"higher_is_better of {name}"
        assert METRICS[name].arrow == ("↑" if METRICS[name].higher_is_better else "↓")


def test_a_metric_that_works_in_place_changes_no_other_and_no_image(monkeypatch):
    x_hat, x = pair()
    hasty = Metric(lambda a, b: (a.add_(1) - b.zero_()).abs().flatten(1).mean(1), False, "hasty")
    monkeypatch.setitem(OWN, "hasty", hasty)
    kept, alone = (x_hat.clone(), x.clone()), evaluate(["psnr"], x_hat, x)["psnr"]
    assert torch.equal(evaluate(["hasty", "psnr"], x_hat, x)["psnr"], alone)
    assert torch.equal(x_hat, kept[0]) and torch.equal(x, kept[1])


def test_titles_differ_and_protocols_name_metrics():
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)
    assert HEADINGS["dmplug"] == {"LPIPS": "lpips_alex", "PSNR": "psnr", "SSIM": "ssim"}
    assert all(name in METRICS for naming in HEADINGS.values() for name in naming.values())


def test_a_bounded_shift_is_undone_on_the_field_that_it_leaves_in_sight():
    x_hat, x = pair(2, 3, 30, 26, noise=0.01)  # of more noise, half a pixel of smoothing would take some off
    moved = torch.stack([x_hat[0].roll((4, -3), (-2, -1)), x_hat[1].roll((-4, 1), (-2, -1))])
    scores = evaluate(["psnr", "ssim", "relative_error"], moved, x, ("bounded_shift",), (4, 3))
    for name, score in scores.items():
        field = evaluate([name], x_hat[..., 4:-4, 3:-3], x[..., 4:-4, 3:-3])
        torch.testing.assert_close(score, field[name], rtol=1e-12, atol=0)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="Did you mean psnr"):
        evaluate(["psrn"], *pair(1))


def test_success_is_a_small_error_up_to_the_symmetries():
    good, x = pair(noise=0.01)
    bad, _ = pair(noise=1.0)
    assert (evaluate(["success"], good.flip(-2, -1), x, ("flip",))["success"] == 1).all()
    assert (evaluate(["success"], bad, x)["success"] == 0).all()
