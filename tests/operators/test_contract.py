"""The contract of every forward map: those listed in conf/degradation, and settings that it does not list."""

import pytest
import torch

from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.base import LinearOperator
from sipbench.operators.colour import Colorize, Demosaic
from sipbench.operators.compressed import GaussianSensing, HadamardSensing
from sipbench.operators.lanczos import LanczosDownsampling
from sipbench.operators.mri import MultiCoilMRI
from sipbench.operators.sampling import AveragePooling
from sipbench.operators.separable import BlurDownsampling, GaussianBlur, blur_svd
from sipbench.operators.symmetries import PAIRED, STACKED, SYMMETRIES
from sipbench.problem import Rng
from tests import listed
from tests.dense import matrix
from tests.mutants import Swap, execute
from tests.operators import variants
from tests.operators.clauses import (
    Case,
    a_batch_is_its_images_bit_for_bit,
    a_pair_moves,
    adjoint,
    linear,
    pseudo_inverse,
    spectrum,
    the_way_back_of_a_batch_is_that_of_its_images,
)
from tests.operators.posing import close, error

SIZES = [(16, 16), (17, 15), (24, 16), (32, 33)]
ELSEWHERE = {"deblur_nonlinear"}  # needs a checkpoint that is not shipped; test_nonlinear.py makes one
LISTED = [n for n in listed.DEGRADATIONS if n not in ELSEWHERE]
HERE = [*LISTED, *variants.VARIANTS]
LINEAR = [n for n in HERE if variants.kind(n).linear]
BLIND = [n for n in HERE if variants.kind(n).blind]
TOLD = [n for n in HERE if n not in BLIND]
SINGLE = (  # of the spectrum as float32
    AveragePooling,
    BlurDownsampling,
    Colorize,
    GaussianBlur,
    GaussianSensing,
    LanczosDownsampling,
)
ALIKE = {"deblur_defocus", "inpaint_file", "inpaint_half"}  # drawn once, or a side that may be the same
OWN = ["deblur_response", *(n for n in TOLD if set(variants.kind(n).per_image) - {"support"} and n not in ALIKE)]


def cases(name, batches=(2,), sizes=None):
    """Every case that the operator takes: batches, one and three channels (or those it wants), odd and even sides."""
    found = [
        case
        for h, w in sizes or variants.sizes(name, SIZES)
        for c in variants.channels(name)
        for b in batches
        if (case := Case(name, b, c, h, w)).f is not None
    ]
    assert found, f"{name} takes none of the sizes {sizes}"
    return found


def first(name, b=1):
    return cases(name, (b,))[0]


@pytest.mark.parametrize("name", HERE)
def test_a_batch_is_its_images_bit_for_bit(name):
    for case in cases(name, (5,)):
        a_batch_is_its_images_bit_for_bit(case)


@pytest.mark.parametrize("name", [n for n in LINEAR if n not in LISTED])
def test_the_way_back_of_a_batch_is_that_of_its_images_bit_for_bit(name):
    """In single precision too, and by the pseudo-inverse, where these are no convolution and no iteration."""
    direct = variants.kind(name) in variants.SQUARE
    for case in cases(name, (5, 7) if direct else (5,)):
        for dtype in (torch.float64, torch.float32)[: 1 + direct]:
            the_way_back_of_a_batch_is_that_of_its_images(case, dtype, direct)


@pytest.mark.parametrize("name", HERE)
def test_the_draw_of_an_image_does_not_know_its_batch(name):
    (c, h, w) = first(name).x.shape[1:]
    together = variants.build(name, (3, c, h, w), Rng.of(0, "t", [4, 7, 9]))
    alone = variants.build(name, (1, c, h, w), Rng.of(0, "t", [7]))
    x = Rng.of(0, "x", [0]).normal(c, h, w, dtype=torch.float64)
    if alone.blind:
        theta = together.draw(Rng.of(0, "t", [4, 7, 9])), alone.draw(Rng.of(0, "t", [7]))
        assert all(torch.equal(theta[0][k][1:2], theta[1][k]) for k in theta[1])
        assert torch.equal(together.select(slice(1, 2))(x, theta[1]), alone(x, theta[1]))
    else:
        assert torch.equal(together.select(slice(1, 2))(x), alone(x))


