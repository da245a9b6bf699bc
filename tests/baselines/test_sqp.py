"""BFGS-SQP and its small programs: known minimisers and multipliers, a dense matrix, a certificate that can fail."""

from unittest.mock import patch

import pytest
import torch
from scipy.optimize import minimize
from torch.nn.functional import softmax

from baselines.optimisers import qp, sqp
from baselines.optimisers.qp import least_combination, within_box
from baselines.optimisers.sqp import SQP
from sipbench.problem import Rng


def draw(b, *shape):
    return Rng.of(0, "sqp", range(b)).portable.normal(*shape, dtype=torch.float64)


def rosenbrock(x):
    """The nonsmooth example of the paper: 8 |x1^2 - x2| + (1 - x1)^2, max(sqrt(2) x1, 2 x2) <= 1."""
    f = 8 * (x[:, 0] ** 2 - x[:, 1]).abs() + (1 - x[:, 0]) ** 2
    return f, torch.stack([2**0.5 * x[:, 0] - 1, 2 * x[:, 1] - 1], 1).amax(1, keepdim=True)


ROSENBROCK = torch.tensor([0.5**0.5, 0.5], dtype=torch.float64)  # on the kink and on both sides of the bound


def quadratic(x):
    """|x - (2, 1)|^2 / 2 with x1 <= 1, x2 <= 0 and a bound that is far: ends at (1, 0) with multipliers 1, 1, 0."""
    a = torch.tensor([2.0, 1.0], dtype=x.dtype)
    return (x - a).square().sum(1) / 2, torch.stack([x[:, 0] - 1, x[:, 1], x[:, 0] + x[:, 1] - 9], 1)


def solve(functions, start, steps, optimiser=SQP, **options):
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    solver = optimiser([x], history=100, **options)
    for _ in range(steps):
        solver.step(*functions(x))
    return solver


STARTS = [[-1.0, 1.1], [0.5, -2.0], [2.0, 2.0]]


@pytest.mark.parametrize("rescale", [True, False])
def test_the_nonsmooth_example_of_the_paper_to_the_last_digit(rescale):
    solver = solve(rosenbrock, STARTS, 250, rescale=rescale)
    torch.testing.assert_close(solver.x, ROSENBROCK.expand(3, 2), atol=1e-8, rtol=0)
    assert solver.F[:, 1].max() < 1e-8 and solver.stationarity().max() < 1e-8


def test_a_quadratic_program_with_known_multipliers():
    solver = solve(quadratic, STARTS, 80, mu=4.0)
    torch.testing.assert_close(solver.x, torch.tensor([[1.0, 0.0]] * 3, dtype=torch.float64), atol=1e-7, rtol=0)
    assert solver.stationarity().max() < 1e-6
    assert solver.mu.max() <= 1 + 1e-6  # the penalty is exact for mu at most 1 over the largest multiplier


def sphere(x):
    """A quadratic form on the unit sphere: ends at the eigenvector of the least eigenvalue, 1; within it, at zero."""
    return (torch.linspace(1, 5, 4, dtype=x.dtype) * x**2).sum(1), x.new_zeros(len(x), 0), x.square().sum(1, True) - 1


def on_a_line(x):
    """|x - (2, 1)|^2 / 2 with x1 + x2 = 4 and x1 <= 0.5: at (0.5, 3.5), with the multipliers -2.5 and 4."""
    a = torch.tensor([2.0, 1.0], dtype=x.dtype)
    return (x - a).square().sum(1) / 2, x[:, :1] - 0.5, x.sum(1, keepdim=True) - 4


def witness(optimiser):
    """Equations beside inequalities, from either side of them, and one that is not linear.

    Along the sphere the objective is flat at its end: values to 1e-15 tell places to a few 1e-7 alone.
    """
    for functions, start, end, near in (
        (on_a_line, STARTS, [0.5, 3.5], 1e-8),
        (sphere, [[1.0, -0.2, 0.1, 0.3], [2.0, 2.0, 2.0, 2.0]], [1.0, 0.0, 0.0, 0.0], 1e-6),
    ):
        solver = solve(functions, start, 100, optimiser)
        expected = torch.tensor(end, dtype=torch.float64).expand_as(solver.x)
        torch.testing.assert_close(solver.x, expected, atol=near, rtol=0)
        least = functions(expected)[0]
        torch.testing.assert_close(solver.F[:, 0], least, atol=1e-12, rtol=0)
        assert solver.F[:, -1].abs().max() < 1e-8 and solver.stationarity().max() < 1e-4


