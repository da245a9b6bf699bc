"""iRadonMap: where each pixel falls, the back-projection by loops, and the filtered one that it can become."""

import numpy as np
import pytest
import torch

from baselines.datarich.fully_learned import fully_learned
from baselines.datarich.iradonmap import BackProjection, IRadonMap, sinusoids
from sipbench.operators.tomography import Tomography
from tests.baselines.learned import gap, pose, ready

SHAPE = (1, 9, 9)


def tomography(shape, rng):
    return Tomography(shape, rng, views=6)


def witness(make):
    """The sums of the docstring, pixel by pixel; positions by the formula of a parallel beam."""
    problem = pose(tomography, shape=SHAPE)
    views, detectors = problem.y.shape[-2:]
    net = ready(fully_learned, make(width=4, levels=1), problem)
    F, w, y = (v.numpy() for v in (net.inverse.filter, net.inverse.weight, problem.y))
    v = np.zeros(problem.shape)
    for b in range(len(y)):
        for k in range(views):
            filtered, angle = F @ y[b, 0, k], np.pi * k / views
            for i in range(9):
                for j in range(9):
                    s = (j - 4) * np.cos(angle) - (i - 4) * np.sin(angle) + (detectors - 1) / 2
                    v[b, 0, i, j] += w[k, 9 * i + j] * filtered[int(np.round(s))]
    assert gap(fully_learned(problem, net=net), net.unet(torch.from_numpy(v))) < 1e-9


def test_it_is_the_network():
    witness(IRadonMap)


@pytest.mark.parametrize("views", [6, 7])
@pytest.mark.parametrize("side", [8, 9])
def test_a_pixel_falls_where_it_is_seen(side, views):
    """Where the whole shadow of a pixel falls on one detector it is that one; else one beside its middle."""
    f = pose(lambda s, r: Tomography(s, r, views=views), shape=(1, side, side)).f
    y = f(torch.eye(side**2, dtype=torch.float64).view(-1, 1, side, side))[:, 0]
    falls = sinusoids(views, y.shape[-1], side, side, y.device)
    seen = y.gather(2, falls.T[..., None])[..., 0]
    assert (seen >= 0.999 * y.amax(2)).double().mean() > 0.99


def test_with_the_ramp_it_is_filtered_back_projection():
    """The filter and the weights that it is given make of it A^+ y by nearest neighbours: near, at many views."""
    problem = pose(lambda s, r: Tomography(s, r, views=90), shape=(1, 32, 32), sigma=0.0)
    views, detectors = problem.y.shape[-2:]
    part = BackProjection()
    part(problem.y.float(), problem.shape)
    part.double().requires_grad_(False)
    impulses = torch.eye(detectors, dtype=torch.float64)
    length = 2 * (problem.f.filter.shape[-1] - 1)
    ramp = torch.fft.irfft(torch.fft.rfft(impulses, length) * problem.f.filter, length)[:, :detectors]
    part.filter.copy_(ramp.T)
    part.weight.fill_(np.pi / views * 32)
    v, wanted = part(problem.y, problem.shape), problem.f.pinv(problem.y)
    assert float((v - wanted).norm() / wanted.norm()) < 0.35
    both = torch.corrcoef(torch.stack([v.flatten(), wanted.flatten()]))
    assert both[0, 1] > 0.95


def test_it_has_few_parameters():
    part = BackProjection()
    part(torch.zeros(1, 1, 60, 92), (1, 1, 64, 64))
    assert sum(p.numel() for p in part.parameters()) == 92**2 + 60 * 64**2
