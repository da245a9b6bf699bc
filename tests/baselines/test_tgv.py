"""Total generalised variation against the same problem written out with matrices and solved by ADMM."""

from functools import cache

import numpy as np
import torch

from baselines.classical.gradient import SECOND_ORDER, symmetrised, symmetrised_T
from baselines.classical.tgv import K_T, K, tgv
from baselines.classical.tv import tv
from tests import dense
from tests.baselines.posed import blur, far, matrix, pose

LAM, ALPHA = 0.1, (0.5, 1.0)


def solve(problem, lam=LAM, alpha=ALPHA, solver=tgv, **options):
    options = {"c": None, "lam": lam, "iterations": 5000, "tolerance": 1e-9, **options}
    return solver(problem, alpha0=alpha[0], alpha1=alpha[1], **options).x


def one(n, i, j):
    row = np.zeros((n, n))
    row[i, j] = 1
    return row.ravel()


def rows(n):
    """The differences of an n x n image, and the three entries of E for slopes (w_h, w_w) where all they need exist."""
    zero, D, W, E = np.zeros(n * n), [], [], []
    for i in range(n):
        for j in range(n):
            down, right = i + 1 < n, j + 1 < n
            D.append(
                [one(n, i + 1, j) - one(n, i, j) if down else zero, one(n, i, j + 1) - one(n, i, j) if right else zero]
            )
            W.append([one(n, i, j) if down else zero, one(n, i, j) if right else zero])
            h = one(n, i, j) - one(n, i - 1, j) if down and i else zero
            w = one(n, i, j) - one(n, i, j - 1) if right and j else zero
            if down and right:
                mixed = one(n, i, j + 1) - one(n, i, j), one(n, i + 1, j) - one(n, i, j)
            else:
                mixed = zero, zero
            E.append([np.concatenate([h, zero]), np.concatenate([zero, w]), np.concatenate(mixed) / 2])
    return np.array(D), np.array(W), np.array(E)


def reference(y, A, lam, alpha, iterations=6000, penalty=0.3):
    """min over (x, w) of |A x - y|^2 / 2 + lam (alpha_1 |D x - w| + alpha_0 |E w|), by ADMM on dense matrices."""
    n = int(len(A.T) ** 0.5)
    D, W, E = rows(n)
    first = np.concatenate(
        [D, -np.stack([np.concatenate([W[:, 0], 0 * W[:, 0]], 1), np.concatenate([0 * W[:, 1], W[:, 1]], 1)], 1)], 2
    )
    second = np.concatenate([np.zeros((n * n, 3, n * n)), E * np.array([1, 1, 2**0.5])[:, None]], 2)
    groups = [(first, lam * alpha[1]), (second, lam * alpha[0])]
    M = np.concatenate([g.reshape(-1, 3 * n * n) for g, _ in groups])
    P = np.concatenate([A, np.zeros((len(A), 2 * n * n))], 1)
    inverse = np.linalg.pinv(P.T @ P + penalty * M.T @ M)
    s, d = np.zeros(len(M)), np.zeros(len(M))
    for _ in range(iterations):
        z = inverse @ (P.T @ y + penalty * M.T @ (s - d))
        Mz, at = M @ z, 0
        for g, radius in groups:
            part = slice(at, at + g.shape[0] * g.shape[1])
            v = (Mz + d)[part].reshape(g.shape[:2])
            length = np.linalg.norm(v, axis=1, keepdims=True)
            s[part] = (v * np.maximum(1 - radius / penalty / np.maximum(length, 1e-300), 0)).ravel()
            at = part.stop
        d = d + Mz - s
    return z[: n * n].reshape(n, n)


@cache
def expected():
    problem = pose(images=(0,), size=8)
    A = matrix(problem.f, problem.shape).numpy()
    return torch.from_numpy(reference(problem.y.flatten().numpy(), A, LAM, ALPHA))[None, None]


def witness(solver):
    assert far(solve(pose(images=(0,), size=8), solver=solver), expected()) < 1e-5


def test_it_solves_the_problem_behind_a_blur():
    problem = pose(blur(), images=(0,), size=8, sigma=0.05)
    expected = reference(problem.y.flatten().numpy(), matrix(problem.f, problem.shape).numpy(), 0.02, ALPHA)
    assert far(solve(problem, 0.02, iterations=6000), torch.from_numpy(expected)[None, None]) < 1e-3


def test_a_plane_costs_nothing():
    """However strong the penalty; total variation flattens it."""
    problem = pose(images=(0,))
    i = torch.arange(24, dtype=torch.float64)
    problem.y.copy_((0.03 * i[:, None] - 0.02 * i - 0.1).expand_as(problem.y))
    assert far(solve(problem, 10.0, iterations=2000), problem.y) < 1e-3
    assert far(tv(problem, c=None, lam=10.0).x, problem.y) > 0.5


def test_the_adjoints_are_exact_and_the_bound_holds():
    z, u = torch.randn(2, 3, 2, 9, 7, dtype=torch.float64), torch.randn(2, 5, 2, 9, 7, dtype=torch.float64)
    w, e = z[:, 1:], u[:, 2:]
    assert torch.allclose((symmetrised(w) * e).sum(), (w * symmetrised_T(e)).sum(), atol=1e-12)
    assert torch.allclose((K(z) * u).sum(), (z * K_T(u)).sum(), atol=1e-12)
    assert 0.9 * SECOND_ORDER < torch.linalg.matrix_norm(dense.matrix(K, (3, 1, 9, 9)), 2) ** 2 < SECOND_ORDER


def test_it_makes_slopes_where_total_variation_makes_stairs():
    clean, problem = pose(sigma=0.0, size=32).y, pose(size=32)
    ours, stairs = (far(solver(problem, c=c).x, clean) for solver, c in ((tgv, 5.0), (tv, 5.0)))
    assert ours < stairs < 0.5 * far(problem.y, clean)
