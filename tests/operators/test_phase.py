"""Phase retrieval: what is measured, what cannot be told apart, and that the measurements suffice to find x."""

import math
import warnings

import numpy as np
import pytest
import torch
from deepinv.physics import RandomPhaseRetrieval, StructuredRandomPhaseRetrieval

from sipbench.datasets.crystals import draw as crystals
from sipbench.metrics.alignment import relative_error
from sipbench.operators.centred import carrier, to_complex
from sipbench.operators.phase import FourierMagnitude
from sipbench.operators.phase_diffraction import DiffractionPattern
from sipbench.operators.phase_random import CodedDiffraction, GaussianMagnitude
from sipbench.operators.symmetries import SYMMETRIES
from sipbench.problem import Rng
from tests.operators import variants

SIZES = [(16, 16), (17, 20), (24, 15), (13, 31)]
BOX = torch.zeros(16, 16).index_fill_(0, torch.arange(3, 9), 1)
CASES = variants.PHASE


def build(kind, b=2, h=16, w=16, **more):
    variant, rng = variants.VARIANTS[kind], Rng.of(0, "phase", range(b))
    (c,) = variant.channels
    f = variant.kind((b, c, h, w), rng.portable, **{**variant.options, **more})
    return f, rng.normal(c, h, w, dtype=torch.float64)


def error(a, b):
    return float((a - b).abs().max() / b.abs().max().clamp(min=1))


def far_field(u):
    """numpy's centred orthonormal transform."""
    u = np.fft.ifftshift(u.numpy(), axes=(-2, -1))
    return torch.from_numpy(np.fft.fftshift(np.fft.fft2(u, norm="ortho"), axes=(-2, -1)))


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_the_measurement_is_the_size_of_the_lifted_field(kind, h, w):
    f, x = build(kind, 2, h, w)
    y = f.lift(x).abs()
    y = y.square() if f.intensity else y
    assert error(f(x), y if f.valid is None else y * f.valid) < 1e-14


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize(("h", "w"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lower_is_the_adjoint_of_lift(kind, h, w, dtype):
    f, x = build(kind, 2, h, w)
    x = x.to(dtype)
    lifted = f.lift(x) - f.lift(torch.zeros_like(x))  # affine where the domain is [0, 1]
    parts = [Rng.of(s, "z", range(2)).normal(*lifted.shape[1:], dtype=dtype) for s in (1, 2)]
    z = lifted + (torch.complex(*parts) if lifted.is_complex() else parts[0])
    left = (lifted.conj() * z).real.double().sum()
    right = (x.double() * f.lower(z).double()).sum()
    assert f.lower(z).dtype == dtype and f.lower(z).shape == x.shape
    assert abs(left - right) < (1e-12 if dtype == torch.float64 else 1e-5) * lifted.norm() * z.norm()
    assert abs(left - 1.01 * right) > 1e-4 * lifted.norm() * z.norm()


@pytest.mark.parametrize("kind", CASES)
def test_what_is_not_declared_changes_the_measurement(kind):
    f, x = build(kind)
    names = set(SYMMETRIES) - set(f.symmetries)
    if x.shape[1] != 2:
        names -= {"phase", "conjugate_flip"}
    if "phase" in f.symmetries:
        names -= {"sign"}  # a phase of pi
    for name in names:
        assert error(f(SYMMETRIES[name](x, Rng.of(1, "g", range(2)))), f(x)) > 1e-3, name


def test_symmetries_by_the_settings():
    declared = {kind: build(kind)[0].symmetries for kind in CASES}
    assert declared["fourier"] == declared["fourier_intensity"] == ("sign", "flip")
    assert declared["fourier_unit"] == ("flip",)
    assert declared["fourier_unpadded"] == ("sign", "flip", "shift")
    assert declared["bragg"] == ("phase", "shift", "conjugate_flip")
    assert declared["bragg_box"] == ("phase", "conjugate_flip")
    assert build("bragg", support=BOX)[0].symmetries == ("phase",)
    assert build("bragg", support=1.0)[0].symmetries == ("phase", "shift", "conjugate_flip")
    assert declared["gaussian"] == declared["gaussian_complex"] == declared["cdp"] == ("sign",)
    assert declared["gaussian_field"] == declared["cdp_field"] == ("phase",)


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1e-25, 1e-200])
def test_the_gradient_at_a_zero_of_the_field_is_finite(kind, dtype, scale):
    f, x = build(kind)
    x = ((scale * x).to(dtype) - (1 if kind == "fourier_unit" else 0)).requires_grad_()
    (gradient,) = torch.autograd.grad(f(x).sum(), x)
    assert gradient.isfinite().all()
    if scale == 0:
        assert not gradient.any()


