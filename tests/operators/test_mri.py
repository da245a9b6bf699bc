"""Magnetic resonance imaging: masks as fastMRI has them, coil maps, the transform itself, and deepinv's view of it."""

import numpy as np
import pytest
import torch
from deepinv.physics import MRI as TheirMRI
from deepinv.physics import MultiCoilMRI as TheirMultiCoilMRI

from sipbench.operators.centred import carrier, exchanged, to_complex, to_exchanged, to_real
from sipbench.operators.mri import MRI, MultiCoilMRI, coil_maps, column_mask
from sipbench.problem import Rng

SIZES = [(16, 16), (17, 20), (24, 15), (13, 31)]
KINDS = {"one": MRI, "many": MultiCoilMRI}


def draw(kind, b, h, w, dtype=torch.float64, **options):
    rng = Rng.of(0, "mri", range(b))
    f = KINDS[kind]((b, 2, h, w), rng.portable, **options)
    x = rng.normal(2, h, w, dtype=torch.float64).to(dtype)
    y = rng.normal(*f(x).shape[1:], dtype=torch.float64).to(dtype)
    return f, x, y


def error(a, b):
    return float((a - b).abs().max())


def in_the_middle(width, low):
    start = (width - low + 1) // 2
    return set(range(start, start + low))


def by_fastmri(width, acceleration, low):
    """Every column set that the equispaced mask of fastMRI may have, by its offset."""
    step = acceleration * (low - width) / (low * acceleration - width)
    for offset in range(round(step)):
        columns = np.around(np.arange(offset, width - 1, step)).astype(int)
        yield in_the_middle(width, low) | set(columns.tolist())


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_the_transform_is_centred_and_orthonormal(h, w):
    f, x, _ = draw("one", 2, h, w, centre_fraction=0.1)
    z = np.fft.ifftshift(to_complex(x).numpy(), axes=(-2, -1))
    z = np.fft.fftshift(np.fft.fft2(z, norm="ortho"), axes=(-2, -1)) * f.mask.numpy()
    assert error(f(x), to_real(torch.from_numpy(z))) < 1e-13
    off = np.fft.fft2(to_complex(x).numpy(), norm="ortho") * f.mask.numpy()
    assert error(f(x), to_real(torch.from_numpy(off))) > 0.1


def test_exchanged_parts_are_i_times_the_conjugate():
    x = Rng.of(0, "x", [0]).normal(6, 3, 4, dtype=torch.float64)
    assert torch.equal(exchanged(x), 1j * to_complex(x).conj())
    assert torch.equal(to_exchanged(exchanged(x)), x)
    assert torch.equal(carrier(4, 6).imag, torch.zeros(4, 6, dtype=torch.float64))


def test_many_coils_are_inverted_nearly():
    """Ten steps of conjugate gradients explain noise-free data of an image with edges to 2 %; the adjoint does not."""
    f, _, _ = draw("many", 2, 32, 32)
    u = torch.linspace(-1, 1, 32, dtype=torch.float64)
    disk = ((u**2 + u[:, None] ** 2) < 0.4).double()
    x = torch.stack([disk, disk * u])[None].expand(2, -1, -1, -1)
    y = f(x)

    def left(x_hat):
        return float((f(x_hat) - y).norm() / y.norm())

    assert not f.exact_pinv
    assert left(f.pinv(y)) < 0.02 < left(f.T(y))
    assert (f.pinv(y) - x).norm() < 0.8 * (f.T(y) - x).norm()


@pytest.mark.parametrize(("acceleration", "fraction"), [(4, 0.08), (8, 0.04)])
@pytest.mark.parametrize("width", [128, 200, 255])
def test_equispaced_masks_are_those_of_fastmri(width, acceleration, fraction):
    rng = Rng.of(0, "mask", range(60)).portable
    masks = column_mask(width, "equispaced", acceleration, fraction, rng)
    found = {frozenset(row.nonzero()[:, 0].tolist()) for row in masks}
    allowed = {frozenset(columns) for columns in by_fastmri(width, acceleration, round(width * fraction))}
    assert found == allowed
    assert abs(float(masks.mean()) * acceleration - 1) < 0.06


