"""Deep Random Projector: what is frozen, what is trained, and its objective."""

import pytest
import torch

from baselines.common.losses import tv
from baselines.single.drp import RandomProjector, drp
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input
from sipbench.operators.colour import Denoise
from tests.baselines.untrained import assert_is_the_plain_hourglass, followed, gain, part, pose, streams

SMALL = {"channels": (8,), "skip": (2,)}


def build(make=RandomProjector, n=2, width=8, skip=2, c=3, size=(10, 12)):
    rng = streams(n)
    z = fixed_input("normal", rng, c, size, torch.float64)
    return make(rng, z, Hourglass(rng, c, 3, channels=(width,), skip=(skip,), dtype=torch.float64))


def test_trained_are_z_and_the_norms():
    G = build(n=1, width=64, skip=4)
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


def witness(solve):
    G = build(part(solve, "RandomProjector"))
    assert_is_the_plain_hourglass(G.network, torch.nn.functional.instance_norm(G.z), G())
    names = {name for name, _ in G.named_parameters() if "conv." not in name and "head" not in name}
    assert "network.head.weight" not in names and {"z", "norm.weight", "network.scales.norm.bias"} < names
    assert moved(G) == names
    assert gain(solve, pose(), iterations=100, lam=0.05, **SMALL) > 4


def test_the_frozen_ones_drift_where_asked():
    G, rng = build(n=20), streams(20).child("walk")
    start = [p.clone() for p in G.frozen]
    for _ in range(4):
        G.walk(rng, 0.01)
    steps = torch.cat([(p - q).flatten() for p, q in zip(G.frozen, start, strict=True)])
    assert abs(steps.std() / 0.02 - 1) < 0.02
    assert abs(steps.mean()) < 5 * 0.02 / len(steps) ** 0.5


@pytest.mark.parametrize("masked", [True, False])
def test_the_objective(masked):
    problem, _ = pose(dtype=torch.float64)
    found, [(_, loss)] = followed(drp, problem, iterations=1, lam=0.45, masked=masked, **SMALL)
    residual = (problem.f(found.x) - problem.y) * (problem.f.mask if masked else 1)
    expected = residual.square().flatten(1).mean(1).sqrt() + 0.45 * tv(found.x)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("lam", "low", "high"), [(0.0, 0, 1), (1.0, 1, 9)])
def test_total_variation_smooths(lam, low, high):
    problem, x = pose(operator=Denoise)
    ratio = tv(x).mean() / tv(drp(problem, iterations=150, **SMALL, lam=lam).x).mean()
    assert low < ratio < high
