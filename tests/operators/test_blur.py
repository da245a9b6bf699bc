"""Blur with a known kernel: beside scipy and deepinv in every boundary, its adjoint, its spectrum, its inverse."""

import math

import deepinv
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage, signal

from sipbench.operators import blur, convolution, kernels, separable
from sipbench.operators.base import invert
from sipbench.operators.blur import Blur
from sipbench.operators.convolution import BOUNDARIES, Convolution
from sipbench.operators.separable import BlurDownsampling, GaussianBlur
from sipbench.problem import Rng
from tests.operators.clauses import adjoint_error, spectrum_error
from tests.operators.posing import error

SIZES = [((16, 16), (5, 5)), ((17, 14), (4, 7)), ((15, 32), (6, 4)), ((9, 11), (9, 3))]
SCIPY = {"circular": "wrap", "reflect": "mirror", "replicate": "nearest", "zero": "constant"}


def streams(b=2, seed=0):
    return Rng.of(seed, "blur", range(b)).portable


def random_kernels(b, size, seed=0):
    """Kernels with no symmetry at all."""
    return streams(b, seed).child("k").uniform(1, *size, dtype=torch.float64)


def posed(b, c, image, size, boundary, seed=0):
    rng = streams(b, seed)
    f = Blur((b, c, *image), rng, kernel=random_kernels(b, size, seed), boundary=boundary)
    x = rng.child("x").normal(c, *image, dtype=torch.float64)
    return f, x, rng.child("y").normal(*f(x).shape[1:], dtype=torch.float64)


def by_scipy(x, k, boundary):
    if boundary == "valid":
        return torch.tensor(
            np.array([[signal.convolve2d(c, kk[0], mode="valid") for c in im] for im, kk in zip(x, k, strict=True)])
        )
    mode = SCIPY[boundary]
    return torch.tensor(
        np.array([[ndimage.convolve(c, kk[0], mode=mode) for c in im] for im, kk in zip(x, k, strict=True)])
    )


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("image", "size"), SIZES)
def test_it_is_the_convolution_of_scipy(boundary, image, size):
    f, x, _ = posed(3, 3, image, size, boundary)
    assert error(f(x), by_scipy(x.numpy(), f.kernel.numpy(), boundary)) < 1e-13
    correlation = by_scipy(x.numpy(), f.kernel.flip(-2, -1).numpy(), boundary)
    assert error(f(x), correlation) > 1e-2
    exchanged = by_scipy(x.numpy(), f.kernel.roll(1, 0).numpy(), boundary)
    assert error(f(x), exchanged) > 1e-2


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("image", "size"), SIZES)
def test_it_is_the_blur_of_deepinv(boundary, image, size):
    """No difference in convention: even kernels have the same centre, also beside a border."""
    f, x, y = posed(2, 3, image, size, boundary)
    peer = deepinv.physics.Blur(filter=f.kernel, padding={"zero": "constant"}.get(boundary, boundary)).double()
    assert error(f(x), peer.A(x)) < 1e-13
    assert error(f.T(y), peer.A_adjoint(y)) < 1e-13


@pytest.mark.parametrize(("image", "size"), SIZES)
def test_a_circular_blur_is_the_fft_blur_of_deepinv(image, size):
    f, x, y = posed(1, 3, image, size, "circular")
    peer = deepinv.physics.BlurFFT(img_size=(3, *image), filter=f.kernel).double()
    assert error(f(x), peer.A(x)) < 1e-6  # it keeps its transfer function in single precision
    assert error(f.T(y), peer.A_adjoint(y)) < 1e-6


@pytest.mark.parametrize("boundary", ["circular", "reflect", "replicate"])
def test_a_border_that_is_not_folded_back_is_seen(monkeypatch, boundary):
    def cut(z, axis, before, after, boundary):
        return z.narrow(axis, before, z.shape[axis] - before - after)

    monkeypatch.setattr(convolution, "_fold", cut)
    f, x, y = posed(5, 3, (17, 14), (4, 7), boundary)
    x, y = (x, y) if boundary != "circular" else (x.float(), y.float())  # by Fourier transform it needs no folding
    assert adjoint_error(f, x, y) > 1e-3


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_direct_and_the_fourier_route_agree(monkeypatch, boundary):
    for image, size in SIZES:
        f, x, y = posed(5, 3, image, size, boundary)
        direct = f(x.float()), f.T(y.float())
        monkeypatch.setattr(convolution, "DIRECT_TAPS", {})
        fourier = f(x.float()), f.T(y.float())
        monkeypatch.undo()
        for a, b in zip(direct, fourier, strict=True):
            assert not torch.equal(a, b)  # two routes indeed
            assert error(a, b) < 1e-5
        assert error(direct[0], f(x)) < 1e-6


