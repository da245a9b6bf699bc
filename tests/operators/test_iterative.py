"""What a linear map has that says no more than its forward and its adjoint."""

import torch

from sipbench.operators.base import LinearOperator
from tests.dense import matrix
from tests.operators.posing import close, draw


class Doubled(LinearOperator):
    """y = x + x moved by two, of 8 x 8 pixels: some of x is lost."""

    def forward(self, x):
        return (x + x.roll(2, -1))[..., :6, :]

    def T(self, y):
        y = torch.nn.functional.pad(y, (0, 0, 0, 2))
        return y + y.roll(-2, -1)


def test_the_pseudo_inverse_is_that_of_the_matrix_and_has_its_derivatives():
    f, y = Doubled((2, 1, 8, 8)), draw(2, 1, 6, 8).requires_grad_()
    inverse = torch.linalg.pinv(matrix(f.select(slice(0, 1)), (1, 8, 8)), rtol=1e-9)
    x = f.pinv(y)
    assert close(x.flatten(1), y.flatten(1) @ inverse.mT, 1e-9)
    weight = draw(*x.shape, seed=1)
    (gradient,) = torch.autograd.grad((weight * x).sum(), y)
    assert close(gradient.flatten(1), weight.flatten(1) @ inverse, 1e-9)
    assert torch.autograd.gradcheck(f.pinv, (y,), atol=1e-6, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda v: f.pinv(v).square(), (y,), atol=1e-6, fast_mode=True)
