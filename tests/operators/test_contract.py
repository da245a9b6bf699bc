"""The contract of every forward map listed in conf/degradation, from the configs alone."""

import math

import pytest
import torch

from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.symmetries import PAIRED, SYMMETRIES
from sipbench.problem import Rng
from tests import listed

SIZES = [(16, 16), (17, 15), (24, 16), (32, 33)]
ELSEWHERE = {"deblur_nonlinear"}  # needs a checkpoint that is not shipped; test_nonlinear.py makes one
HERE = [n for n in listed.DEGRADATIONS if n not in ELSEWHERE]
LINEAR = [n for n in HERE if listed.kind(n).linear]
NONLINEAR = [n for n in HERE if not listed.kind(n).linear]


class Case:
    """An operator of a degradation, a batch of x, and y of the right shape, in double precision."""

    def __init__(self, name, b, c, h, w, seed=0):
        self.rng = Rng.of(seed, "operators", range(b))
        self.f = listed.build(name, (b, c, h, w), self.rng)
        self.x = self.rng.child("x").uniform(c, h, w, dtype=torch.float64) * 2 - 1
        if self.f is None:
            return
        self.theta = self.f.draw(self.rng.child("theta")) if self.f.blind else None
        self.y = self.rng.child("y").normal(*self(self.x).shape[1:], dtype=torch.float64)

    def __call__(self, x):
        return self.f(x) if self.theta is None else self.f(x, {k: v.to(x) for k, v in self.theta.items()})


def cases(name, batches=(2,), sizes=SIZES):
    """Every case that the operator takes: batches, one and three channels (or those it wants), odd and even sides."""
    found = [
        case
        for h, w in sizes
        for c in listed.channels(name)
        for b in batches
        if (case := Case(name, b, c, h, w)).f is not None
    ]
    assert found, f"{name} takes none of the sizes {sizes}"
    return found


def first(name, b=1):
    return cases(name, (b,))[0]


def inner(a, b):
    return (a * b).flatten(1).sum(1)


def length(a):
    return a.flatten(1).norm(dim=1)


def close(a, b, tolerance=1e-10):
    return float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def dense(f, shape):
    """The matrix of f for one image, column by column."""
    n = math.prod(shape)
    columns = [f(e.view(1, *shape)).flatten() for e in torch.eye(n, dtype=torch.float64)]
    return torch.stack(columns, 1)


def a_batch_is_its_images_bit_for_bit(case):
    parts = []
    for i in range(len(case.x)):
        one = slice(i, i + 1)
        alone = case.f.select(one)
        theta = [] if case.theta is None else [{k: v[one] for k, v in case.theta.items()}]
        parts.append(alone(case.x[one], *theta))
    assert torch.equal(case(case.x), torch.cat(parts))


def adjoint(case):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        x, y = case.x.to(dtype), case.y.to(dtype)
        Ax = case.f(x)
        left, right = inner(Ax.double(), y.double()), inner(x.double(), case.f.T(y).double())
        assert ((left - right).abs() <= tolerance * length(Ax.double()) * length(y.double())).all()
    x = case.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(case.f(x), x, case.y)
    assert close(case.f.T(case.y), gradient)


def linear(case):
    x, z = case.x, case.x.flip(-1).roll(1, -2)
    assert close(case.f(1.3 * x - 0.7 * z), 1.3 * case.f(x) - 0.7 * case.f(z))


def pseudo_inverse(case):
    """A P A = A; where the spectrum is at hand also P A P = P, and A P and P A are symmetric."""
    f, x, y = case.f, case.x, case.y
    if not f.exact_pinv:
        return
    exact = f.svd(torch.float64) is not None
    assert close(f(f.pinv(f(x))), f(x), 1e-8 if exact else 1e-4)
    if not exact:
        return
    assert close(f.pinv(f(f.pinv(y))), f.pinv(y), 1e-8)
    assert torch.allclose(inner(f(f.pinv(y)), f(x)), inner(y, f(f.pinv(f(x)))), rtol=1e-8, atol=1e-8)
    z = x.flip(-1)
    assert torch.allclose(inner(f.pinv(f(x)), z), inner(x, f.pinv(f(z))), rtol=1e-8, atol=1e-8)


def spectrum(case):
    f, x, y = case.f, case.x, case.y
    svd = f.svd(torch.float64)
    if svd is None:
        return
    assert (svd.s >= 0).all()
    assert close(svd.U(svd.s * svd.Vt(x)), f(x))
    assert close(svd.V(svd.s * svd.Ut(y)), f.T(y))
    z = svd.Ut(y)
    assert close(svd.Ut(svd.U(z)), z)
    z = svd.Vt(x)
    assert close(svd.Vt(svd.V(z)), z)
    single = f.svd(torch.float32)
    assert close(single.U(single.s * single.Vt(x.float())), f(x).float(), 1e-5)


def a_pair_moves(case, symmetry, g):
    x, theta = PAIRED[symmetry](case.x, case.theta, g)
    assert not close(x, case.x, 1e-3)
    assert close(case.f(x, theta), case(case.x)), symmetry
    assert not close(case(x), case(case.x), 1e-3)  # the image alone may not move