def test_a_square_root_of_the_intensity_would_not_be_safe():
    f, x = build("bragg")
    x = torch.zeros_like(x).requires_grad_()
    (gradient,) = torch.autograd.grad(f(x).sqrt().sum(), x)
    assert not gradient.isfinite().all()


@pytest.mark.parametrize("kind", CASES)
def test_single_precision_is_accurate_and_double_is_not_single(kind):
    f, x = build(kind, 2, 64, 48) if not kind.startswith("gaussian") else build(kind)
    exact = f(x)
    assert exact.dtype == torch.float64 and f(x.float()).dtype == torch.float32
    assert 1e-9 < error(f(x.float()).double(), exact) < 2e-6
    assert error(f(2 * x) / (4 if f.intensity else 2), exact) < 1e-14 or kind == "fourier_unit"


def test_far_field_as_dps_defines_it():
    for h, w in SIZES:
        f, x = build("fourier", 2, h, w)
        p, q = (int(2.0 / 8 * n) for n in (h, w))
        expected = far_field(torch.nn.functional.pad(x, (q, q, p, p)))
        assert error(f(x), expected.abs()) < 1e-14
        half, _ = build("fourier_intensity", 2, h, w, oversample=2.0)
        assert error(half(x[:, :1]), expected[:, :1].abs().square()) < 1e-14
        unit, _ = build("fourier_unit", 2, h, w)
        assert error(unit(x), f((x + 1) / 2)) < 1e-14
        assert error(unit(x), f(x)) > 0.1
    big = FourierMagnitude((1, 3, 256, 256), Rng.of(0, "t", [0]).portable)
    assert big.pad == (64, 64) and big(torch.zeros(1, 3, 256, 256)).shape == (1, 3, 384, 384)


def test_the_frame_of_the_far_field():
    for kind in ("fourier", "fourier_unit", "bragg", "bragg_box"):
        f, x = build(kind, 2, 17, 20)
        u = f.embed(x)
        assert u.shape[-2:] == f.frame
        assert error(f.lift(x).abs(), far_field(u).abs()) < 1e-14
        inside = 1 if f.support is None else f.support
        assert torch.equal(u, u * inside)
        if kind != "bragg_box":
            assert error(f.crop(u), x) < 1e-15
        assert error(f.embed(f.crop(u)), u) < 1e-15


def test_the_pattern_keeps_the_energy_beside_the_beamstop():
    for h, w in SIZES:
        x = build("bragg", 2, h, w)[1]
        whole, stopped = (build("bragg", 2, h, w, beamstop=r)[0] for r in (0, 3))
        assert whole.valid is None
        assert torch.allclose(whole(x).sum((1, 2, 3)), x.square().sum((1, 2, 3)), rtol=1e-13)
        y, x_at = torch.meshgrid(torch.arange(h) - h // 2, torch.arange(w) - w // 2, indexing="ij")
        dark = y**2 + x_at**2 < 9
        assert torch.equal(stopped.valid[0, 0] == 0, dark)
        assert not stopped(x)[:, :, dark].any()
        assert torch.equal(stopped(x)[:, :, ~dark], whole(x)[:, :, ~dark])


def test_a_known_support_is_all_that_is_seen():
    f, x = build("bragg", 3, support=BOX)
    assert f.support.shape == (3, 1, 16, 16)
    assert torch.equal(f(x), f(x * BOX)) and torch.equal(f(x), build("bragg", 3)[0](x * BOX))
    own = torch.stack([BOX.roll(k, 0) for k in range(3)])[:, None]
    g, _ = build("bragg", 3, support=own)
    assert torch.equal(g.select(slice(1, 2))(x[1:2]), g(x)[1:2])
    for n in (15, 16, 17):
        box = DiffractionPattern((1, 2, n, n), Rng.of(0, "t", [0]).portable, support=0.5).support[0, 0]
        assert torch.equal(box, box.flip(0, 1)) and box.sum() >= (n / 2) ** 2


def test_hio_finds_crystals_whose_support_is_told():
    """Hybrid input-output and error reduction reach the truth with the support exactly known, and not without."""
    x = crystals(range(3), 64, phase=0.5).double()
    masks = (x.norm(dim=1, keepdim=True) > 0).double()
    f = DiffractionPattern((3, 2, 64, 64), Rng.of(0, "t", range(3)).portable, measure="magnitude", support=masks)
    m, inside = torch.fft.ifftshift(f(x), dim=(-2, -1)), f.support.bool()
    start = 2j * torch.pi * Rng.of(0, "start", range(3)).uniform(1, 64, 64, dtype=torch.float64)

    def project(u):
        return torch.fft.ifft2(m * torch.sgn(torch.fft.fft2(u, norm="ortho")), norm="ortho")

    def found(inside):
        u = torch.fft.ifft2(m * torch.exp(start), norm="ortho")
        for k in range(600):
            p = project(u)
            u = torch.where(inside, p, u - 0.9 * p if k % 100 < 90 else 0)
        return relative_error(f.crop(torch.where(inside, project(u), 0)), x, f.symmetries)

    assert found(inside).max() < 1e-6
    assert found(torch.ones_like(inside)).min() > 0.1


def test_wirtinger_flow_finds_an_image_from_coded_patterns():
    """Spectral start by power iterations, then the paper's gradient steps, with lift and lower alone."""
    x = build("cdp", 2, 16, 16)[1][:, :1]
    f = CodedDiffraction((2, 1, 16, 16), Rng.of(0, "t", range(2)).portable, patterns=8, measure="intensity")
    y = f(x)

    def size(v):
        return v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)

    z = Rng.of(1, "start", range(2)).normal(1, 16, 16, dtype=torch.float64)
    for _ in range(60):
        z = f.lower(y * f.lift(z))
        z = z / size(z)
    z = first = z * (y.sum((1, 2, 3)) / 8).sqrt().view(-1, 1, 1, 1)
    for k in range(600):
        residual = f.lift(z)
        residual = (residual.abs().square() - y) * residual
        z = z - min(1 - math.exp(-k / 330), 0.2) / size(first).square() * f.lower(residual) * 256 / 8
    assert relative_error(z, x, f.symmetries).max() < 1e-6 < relative_error(first, x, f.symmetries).min()


