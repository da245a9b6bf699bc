"""MoDL against its formulas on dense matrices, in its paper's order; and the gradient through its linear systems."""

import numpy as np
import pytest
import torch

from baselines.datarich.modl import Denoiser, Solution, modl
from tests.baselines.learned import OPERATORS, applied, dense, gap, own, pose, ready, solved

MANY = {"iterations": 3, "cg_iterations": 80}


def reference(problem, net, iterations=3):
    """The network first, then the data, as the paper has it."""
    lam, L = float(net.log_lam.exp()), float(net.norm.value) ** 2

    def one(A, y):
        x = A.T @ y / L
        for _ in range(iterations):
            z = applied(net.denoiser, problem.shape[1:], x)
            x = np.linalg.solve(A.T @ A / L + lam * np.eye(len(z)), A.T @ y / L + lam * z)
        return x

    return solved(problem, one)


def witness(solve, operator="bicubic"):
    problem = pose(OPERATORS[operator])
    net = ready(solve, own(solve, "Denoiser")(width=4, depth=3), problem, **MANY)
    assert gap(solve(problem, net=net, **MANY), reference(problem, net)) < 1e-9
    gradients(solve)


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator):
    witness(modl, operator)


def test_few_conjugate_gradients_are_near():
    """Ten of them, begun at z, leave less than a thousandth of what the data step changes."""
    problem = pose(OPERATORS["bicubic"])
    net = ready(modl, Denoiser(width=4, depth=3), problem)
    exact, raw = (modl(problem, net=net, iterations=1, cg_iterations=n) for n in (80, 0))
    assert gap(modl(problem, net=net, iterations=1), exact) < 1e-3 * gap(raw, exact)


def gradients(solve):
    """By the two paths: through the solver, and through a dense solution that autograd knows."""
    problem = pose(OPERATORS["blur"], shape=(1, 5, 4))
    net = ready(solve, own(solve, "Denoiser")(1, width=3, depth=2), problem, **MANY).requires_grad_(True)
    parameters, weight = list(net.parameters()), torch.linspace(-1, 1, 20, dtype=torch.float64).view(1, 1, 5, 4)
    A = torch.from_numpy(dense(problem.f, problem.shape[1:])) / net.norm.value
    y = problem.y.flatten(1) / net.norm.value
    x = y @ A
    for _ in range(3):
        z, lam = net.denoiser(x.view(problem.shape)).flatten(1), net.log_lam.exp()
        M = A.T @ A + lam * torch.eye(20, dtype=torch.float64)
        x = torch.linalg.solve(M, (y @ A + lam * z).T).T
    exact = torch.autograd.grad((weight * x.view(problem.shape)).sum(), parameters)
    ours = torch.autograd.grad((weight * solve(problem, net=net, **MANY)).sum(), parameters)
    assert all(gap(a, b) < 1e-7 for a, b in zip(ours, exact, strict=True))
    assert all(g.abs().max() > 1e-6 for g in exact)


def test_the_gradient_of_the_linear_system_is_right():
    f = pose(OPERATORS["blur"], shape=(1, 3, 3)).f
    b = torch.randn(1, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    lam = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b, lam: Solution.apply(b, lam, lambda v: f.T(f(v)), 30), (b, lam))