def test_a_spectrum_without_its_phase_is_seen(monkeypatch):
    f, x, y = posed(2, 2, (17, 14), (4, 7), "circular")
    monkeypatch.setattr(blur.torch, "where", lambda condition, value, other: torch.ones_like(value))
    assert spectrum_error(f, x, y) > 1e-2


def test_what_a_blur_takes_away_stays_away():
    """The mean of two neighbours loses the highest frequency of an even row: A^+ A is the projection on the rest."""
    f = Blur((1, 1, 4, 8), streams(1), kernel=torch.full((1, 1, 1, 2), 0.5), boundary="circular")
    x = streams(1).normal(1, 4, 8, dtype=torch.float64)
    highest = torch.tensor([1.0, -1.0]).repeat(4).double() / math.sqrt(8)
    rest = x - (x * highest).sum(-1, keepdim=True) * highest
    for dtype in (torch.float32, torch.float64):
        assert error(f.pinv(f(x.to(dtype))), rest) < 1e-5
    assert error(x, rest) > 1e-2


def test_a_loud_neighbour_does_not_silence_an_image(monkeypatch):
    k = torch.cat([1e9 * random_kernels(1, (3, 3), 1), random_kernels(1, (3, 3), 2)])
    f = Blur((2, 1, 8, 8), streams(2), kernel=k, boundary="circular")
    x, svd = streams(2).normal(1, 8, 8), f.svd()
    assert error(f.pinv(f(x))[1], x[1]) < 1e-2
    assert error(svd.V(invert(svd.s) * svd.Ut(f(x)))[1], x[1]) < 1e-2
    together = invert(f.transfer.abs().float().flatten(0, 2)).view_as(f.transfer)
    monkeypatch.setattr(Blur, "_inverse", lambda f, y: together * f.transfer.sgn().conj())
    assert error(f.pinv(f(x))[1], x[1]) > 0.1


@pytest.mark.parametrize("boundary", ["zero", "reflect", "replicate", "valid"])
def test_elsewhere_the_inverse_is_near_and_does_not_claim_more(boundary):
    f = Blur((1, 1, 24, 20), streams(1), kernel="motion", size=7, boundary=boundary)
    y = f(streams(1).normal(1, 24, 20, dtype=torch.float64))
    assert not f.exact_pinv and f.svd() is None
    assert error(f(f.pinv(y)), y) < 1e-2
    assert error(f(f.T(y)), y) > 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_image_meets_many_kernels(dtype):
    f, x, y = posed(4, 3, (17, 14), (4, 7), "reflect")
    x, y = x[:1].to(dtype), y[:1].to(dtype)
    for mine in (f, f.T):
        assert error(mine(x), mine(x.expand(4, -1, -1, -1))) < 1e-6


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("c", [1, 3])
def test_results_are_contiguous(boundary, c):
    for image, size in [*SIZES, ((33, 47), (21, 8))]:
        f, x, y = posed(5, c, image, size, boundary)
        assert f(x).is_contiguous() and f.T(y).is_contiguous() and f(x[:1].float()).is_contiguous()


def test_kernels_are_drawn_once_for_each_image():
    f = Blur((3, 1, 32, 32), streams(3), kernel="motion", size=15, boundary="reflect")
    assert len(f.kernel.flatten(1).unique(dim=0)) == 3 and torch.equal(f.select(slice(2, 3)).kernel, f.kernel[2:])
    assert torch.equal(f.kernel, kernels.motion(streams(3), 15, 0.5))


@pytest.mark.parametrize(("image", "size"), [((40, 33), (9, 9)), ((40, 33), (8, 6))])
def test_the_shape_of_a_photograph_tells_that_of_the_scene(tmp_path, image, size):
    np.save(tmp_path / "k.npy", np.ones(size))
    options = {"kernel": "file", "path": str(tmp_path / "k.npy"), "boundary": "valid"}
    f = Blur((1, 3, *image), streams(1), **options)
    y = f(torch.zeros(1, 3, *image))
    assert y.shape[-2:] == (image[0] - size[0] + 1, image[1] - size[1] + 1)
    assert Blur.unknown_shape(tuple(y.shape), **options) == (1, 3, *image)
    assert Blur.unknown_shape((1, 3, 5, 6), kernel="motion", size=7, boundary="reflect") == (1, 3, 5, 6)
    example = {"kernel": "file", "boundary": "valid"}
    y = Blur((1, 3, *image), streams(1), **example)(torch.zeros(1, 3, *image))
    assert Blur.unknown_shape(tuple(y.shape), **example) == (1, 3, *image)