def test_gaussian_matrices_are_gaussian():
    for matrix, parts in (("real", 1), ("complex", 2)):
        f = GaussianMagnitude((2, 1, 16, 16), Rng.of(0, "t", [0, 1]).portable, matrix=matrix)
        assert f.matrix.shape == (2, 1024, 256)
        a = torch.view_as_real(f.matrix) if parts == 2 else f.matrix
        n, variance = a.numel(), 1 / (1024 * parts)
        assert abs(float(a.double().mean())) < 4 * math.sqrt(variance / n)
        assert abs(float(a.double().var()) / variance - 1) < 4 * math.sqrt(2 / n)
        assert abs(float((a.double() / math.sqrt(variance)).pow(4).mean()) - 3) < 4 * math.sqrt(96 / n)


def test_a_vector_in_five_dimensions():
    f = GaussianMagnitude((4, 1, 1, 5), Rng.of(0, "t", range(4)).portable, measure="intensity")
    x = Rng.of(0, "x", range(4)).normal(1, 1, 5, dtype=torch.float64)
    assert f(x).shape == (4, 1, 20)
    expected = torch.einsum("bmn,bn->bm", f.matrix.double(), x[:, 0, 0]).square()
    assert error(f(x)[:, 0], expected) < 1e-15
    assert f.unknown_shape((4, 1, 20)) == (4, 1, 1, 5)
    assert f.picture(f(x)).shape == (4, 1, 5, 5)


def test_the_channels_share_the_matrix_and_the_masks():
    for kind in ("gaussian", "cdp"):
        f, x = build(kind)
        same = x[:, :1].expand(-1, 3, -1, -1)
        y = f(same).flatten(2) if kind == "gaussian" else f(same).unflatten(1, (3, 3)).flatten(2)
        assert error(y[:, 1], y[:, 0]) < 1e-14 and error(f(x).flatten()[: y[:, 0].numel()], y[:, 0].flatten()) > 1e-2


def test_octanary_masks_are_as_published():
    f = CodedDiffraction((4, 1, 64, 64), Rng.of(0, "t", range(4)).portable, patterns=4)
    d, n = f.masks, 4 * 4 * 64 * 64
    size, turn = d.abs(), torch.sgn(d)
    small = (size - math.sqrt(0.5)).abs() < 1e-12
    assert (small | ((size - math.sqrt(3)).abs() < 1e-12)).all()
    assert abs(float(small.double().mean()) - 0.8) < 4 * math.sqrt(0.16 / n)
    for value in (1, 1j, -1, -1j):
        assert abs(float(((turn - value).abs() < 1e-12).double().mean()) - 0.25) < 4 * math.sqrt(3 / 16 / n)
    assert abs(float(d.abs().square().mean()) - 1) < 4 * math.sqrt(1 / n)


