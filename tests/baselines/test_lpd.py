"""Learned primal-dual against its algorithm on dense matrices with deepinv's blocks, and what it does with any y."""

import pytest
import torch
from deepinv.models.PDNet import PDNet_DualBlock, PDNet_PrimalBlock

from baselines.datarich.lpd import Convolutions, PrimalDual, lpd
from sipbench.operators.compressed import GaussianSensing
from sipbench.operators.tomography import Tomography
from tests.baselines.learned import OPERATORS, dense, gap, own, pose, ready

MAPS = OPERATORS | {
    "tomography": lambda shape, rng: Tomography(shape, rng, views=5),
    "a matrix": lambda shape, rng: GaussianSensing(shape, rng, ratio=0.5),
}


def copied(block, ours):
    """deepinv's block with our weights."""
    block = block.double().requires_grad_(False)
    theirs = [block.in_conv, block.nl_list[0], *block.conv_list, block.nl_list[1], block.out_conv]
    for layer, own_layer in zip(theirs, ours.layers, strict=True):
        layer.load_state_dict(own_layer.state_dict())
    return block


def reference(problem, net, steps=2, memory=3, width=4):
    """The paper's box on one channel, with A and y in units of |A|."""
    duals = [copied(PDNet_DualBlock(memory + 2, memory, nf=width), net.dual[k]) for k in range(steps)]
    primals = [copied(PDNet_PrimalBlock(memory + 1, memory, nf=width), net.primal[k]) for k in range(steps)]
    images = []
    for i in range(len(problem.y)):
        A = torch.from_numpy(dense(problem.f.select(slice(i, i + 1)), problem.shape[1:])) / net.norm.value
        y = problem.y[i : i + 1] / net.norm.value
        h, x = y.new_zeros(1, memory, *y.shape[2:]), y.new_zeros(1, memory, *problem.shape[2:])
        for k in range(steps):
            h = duals[k](h, (A @ x[:, 1].flatten()).view_as(y), y)
            x = primals[k](x, (A.T @ h[:, 0].flatten()).view(1, 1, *problem.shape[2:]))
        images.append(x[:, :1])
    return torch.cat(images)


def witness(solve, operator="bicubic"):
    problem = pose(MAPS[operator], shape=(1, 8, 8))
    net = ready(solve, own(solve, "PrimalDual")(1, steps=2, memory=3, width=4), problem)
    assert gap(solve(problem, net=net), reference(problem, net)) < 1e-10
    colours(own(solve, "Convolutions"))
    vectors(own(solve, "Convolutions"))


@pytest.mark.parametrize("operator", [name for name in MAPS if name != "a matrix"])
def test_it_is_the_algorithm(operator):
    witness(lpd, operator)


def colours(make):
    """Each channel of y by itself; the colours of x together."""
    torch.manual_seed(0)
    v = torch.randn(2, 3, 2, 5, 4)
    apart, together = (make(3, 4, 6, channels=c).requires_grad_(False) for c in (1, 2))
    alone = torch.cat([apart(v[:, :, c : c + 1]) for c in range(2)], 2)
    assert apart(v).shape == together(v).shape == (2, 4, 2, 5, 4)
    assert gap(apart(v), alone) < 1e-6
    assert gap(together(v), together.layers(v.flatten(1, 2)).unflatten(1, (4, 2))) < 1e-6


def vectors(make):
    """The entries of a y without rows and columns are seen one by one: another order is the same in that order."""
    torch.manual_seed(0)
    v, order = torch.randn(2, 3, 2, 7), torch.randperm(7)
    network = make(3, 4, 6).requires_grad_(False)
    assert gap(network(v)[..., order], network(v[..., order])) < 1e-6
    middle = [layer.weight[..., 1:2, 1:2] if hasattr(layer, "padding") else None for layer in network.layers]
    u = v.flatten(2)[..., None]
    for layer, weight in zip(network.layers, middle, strict=True):
        u = layer(u) if weight is None else torch.nn.functional.conv2d(u, weight, layer.bias)
    assert gap(network(v), u.view(2, 4, 2, 7)) < 1e-6


def test_channels_and_measurements_without_neighbours():
    colours(Convolutions)
    vectors(Convolutions)


@pytest.mark.parametrize("operator", MAPS)
def test_it_takes_any_measurement(operator):
    problem = pose(MAPS[operator], shape=(3, 8, 6) if operator == "inpainting" else (3, 8, 8))
    net = PrimalDual(steps=2, width=4, memory=1).double()
    with torch.no_grad():
        x = lpd(problem, net=net)
    assert x.shape == problem.shape and x.isfinite().all()