def test_transforms_have_lengths_that_are_fast():
    for n, m in ((1, 2), (7, 8), (255, 256), (256, 256), (286, 288), (316, 320), (338, 360)):
        assert convolution.fast_length(n) == m
    assert Convolution((256, 256), (64, 64), "zero").grid == (288, 288)
    assert Convolution((255, 13), (9, 4), "circular").grid == (255, 13)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("image", "size", "sigma"), [((24, 21), 13, 1.2), ((16, 16), 8, 1.0), ((16, 33), 15, 1.0)])
def test_a_gaussian_blur_is_a_blur(boundary, image, size, sigma):
    f = GaussianBlur((2, 3, *image), streams(), size=size, sigma=sigma, boundary=boundary)
    g = Blur((2, 3, *image), streams(), kernel="gaussian", size=size, sigma=sigma, boundary=boundary)
    x = streams().normal(3, *image, dtype=torch.float64)
    y = streams().normal(*g(x).shape[1:], dtype=torch.float64)
    assert error(f(x), g(x)) < 1e-13 and error(f.T(y), g.T(y)) < 1e-13
    assert error(f(f.pinv(f(x.float()))), f(x)) < 1e-4


def test_the_wrong_border_of_a_gaussian_is_seen(monkeypatch):
    separable.blur_svd.cache_clear()
    monkeypatch.setattr(separable, "_inside", lambda at, n, boundary: at.clamp(0, n - 1))
    separable.blur_matrix.cache_clear()
    f = GaussianBlur((2, 3, 24, 21), streams(), size=13, sigma=1.2, boundary="reflect")
    x = streams().normal(3, 24, 21, dtype=torch.float64)
    assert spectrum_error(f, x, x) > 1e-3
    separable.blur_matrix.cache_clear()
    separable.blur_svd.cache_clear()


def test_the_gaussian_blur_of_dps():
    """61 x 61 of scipy's filter of a unit sample, 30 mirrored samples all round, torch's convolution."""
    delta = np.zeros((61, 61))
    delta[30, 30] = 1
    k = torch.from_numpy(ndimage.gaussian_filter(delta, 3.0))[None, None]
    x = streams().normal(3, 64, 70, dtype=torch.float64)
    theirs = F.conv2d(F.pad(x, (30,) * 4, mode="reflect"), k.expand(3, 1, 61, 61), groups=3)
    f = GaussianBlur((2, 3, 64, 70), streams())
    assert error(f(x), theirs) < 1e-13
    assert error(f(x), torch.from_numpy(ndimage.gaussian_filter(x.numpy(), (0, 0, 3, 3), mode="mirror"))) < 1e-13
    assert error(GaussianBlur((2, 3, 64, 70), streams(), boundary="replicate")(x), theirs) > 1e-3


@pytest.mark.parametrize("boundary", ["circular", "zero", "reflect", "replicate"])
@pytest.mark.parametrize(("image", "size", "factor"), [((32, 24), 9, 4), ((16, 24), 6, 2), ((15, 21), 9, 3)])
def test_blur_and_decimation(boundary, image, size, factor):
    f = BlurDownsampling((2, 3, *image), streams(), factor=factor, size=size, sigma=1.0, boundary=boundary)
    g = Blur((2, 3, *image), streams(), kernel="gaussian", size=size, sigma=1.0, boundary=boundary)
    x = streams().normal(3, *image, dtype=torch.float64)
    y = streams().normal(3, image[0] // factor, image[1] // factor, dtype=torch.float64)
    assert error(f(x), g(x)[..., ::factor, ::factor]) < 1e-13
    assert error(f(x), g(x)[..., 1::factor, 1::factor]) > 1e-2
    padding = {"zero": "constant"}.get(boundary, boundary)
    peer = deepinv.physics.Downsampling(img_size=(3, *image), factor=factor, filter=f.kernel, padding=padding).double()
    assert error(f(x), peer.A(x)) < 1e-12
    assert error(f.T(y), peer.A_adjoint(y)) < 1e-12
