"""Fully learned reconstruction: of the measurement alone, whatever its shape, by a map of low rank and a U-Net."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.datarich.fully_learned import FullyLearned, fully_learned
from sipbench.operators.compressed import GaussianSensing
from sipbench.operators.phase import FourierMagnitude
from sipbench.operators.tomography import Tomography
from tests.baselines.learned import OPERATORS, dense, gap, own, pose, ready

MAPS = OPERATORS | {
    "tomography": lambda shape, rng: Tomography(shape, rng, views=5),
    "a matrix": lambda shape, rng: GaussianSensing(shape, rng, ratio=0.5),
    "phase": FourierMagnitude,
}


def witness(solve):
    for operator in MAPS:
        problem = pose(MAPS[operator])
        net = ready(solve, own(solve, "FullyLearned")(rank=5, width=4, levels=1), problem)
        U, V, scale = (v.numpy() for v in (net.inverse.U, net.inverse.V, net.inverse.scale))
        v = (problem.y.flatten(1).numpy() * scale) @ V.T @ U.T
        assert np.linalg.matrix_rank(U @ V) == 5
        wanted = net.unet(torch.from_numpy(v).view(problem.shape))
        assert gap(solve(problem, net=net), wanted) < 1e-8 * (1 + float(wanted.abs().max()))
    first_scale(solve)


def first_scale(solve):
    """The units of y make no difference to a network that is sized by it."""
    problem, results = pose(MAPS["tomography"], shape=(1, 8, 8)), []
    for factor in (1.0, 1000.0):
        torch.manual_seed(0)
        net = own(solve, "FullyLearned")(1, rank=5, width=4)
        with torch.no_grad():
            results.append(solve(replace(problem, y=factor * problem.y.float()), net=net))
    assert results[0].abs().max() > 0.01
    assert gap(*results) < 1e-5


def test_it_is_the_network():
    witness(fully_learned)


def test_it_can_be_the_pseudo_inverse():
    problem = pose(OPERATORS["bicubic"])
    net = ready(fully_learned, FullyLearned(rank=48, width=4), problem, std=0.0)
    A = dense(problem.f, problem.shape[1:])
    net.inverse.U.copy_(torch.from_numpy(np.linalg.pinv(A)) / net.inverse.scale)
    net.inverse.V.copy_(torch.eye(48))
    assert gap(fully_learned(problem, net=net), problem.f.pinv(problem.y)) < 1e-6


def test_it_is_not_told_the_forward_map():
    problem = pose(OPERATORS["bicubic"])
    net = ready(fully_learned, FullyLearned(rank=5, width=4), problem)
    assert gap(fully_learned(replace(problem, f=None, noise=None), net=net), fully_learned(problem, net=net)) == 0


@pytest.mark.parametrize(("rank", "most"), [(64, 0.8e6), (16, 0.32e6)])
def test_few_view_tomography_at_64_pixels_takes_few_parameters(rank, most):
    net = FullyLearned(1, rank=rank)
    net(torch.zeros(1, 1, 60, 92), (1, 1, 64, 64))
    assert most / 2 < sum(p.numel() for p in net.parameters()) < most