def test_equations_where_the_answer_is_known():
    witness(SQP)


def test_a_function_that_becomes_another_is_followed():
    """Nothing of the first function's values is compared with the second's, which are higher everywhere."""
    x = torch.tensor(STARTS, dtype=torch.float64, requires_grad=True)
    solver = SQP([x], history=100)
    for raised in (0.0, 100.0):
        solver.again()
        for _ in range(250):
            f, c = rosenbrock(x + raised / 100)
            solver.step(f + raised, c)
        torch.testing.assert_close(solver.x, (ROSENBROCK - raised / 100).expand(3, 2), atol=1e-8, rtol=0)


def test_without_steering_the_penalty_stays_too_light(monkeypatch):
    assert solve(rosenbrock, STARTS, 200, mu=16.0).F[:, 1].max() < 1e-8
    monkeypatch.setattr(sqp, "SHRINK", 1.0)
    assert solve(rosenbrock, STARTS, 200, mu=16.0).F[:, 1].min() > 0.1


def test_the_certificate_is_not_given_early():
    solver = solve(rosenbrock, STARTS, 12)
    assert solver.stationarity().min() > 0.1


def test_a_batch_is_its_images_one_by_one():
    together = solve(rosenbrock, STARTS, 40)
    for i, start in enumerate(STARTS):
        alone = solve(rosenbrock, [start], 40)
        torch.testing.assert_close(together.x[i], alone.x[0], atol=1e-9, rtol=0)
        torch.testing.assert_close(together.mu[i], alone.mu[0])


def test_who_is_done_stays_where_it_is():
    x = torch.tensor(STARTS, dtype=torch.float64, requires_grad=True)
    solver = SQP([x])
    for _ in range(10):
        solver.step(*rosenbrock(x))
    solver.done, before = torch.tensor([True, False, False]), solver.x
    for _ in range(10):
        solver.step(*rosenbrock(x))
    moved = (solver.x - before).norm(dim=1) > 0
    assert moved.tolist() == [False, True, True]


@pytest.mark.parametrize("history", [4, 100])
def test_the_compact_form_is_the_dense_bfgs_matrix(history):
    n, target = 6, draw(2, 6)
    weights = torch.linspace(1, 30, n, dtype=torch.float64)
    x = torch.zeros(2, n, dtype=torch.float64, requires_grad=True)
    solver, accepted = SQP([x], history=history, rescale=False), []
    for _ in range(14):
        before, gradient = solver.x, solver.g
        took = solver.step((weights * (x - target) ** 2).sum(1) + (x**4).sum(1), torch.zeros(2, 0, dtype=x.dtype))
        accepted.append((took, solver.x - before, solver.g - gradient))
    V = draw(2, 3, n)
    for i in range(2):
        H = solver.gamma[i] * torch.eye(n, dtype=torch.float64)
        pairs = [(s[i], y[i]) for took, s, y in accepted[1:] if took[i]]
        for s, y in pairs[-history:]:
            W = torch.eye(n, dtype=torch.float64) - torch.outer(s, y) / (s @ y)
            H = W @ H @ W.T + torch.outer(s, s) / (s @ y)
        torch.testing.assert_close(solver._times(V)[i], V[i] @ H)


def test_the_dual_in_the_unit_box():
    A, b = draw(20, 3, 4), draw(20, 3)
    C = A @ A.mT
    low = torch.tensor([0.0, 0.0, -1.0], dtype=b.dtype)
    lam = within_box(C, b, low)
    slope = torch.einsum("bij,bj->bi", C, lam) - b  # zero inside, not below zero at the least, not above at 1
    assert (lam >= low).all() and lam.max() <= 1 and lam[:, 2].min() < 0
    assert slope[(lam > low) & (lam < 1)].abs().max() < 1e-6
    assert slope[lam == low].min() > -1e-6 and slope[lam == 1].max() < 1e-6


