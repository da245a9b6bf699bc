"""Deep Random Projector: what is frozen, what is trained, and its objective."""

import pytest
import torch
import torch.nn.functional as F

from baselines.common.losses import tv
from baselines.single.drp import RandomProjector, drp
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input
from sipbench.operators import Inpainting
from sipbench.operators.colour import Denoise
from sipbench.problem import Rng
from tests.baselines.test_dip import pose, psnr, watched

SMALL = {"channels": (8,), "skip": (2,)}


def build(images=(0, 1), width=8, skip=2, c=3, size=(10, 12)):
    rng = Rng.of(0, "t", images)
    z = fixed_input("normal", rng, c, size, torch.float64)
    network = Hourglass(rng, c, 3, channels=(width,), skip=(skip,), dtype=torch.float64)
    return RandomProjector(rng, z, network)


def test_published_parameter_count_before_freezing():
    network = Hourglass(Rng.of(0, "t", [0]), 3, 3, channels=(64,), skip=(4,))
    assert sum(p.numel() for p in network.parameters()) == 82_979


def test_trained_are_z_and_the_norms():
    G = build([0], 64, 4)
    affine = 2 * (3 + 4 + 64 + 64 + 68 + 64 + 64)
    assert sum(p.numel() for p in G.trained()) == affine + 3 * 10 * 12
    assert all(p is G.z or p.dim() == 2 for p in G.trained())


def moved(G):
    """The names of the parameters that a few steps of Adam over all that ask for it change."""
    before = {name: p.detach().clone() for name, p in G.named_parameters()}
    adam = torch.optim.Adam([p for p in G.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        adam.zero_grad()
        G().square().sum().backward()
        adam.step()
    return {name for name, p in G.named_parameters() if not torch.equal(p, before[name])}


def test_frozen_stays_frozen():
    G = build()
    names = {name for name, _ in G.named_parameters() if "conv." not in name and "head" not in name}
    assert "network.head.weight" not in names and {"z", "norm.weight", "network.scales.norm.bias"} < names
    assert moved(G) == names


def test_a_convolution_that_learns_would_be_seen():
    G = build()
    G.network.head.weight.requires_grad_(True)
    assert "network.head.weight" in moved(G)


def test_it_is_the_plain_network():
    G = build()
    net = G.network
    scale = net.scales

    def conv(module, x, i, stride=1):
        x = F.pad(x, [module.pad] * 4, "reflect") if module.pad else x
        return F.conv2d(x, module.weight[i], module.bias[i], stride)

    def block(module, x, i, stride=1):
        return F.leaky_relu(F.instance_norm(conv(module.conv, x, i, stride)), 0.2)

    for i in range(2):
        z = F.instance_norm(G.z[i : i + 1])
        down = block(scale.down[1], block(scale.down[0], z, i, 2), i)
        joined = torch.cat([block(scale.skip, z, i), F.interpolate(down, scale_factor=2, mode="bilinear")], 1)
        up = block(scale.up[1], block(scale.up[0], F.instance_norm(joined), i), i)
        torch.testing.assert_close(G()[i : i + 1], conv(net.head, up, i).sigmoid(), rtol=0, atol=1e-12)


def test_the_frozen_ones_drift_where_asked():
    G, rng = build(range(20)), Rng.of(0, "walk", range(20))
    start = [p.clone() for p in G.frozen]
    for _ in range(4):
        G.walk(rng, 0.01)
    steps = torch.cat([(p - q).flatten() for p, q in zip(G.frozen, start, strict=True)])
    assert abs(steps.std() / 0.02 - 1) < 0.02
    assert abs(steps.mean()) < 5 * 0.02 / len(steps) ** 0.5


def test_the_objective():
    problem, _ = pose(2, dtype=torch.float64)
    shown = []
    x = drp(watched(problem, shown), iterations=1, lam=0.45, **SMALL).x
    expected = (problem.f(x) - problem.y).square().flatten(1).mean(1).sqrt() + 0.45 * tv(x)
    torch.testing.assert_close(shown[0], expected, rtol=1e-12, atol=0)


def test_a_batch_is_its_images_one_by_one():
    problem, _ = pose(3, dtype=torch.float64)
    settings = SMALL | {"iterations": 50, "sigma_w": 1e-3, "input": "meshgrid", "input_channels": 2}
    alone = torch.cat([drp(problem.select(slice(i, i + 1)), **settings).x for i in range(3)])
    assert (drp(problem, **settings).x - alone).abs().max() < 1e-8


def gain(operator, **settings):
    problem, x = pose(2, operator=operator)
    return (psnr(drp(problem, iterations=100, **SMALL, **settings).x, x) - psnr(problem.f.pinv(problem.y), x)).mean()


def test_inpainting_beats_the_pseudo_inverse():
    assert gain(Inpainting, lam=0.05) > 4


def test_a_projector_that_does_not_learn_would_be_seen():
    assert gain(Inpainting, lam=0.05, lr=1e-6) < 2


@pytest.mark.parametrize(("lam", "low", "high"), [(0.0, 0, 1), (1.0, 1, 9)])
def test_total_variation_smooths(lam, low, high):
    problem, x = pose(2, operator=Denoise)
    ratio = tv(x).mean() / tv(drp(problem, iterations=150, **SMALL, lam=lam).x).mean()
    assert low < ratio < high
