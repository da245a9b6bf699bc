"""Tomography: exact areas, an exact adjoint, and what scikit-image and deepinv make of the same phantom."""

import math

import deepinv
import numpy as np
import pytest
import torch
from skimage.transform import iradon, radon

from sipbench.operators.tomography import WINDOWS, Tomography, enough_detectors, view
from tests.operators import posing
from tests.operators.clauses import adjoint_error
from tests.operators.posing import draw

SIZES = [(16, 16), (17, 15), (24, 16), (33, 32)]


def make(h, w, b=1, c=1, kind=Tomography, **options):
    return posing.make(kind, (b, c, h, w), **options)


def phantom(h, w=None, centre=None):
    """Three smooth blobs about a centre, the middle unless given, that vanish at the border."""
    w = w or h
    ci, cj = centre or ((h - 1) / 2, (w - 1) / 2)
    i, j = torch.arange(h).double()[:, None] - ci, torch.arange(w).double() - cj
    n = min(h, w)
    blobs = [(0.05, -0.1, 0.1, 0.07, 1.0), (-0.15, 0.1, 0.06, 0.09, 0.7), (0.1, 0.15, 0.05, 0.05, -0.4)]
    parts = [a * torch.exp(-(((i / n - y) / s) ** 2) / 2 - ((j / n - x) / t) ** 2 / 2) for y, x, s, t, a in blobs]
    return torch.stack(parts).sum(0)[None, None]


def distance(a, b):
    return float((a - b).norm() / b.norm())


class Unweighted(Tomography):
    """Its adjoint forgets the areas: each strip that a pixel meets counts the same."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        areas = self.areas_t
        self.register_buffer("areas_t", torch.full_like(areas, float(areas.mean())))


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_an_adjoint_without_areas_is_seen(h, w):
    f = make(h, w, 5, 3, kind=Unweighted, views=12)
    assert adjoint_error(f, draw(*f.shape), draw(*f(draw(*f.shape)).shape, seed=1)) > 1e-4


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_every_view_sees_the_whole_image_once(h, w):
    x = draw(1, 1, h, w)
    y = make(h, w, views=12)(x) * max(h, w)
    assert torch.allclose(y.sum(-1), x.sum().expand(1, 1, 12), atol=1e-11)
    back = make(h, w, views=12).T(torch.ones_like(y)) * max(h, w)
    assert torch.allclose(back, torch.full_like(x, 12), atol=1e-11)
    assert not torch.allclose(make(h, w, views=12, detectors=h // 2)(x).sum(-1) * max(h, w), x.sum(), atol=1e-2)


def test_the_first_view_holds_the_column_sums_and_the_middle_one_the_row_sums():
    x = draw(1, 1, 17, 17)
    f = make(17, 17, views=2)
    edge = (f.detectors - 17) // 2
    y = 17 * f(x)[0, 0, :, edge:-edge]
    assert torch.allclose(y[0], x[0, 0].sum(0), atol=1e-12)
    assert torch.allclose(y[1], x[0, 0].sum(1).flip(0), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 4, 1.2, math.pi / 2, 2.9])
def test_areas_by_counting_points(angle):
    """Each pixel as 200 x 200 points, each point in the strip that it falls in."""
    points = (np.arange(200) + 0.5) / 200 - 0.5
    matrix = view(3, 2, angle, 7).toarray()
    for pixel, (i, j) in enumerate(np.ndindex(3, 2)):
        s = (j - 0.5 + points) * np.cos(angle) - (i - 1 + points)[:, None] * np.sin(angle)
        strip = np.floor(s + 3 + 0.5).astype(int)
        counted = np.bincount(strip.ravel(), minlength=7) / points.size**2
        assert np.abs(matrix[:, pixel] - counted).max() < 6e-3
        assert np.abs(matrix[::-1, pixel] - counted).max() > 0.1 or abs(s.mean()) < 0.3


def test_gradients_of_second_order():
    f = make(6, 5, views=4)
    x, y = draw(1, 1, 6, 5).requires_grad_(), draw(1, 1, 4, f.detectors).requires_grad_()
    for map_, z in ((f, x), (f.T, y), (f.pinv, y)):
        assert torch.autograd.gradgradcheck(lambda z, map_=map_: map_(z).square(), (z,))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
def test_forward_mode():
    f, x = make(6, 5, views=4), draw(1, 1, 6, 5)
    value, tangent = torch.func.jvp(f, (x,), (x.flip(-1),))
    assert torch.equal(value, f(x)) and torch.equal(tangent, f(x.flip(-1)))


@pytest.mark.parametrize(("h", "w"), [(61, 61), (45, 61)])
def test_scikit_image_sees_the_same_sinogram(h, w):
    """It sums bilinear samples of the turned image; at odd sizes its axis is the image's middle, as here."""
    x = phantom(h, w)
    y = make(h, w, views=30)(x)[0, 0] * 61
    theirs = torch.from_numpy(radon(x[0, 0].numpy(), np.arange(30) * 6.0, circle=False)).T
    assert theirs.shape == y.shape
    assert distance(y, theirs) < 2e-3
    assert distance(y.flip(-1), theirs) > 0.1


