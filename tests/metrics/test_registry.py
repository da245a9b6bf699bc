"""The registry: names, headings, and what happens where a metric is undefined."""

import pytest
import torch

from sipbench.errors import UserError
from sipbench.metrics import METRICS, PROTOCOLS, available, evaluate, psnr, ssim
from tests.metrics.images import pair


def test_evaluate_gives_each_metric_per_image():
    x_hat, x = pair()
    scores = evaluate(["ssim", "psnr"], x_hat, x)
    assert list(scores) == ["ssim", "psnr"]
    torch.testing.assert_close(scores["psnr"], psnr(x_hat, x))
    torch.testing.assert_close(scores["ssim"], ssim(x_hat, x))


def test_undefined_is_nan_and_stops_nothing():
    """Images of 5 x 5 pixels and two channels: PSNR and the relative error alone are defined."""
    scores = evaluate(METRICS, *pair(2, 2, 5, 5))
    defined = {"psnr", "relative_error"}
    assert all(scores[name].isfinite().all() for name in defined)
    assert all(scores[name].isnan().all() and scores[name].shape == (2,) for name in METRICS if name not in defined)


@pytest.mark.parametrize("name", ["psnr", "ssim", "ssim_gaussian"])
def test_the_least_size_is_the_true_one(name):
    n = METRICS[name].smallest
    assert evaluate([name], *pair(1, 3, n, n))[name].isfinite().all()
    if n > 1:
        with pytest.raises((ValueError, RuntimeError)):
            METRICS[name].function(*pair(1, 3, n - 1, n))


def test_better_means_better():
    """The arrow points to the estimate with less noise."""
    good, x = pair(noise=0.05)
    bad, _ = pair(noise=0.5)
    names = [name for name in METRICS if available(name) is None]
    for name, score in evaluate(names, good, x).items():
        worse = evaluate([name], bad, x)[name]
        assert ((score > worse) == METRICS[name].higher_is_better).all(), name
        assert METRICS[name].arrow == ("↑" if METRICS[name].higher_is_better else "↓")


def test_titles_differ_and_protocols_name_metrics():
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)
    assert PROTOCOLS["dmplug"] == {"LPIPS": "lpips_alex", "PSNR": "psnr", "SSIM": "ssim"}
    assert all(name in METRICS for protocol in PROTOCOLS.values() for name in protocol.values())


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="Did you mean psnr"):
        evaluate(["psrn"], *pair(1))