@pytest.mark.parametrize("name", HERE)
def test_a_batch_is_its_images_bit_for_bit(name):
    for case in cases(name, (5,)):
        a_batch_is_its_images_bit_for_bit(case)


@pytest.mark.parametrize("name", HERE)
def test_the_draw_of_an_image_does_not_know_its_batch(name):
    (c, h, w) = first(name).x.shape[1:]
    together = listed.build(name, (3, c, h, w), Rng.of(0, "t", [4, 7, 9]))
    alone = listed.build(name, (1, c, h, w), Rng.of(0, "t", [7]))
    x = Rng.of(0, "x", [0]).normal(c, h, w, dtype=torch.float64)
    if alone.blind:
        theta = together.draw(Rng.of(0, "t", [4, 7, 9])), alone.draw(Rng.of(0, "t", [7]))
        assert all(torch.equal(theta[0][k][1:2], theta[1][k]) for k in theta[1])
        assert torch.equal(together.select(slice(1, 2))(x, theta[1]), alone(x, theta[1]))
    else:
        assert torch.equal(together.select(slice(1, 2))(x), alone(x))


@pytest.mark.parametrize("name", [n for n in HERE if not listed.kind(n).blind])
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


@pytest.mark.parametrize("name", [n for n in HERE if listed.kind(n).blind])
def test_a_sealed_blind_map_cannot_draw(name):
    case = first(name)
    sealed = case.f.sealed()
    with pytest.raises(RuntimeError, match="not told"):
        sealed.draw(case.rng)
    assert torch.equal(sealed(case.x, case.theta), case(case.x))
    assert sealed.theta_shapes == case.f.theta_shapes
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
    case = cases(name, (1,), [(8, 8), (16, 16)])[0]
    x = case.x.clone().requires_grad_()
    if getattr(case.f, "straight_through", False):
        (gradient,) = torch.autograd.grad(case(x).square().sum(), x)
        assert gradient.isfinite().all() and gradient.any()
        return
    assert torch.autograd.gradcheck(case, (x,), eps=1e-6, atol=1e-5, fast_mode=x.numel() > 200)
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
    case = cases(name, (1,), [(8, 8), (16, 16)])[0]
    A = dense(case.f, case.x.shape[1:])
    assert close(case.f.T(case.y).flatten(), A.T @ case.y.flatten())
    assert case.f.norm == pytest.approx(float(torch.linalg.matrix_norm(A, 2)), rel=1e-6)
    if case.f.svd(torch.float64) is not None:
        assert close(case.f.pinv(case.y).flatten(), torch.linalg.pinv(A, rtol=1e-12) @ case.y.flatten(), 1e-7)


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
                turned = SYMMETRIES[symmetry](case.x, g)
                assert not close(turned, case.x, 1e-3)
                assert close(case(turned), case(case.x), 1e-10), symmetry
                assert close(case(turned.float()), case(case.x.float()), 1e-5), symmetry


@pytest.mark.parametrize("name", NONLINEAR)
def test_what_is_not_called_linear_is_not(name):
    case = first(name)
    if case.f.blind:
        return  # linear in x for a given theta
    z = case.x.flip(-1)
    assert not close(case(0.5 * case.x + 0.5 * z), 0.5 * case(case.x) + 0.5 * case(z), 1e-6)


@pytest.mark.parametrize("name", HERE)
def test_a_person_can_look_at_the_measurement(name):
    case = first(name, 2)
    picture = case.f.picture(case(case.x.float()))
    assert picture.ndim == 4 and len(picture) == 2 and picture.shape[1] in (1, 3)
    assert picture.min() >= 0 and picture.max() <= 1


@pytest.mark.parametrize("name", HERE)
def test_the_shape_of_x_follows_from_y(name):
    """Of square images: a sinogram, say, does not tell the sides of an oblong one."""
    for case in cases(name, sizes=[(16, 16), (32, 32)]):
        assert tuple(listed.degradation(name).shape_of(tuple(case(case.x).shape))) == tuple(case.x.shape)


@pytest.mark.parametrize("name", HERE)
def test_y_is_the_same_to_the_bit_in_any_batch(name):
    made, shape = listed.degradation(name), first(name).x.shape[1:]
    x = Rng.of(0, "x", [3, 5]).uniform(*shape) * 2 - 1
    y, _ = made.measure_exactly(x, Rng.of(0, "t", [3, 5]))
    swapped, _ = made.measure_exactly(x.flip(0), Rng.of(0, "t", [5, 3]))
    alone, _ = made.measure_exactly(x[1:], Rng.of(0, "t", [5]))
    assert y.isfinite().all()
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
    ("broken", "clause"),
    [
        (Coupled, a_batch_is_its_images_bit_for_bit),
        (Affine, linear),
        (Doubled, adjoint),
        (NotInverted, pseudo_inverse),
        (Unequal, spectrum),
    ],
)
def test_a_broken_operator_is_seen(monkeypatch, broken, clause):
    monkeypatch.setattr(listed, "build", lambda name, shape, rng: broken(shape, rng.portable))
    case = Case("broken", 2, 3, 16, 24)
    with pytest.raises(AssertionError):
        clause(case)
