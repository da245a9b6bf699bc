"""The contract of every forward map listed in conf/degradation, and what the published protocols say of each."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, currently_in_test_context, given, settings
from hypothesis import strategies as st

from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.sampling import bicubic_matrix
from sipbench.problem import Rng
from tests import listed

few = settings(max_examples=10, derandomize=True, deadline=None)
sides = st.integers(2, 5).map(lambda n: 8 * n)
LINEAR = [n for n in listed.DEGRADATIONS if listed.build(n, (1, 3, 16, 16), Rng.of(0, "t", [0])).linear]


def draw(name, b, h, w, seed=0):
    """An operator, a batch of images and a batch of measurements, in float64."""
    rng = Rng.of(seed, "operators", range(b))
    f = listed.build(name, (b, 3, h, w), rng)
    if currently_in_test_context():
        assume(f is not None)
    x = rng.normal(3, h, w, dtype=torch.float64)
    y = rng.normal(*f(x).shape[1:], dtype=torch.float64)
    return f, x, y


def inner(a, b):
    return (a * b).flatten(1).sum(1)


def close(a, b, tolerance=1e-10):
    return float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def dense(f, shape):
    """The matrix of f for one image, column by column."""
    n = math.prod(shape)
    columns = [f(e.view(1, *shape)).flatten() for e in torch.eye(n, dtype=torch.float64)]
    return torch.stack(columns, 1)


@pytest.mark.parametrize("name", listed.DEGRADATIONS)
@few
@given(h=sides, w=sides)
def test_a_batch_is_its_images_bit_for_bit(name, h, w):
    f, x, _ = draw(name, 2, h, w)
    parts = [f.select(slice(i, i + 1))(x[i : i + 1]) for i in range(2)]
    assert torch.equal(f(x), torch.cat(parts))


@pytest.mark.parametrize("name", listed.DEGRADATIONS)
def test_the_draw_of_an_image_does_not_know_its_batch(name):
    together = listed.build(name, (3, 3, 16, 16), Rng.of(0, "t", [4, 7, 9]))
    alone = listed.build(name, (1, 3, 16, 16), Rng.of(0, "t", [7]))
    x = Rng.of(0, "x", [0]).normal(3, 16, 16, dtype=torch.float64)
    assert torch.equal(together.select(slice(1, 2))(x), alone(x))


@pytest.mark.parametrize("name", listed.DEGRADATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_kept(name, dtype):
    f, x, y = draw(name, 1, 16, 16)
    assert f(x.to(dtype)).dtype == dtype
    if f.linear:
        assert f.T(y.to(dtype)).dtype == f.pinv(y.to(dtype)).dtype == dtype


@pytest.mark.parametrize("name", listed.DEGRADATIONS)
def test_differentiable_and_blind_where_it_says_so(name):
    f = listed.build(name, (1, 3, 8, 8), Rng.of(0, "t", [0]))
    x = Rng.of(0, "x", [0]).normal(3, 8, 8, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(f, (x,), eps=1e-6, atol=1e-6)
    if f.valid is not None:
        y = f(x)
        felt = torch.autograd.grad((y * (1 - f.valid.to(y))).square().sum(), x)[0]
        assert not felt.any()


@pytest.mark.parametrize("name", LINEAR)
@few
@given(h=sides, w=sides, a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_linear(name, h, w, a, b):
    f, x, _ = draw(name, 2, h, w)
    z = x.flip(-1).roll(1, -2)
    assert close(f(a * x + b * z), a * f(x) + b * f(z))


@pytest.mark.parametrize("name", LINEAR)
@few
@given(h=sides, w=sides)
def test_adjoint(name, h, w):
    f, x, y = draw(name, 2, h, w)
    left, right = inner(f(x), y), inner(x, f.T(y))
    assert ((left - right).abs() <= 1e-10 * f(x).flatten(1).norm(dim=1) * y.flatten(1).norm(dim=1)).all()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(f(x), x, y)
    assert close(f.T(y), gradient)


@pytest.mark.parametrize("name", LINEAR)
@few
@given(h=sides, w=sides)
def test_moore_penrose(name, h, w):
    """A P A = A, P A P = P, and A P and P A are symmetric."""
    f, x, y = draw(name, 2, h, w)
    assert close(f(f.pinv(f(x))), f(x), 1e-9)
    assert close(f.pinv(f(f.pinv(y))), f.pinv(y), 1e-9)
    assert torch.allclose(inner(f(f.pinv(y)), f(x)), inner(y, f(f.pinv(f(x)))), rtol=1e-9, atol=1e-9)
    z = x.flip(-1)
    assert torch.allclose(inner(f.pinv(f(x)), z), inner(x, f.pinv(f(z))), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", LINEAR)
def test_against_the_dense_matrix(name):
    f, _, y = draw(name, 1, 8, 8)
    A = dense(f, (3, 8, 8))
    assert close(f.T(y).flatten(), A.T @ y.flatten())
    assert close(f.pinv(y).flatten(), torch.linalg.pinv(A, rtol=1e-12) @ y.flatten(), 1e-9)
    assert f.norm == pytest.approx(float(torch.linalg.matrix_norm(A, 2)), rel=1e-6)


@pytest.mark.parametrize("name", LINEAR)
@few
@given(h=sides, w=sides)
def test_svd(name, h, w):
    f, x, y = draw(name, 2, h, w)
    svd = f.svd(torch.float64)
    if svd is None:
        return
    assert (svd.s >= 0).all()
    assert close(svd.U(svd.s * svd.Vt(x)), f(x))
    assert close(svd.V(svd.s * svd.Ut(y)), f.T(y))
    spectrum = svd.Ut(y)
    assert close(svd.Ut(svd.U(spectrum)), spectrum)
    assert close(svd.Vt(svd.V(spectrum)), spectrum)


@few
@given(h=sides, w=sides, removed=st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.92]))
def test_inpainting_removes_exactly(h, w, removed):
    mask = Inpainting((3, 3, h, w), Rng.of(0, "t", range(3)).portable, removed=removed).mask
    assert mask.shape == (3, 1, h, w)  # the same in all channels
    assert ((mask == 0) | (mask == 1)).all()
    assert ((mask == 0).flatten(1).sum(1) == math.floor(removed * h * w)).all()


def test_inpainting_masks_differ_by_image_and_seed():
    def mask(seed):
        return Inpainting((2, 3, 16, 16), Rng.of(seed, "t", [0, 1]).portable).mask

    assert torch.equal(mask(0), mask(0))
    assert not torch.equal(mask(0)[0], mask(0)[1])
    assert not torch.equal(mask(0), mask(1))


def test_every_pixel_is_as_likely_to_go():
    mask = Inpainting((400, 3, 8, 8), Rng.of(0, "t", range(400)).portable).mask
    kept = 64 - math.floor(0.7 * 64)
    p = kept / 64
    assert ((mask.mean(0) - p).abs() < 5 * math.sqrt(p * (1 - p) / 400)).all()


def test_bicubic_interior_is_torch_antialiased_bicubic():
    """torch drops taps outside the image and mirrors none: the interior is common ground."""
    x = Rng.of(0, "x", [0]).normal(3, 48, 64, dtype=torch.float64)
    y = BicubicDownsampling((1, 3, 48, 64), Rng.of(0, "t", [0]))(x)
    theirs = F.interpolate(x, size=(12, 16), mode="bicubic", antialias=True, align_corners=False)
    assert y.shape == theirs.shape
    assert close(y[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], 1e-6)
    assert not close(y, theirs, 1e-3)


def by_loop(row, factor):
    """One line resized tap by tap: the cubic kernel with a = -1/2, stretched, normalised, the edge sample repeated."""

    def kernel(u):
        u = abs(u)
        if u <= 1:
            return 1.5 * u**3 - 2.5 * u**2 + 1
        return -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2 if u < 2 else 0.0

    out = []
    for i in range(len(row) // factor):
        u = factor * i + (factor - 1) / 2
        total = weight = 0.0
        for j in range(math.floor(u - 2 * factor), math.ceil(u + 2 * factor) + 1):
            k = kernel((j - u) / factor)
            mirror = -1 - j if j < 0 else 2 * len(row) - 1 - j if j >= len(row) else j
            total, weight = total + k * row[mirror], weight + k
        out.append(total / weight)
    return out


@pytest.mark.parametrize(("n", "factor"), [(16, 4), (32, 4), (24, 2)])
def test_bicubic_borders_by_brute_force(n, factor):
    row = Rng.of(0, "row", [0]).normal(n, dtype=torch.float64)[0]
    expected = torch.tensor(by_loop(row.tolist(), factor), dtype=torch.float64)
    assert close(bicubic_matrix(n, factor) @ row, expected, 1e-12)
    assert not close(bicubic_matrix(n, factor, a=-0.75) @ row, expected, 1e-3)


def test_bicubic_keeps_a_constant_and_divides_the_size():
    f = BicubicDownsampling((1, 3, 256, 256), Rng.of(0, "t", [0]))
    y = f(torch.full((1, 3, 256, 256), 0.3, dtype=torch.float64))
    assert y.shape == (1, 3, 64, 64)
    assert close(y, torch.full_like(y, 0.3), 1e-12)


@pytest.mark.parametrize("name", listed.DEGRADATIONS)
def test_y_is_the_same_to_the_bit_in_any_batch(name):
    rng, made = Rng.of(0, "t", [3, 5]), listed.degradation(name)
    x = Rng.of(0, "x", [3, 5]).uniform(3, 16, 16) * 2 - 1
    y, _ = made.measure_exactly(x, rng)
    swapped, _ = made.measure_exactly(x.flip(0), Rng.of(0, "t", [5, 3]))
    alone, _ = made.measure_exactly(x[1:], Rng.of(0, "t", [5]))
    assert torch.equal(y, swapped.flip(0))
    assert torch.equal(y[1:], alone)


class Coupled(Inpainting):
    def forward(self, x):
        return super().forward(x) - 1e-12 * x.mean()


class Affine(Inpainting):
    def forward(self, x):
        return super().forward(x) + 1e-6


class Doubled(Inpainting):
    def T(self, y):
        return 2 * self(y)


class NotInverted(BicubicDownsampling):
    def pinv(self, y):
        return 4 * self.T(y)


class Unequal(BicubicDownsampling):
    def svd(self, dtype=torch.float32):
        svd = super().svd(dtype)
        return type(svd)(1.001 * svd.s, svd.U, svd.Ut, svd.V, svd.Vt)


@pytest.mark.parametrize(
    ("broken", "clause", "extra"),
    [
        (Coupled, test_a_batch_is_its_images_bit_for_bit, {}),
        (Affine, test_linear, {"a": 0.5, "b": 2.0}),
        (Doubled, test_adjoint, {}),
        (NotInverted, test_moore_penrose, {}),
        (Unequal, test_svd, {}),
    ],
)
def test_a_broken_operator_is_seen(monkeypatch, broken, clause, extra):
    monkeypatch.setattr(listed, "build", lambda name, shape, rng: broken(shape, rng.portable))
    with pytest.raises(AssertionError):
        clause.hypothesis.inner_test("broken", h=16, w=24, **extra)