@pytest.mark.parametrize("name", OWN)
def test_each_image_has_its_own_numbers(name):
    case = first(name, 2)
    one, other = (case.f.select(slice(i, i + 1))(case.x[:1]) for i in (0, 1))
    assert not close(one, other, 0.1 if name in variants.PHASE else 1e-2)


@pytest.mark.parametrize("name", TOLD)
def test_the_map_of_one_image_serves_several_candidates(name):
    """Particles or samples of one image: one mask, kernel or matrix for all of them."""
    case = first(name)
    x = Rng.of(1, "x", range(3)).uniform(*case.x.shape[1:], dtype=torch.float64) * 2 - 1
    y = case.f(x)
    assert close(y, torch.cat([case.f(x[i : i + 1]) for i in range(3)]), 1e-12)
    if case.f.linear:
        assert close(case.f.T(y), torch.cat([case.f.T(y[i : i + 1]) for i in range(3)]), 1e-12)


@pytest.mark.parametrize("name", HERE)
def test_a_call_in_inference_mode_spoils_no_later_gradient(name):
    case = first(name)
    with torch.inference_mode():
        case(case.x.float())
    x = case.x.float().requires_grad_()
    case(x).square().sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("name", [n for n in LINEAR if variants.kind(n).svd is not LinearOperator.svd])
def test_a_spectrum_in_inference_mode_spoils_no_later_gradient(name):
    """In double precision, too: its factors are kept as they are, some of them for the whole process."""
    blur_svd.cache_clear()
    case = first(name)
    with torch.inference_mode():
        case.f.svd(torch.float64)
    svd, x = case.f.svd(torch.float64), case.x.requires_grad_()
    if svd is not None:
        (svd.s * svd.Vt(x)).square().sum().backward()
        assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("name", BLIND)
def test_a_sealed_blind_map_cannot_draw(name):
    case = first(name)
    sealed = case.f.sealed()
    with pytest.raises(RuntimeError, match="not told"):
        sealed.draw(case.rng)
    assert torch.equal(sealed(case.x, case.theta), case(case.x))
    assert sealed.theta_shapes == case.f.theta_shapes == {k: tuple(v.shape[1:]) for k, v in case.theta.items()}
    assert not any(hasattr(part, secret) for part in sealed.modules() for secret in case.f.secrets)
    assert torch.equal(case.f.draw(case.rng.child("theta"))["kernel"], case.theta["kernel"])


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_kept(name, dtype):
    case = first(name)
    y = case(case.x.to(dtype))
    assert y.dtype == dtype
    assert close(y.double(), case(case.x), 1e-5)
    if case.f.linear:
        assert case.f.T(y).dtype == case.f.pinv(y).dtype == dtype


@pytest.mark.parametrize("name", HERE)
def test_double_converts_the_whole_operator(name):
    case = first(name)
    before = case(case.x)
    case.f.double()
    assert torch.equal(case(case.x), before)


