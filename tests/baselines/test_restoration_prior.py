"""The restoration prior against its formulas on dense matrices, and against where it must end."""

import numpy as np
import pytest
import torch

from baselines.datarich.restoration_prior import restoration_prior
from sipbench.operators import BicubicDownsampling
from tests.baselines.plugged import SIDE, Dense, posed
from tests.baselines.reference import gap
from tests.dense import matrix

LEVEL = 0.2  # of the noise that the restorer was made for


class Restorer(torch.nn.Module):
    """v -> E[x | H x + noise = H v] of the Gaussian field: what the exact network makes of H^+ s."""

    def __init__(self, known, H):
        super().__init__()
        gain = known.C @ H.T @ np.linalg.inv(H @ known.C @ H.T + LEVEL**2 * np.eye(len(H)))
        self.m, self.G = (torch.nn.Parameter(torch.from_numpy(v)) for v in (known.m, gain @ H))

    def forward(self, v):
        flat = v.flatten(1)
        return (self.m + (flat - self.m) @ self.G.T).view_as(v)


def parts(operator):
    problem = posed(operator)
    H = matrix(BicubicDownsampling(problem.shape, problem.rng, factor=2), problem.shape[1:]).numpy()
    known = Dense(problem)
    return problem, known, H / np.linalg.norm(H, 2), Restorer(known, H).requires_grad_(False)


def normalised(A, y):
    return A / np.linalg.norm(A, 2), y / np.linalg.norm(A, 2)


def reference(operator, iterations=4, gamma=10.0, tau=0.1, epsilon=0.0):
    _, known, H, net = parts(operator)
    m, G = net.m.numpy(), net.G.numpy()

    def solve(A, y):
        A, y = normalised(A, y)
        x, M = A.T @ y, H.T @ H + epsilon * known.eye
        for _ in range(iterations):
            z = x - gamma * tau * (x - m - G @ (x - m))
            x = z + np.linalg.pinv(M + gamma * A.T @ A, rcond=1e-9) @ (gamma * A.T @ (y - A @ z))
        return x

    return known.images(solve)


OPTIONS = ({}, {"epsilon": 0.5}, {"gamma": 2.0, "tau": 0.4, "epsilon": 0.1})


def witness(solve, operator="without SVD"):
    problem, _, _, net = parts(operator)
    for options in OPTIONS:
        ours = solve(problem, net=net, factor=2, iterations=4, inner=60, **options)
        assert gap(ours, reference(operator, **options)) < 1e-6


@pytest.mark.parametrize("operator", ["inpainting", "bicubic", "blur", "without SVD"])
def test_it_is_the_algorithm(operator):
    witness(restoration_prior, operator)


@pytest.mark.parametrize("operator", ["inpainting", "blur"])
def test_it_ends_where_data_and_restorer_meet(operator):
    """At the solution of A^T (A x - y) + tau (H^T H + epsilon) (x - R(H x)) = 0."""
    (problem, known, H, net), tau, epsilon = parts(operator), 0.3, 0.2
    m, rest = net.m.numpy(), np.eye(SIDE**2) - net.G.numpy()
    M = tau * (H.T @ H + epsilon * known.eye) @ rest

    def solve(A, y):
        A, y = normalised(A, y)
        return np.linalg.solve(A.T @ A + M, A.T @ y + M @ m)

    ours = restoration_prior(problem, net=net, factor=2, iterations=60, gamma=3.0, tau=tau, epsilon=epsilon, inner=25)
    assert gap(ours, known.images(solve)) < 1e-5


def test_the_norm_of_H_is_asked_once(monkeypatch):
    """It is a wait for a GPU, and no part of a step."""
    problem, _, _, net = parts("blur")
    asked, norm = [], BicubicDownsampling.norm
    monkeypatch.setattr(BicubicDownsampling, "norm", property(lambda H: asked.append(1) or norm.fget(H)))
    restoration_prior(problem, net=net, factor=2, iterations=2, inner=3)
    assert len(asked) == 1
