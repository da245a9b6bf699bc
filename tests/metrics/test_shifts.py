"""The best shift by quarter pixels, beside scipy's interpolation at every single one of them."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from sipbench.metrics import psnr, psnr_aligned
from sipbench.metrics.alignment import align
from sipbench.metrics.shifts import inside, nearest_shift
from sipbench.problem import Rng


def images(channels=1, h=24, w=21, b=3, seed=0):
    """Smooth enough for a shift to mean something."""
    x = Rng.of(seed, "shifts", range(b)).normal(channels, h + 4, w + 4, dtype=torch.float64)
    return torch.nn.functional.avg_pool2d(x, 5, 1)


def moved(x, dy, dx):
    """x(i + u) between pixels by scipy, linear in each direction: what interp2 does."""
    h, w = x.shape[-2:]
    at = np.meshgrid(np.arange(h) + dy, np.arange(w) + dx, indexing="ij")
    flat = [map_coordinates(v, at, order=1, mode="nearest") for v in x.reshape(-1, h, w).numpy()]
    return torch.from_numpy(np.stack(flat)).view_as(x)


def errors(x_hat, x, margin, reach):
    """The squared error at every shift by quarters."""
    steps = product(*(np.arange(-r, r + 0.25, 0.25) for r in reach))
    return torch.stack([inside(moved(x_hat, *u) - x, margin).square().flatten(1).sum(1) for u in steps])


@pytest.mark.parametrize(("margin", "reach"), [((4, 3), (4, 3)), ((4, 3), (2, 3)), ((1, 0), (1, 0)), ((0, 0), (0, 0))])
def test_no_shift_by_quarters_is_nearer(margin, reach):
    x = images(2)
    x_hat = moved(x, 1.3, -0.6) + 0.1 * images(2, seed=1) + 0.05 * torch.linspace(-1, 1, 21, dtype=torch.float64)
    every = errors(x_hat, x, margin, reach)
    found = inside(nearest_shift(x_hat, x, margin, reach) - x, margin).square().flatten(1).sum(1)
    torch.testing.assert_close(found, every.amin(0), rtol=1e-10, atol=1e-12)
    if margin == reach:  # what a declared symmetry of a blind blur lets an estimate do
        assert torch.equal(align(x_hat, x, ("bounded_shift",), margin), nearest_shift(x_hat, x, margin, reach))
    if min(reach) > 1:  # whole pixels alone would be seen
        whole = every.view(8 * reach[0] + 1, 8 * reach[1] + 1, -1)[::4, ::4].flatten(0, 1).amin(0)
        assert (found < 0.9 * whole).all()


def test_each_image_is_moved_by_itself():
    x = images(b=3)
    x_hat = torch.stack([moved(x[:1], 0.25, 0)[0], moved(x[1:2], -1, 0.5)[0], x[2]])
    together = nearest_shift(x_hat, x, (3, 3), (2, 2))
    alone = torch.cat([nearest_shift(x_hat[i : i + 1], x[i : i + 1], (3, 3), (2, 2)) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=0)
    assert torch.equal(together[2], x[2])


def test_half_a_pixel_costs_no_decibels():
    """An estimate half a pixel aside: by whole pixels it looks 8 dB worse than it is."""
    x = images(h=64, w=64).tanh()
    wide = images(h=68, w=68).tanh()
    x, aside = wide[..., 2:-2, 2:-2], moved(wide, 0.5, -0.5)[..., 2:-2, 2:-2]
    unshifted = moved(moved(wide, 0.5, -0.5), -0.5, 0.5)[..., 2:-2, 2:-2]
    best = psnr(inside(unshifted, (4, 4)), inside(x, (4, 4)))
    torch.testing.assert_close(psnr_aligned(aside, x), best, rtol=0, atol=1e-9)
    aligned = align(aside, x, ("bounded_shift",), (4, 4))
    torch.testing.assert_close(inside(aligned, (4, 4)), inside(unshifted, (4, 4)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("side", "margin", "reach"), [(64, 4, 4), (255, 15, 10), (256, 16, 10)])
def test_how_far_and_what_border(side, margin, reach):
    """As published on Levin's 255 pixels: 15 are left out, and no shift goes beyond 10."""
    x = images(1, side, side, 1).tanh()
    for by, found in ((reach, True), (-reach, True), (reach + 1, False)):
        score = float(psnr_aligned(x.roll(by, -1), x))
        assert (score == torch.inf) == found
    spoilt = x.clone()
    spoilt[..., : margin - reach, :] = spoilt[..., : margin - reach] = 9.0
    assert float(psnr_aligned(spoilt, x)) == torch.inf
    spoilt = x.clone()
    spoilt[..., margin, margin:-margin] = 9.0
    assert float(psnr_aligned(spoilt, x)) < 40


def test_what_is_not_finite_crashes_nothing():
    x = images()
    assert nearest_shift(torch.full_like(x, torch.nan), x, (3, 3), (2, 2)).shape == x.shape
    assert nearest_shift(torch.full_like(x, torch.inf), x, (3, 3), (2, 2)).shape == x.shape