def test_the_smallest_combination_agrees_with_scipy():
    rows = draw(5, 9, 12) + torch.linspace(0, 1, 12, dtype=torch.float64)
    Q, n = rows @ rows.mT, 6
    w = least_combination(Q, n, iterations=2000)
    torch.testing.assert_close(w[:, :n].sum(1), torch.ones(5, dtype=torch.float64))
    assert w.min() >= 0
    start = torch.cat([softmax(torch.zeros(n), 0), torch.zeros(3)]).double().numpy()
    for i in range(5):
        M = Q[i].numpy()
        best = minimize(
            lambda v, M=M: v @ M @ v, start, jac=lambda v, M=M: 2 * M @ v, method="SLSQP", bounds=[(0, None)] * 9,
            constraints={"type": "eq", "fun": lambda v: v[:n].sum() - 1}, options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        assert float(w[i] @ Q[i] @ w[i]) == pytest.approx(best.fun, rel=1e-5)


def test_the_smallest_combination_waits_for_the_device_now_and_then(monkeypatch):
    """It asks in each tenth iteration whether anything still changes."""
    asked, equal = [], torch.equal
    monkeypatch.setattr(torch, "equal", lambda a, b: asked.append(1) or equal(a, b))
    rows = draw(5, 9, 12)
    least_combination(rows @ rows.mT, 6, iterations=300)
    assert 0 < len(asked) <= 2 * 30
    asked.clear()
    w = least_combination(torch.eye(2, dtype=torch.float64)[None], 2, iterations=300)
    assert torch.equal(w, torch.full_like(w, 0.5)) and len(asked) <= 4


def programs(b, n=4):
    """Random convex quadratic programs with two inequalities and an equation, starts, and their ends by scipy."""
    V = draw(b, 10, n)
    Q, q, A, E = V[:, :n] @ V[:, :n].mT + 0.3 * torch.eye(n), 2 * V[:, 4], V[:, 5:7], V[:, 7:8]
    bound, value = V[:, 8, :2].abs(), 0.3 * V[:, 8, 2:3]
    ends = []
    for i in range(b):
        Qi, qi, Ai, bi, Ei, ei = (v[i].numpy() for v in (Q, q, A, bound, E, value))
        kept = [
            {"type": "ineq", "fun": lambda v, A=Ai, b=bi: b - A @ v, "jac": lambda v, A=Ai: -A},
            {"type": "eq", "fun": lambda v, E=Ei, e=ei: E @ v - e, "jac": lambda v, E=Ei: E},
        ]
        least = minimize(
            lambda v, Q=Qi, q=qi: v @ Q @ v / 2 + q @ v, [0.0] * n, jac=lambda v, Q=Qi, q=qi: Q @ v + q,
            method="SLSQP", constraints=kept, options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        ends.append(torch.from_numpy(least.x))

    def functions(x):
        v = x[..., None]
        f = (x * ((Q @ v)[..., 0] / 2 + q)).sum(1)
        return f, (A @ v)[..., 0] - bound, (E @ v)[..., 0] - value

    return functions, V[:, 9].tolist(), torch.stack(ends)


def test_inequalities_beside_an_equation_agree_with_scipy():
    functions, starts, ends = programs(24)
    solver = solve(functions, starts, 100)
    assert (solver.x - ends).abs().max() < 1e-4


@pytest.mark.parametrize("condition", [1.0, 1e-6])
def test_the_box_program_of_nearly_parallel_gradients(condition):
    A, b = draw(50, 3, 4), draw(50, 3)
    A = A[:, :1] + condition * A
    low = torch.tensor([0.0, 0.0, -1.0], dtype=b.dtype)
    b, C = 1e-2 * b + (A @ draw(50, 4)[..., None])[..., 0], A @ A.mT
    lam = within_box(C, b, low)
    slope = (C @ lam[..., None])[..., 0] - b
    assert slope[(lam > low) & (lam < 1)].abs().max() < 1e-6


def witness_rounding(optimiser):
    """On e = 0 the sign of e is that of its rounding; and a matrix that was given up is forgotten.

    Where the small programs are solved by sweeps, as those of many constraints are, one of these starts is stranded
    without the one, two without the other.
    """
    start = torch.tensor(STARTS, dtype=torch.float64).repeat(2, 1) + 1e-13 * draw(120, 2)[-6:]
    with patch.object(qp, "FEW", 1):
        solver = solve(on_a_line, start.tolist(), 120, optimiser)
    torch.testing.assert_close(solver.x, torch.tensor([0.5, 3.5]).double().expand(6, 2), atol=1e-8, rtol=0)


def test_rounding_does_not_strand_it_on_an_equation():
    witness_rounding(SQP)