def test_at_even_sizes_scikit_image_turns_about_half_a_pixel_further():
    """Its axis is the pixel n // 2, here it is (n - 1) / 2: the same blobs about either axis give the same views."""
    y = make(64, 64, views=30, detectors=91)(phantom(64))[0, 0] * 64
    theirs = torch.from_numpy(radon(phantom(64, centre=(32, 32))[0, 0].numpy(), np.arange(30) * 6.0, circle=False)).T
    assert distance(y, theirs) < 2e-3
    assert distance(y[:, 1:], theirs[:, :-1]) > 0.02


@pytest.mark.parametrize("window", WINDOWS)
def test_filtered_back_projection_is_that_of_scikit_image(window):
    f = make(61, 61, views=90, window=window)
    y = f(phantom(61))
    theirs = iradon((61 * y[0, 0]).T.numpy(), np.arange(90) * 2.0, output_size=61, filter_name=window, circle=False)
    mine = f.pinv(y)[0, 0]
    assert distance(mine, torch.from_numpy(theirs)) < 4e-3
    others = [make(61, 61, views=90, window=other).pinv(y)[0, 0] for other in WINDOWS if other != window]
    assert min(distance(other, torch.from_numpy(theirs)) for other in others) > 1.2e-3


def test_deepinv_sees_the_same_sinogram():
    """Its layout is detectors by views; at odd sizes its axis is the image's middle, as here."""
    theirs = deepinv.physics.Tomography(
        angles=torch.arange(30) * 6.0, img_width=61, normalize=False, dtype=torch.float64
    )
    f, x = make(61, 61, views=30), phantom(61)
    assert distance(61 * f(x), theirs.A(x).mT) < 2e-3
    assert distance(61 * f(x).flip(-1), theirs.A(x).mT) > 0.1
    y = f(x)
    assert distance(61 * f.T(y), theirs.A_adjoint(y.mT.contiguous())) < 0.03  # theirs ripples from pixel to pixel


def test_filtered_back_projection_of_many_views_gives_the_phantom_back():
    x = phantom(64)
    error = {n: distance(f.pinv(f(x)), x) for n in (8, 200) for f in [make(64, 64, views=n)]}
    assert error[200] < 0.015
    assert error[8] > 0.1
    limited = make(64, 64, views=133, span=120)
    assert distance(limited.pinv(limited(x)), x) > 0.1
    full = make(64, 64, views=200)
    assert distance(full.weight * full.T(full(x)), x) > 1  # without the filter


def test_it_does_not_claim_a_pseudo_inverse():
    f, x = make(16, 16, views=6), draw(1, 1, 16, 16)
    assert not f.exact_pinv
    assert distance(f(f.pinv(f(x))), f(x)) > 1e-2


def test_a_sinogram_stays_within_the_range_of_lengths():
    f = make(64, 64, views=60)
    y = f(torch.ones(1, 1, 64, 64, dtype=torch.float64))
    assert y.min() >= 0 and 1.38 < y.max() <= math.sqrt(2)
    picture = f.picture(f(phantom(64)))
    assert picture.min() == 0 and picture.max() == 1


def test_the_matrix_is_built_once_and_shared():
    one, two = make(16, 16, views=9), make(16, 16, 3, 3, views=9)
    assert one.areas.data_ptr() == two.areas.data_ptr()
    assert one.areas.data_ptr() != make(16, 16, views=9, span=90.0).areas.data_ptr()
    one(draw(1, 1, 16, 16, dtype=torch.float32))
    held = one.cast("areas", torch.zeros(1))
    one(draw(1, 1, 16, 16, dtype=torch.float32))
    assert one.cast("areas", torch.zeros(1)) is held


def test_the_shape_of_x_follows_from_the_detectors():
    for side in range(3, 300):
        assert Tomography.unknown_shape((2, 1, 7, enough_detectors(side))) == (2, 1, side, side)
    assert Tomography.unknown_shape((2, 1, 7, 40), size=[20, 30], views=7) == (2, 1, 20, 30)
