"""Denoising, colourisation and demosaicing, beside deepinv's."""

import deepinv
import pytest
import torch

from sipbench.operators.colour import Colorize, Demosaic, Denoise
from sipbench.operators.unknowns import LUMA
from sipbench.problem import Rng


def make(kind, shape, **options):
    return kind(shape, Rng.of(0, "t", range(shape[0])).portable, **options)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a, b, tolerance=1e-12):
    return float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def adjoint_error(f, x):
    Ax = f(x)
    y = draw(*Ax.shape, seed=1)
    return float(((Ax * y).sum() - (x * f.T(y)).sum()).abs() / (Ax.norm() * y.norm()))


def dense(f, shape):
    return torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(3 * 5 * 4, dtype=torch.float64)], 1)


class Equal(Colorize):
    """Its adjoint forgets the weights."""

    def T(self, y):
        return y.expand(-1, 3, -1, -1) / 3


class Shifted(Demosaic):
    """Its adjoint takes the filter for the one that is moved by a pixel."""

    def T(self, y):
        return self.cast("pattern", y).roll(1, -1) * y


KINDS = [
    (Colorize, {"weights": "mean"}),
    (Colorize, {"weights": "rec601"}),
    (Demosaic, {}),
    (Demosaic, {"pattern": "GBRG"}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_against_the_dense_matrix(kind, options):
    f, x = make(kind, (2, 3, 5, 4), **options), draw(2, 3, 5, 4)
    A, y = dense(f, (3, 5, 4)), draw(2, 1, 5, 4)
    assert close(f.T(y).flatten(1), y.flatten(1) @ A)
    assert close(f.pinv(y).flatten(1), y.flatten(1) @ torch.linalg.pinv(A).T)
    assert f.norm == pytest.approx(float(torch.linalg.matrix_norm(A, 2)))
    svd = f.svd(torch.float64)
    assert close(svd.U(svd.s * svd.Vt(x)), f(x)) and close(svd.Vt(svd.V(y)), y)
    assert adjoint_error(f, x) < 1e-14
    assert f.unknown_shape(tuple(y.shape)) == (2, 3, 5, 4)


def test_an_adjoint_without_its_weights_is_seen():
    x = draw(1, 3, 8, 8)
    assert adjoint_error(make(Equal, x.shape, weights="rec601"), x) > 1e-4
    assert adjoint_error(make(Shifted, x.shape), x) > 1e-4


@pytest.mark.parametrize(("weights", "theirs"), [("mean", "average"), ("rec601", LUMA)])
def test_colourisation_is_that_of_deepinv(weights, theirs):
    """Its own Rec. 601 is rounded otherwise; the standard's weights are given to it here, in single precision."""
    f, x = make(Colorize, (2, 3, 9, 8), weights=weights), draw(2, 3, 9, 8)
    peer = deepinv.physics.Decolorize(srf=theirs).double()
    y = f(x)
    assert close(y, peer.A(x), 1e-6)
    assert close(f.T(y), peer.A_adjoint(y), 1e-6)
    assert close(f.pinv(y), peer.A_dagger(y), 1e-6)
    other = make(Colorize, (2, 3, 9, 8), weights="mean" if weights == "rec601" else "rec601")
    assert not close(other(x), peer.A(x), 1e-2)


def test_grey_stays_grey_and_in_its_range():
    for weights in ("mean", "rec601"):
        f = make(Colorize, (1, 3, 4, 4), weights=weights)
        level = torch.linspace(-1, 1, 16, dtype=torch.float64).view(1, 1, 4, 4)
        assert close(f(level.expand(1, 3, 4, 4)), level)


def test_demosaicing_is_that_of_deepinv():
    """Its filter begins with blue (BGGR), and its y keeps three channels, two of them zero in each pixel."""
    f, x = make(Demosaic, (2, 3, 9, 8), pattern="BGGR"), draw(2, 3, 9, 8)
    peer = deepinv.physics.Demosaicing(img_size=(9, 8)).double()
    assert torch.equal(f(x), peer.A(x).sum(1, keepdim=True))
    assert torch.equal(f.T(f(x)), peer.A_adjoint(peer.A(x)))
    assert not torch.equal(make(Demosaic, (2, 3, 9, 8))(x), peer.A(x).sum(1, keepdim=True))


def test_the_bayer_pattern_is_red_green_green_blue():
    x = torch.arange(3.0).view(1, 3, 1, 1).expand(1, 3, 5, 4)
    y = make(Demosaic, (1, 3, 5, 4))(x)[0, 0]
    assert torch.equal(y[:2, :2], torch.tensor([[0.0, 1.0], [1.0, 2.0]]))
    assert torch.equal(y[2:4], y[:2]) and torch.equal(y[:, 2:], y[:, :2])
    assert torch.equal(
        make(Demosaic, (1, 3, 5, 4), pattern="GRBG")(x)[0, 0, :2, :2], torch.tensor([[1.0, 0.0], [2.0, 1.0]])
    )


def test_the_mosaic_looks_like_one():
    f = make(Demosaic, (1, 3, 4, 4))
    picture = f.picture(torch.ones(1, 1, 4, 4))
    assert picture.shape == (1, 3, 4, 4)
    assert torch.equal(picture.sum(1), torch.ones(1, 4, 4))


def test_denoising_undoes_nothing():
    f, x = make(Denoise, (2, 1, 5, 6)), draw(2, 1, 5, 6)
    assert all(torch.equal(part(x), x) for part in (f, f.T, f.pinv))
    assert f.norm == 1
    assert torch.equal(f(x), deepinv.physics.Denoising().A(x))


@pytest.mark.parametrize(
    ("kind", "channels", "options", "message"),
    [
        (Colorize, 1, {}, "3 channels, not 1"),
        (Demosaic, 4, {}, "3 channels, not 4"),
        (Colorize, 3, {"weights": "rec709"}, "mean or rec601, not 'rec709'"),
        (Demosaic, 3, {"pattern": "RGBG"}, "not 'RGBG'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(kind, channels, options, message):
    with pytest.raises(ValueError, match=message):
        make(kind, (1, channels, 8, 8), **options)
