"""The far-field network: right phases give the image, whatever it is of; wrong ones do not."""

import math

import pytest
import torch
from torch import nn

from baselines.datarich.far_field import FieldNet, far_field_net
from sipbench.datasets.crystals import Crystals
from sipbench.metrics.alignment import relative_error
from sipbench.noise import Gaussian
from sipbench.operators.phase import FourierMagnitude
from sipbench.operators.phase_diffraction import DiffractionPattern
from sipbench.problem import Problem, Rng


class Told(nn.Module):
    """Says what it is given, whatever it sees."""

    def __init__(self, u):
        super().__init__()
        self.u = u

    def forward(self, v):
        return self.u


def spectrum(f, x):
    """F x with its origin in the middle of the frame."""
    u = torch.fft.ifftshift(f.embed(x), dim=(-2, -1))
    return torch.fft.fftshift(torch.fft.fft2(u, norm="ortho"), dim=(-2, -1))


def pose(kind, measure="intensity"):
    rng = Rng.of(0, "far", [0, 1])
    x = Crystals("test", 32).load([0, 1]).double() if kind is DiffractionPattern else rng.normal(3, 16, 16).double()
    f = kind(tuple(x.shape), rng.portable, measure=measure)
    return Problem(f(x), f, Gaussian(0.0), tuple(x.shape), None, rng), x


def witness_far_field_net(solve):
    for kind in (DiffractionPattern, FourierMagnitude):
        for measure in ("intensity", "magnitude"):
            problem, x = pose(kind, measure)
            z = spectrum(problem.f, x)
            assert torch.allclose(solve(problem, net=Told(3 * z)), x, atol=1e-10), (kind, measure)
            field = problem.f.embed(x) + 0j
            assert torch.allclose(solve(problem, net=Told(field), predicts="image"), x, atol=1e-10)
            assert relative_error(solve(problem, net=Told(torch.ones_like(z))), x).min() > 0.5
    sees(solve)


def sees(solve):
    """What the network is shown does not depend on how much light there is, and lies in [0, 1]."""
    problem, _ = pose(DiffractionPattern)
    seen = []
    for scale in (1.0, 100.0):
        net = Told(problem.y + 0j)
        net.register_forward_pre_hook(lambda m, v: seen.append(v[0]))
        solve(Problem(scale * problem.y, problem.f, None, problem.shape, None, problem.rng), net=net)
    m = problem.y.sqrt()
    shares = m / m.amax((1, 2, 3), keepdim=True)
    assert torch.allclose(*seen) and torch.allclose(seen[0], (1 + 1000 * shares).log() / math.log(1001))


def test_it_learns_through_the_solver():
    problem, x = pose(DiffractionPattern)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = FieldNet(2, width=4, levels=1).double()
    x_hat = far_field_net(problem, net=net)
    assert x_hat.requires_grad and x_hat.shape == x.shape
    (x_hat - x).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(("channels", "fields"), [(1, 1), (2, 1), (3, 3)])
def test_a_network_begins_with_the_magnitudes_and_a_constant(channels, fields):
    v = Rng.of(0, "v", [0]).uniform(fields, 16, 16)
    with torch.random.fork_rng():
        off = FieldNet(channels, width=4)(v) - v
    assert off.shape == v.shape and off.is_complex()
    assert (off - off[..., :1, :1]).abs().max() < 1e-6