@pytest.mark.parametrize("kind", ["cdp", "cdp_field"])
@pytest.mark.parametrize(("h", "w"), SIZES)
def test_coded_patterns_by_numpy(kind, h, w):
    f, x = build(kind, 2, h, w)
    u = to_complex(x) if kind == "cdp_field" else x
    fields = (u[:, :, None] * f.masks[:, None]).numpy()
    y = np.abs(np.fft.fftshift(np.fft.fft2(fields, norm="ortho"), axes=(-2, -1))) ** (2 if f.intensity else 1)
    assert error(f(x), torch.from_numpy(y).flatten(1, 2)) < 1e-13


def test_deepinv_agrees_on_gaussian_phase_retrieval():
    """They draw with the same variance 1 / m; handed the same matrix, the intensities are equal to rounding."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Complex modules")
        theirs = RandomPhaseRetrieval(
            m=160, img_size=(1, 8, 8), dtype=torch.cdouble, rng=torch.Generator().manual_seed(0)
        )
    f = GaussianMagnitude(
        (3, 1, 8, 8), Rng.of(0, "t", range(3)).portable, ratio=2.5, matrix="complex", measure="intensity"
    )
    assert float(theirs.B._A.abs().square().mean()) == pytest.approx(float(f.matrix.abs().square().mean()), rel=0.05)
    f.matrix = theirs.B._A.expand(3, -1, -1)
    x = Rng.of(0, "x", range(3)).normal(1, 8, 8, dtype=torch.float64)
    assert error(f(x)[:, 0], theirs(x.to(torch.cdouble)).real) < 1e-14
    z = f.lift(x)
    assert error(f.lower(z), theirs.B.A_adjoint(z[:, 0]).real.view_as(x)) < 1e-14


def test_deepinv_agrees_on_coded_diffraction():
    """One uniform pattern is their structured random operator of one layer, zero frequency in the corner."""
    theirs = StructuredRandomPhaseRetrieval((1, 8, 7), (1, 8, 7), n_layers=1, dtype=torch.cdouble)
    f = CodedDiffraction(
        (3, 1, 8, 7), Rng.of(0, "t", range(3)).portable, patterns=1, code="uniform", measure="intensity"
    )
    f.codes = (theirs.diagonals[0] * carrier(8, 7)).expand(3, 1, 1, 8, 7)
    x = Rng.of(0, "x", range(3)).normal(1, 8, 7, dtype=torch.float64)
    y = theirs(x.to(torch.cdouble))
    assert error(torch.fft.ifftshift(f(x), dim=(-2, -1)), y) < 1e-14
    assert error(f(x), y) > 1e-2


@pytest.mark.parametrize("kind", CASES)
def test_a_person_can_look_at_it(kind):
    f, x = build(kind)
    picture = f.picture(f(x) - 0.01)
    assert picture.min() >= 0 and torch.allclose(picture.flatten(1).amax(1), torch.ones(2, dtype=torch.float64))
    assert f.picture(torch.zeros_like(f(x))).max() == 0


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind.startswith("gaussian")])
def test_an_oblong_image_is_told_but_for_its_sides(kind):
    f, x = build(kind, 2, 17, 20)
    assert math.prod(f.unknown_shape(tuple(f(x).shape), **variants.VARIANTS[kind].options)) == x.numel()


def test_no_image_has_such_a_frame():
    with pytest.raises(ValueError, match="no image padded at oversample 8.0 has 17 pixels"):
        FourierMagnitude.unknown_shape((1, 1, 17, 17), oversample=8.0)


def test_stacked_images_are_complex_images_that_share_their_matrix():
    rng = Rng.of(0, "stacked", [0, 1])
    settings = {"matrix": "complex", "measure": "intensity"}
    f = GaussianMagnitude((2, 3, 4, 5), rng.portable, complex_image="stacked", **settings)
    one = GaussianMagnitude((2, 2, 2, 5), rng.portable, complex_image=True, **settings)
    x, z = rng.normal(3, 4, 5, dtype=torch.float64), torch.complex(*rng.normal(2, 3, 40, dtype=torch.float64).unbind(1))
    assert f.symmetries == ("phases",) and f(x).shape == (2, 3, 40)
    for c in range(3):
        alone = x[:, c].unflatten(1, (2, 2))
        assert error(f.lift(x)[:, c : c + 1], one.lift(alone)) < 1e-14
        assert error(f.lower(z)[:, c], one.lower(z[:, c : c + 1]).flatten(1, 2)) < 1e-14
    assert GaussianMagnitude.unknown_shape((2, 3, 20), complex_image="stacked") == (2, 3, 2, 5)
    for wrong, says in ((("stacked", 3), "as many real as imaginary"), (("piled", 4), "false, true or stacked")):
        with pytest.raises(ValueError, match=says):
            GaussianMagnitude((2, 3, wrong[1], 5), rng.portable, complex_image=wrong[0], **settings)
