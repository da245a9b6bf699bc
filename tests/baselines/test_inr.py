"""Implicit representations: the encodings and networks after their formulas, and their fits."""

import math
from functools import reduce

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from baselines.single.fields import FourierFeatures, HashGrid, relu_network, sine_network
from baselines.single.inr import fourier_features, hash_grid, siren
from sipbench.operators import BicubicDownsampling
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem, Rng
from tests.baselines.untrained import gain, parameters, part, pose, streams

FIT = {"iterations": 150, "regulariser": "tv", "lam": 0.01}
SETTINGS = {
    siren: {"hidden": 32, "layers": 1, "omega": 10.0, "lr": 3e-3} | FIT,
    fourier_features: {"hidden": 32, "layers": 3, "features": 32, "scale": 3.0, "lr": 1e-2} | FIT,
    hash_grid: {"hidden": 16, "levels": 6, "n_min": 3, "log2_T": 6} | FIT,
}


def arguments(network):
    """What each sine is given, and gives, on coordinates drawn from the square."""
    v = 2 * Rng.of(0, "v", [0]).uniform(2000, 2, dtype=torch.float64) - 1
    seen = []
    for linear, sine in zip(network[:-1:2], network[1::2], strict=True):
        a = linear(v)
        v = sine(a)
        seen.append((sine.omega * a, v))
    return seen


def gap(make):
    """The worst distance of the later arguments from a standard normal, and of the outputs from the arcsine law.

    The sine of a standard normal is itself 0.044 from that law, which holds for a wide uniform phase.
    """
    network = make(streams(1), 1, 512, 3, 30.0, torch.float64)
    for linear in network[2:-1:2]:
        linear.bias.data *= 0
    laws = stats.norm.cdf, stats.arcsine(-1, 2).cdf
    pairs = [(v, law) for seen in arguments(network)[1:] for v, law in zip(seen, laws, strict=True)]
    return max(stats.kstest(v.detach().flatten()[::7].numpy(), law).statistic for v, law in pairs)


def assert_is_plain(network, activation):
    """The networks side by side are each image's own, of torch's own functions."""
    layers = [layer for layer in network if hasattr(layer, "weight")]
    v = Rng.of(0, "v", [0, 1]).normal(7, 2, dtype=torch.float64)
    for i in range(2):
        linear = [lambda h, a=a: F.linear(h, a.weight[i].T, None if a.bias is None else a.bias[i, 0]) for a in layers]  # noqa: B023
        plain = linear[-1](reduce(lambda h, f: activation(f(h)), linear[:-1], v[i]))
        torch.testing.assert_close(network(v)[i], plain, rtol=0, atol=1e-12)


def witness_siren(solve):
    assert_is_plain(part(solve, "sine_network")(streams(), 3, 8, 2, 20.0, torch.float64), lambda h: torch.sin(20 * h))
    assert gap(part(solve, "sine_network")) < 0.07
    assert gain(solve, pose(), **SETTINGS[siren]) > 3


def witness_fourier_features(solve):
    assert_is_plain(part(solve, "relu_network")(streams(), [2, 8, 5, 3], 0.01, torch.float64), F.relu)
    assert gain(solve, pose(), **SETTINGS[fourier_features]) > 3


def witness_hash_grid(solve):
    assert_is_plain(part(solve, "relu_network")(streams(), [2, 8, 5, 3], None, torch.float64), F.relu)
    assert gain(solve, pose(), **SETTINGS[hash_grid]) > 3


@pytest.mark.parametrize("solve", SETTINGS)
def test_super_resolution_nears_the_pseudo_inverse(solve):
    assert gain(solve, pose(operator=BicubicDownsampling), **SETTINGS[solve]) > -5


def test_sirens_size_is_the_public_codes():
    network = sine_network(streams(1), 3, 256, 3, 30.0, torch.float32)
    assert parameters(network) == 256 * 3 + 3 * 256 * 257 + 3 * 257


def test_relu_weights_are_glorots():
    W = relu_network(streams(), [200, 300, 1], None, torch.float64)[0].weight
    assert abs(W.std() / (2 / 500) ** 0.5 - 1) < 0.02
    assert not torch.equal(W[0], W[1])


def test_fourier_features_have_a_gaussian_kernel():
    """<gamma(v), gamma(w)> / features -> exp(-2 pi^2 scale^2 |v - w|^2)."""
    v = torch.tensor([[0.1, 0.2], [0.15, 0.2], [0.1, 0.5]], dtype=torch.float64)
    gamma = FourierFeatures(streams(1), 100_000, 2.0, torch.float64)(v[None])[0]
    expected = (-2 * math.pi**2 * 4 * torch.cdist(v, v).square()).exp()
    assert (gamma @ gamma.T / 100_000 - expected).abs().max() < 0.01


def somewhere():
    return Rng.of(0, "v", [0]).uniform(50, 2, dtype=torch.float64)[0]


def grid(v, **options):
    defaults = {"levels": 1, "features": 2, "log2_T": None, "n_min": 4, "n_max": 4}
    return HashGrid(streams(), v, **(defaults | options), dtype=torch.float64)


def test_a_dense_level_is_bilinear_interpolation():
    v = somewhere()
    v[:2] = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    encode = grid(v)
    for i in range(2):
        table = encode.table[i].view(1, 5, 5, 2).permute(0, 3, 1, 2)
        where = (2 * v - 1).flip(1)[None, None]
        expected = F.grid_sample(table, where, align_corners=True)[0, :, 0].T
        torch.testing.assert_close(encode()[i], expected, rtol=0, atol=1e-15)


def test_resolutions_are_geometric():
    encode = grid(torch.zeros(1, 2, dtype=torch.float64), levels=16, n_min=16, n_max=512)
    b = math.exp(math.log(512 / 16) / 15)
    assert encode.resolutions == [math.floor(16 * b**i + 1e-9) for i in range(16)]
    assert encode().shape == (2, 1, 32)


def test_a_hashed_level_shares_entries_by_the_papers_hash():
    encode = grid(torch.tensor([[0.3, 0.8]], dtype=torch.float64), n_min=100, n_max=100, log2_T=10)
    corners = [(30, 80), (30, 81), (31, 80), (31, 81)]
    assert encode.index.tolist() == [[(j ^ (i * 2_654_435_761)) % 2**10 for i, j in corners]]
    assert encode.table.shape == (2, 1024, 2)


def test_levels_keep_their_own_entries():
    encode = grid(somewhere(), levels=3, n_min=2, n_max=8, log2_T=5)
    assert encode.table.shape[1] == 9 + 25 + 32
    levels = encode.index.view(50, 3, 4)
    low, high = levels.amin((0, 2)), levels.amax((0, 2))
    assert (low >= torch.tensor([0, 9, 34])).all() and (high < torch.tensor([9, 34, 66])).all()


def test_a_single_row_of_pixels_has_coordinates():
    rng, shape = streams(), (2, 1, 1, 8)
    problem = Problem(rng.normal(*shape[1:]), Denoise(shape, rng), None, shape, None, rng.child("solver"))
    assert siren(problem, iterations=1, hidden=4).x.isfinite().all()
