"""Reconstructors made elsewhere, which are given y and A: what they are given is checked where it is known."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from baselines.datarich import reconstructor as module
from baselines.datarich.reconstructor import reconstructor
from sipbench.noise import PoissonGaussian, Shot
from sipbench.operators.sampling import AveragePooling
from tests import dense
from tests.baselines.posed import motion, pose

SIDE, SIGMA = 8, 0.2


class Net(nn.Module):
    """What a function makes of y and its physics."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, y, physics):
        assert len(y) == 1
        return self.function(y, physics)


def pooling(shape, rng):
    return AveragePooling(shape, rng, factor=2)


def near(a, b, atol=1e-6):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def damped(y, physics):
    """argmin_u |A u - y|^2 + |u - 0.4|^2, which deepinv finds by conjugate gradients."""
    u = torch.full_like(physics.A_adjoint(y), 0.4)
    return physics.prox_l2(u, y, 1.0, tol=1e-12, max_iter=100)


def witness(solve):
    """The regularised least squares of the network's units, by dense matrices; units, norm, noise, one by one."""
    for make in (pooling, motion):
        posed = pose(make, size=SIDE, sigma=SIGMA)
        for low, high in ((0.0, 1.0), (-1.0, 3.0)):
            h, m = (high - low) / 2, (high + low) / 2
            x = solve(posed, net=Net(damped), range=(low, high))
            for i in range(2):
                A = dense.matrix(posed.f.select(slice(i, i + 1)), posed.shape[1:]).double()
                A, norm = A / torch.linalg.matrix_norm(A, 2), torch.linalg.matrix_norm(A, 2)
                y = h * posed.y[i].flatten() / norm + m * A.sum(1)
                u = torch.linalg.solve(A.T @ A + torch.eye(A.shape[1]).double(), A.T @ y + 0.4)
                near(x[i].flatten(), ((u - m) / h).clamp(-1, 1), atol=1e-4)
                level = Net(lambda y, p: p.noise_model.sigma.to(y) * torch.ones(p.img_size).to(y)[None])
                sigma = solve(posed, net=level, range=(low, high))[i].flatten()[0]
                near(sigma, ((h * SIGMA / norm - m) / h).clamp(-1, 1), atol=1e-4)


def test_it_solves_the_same_problem_in_the_units_of_the_network():
    witness(reconstructor)


def test_the_noise_is_told_in_deepinvs_words():
    posed, norm = pose(pooling, size=SIDE), 0.5
    shot, both = Shot(rate=20.0), PoissonGaussian(rate=20.0, read=0.03)
    near(module.noise(replace(posed, noise=shot), 0.5 / norm).gain, torch.tensor(1 / 20 / norm))
    mixed = module.noise(replace(posed, noise=both), 0.5 / norm)
    near(mixed.gain, torch.tensor(1 / 20 / norm))
    near(mixed.sigma, torch.tensor(0.03 / norm))
    assert type(module.noise(replace(posed, noise=None), 1.0)).__name__ == "ZeroNoise"


def test_without_deepinv_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "deepinv", None)
    with pytest.raises(ImportError, match=r"needs the package deepinv: pip install 'sipbench\[restorers\]'"):
        reconstructor(pose(pooling, size=SIDE), net=Net(damped))
