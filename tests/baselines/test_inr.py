"""Implicit representations: the encodings and networks after their formulas, and their fits."""

import math
from functools import reduce

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from baselines.single.fields import FourierFeatures, HashGrid, Linear, relu_network, sine_network
from baselines.single.inr import fourier_features, hash_grid, siren
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.problem import Rng
from tests.baselines.test_dip import pose, psnr

RNG = Rng.of(0, "t", [0, 1])
SOLVERS = {
    "siren": (siren, {"hidden": 32, "layers": 1, "omega": 10.0, "lr": 3e-3}),
    "fourier": (fourier_features, {"hidden": 32, "layers": 3, "features": 32, "scale": 3.0, "lr": 1e-2}),
    "hash": (hash_grid, {"hidden": 16, "levels": 6, "n_min": 3, "log2_T": 6}),
}


@pytest.fixture(params=list(SOLVERS))
def solver(request):
    return SOLVERS[request.param]


def test_sirens_size_is_the_public_codes():
    network = sine_network(Rng.of(0, "t", [0]), 3, 256, 3, 30.0, torch.float32)
    assert sum(p.numel() for p in network.parameters()) == 256 * 3 + 3 * 256 * 257 + 3 * 257


def arguments(network):
    """What each sine is given, and gives, on coordinates drawn from the square."""
    v = 2 * Rng.of(0, "v", [0]).uniform(2000, 2, dtype=torch.float64) - 1
    seen = []
    for linear, sine in zip(network[:-1:2], network[1::2], strict=True):
        a = linear(v)
        v = sine(a)
        seen.append((sine.omega * a, v))
    return seen


def gap(omega=30.0, shrink=1.0):
    """The worst distance of the later arguments from a standard normal, and of the outputs from the arcsine law.

    The sine of a standard normal is itself 0.044 from that law, which holds for a wide uniform phase.
    """
    network = sine_network(Rng.of(0, "t", [0]), 1, 512, 3, omega, torch.float64)
    for linear in network[2:-1:2]:
        linear.weight.data *= shrink
        linear.bias.data *= 0
    return max(
        max(
            stats.kstest(a.detach().flatten()[::7].numpy(), "norm").statistic,
            stats.kstest(s.detach().flatten()[::7].numpy(), stats.arcsine(-1, 2).cdf).statistic,
        )
        for a, s in arguments(network)[1:]
    )


def test_sirens_activations_start_as_the_paper_says():
    assert gap() < 0.07


@pytest.mark.parametrize("shrink", [30.0, 0.5])
def test_another_initialisation_would_be_seen(shrink):
    assert gap(shrink=shrink) > 0.1


def plain(network, i, activation):
    modules = []
    for layer in network:
        if isinstance(layer, Linear):
            _, n, m = layer.weight.shape
            linear = nn.Linear(n, m, bias=layer.bias is not None).double()
            linear.weight.data = layer.weight.data[i].T
            if layer.bias is not None:
                linear.bias.data = layer.bias.data[i, 0]
            modules.append(linear)
    return lambda x: modules[-1](reduce(lambda h, linear: activation(linear(h)), modules[:-1], x))


@pytest.mark.parametrize("bias", [None, 0.01])
def test_they_are_plain_networks(bias):
    sine = sine_network(RNG, 3, 8, 2, 20.0, torch.float64)
    relu = relu_network(RNG, [2, 8, 5, 3], bias, torch.float64)
    v = RNG.normal(7, 2, dtype=torch.float64)
    for i in range(2):
        for network, activation in ((sine, lambda h: torch.sin(20 * h)), (relu, F.relu)):
            torch.testing.assert_close(network(v)[i], plain(network, i, activation)(v[i]), rtol=0, atol=1e-12)


def test_relu_weights_are_glorots():
    W = relu_network(RNG, [200, 300, 1], None, torch.float64)[0].weight
    assert abs(W.std() / (2 / 500) ** 0.5 - 1) < 0.02
    assert not torch.equal(W[0], W[1])


def test_fourier_features_have_a_gaussian_kernel():
    """<gamma(v), gamma(w)> / features -> exp(-2 pi^2 scale^2 |v - w|^2)."""
    v = torch.tensor([[0.1, 0.2], [0.15, 0.2], [0.1, 0.5]], dtype=torch.float64)
    gamma = FourierFeatures(Rng.of(0, "t", [0]), 100_000, 2.0, torch.float64)(v[None])[0]
    kernel = gamma @ gamma.T / 100_000
    expected = (-2 * math.pi**2 * 4 * torch.cdist(v, v).square()).exp()
    assert (kernel - expected).abs().max() < 0.01


def grid(v, **options):
    defaults = {"levels": 1, "features": 2, "log2_T": None, "n_min": 4, "n_max": 4}
    return HashGrid(RNG, v, **(defaults | options), dtype=torch.float64)


def test_a_dense_level_is_bilinear_interpolation():
    v = Rng.of(0, "v", [0]).uniform(50, 2, dtype=torch.float64)[0]
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
    v = torch.tensor([[0.3, 0.8]], dtype=torch.float64)
    encode = grid(v, n_min=100, n_max=100, log2_T=10)
    corners = [(30, 80), (30, 81), (31, 80), (31, 81)]
    assert encode.index.tolist() == [[(j ^ (i * 2_654_435_761)) % 2**10 for i, j in corners]]
    assert encode.table.shape == (2, 1024, 2)


def test_levels_keep_their_own_entries():
    v = Rng.of(0, "v", [0]).uniform(50, 2, dtype=torch.float64)[0]
    encode = grid(v, levels=3, n_min=2, n_max=8, log2_T=5)
    assert encode.table.shape[1] == 9 + 25 + 32
    levels = encode.index.view(50, 3, 4)
    low, high = levels.amin((0, 2)), levels.amax((0, 2))
    assert (low >= torch.tensor([0, 9, 34])).all() and (high < torch.tensor([9, 34, 66])).all()


def solved(problem, solve, settings):
    return solve(problem, **settings).x


def test_a_batch_is_its_images_one_by_one(solver):
    solve, settings = solver
    problem, _ = pose(3, dtype=torch.float64)
    settings = settings | {"iterations": 40}
    alone = torch.cat([solved(problem.select(slice(i, i + 1)), solve, settings) for i in range(3)])
    assert (solved(problem, solve, settings) - alone).abs().max() < 1e-8


def test_shared_weights_would_be_seen(monkeypatch):
    shared = lambda self, x: x @ self.weight.mean(0, keepdim=True)  # noqa: E731
    monkeypatch.setattr(Linear, "forward", shared)
    problem, _ = pose(2, dtype=torch.float64)
    solve, settings = SOLVERS["hash"]
    settings = settings | {"iterations": 5}
    alone = torch.cat([solved(problem.select(slice(i, i + 1)), solve, settings) for i in range(2)])
    assert (solved(problem, solve, settings) - alone).abs().max() > 1e-4


def gain(solve, settings, operator=Inpainting, **more):
    problem, x = pose(2, operator=operator)
    out = solve(problem, **settings | {"iterations": 150, "regulariser": "tv", "lam": 0.01} | more).x
    return (psnr(out, x) - psnr(problem.f.pinv(problem.y), x)).mean()


def test_inpainting_beats_the_pseudo_inverse(solver):
    assert gain(*solver) > 3


def test_super_resolution_nears_the_pseudo_inverse(solver):
    assert gain(*solver, operator=BicubicDownsampling) > -5


def test_a_network_that_does_not_learn_would_be_seen(solver):
    assert gain(*solver, lr=1e-7) < 2