@pytest.mark.parametrize("name", HERE)
def test_differentiable_and_unmoved_where_it_says_so(name):
    case = cases(name, (1,), [(8, 8), (9, 9), (16, 16)])[0]
    x = case.x.clone().requires_grad_()
    if getattr(case.f, "straight_through", False):
        (gradient,) = torch.autograd.grad(case(x).square().sum(), x)
        assert gradient.isfinite().all() and gradient.any()
        return
    assert torch.autograd.gradcheck(case, (x,), eps=1e-6, atol=1e-6, fast_mode=x.numel() > 200)
    if case.theta is not None:
        theta = {k: v.clone().requires_grad_() for k, v in case.theta.items()}
        names = list(theta)
        assert torch.autograd.gradcheck(
            lambda *values: case.f(case.x, dict(zip(names, values, strict=True))),
            tuple(theta.values()),
            eps=1e-6,
            atol=1e-4,
            fast_mode=True,
        )
    if case.f.linear:
        y = case.y.clone().requires_grad_()
        for back in (case.f.T, case.f.pinv) if case.f.exact_pinv else (case.f.T,):
            assert torch.autograd.gradcheck(
                back, (y,), atol=1e-5 if back == case.f.T else 1e-4, fast_mode=y.numel() > 200
            )
    if case.f.valid is not None:
        felt = torch.autograd.grad((case(x) * (1 - case.f.valid.to(case.x))).square().sum(), x)[0]
        assert not felt.any()


@pytest.mark.parametrize("name", LINEAR)
def test_linear(name):
    for case in cases(name):
        linear(case)


@pytest.mark.parametrize("name", LINEAR)
def test_adjoint(name):
    for case in cases(name, (1, 5)):
        adjoint(case)


@pytest.mark.parametrize("name", LINEAR)
def test_pseudo_inverse(name):
    for case in cases(name):
        pseudo_inverse(case)


@pytest.mark.parametrize("name", LINEAR)
def test_against_the_dense_matrix(name):
    case = cases(name, (2,), [(8, 8), (9, 9), (16, 16)])[0]
    A = torch.stack([matrix(case.f.select(slice(i, i + 1)), case.x.shape[1:]) for i in range(2)])
    y = case.y.flatten(1)[..., None]
    assert close(case.f.T(case.y).flatten(1), (A.mT @ y)[..., 0])
    norm = float(torch.linalg.matrix_norm(A, 2).max())
    assert case.f.norm == pytest.approx(norm, rel=1e-7 if variants.kind(name) in SINGLE else 1e-9)
    if case.f.svd(torch.float64) is not None:
        tolerance = 1e-12 if variants.kind(name) in (Colorize, Demosaic) else 1e-9
        assert error(case.f.pinv(case.y).flatten(1), (torch.linalg.pinv(A, rtol=1e-12) @ y)[..., 0]) < tolerance


@pytest.mark.parametrize("name", LINEAR)
def test_svd(name):
    for case in cases(name):
        spectrum(case)


@pytest.mark.parametrize("name", HERE)
def test_symmetries(name):
    for case in cases(name):
        for symmetry in case.f.symmetries:
            for seed in range(3):
                g = Rng.of(seed, "symmetry", range(len(case.x)))
                if symmetry in PAIRED:
                    a_pair_moves(case, symmetry, g)
                    continue
                turned = (SYMMETRIES | STACKED)[symmetry](case.x, g)
                assert not close(turned, case.x, 1e-3)
                assert close(case(turned), case(case.x), 1e-10), symmetry
                assert close(case(turned.float()), case(case.x.float()), 1e-5), symmetry


@pytest.mark.parametrize("name", [n for n in TOLD if n not in LINEAR])
def test_what_is_not_called_linear_is_not(name):
    case = first(name)
    z = case.x.flip(-1)
    assert not close(case(0.5 * case.x + 0.5 * z), 0.5 * case(case.x) + 0.5 * case(z), 1e-6)


@pytest.mark.parametrize("name", HERE)
def test_a_person_can_look_at_the_measurement(name):
    case = first(name, 2)
    picture = case.f.picture(case(case.x.float()))
    assert picture.ndim == 4 and len(picture) == 2 and picture.shape[1] in (1, 3)
    assert picture.min() >= 0 and picture.max() <= 1


@pytest.mark.parametrize("name", [n for n in HERE if n in LISTED or variants.VARIANTS[n].tells])
def test_the_shape_of_x_follows_from_y(name):
    """Of square images where, as in a sinogram, it does not tell the sides of an oblong one."""
    for case in cases(name, sizes=variants.told_sizes(name)):
        assert tuple(variants.shape_of(name, tuple(case(case.x).shape))) == tuple(case.x.shape)


