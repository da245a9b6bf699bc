"""The images of Pan's blind deblurring for a known kernel, against independent implementations."""

import numpy as np
import pytest
import torch
from skimage.filters import threshold_otsu

from baselines.classical import pan_latent
from tests.baselines.test_pan import blurred, close, images, kernels


def few_gradients_in_numpy(y, k, mu, a, u):
    """One image, its channels together."""
    h, w = y.shape[-2:]
    kernel = np.zeros((h, w))
    for i in range(k.shape[0]):
        for j in range(k.shape[1]):
            kernel[i - k.shape[0] // 2, j - k.shape[1] // 2] = k[i, j]
    K, Y = np.fft.fft2(kernel), np.fft.fft2(y)
    dy, dx = np.zeros((h, w)), np.zeros((h, w))
    dy[0, 0] = dx[0, 0] = -1
    dy[-1, 0] = dx[0, -1] = 1
    Dy, Dx = np.fft.fft2(dy), np.fft.fft2(dx)
    x, b = u.copy(), 2 * mu
    while b < 1e5:
        gy, gx = np.fft.ifft2(Dy * np.fft.fft2(x)).real, np.fft.ifft2(Dx * np.fft.fft2(x)).real
        none = (gy**2 + gx**2).sum(0) < mu / b
        gy[:, none] = gx[:, none] = 0
        top = K.conj() * Y + b * (Dy.conj() * np.fft.fft2(gy) + Dx.conj() * np.fft.fft2(gx)) + a * np.fft.fft2(u)
        x = np.fft.ifft2(top / (abs(K) ** 2 + b * (abs(Dy) ** 2 + abs(Dx) ** 2) + a)).real
        b *= 2
    return x


def witness(few_pixels):
    """With lam = 0 and one round, from a weight of 4 to 8: the last step of `few_pixels` is `few_gradients`."""
    y, k = images(c=3), kernels()
    found = few_pixels(y, k, 0.0, 0.01, torch.full((2,), 4.0, dtype=torch.float64), pan_latent.everywhere)
    expected = [few_gradients_in_numpy(y[i].numpy(), k[i, 0].numpy(), 0.01, 4.0, y[i].numpy()) for i in range(2)]
    assert close(np.array(expected), found)


@pytest.mark.parametrize("a", [0.0, 0.3])
def test_few_gradients(a):
    x, k = images(c=3), kernels()
    y, u = blurred(x, k), images(c=3, seed=1)
    found = pan_latent.few_gradients(u, pan_latent.Deconvolution(y, k), 0.01, a, u)
    expected = [few_gradients_in_numpy(y[i].numpy(), k[i, 0].numpy(), 0.01, a, u[i].numpy()) for i in range(2)]
    assert close(np.array(expected), found)


def test_the_darkest_pixels_are_the_minima_of_windows():
    x = images(1, 1, 60, 50)
    expected = np.zeros((60, 50), bool)
    for i in range(60):
        for j in range(50):
            top, left = max(i - 17, 0), max(j - 17, 0)
            window = x[0, 0, top : i + 18, left : j + 18].numpy()
            r, c = np.unravel_index(window.argmin(), window.shape)
            expected[top + r, left + c] = True
    assert torch.equal(pan_latent.darkest(x)[0, 0], torch.from_numpy(expected))
    assert 1 < expected.sum() < 100


def test_dark_pixels_become_fewer():
    x = images(h=40, w=40)
    k = torch.ones(2, 1, 1, 1, dtype=torch.float64)
    y = pan_latent.few_pixels(x, k, 0.05, 1e-4, torch.full((2,), 0.1, dtype=torch.float64), pan_latent.everywhere)
    assert ((y.abs() < 0.05).sum() > 2 * (x.abs() < 0.05).sum()).all()
    assert ((y - x).abs() < 0.3).all()


def test_otsu_is_that_of_skimage():
    x = torch.cat([0.3 * images(1, 1, 40, 40), 0.3 * images(1, 1, 40, 40, seed=1) + 0.6], 3)
    levels = (x * 255).round().numpy().astype(np.uint8)
    assert abs(float(pan_latent.otsu(x)) - threshold_otsu(levels) / 255) < 1.5 / 255


def test_bilateral():
    x = images(1, 3, 9, 8)
    expected = torch.zeros_like(x)
    for i, j in np.ndindex(9, 8):
        near = [(dy, dx, min(max(i + dy - 6, 0), 8), min(max(j + dx - 6, 0), 7)) for dy, dx in np.ndindex(13, 13)]
        values = torch.stack([x[0, :, r, c] for *_, r, c in near])
        far = torch.tensor([(dy - 6) ** 2 + (dx - 6) ** 2 for dy, dx, *_ in near]) / 9
        weights = torch.exp(-0.5 * (far + (values - x[0, :, i, j]).square().sum(1) / 0.01))
        expected[0, :, i, j] = (weights[:, None] * values).sum(0) / weights.sum()
    assert close(expected, pan_latent.bilateral(x), 1e-6)


def test_total_variation_lowers_its_objective():
    x, k, lam = images(c=3), kernels(), 0.02
    y = blurred(x, k)

    def objective(v):
        differences = sum(d.abs().flatten(1).sum(1) for d in pan_latent.differences(v))
        return (blurred(v, k) - y).square().flatten(1).sum(1) / 2 + lam * differences

    found = pan_latent.total_variation(y, k, lam)
    assert (objective(found) < objective(y)).all() and (objective(found) < objective(x)).all()
    for seed in range(3):  # nothing near is much better
        assert (objective(found) < 1.02 * objective(found + 0.003 * (images(c=3, seed=seed) - 0.5))).all()
