"""Compressed sensing: the matrices are what they are said to be, and what deepinv and scipy make of the same."""

import math

import deepinv
import pytest
import torch
from deepinv.physics.singlepixel import hadamard_2d
from scipy.linalg import hadamard as scipy_hadamard

from sipbench.operators.compressed import GaussianSensing, HadamardSensing, hadamard
from tests.dense import matrix
from tests.operators.posing import close, draw, make


def dense(f):
    """The matrix of the first image and channel."""
    return matrix(f.select(slice(0, 1)), (1, *f.shape[-2:]))


def test_gaussian_entries_are_normal_with_variance_one_over_m():
    f = make(GaussianSensing, (4, 3, 32, 32))
    entries = f.matrix[..., :1024] * math.sqrt(f.m)
    assert f.m == 256 and f.matrix.shape == (4, 256, 1024)
    n = entries.numel()
    assert abs(entries.mean()) < 4 / math.sqrt(n)
    assert abs(entries.square().mean() - 1) < 4 * math.sqrt(2 / n)
    assert abs(entries.pow(4).mean() - 3) < 4 * math.sqrt(96 / n)
    for a, b in ((entries[0], entries[1]), (entries[:, 0], entries[:, 1]), (entries[..., 0], entries[..., 1])):
        assert abs((a * b).mean()) < 4 / math.sqrt(a.numel())


def test_a_matrix_is_shared_over_channels_and_an_image_s_own():
    for kind in (GaussianSensing, HadamardSensing):
        f, x = make(kind, (2, 3, 8, 8)), draw(1, 1, 8, 8).expand(2, 3, 8, 8)
        y = f(x)
        assert close(y[:, 1], y[:, 0]) and not close(y[0], y[1], 1e-2)
        assert close(f.select(slice(1, 2))(x[:1, :1])[0, 0], y[1, 0])


def test_one_image_stands_for_all():
    for kind in (GaussianSensing, HadamardSensing):
        f, x = make(kind, (2, 3, 8, 8)), draw(1, 3, 8, 8)
        assert torch.equal(f(x), f(x.expand(2, -1, -1, -1)))


def test_gaussian_sensing_is_that_of_deepinv():
    f, x = make(GaussianSensing, (2, 3, 9, 8), ratio=0.5), draw(2, 3, 9, 8)
    for i in range(2):
        peer = deepinv.physics.CompressedSensing(m=f.m, img_size=(3, 9, 8), channelwise=True, dtype=torch.float64)
        peer._A = f.matrix[i, :, :72]
        peer._A_adjoint, peer._A_dagger = peer._A.T.contiguous(), torch.linalg.pinv(peer._A)
        part, one = f.select(slice(i, i + 1)), x[i : i + 1]
        y = part(one)
        assert close(y, peer.A(one))
        assert close(part.T(y), peer.A_adjoint(y))
        assert close(part.pinv(y), peer.A_dagger(y), 1e-10)
        assert not close(part.T(y), peer.A_dagger(y), 1e-2)


def test_the_factors_are_computed_once_and_only_when_asked_for(monkeypatch):
    calls, qr = [], torch.linalg.qr
    monkeypatch.setattr(torch.linalg, "qr", lambda a: (calls.append(1), qr(a))[1])
    f, x = make(GaussianSensing, (3, 1, 8, 8)), draw(3, 1, 8, 8)
    f.T(f(x))
    assert not calls
    f.pinv(f(x))
    f.svd()
    assert len(calls) == 3
    part = f.select(slice(1, 2))
    assert torch.equal(part.pinv(f(x)[1:2]), f.pinv(f(x))[1:2])
    assert len(calls) == 3


@pytest.mark.parametrize(("h", "w"), [(2, 2), (4, 8), (8, 8), (16, 8), (16, 16), (16, 64)])
def test_the_fast_transform_is_the_hadamard_matrix(h, w):
    """Beside scipy's matrix in Sylvester's order, and deepinv's transform along rows and columns."""
    f, x = make(HadamardSensing, (2, 3, h, w)), draw(2, 3, h, w)
    H = torch.from_numpy(scipy_hadamard(h * w)).double() / math.sqrt(h * w)
    fast = f._transform(x.flatten(-2))
    assert close(fast, x.flatten(-2) @ H)
    assert close(fast.unflatten(-1, (h, w)), hadamard_2d(x).double(), 1e-5)
    assert close(hadamard(h), torch.from_numpy(scipy_hadamard(h)).double() / math.sqrt(h))
    assert close(fast.norm(), x.norm())
    A = dense(f)
    assert close(A, H[f.rows[0, 0]] * f.signs[0])
    assert close(A @ A.T, torch.eye(f.m, dtype=torch.float64))
    assert close(f.pinv(f(x)[:, :1])[0].flatten(), torch.linalg.pinv(A) @ f(x)[0, 0])
    assert not close(A, H[: f.m] * f.signs[0], 1e-2)


def test_rows_and_signs_are_fair():
    f = make(HadamardSensing, (400, 1, 8, 8))
    rows = f.rows[:, 0]
    assert (rows.diff(dim=1) > 0).all() and rows.shape == (400, 16)
    often = torch.zeros(64).scatter_add_(0, rows.flatten(), torch.ones(400 * 16)) / 400
    assert ((often - 0.25).abs() < 5 * math.sqrt(0.25 * 0.75 / 400)).all()
    assert (f.signs.abs() == 1).all()
    assert (f.signs.mean(0).abs() < 5 / 20).all()


def test_a_picture_of_the_measurements():
    f = make(HadamardSensing, (2, 3, 16, 8), ratio=0.3)
    picture = f.picture(f(draw(2, 3, 16, 8)))
    assert picture.shape == (2, 3, 7, 7)
    assert picture.min() == 0 and picture.flatten(1).amax(1).tolist() == [1, 1]


def test_the_shape_of_x_follows_from_the_count():
    for side in (8, 16, 31, 64, 256):
        y = (2, 3, math.floor(0.25 * side**2))
        assert GaussianSensing.unknown_shape(y, ratio=0.25) == (2, 3, side, side)
    assert GaussianSensing.unknown_shape((2, 3, 10), ratio=0.25, size=[4, 10]) == (2, 3, 4, 10)