@pytest.mark.parametrize("name", LISTED)
def test_y_is_the_same_to_the_bit_in_any_batch(name):
    made, shape = listed.degradation(name), first(name).x.shape[1:]
    x = Rng.of(0, "x", [3, 5]).uniform(*shape) * 2 - 1
    y, _ = made.measure_exactly(x, Rng.of(0, "t", [3, 5]))
    swapped, _ = made.measure_exactly(x.flip(0), Rng.of(0, "t", [5, 3]))
    alone, _ = made.measure_exactly(x[1:], Rng.of(0, "t", [5]))
    assert y.isfinite().all()
    assert torch.equal(y, swapped.flip(0))
    assert torch.equal(y[1:], alone)


BROKEN_SIZES = ((16, 24), (15, 9), (7, 9), (15, 17), (8, 8), (16, 32))  # each operator takes some
BROKEN = [
    (Inpainting, 3, {}, 'self.cast("mask", x) * x', 'self.cast("mask", x) * x - 1e-12 * x.mean()',
     a_batch_is_its_images_bit_for_bit),
    (Inpainting, 3, {}, 'self.cast("mask", x) * x', 'self.cast("mask", x) * x + 1e-6', linear),
    (Inpainting, 3, {}, "return self(y)", "return 2 * self(y)", adjoint),
    (BicubicDownsampling, 3, {}, "svd.V(svd.Ut(y) * invert(svd.s))", "4 * self.T(y)", pseudo_inverse),
    (BicubicDownsampling, 3, {}, "s_h[:, None] * s_w", "1.001 * s_h[:, None] * s_w", spectrum),
    (AveragePooling, 3, {}, "self.pinv(y / self.factor**2)", "self.pinv(y)", adjoint),
    (AveragePooling, 3, {"factor": 3}, "self.pinv(y / self.factor**2)", "self.pinv(y)", adjoint),
    (AveragePooling, 3, {"factor": 8}, "self.pinv(y / self.factor**2)", "self.pinv(y)", adjoint),
    (Colorize, 3, {"weights": "rec601"}, 'return self.cast("weights", y) * y', "return y.expand(-1, 3, -1, -1) / 3",
     adjoint),
    (Demosaic, 3, {}, 'self.cast("pattern", y) * y', 'self.cast("pattern", y).roll(1, -1) * y', adjoint),
    (GaussianSensing, 3, {"ratio": 0.4}, "self._image(ANY)", "self._image(ANY) * self.m**0.5", adjoint),
    (HadamardSensing, 3, {"ratio": 0.4}, 'self._transform(z) * self.cast("signs", y)', "self._transform(z)", adjoint),
    (MultiCoilMRI, 2, {}, 'torch.fft.fft2(ANY, norm="ortho") * self.cast("maps", y)',
     'torch.fft.fft2(ANY, norm="ortho") * self.cast("maps", y).conj()', adjoint),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "channels", "options", "right", "wrong", "clause"),
    BROKEN,
    ids=[f"{kind.__name__}-{clause.__name__}-{number}" for number, (kind, *_, clause) in enumerate(BROKEN)],
)
def test_a_broken_operator_is_seen(monkeypatch, kind, channels, options, right, wrong, clause):
    make = getattr(execute(kind.__module__, Swap(right, wrong).source(kind.__module__)), kind.__name__)
    monkeypatch.setitem(variants.VARIANTS, "broken", variants.Variant(kind, (channels,), options, BROKEN_SIZES))
    for case in cases("broken"):
        clause(case)
    monkeypatch.setitem(variants.VARIANTS, "broken", variants.Variant(make, (channels,), options, BROKEN_SIZES))
    for case in cases("broken"):
        with pytest.raises(AssertionError):
            clause(case)
