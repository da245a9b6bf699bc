"""The clauses of the contract of a forward map, each over one case."""

import torch

from sipbench.operators.symmetries import PAIRED
from sipbench.problem import Rng
from tests.operators import variants
from tests.operators.posing import close, error

ADJOINT = {torch.float64: 1e-14, torch.float32: 1e-6}


class Case:
    """An operator of a degradation, a batch of x, and y of the right shape, in double precision."""

    def __init__(self, name, b, c, h, w, seed=0):
        self.name, self.seed = name, seed
        self.rng = Rng.of(seed, "operators", range(b))
        self.f = variants.build(name, (b, c, h, w), self.rng)
        self.x = self.rng.child("x").uniform(c, h, w, dtype=torch.float64) * 2 - 1
        if self.f is None:
            return
        self.theta = self.f.draw(self.rng.child("theta")) if self.f.blind else None
        self.y = self.rng.child("y").normal(*self(self.x).shape[1:], dtype=torch.float64)

    def alone(self, i):
        """The operator of one image, cut from that of the batch and made anew."""
        anew = variants.build(self.name, (1, *self.x.shape[1:]), Rng.of(self.seed, "operators", [i]))
        return self.f.select(slice(i, i + 1)), anew

    def __call__(self, x):
        return self.f(x) if self.theta is None else self.f(x, {k: v.to(x) for k, v in self.theta.items()})


def inner(a, b):
    return (a * b).flatten(1).sum(1)


def length(a):
    return a.flatten(1).norm(dim=1)


def a_batch_is_its_images_bit_for_bit(case):
    parts = []
    for i in range(len(case.x)):
        one = slice(i, i + 1)
        alone = case.f.select(one)
        theta = [] if case.theta is None else [{k: v[one] for k, v in case.theta.items()}]
        parts.append(alone(case.x[one], *theta))
    assert torch.equal(case(case.x), torch.cat(parts))


def the_way_back_of_a_batch_is_that_of_its_images(case, dtype, pinv):
    x, y = case.x.to(dtype), case.y.to(dtype)
    whole = case.f(x), case.f.T(y), case.f.pinv(y) if pinv else y
    for i in range(len(x)):
        one = slice(i, i + 1)
        for alone in case.alone(i):
            x_1, y_1 = x[one].clone(), y[one].clone()
            parts = alone(x_1), alone.T(y_1), alone.pinv(y_1) if pinv else y_1
            assert all(torch.equal(together[one], part) for together, part in zip(whole, parts, strict=True))


def adjoint_error(f, x, y):
    """|<A x, y> - <x, A^T y>| / (|A x| |y|), the worst over the images."""
    Ax, back, x, y = (v.double() for v in (f(x), f.T(y), x, y))
    return float(((inner(Ax, y) - inner(x, back)).abs() / (length(Ax) * length(y))).max())


def adjoint(case):
    assert adjoint_error(case.f, case.x, case.y) < ADJOINT[torch.float64]
    assert adjoint_error(case.f, case.x.float(), case.y.float()) < ADJOINT[torch.float32]
    x = case.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(case.f(x), x, case.y)
    assert error(case.f.T(case.y), gradient) < 1e-13


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


def spectrum_error(f, x, y, dtype=torch.float64):
    """Of A = U s V^T, of its transpose, and of U and V as isometries: the worst, in a precision."""
    svd, x_d, y_d = f.svd(dtype), x.to(dtype), y.to(dtype)
    z, v = svd.Ut(y_d), svd.Vt(x_d)
    found = svd.U(svd.s * v), svd.V(svd.s * z), svd.Ut(svd.U(z)), svd.Vt(svd.V(v))
    return max(error(a, b) for a, b in zip(found, (f(x), f.T(y), z, v), strict=True))


def spectrum(case):
    svd = case.f.svd(torch.float64)
    if svd is None:
        return
    assert (svd.s >= 0).all()
    assert spectrum_error(case.f, case.x, case.y) < 1e-13
    assert spectrum_error(case.f, case.x, case.y, torch.float32) < 1e-5


def a_pair_moves(case, symmetry, g):
    x, theta = PAIRED[symmetry](case.x, case.theta, g)
    assert not close(x, case.x, 1e-3)
    assert close(case.f(x, theta), case(case.x)), symmetry
    assert not close(case(x), case(case.x), 1e-3)  # the image alone may not move
