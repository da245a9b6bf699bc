"""PSNR and SSIM against scikit-image and torchmetrics, and what a metric of one image must not do in a batch."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sipbench.metrics import psnr, psnr_y, ssim, ssim_gaussian
from sipbench.metrics.fidelity import intensity
from tests.metrics.images import pair

SIZES = [(1, 3, 7, 7), (2, 3, 33, 47), (3, 1, 16, 9), (2, 2, 64, 64)]
METRICS = [psnr, psnr_y, ssim, ssim_gaussian]


def to_numpy(x):
    """(H, W, C) in [0, 1], double precision."""
    return ((x.double() + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy()


def by_skimage(metric, x_hat, x, **options):
    return [metric(to_numpy(b), to_numpy(a), data_range=1, **options) for a, b in zip(x_hat, x, strict=True)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("noise", [0.003, 0.2, 1.0])
def test_psnr_is_that_of_skimage(size, noise):
    x_hat, x = pair(*size, noise=noise)
    np.testing.assert_allclose(psnr(x_hat, x), by_skimage(peak_signal_noise_ratio, x_hat, x), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("noise", [0.003, 0.2, 1.0])
def test_psnr_is_that_of_torchmetrics_to_the_bit_without_its_import(size, noise):
    from torchmetrics.functional.image import peak_signal_noise_ratio as theirs

    x_hat, x = pair(*size, noise=noise)
    options = {"data_range": 1.0, "reduction": "none", "dim": (1, 2, 3)}
    assert torch.equal(psnr(x_hat, x), theirs(intensity(x_hat), intensity(x), **options))


@pytest.mark.parametrize("noise", [0.003, 0.2, 1.0])
def test_the_luma_psnr_is_that_of_skimage_within_the_border(noise):
    x_hat, x = pair(2, 3, 33, 47, noise=noise)
    lumas = [[rgb2ycbcr(to_numpy(v))[4:-4, 4:-4, 0] for v in images] for images in (x_hat, x)]
    theirs = [peak_signal_noise_ratio(b, a, data_range=255) for a, b in zip(*lumas, strict=True)]
    np.testing.assert_allclose(psnr_y(x_hat, x), theirs, atol=1e-9)
    border = x_hat.clone()
    border[..., :4, :] = 1
    np.testing.assert_array_equal(psnr_y(border, x), psnr_y(x_hat, x))


def test_the_luma_psnr_needs_colour_and_something_within_the_border():
    for size in ((1, 1, 16, 16), (1, 3, 8, 16)):
        with pytest.raises(ValueError, match="three channels and more than 8 pixels"):
            psnr_y(*pair(*size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("noise", [0.003, 0.2, 1.0])
def test_ssim_is_that_of_skimage(size, noise):
    x_hat, x = pair(*size, noise=noise)
    np.testing.assert_allclose(ssim(x_hat, x), by_skimage(structural_similarity, x_hat, x, channel_axis=2), atol=1e-9)


def test_the_window_the_border_and_the_covariance_matter():
    """The comparison above would see each of the usual slips."""
    x_hat, x = pair()
    ours = ssim(x_hat, x)
    slips = [{"gaussian_weights": True}, {"use_sample_covariance": False}, {"win_size": 11}]
    for slip in slips:
        theirs = by_skimage(structural_similarity, x_hat, x, channel_axis=2, **slip)
        assert (ours - torch.tensor(theirs)).abs().max() > 1e-5, slip


def test_ssim_gaussian_is_that_of_torchmetrics_one_by_one():
    from torchmetrics.image import StructuralSimilarityIndexMeasure

    x_hat, x = (((v + 1) / 2).clamp(0, 1) for v in pair())
    theirs = [StructuralSimilarityIndexMeasure(data_range=1.0)(a[None], b[None]) for a, b in zip(x_hat, x, strict=True)]
    torch.testing.assert_close(ssim_gaussian(*pair()), torch.stack(theirs), rtol=0, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_is_its_images_one_by_one(metric):
    x_hat, x = pair()
    alone = torch.cat([metric(a[None], b[None]) for a, b in zip(x_hat, x, strict=True)])
    assert metric(x_hat, x).shape == (3,)
    torch.testing.assert_close(metric(x_hat, x), alone, rtol=0, atol=1e-5 if metric is ssim_gaussian else 1e-12)


def test_psnr_is_not_pooled():
    """Errors of 0.1 and 0.01 in intensity are 20 and 40 dB; pooled over the batch both would be 23 dB."""
    x = torch.zeros(2, 3, 8, 8, dtype=torch.float64)
    x_hat = x + torch.tensor([0.2, 0.02], dtype=torch.float64).view(2, 1, 1, 1)
    torch.testing.assert_close(psnr(x_hat, x), torch.tensor([20.0, 40.0], dtype=torch.float64))


@pytest.mark.parametrize("metric", METRICS)
def test_values_outside_the_range_are_clipped(metric):
    x = torch.ones(1, 3, 16, 16)
    torch.testing.assert_close(metric(3 * x, x), metric(x, x))
    x_hat, x = pair()
    torch.testing.assert_close(metric(x_hat, x), metric(x_hat.clamp(-1, 1), x))


@pytest.mark.parametrize("metric", METRICS)
def test_contrast_is_not_stretched(metric):
    """A washed-out copy is not the image: no metric may rescale an image to its own range."""
    _, x = pair()
    assert (metric(0.5 * x, x) < metric(0.9 * x, x)).all()
    assert (metric(0.9 * x, x) < metric(x, x)).all()


def test_identical_images():
    _, x = pair()
    assert psnr(x, x).isposinf().all()
    for metric in (ssim, ssim_gaussian):
        torch.testing.assert_close(metric(x, x).double(), torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_a_non_finite_image_stays_alone(metric):
    x_hat, x = pair()
    clean = metric(x_hat, x)
    x_hat[1, 0, 4, 4] = torch.nan
    scores = metric(x_hat, x)
    assert scores[1].isnan()
    torch.testing.assert_close(scores[[0, 2]], clean[[0, 2]])


@pytest.mark.parametrize("metric", METRICS)
def test_shapes_are_not_broadcast(metric):
    x_hat, x = pair()
    with pytest.raises(ValueError, match="one shape"):
        metric(x_hat, x[:1])


def test_ssim_names_the_least_size():
    with pytest.raises(ValueError, match="7 x 7"):
        ssim(*pair(1, 3, 6, 20))
