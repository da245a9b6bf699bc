"""Denoising, colourisation and demosaicing, beside deepinv's."""

import deepinv
import pytest
import torch

from sipbench.operators.colour import Colorize, Demosaic, Denoise
from sipbench.operators.unknowns import LUMA
from tests.operators.posing import close, draw, make


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
