"""Unrolled proximal gradients against their formula on dense matrices; untrained they are gradient descent."""

import numpy as np
import pytest
import torch

from baselines.datarich.unrolled_pgd import Unrolled, unrolled_pgd
from tests.baselines.learned import OPERATORS, applied, gap, own, pose, ready, solved


def reference(problem, net, steps=3):
    def one(A, y):
        L = float(net.norm.value) ** 2
        x = A.T @ y / L
        for k in range(steps):
            v = x - float(net.eta[k]) / L * A.T @ (A @ x - y)
            x = applied(net.prox[k % len(net.prox)], problem.shape[1:], v)
        return x

    return solved(problem, one)


def witness(solve, operator="bicubic"):
    problem = pose(OPERATORS[operator])
    for shared in (False, True):
        net = ready(solve, own(solve, "Unrolled")(steps=3, shared=shared, width=4, levels=1), problem)
        assert len(net.prox) == (1 if shared else 3)
        assert gap(solve(problem, net=net), reference(problem, net)) < 1e-10


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator):
    witness(unrolled_pgd, operator)


@pytest.mark.parametrize("operator", OPERATORS)
def test_untrained_it_is_gradient_descent(operator):
    problem, net = pose(OPERATORS[operator]), Unrolled(steps=6, width=4).double()

    def one(A, y):
        x = A.T @ y / np.linalg.norm(A, 2) ** 2
        for _ in range(6):
            x = x - A.T @ (A @ x - y) / np.linalg.norm(A, 2) ** 2
        return x

    with torch.no_grad():
        assert gap(unrolled_pgd(problem, net=net), solved(problem, one)) < 1e-5  # |A| is kept in single precision


def test_the_units_of_y_do_not_matter():
    """A map ten times as strong, and y with it: the norm is that of the map at hand."""
    one, ten = (pose(lambda s, r, c=c: Louder(OPERATORS["bicubic"](s, r), c), sigma=0.0) for c in (1.0, 10.0))
    results = []
    for problem in (one, ten):
        net = Unrolled(steps=2, width=4).double()
        with torch.no_grad():
            results.append(unrolled_pgd(problem, net=net))
    assert gap(*results) < 1e-5


class Louder(torch.nn.Module):
    """c A."""

    linear, blind, per_image = True, False, ()

    def __init__(self, f, c):
        super().__init__()
        self.f, self.c, self.norm = f, c, c * f.norm

    def forward(self, x):
        return self.c * self.f(x)

    def T(self, y):
        return self.c * self.f.T(y)

    def select(self, index):
        return self