@pytest.mark.parametrize(("acceleration", "fraction"), [(4, 0.08), (8, 0.04)])
def test_random_masks_have_the_middle_and_the_share(acceleration, fraction):
    width = 256
    low = round(width * fraction)
    masks = column_mask(width, "random", acceleration, fraction, Rng.of(0, "mask", range(400)).portable)
    middle = sorted(in_the_middle(width, low))
    assert len(middle) == low and (masks[:, middle] == 1).all() and ((masks == 0) | (masks == 1)).all()
    others = [k for k in range(width) if k not in middle]
    p = (width / acceleration - low) / (width - low)
    shares = masks[:, others].mean(0)
    assert ((shares - p).abs() < 5 * (p * (1 - p) / 400) ** 0.5).all()
    assert abs(float(shares.mean()) - p) < 4 * (p * (1 - p) / 400 / len(others)) ** 0.5


@pytest.mark.parametrize("mask", ["random", "equispaced"])
def test_each_image_has_its_mask(mask):
    f = MRI((6, 2, 16, 128), Rng.of(0, "mri", range(6)).portable, mask=mask)
    assert f.mask.shape == (6, 1, 1, 128) and len(torch.unique(f.mask, dim=0)) > 1
    y = f(Rng.of(0, "x", range(6)).normal(2, 16, 128))
    assert torch.equal(y != 0, f.valid.bool().expand_as(y))


def test_the_lowest_frequency_is_measured_in_the_middle():
    f, _, _ = draw("one", 1, 16, 16)
    y = f(torch.ones(1, 2, 16, 16))
    assert y[0, 0, 8, 8] == pytest.approx(16)
    assert float(y.abs().sum()) == pytest.approx(32, abs=1e-4)


def test_coil_maps_are_normalised_smooth_and_local():
    for size in (32, 64):
        maps = coil_maps(8, size, size + 1, Rng.of(0, "maps", range(3)).portable)
        assert maps.shape == (3, 8, size, size + 1)
        assert error(maps.abs().square().sum(1), torch.ones(3, size, size + 1)) < 1e-14
        steps = [float(m.diff(dim=d).abs().max()) for d in (-2, -1) for m in (maps, maps.flip(-1).roll(1, -1))]
        assert max(steps[0], steps[2]) < 12 / size < max(steps)
    assert not torch.equal(maps[0], maps[1])
    size_of = maps.abs()
    assert (size_of.amax((-2, -1)) > 3 * size_of.amin((-2, -1))).all()


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_deepinv_agrees_on_one_coil(h, w):
    """Same layout, same mask, both centred and orthonormal: equal to rounding, the pseudo-inverse too."""
    f, x, _ = draw("one", 3, h, w, centre_fraction=0.1)
    theirs = TheirMRI(mask=f.mask.expand(3, 2, h, w), img_size=(2, h, w)).double()
    y = f(x)
    assert error(y, theirs.A(x)) < 1e-13
    assert error(f.T(y), theirs.A_adjoint(y)) < 1e-13
    assert error(f.pinv(y), theirs.A_dagger(y)) < 1e-13
    assert error(f(x.float()), theirs.float().A(x.float())) < 2e-6


@pytest.mark.parametrize(("h", "w"), SIZES)
def test_deepinv_agrees_on_many_coils(h, w):
    """They hold y as (B, 2, coils, H, W); the coils come first here."""
    f, x, _ = draw("many", 3, h, w, coils=5, centre_fraction=0.1)
    theirs = TheirMultiCoilMRI(mask=f.mask.expand(3, 2, h, w), coil_maps=f.maps, img_size=(2, h, w)).double()
    y, other = f(x), theirs.A(x)
    assert error(y, other.transpose(1, 2).flatten(1, 2)) < 1e-13
    assert error(y, other.flatten(1, 2)) > 0.1
    assert error(f.T(y), theirs.A_adjoint(other)) < 1e-13


def test_a_person_sees_the_middle_of_k_space():
    f, _, _ = draw("many", 2, 32, 32)
    picture = f.picture(f(torch.ones(2, 2, 32, 32)))
    assert picture.shape == (2, 1, 32, 32) and picture.min() >= 0 and picture.amax((1, 2, 3)).tolist() == [1, 1]
    assert (picture[:, 0, 16, 16] == 1).all()
    assert f.picture(torch.zeros(2, 16, 32, 32)).max() == 0
