"""DnCNN beside deepinv's with the same weights, blind and with a noise map."""

import deepinv
import pytest
import torch

from baselines.datarich.dncnn import DnCNN
from tests.baselines.posed import far

SIGMA = torch.tensor([0.1, 0.6], dtype=torch.float64)


def noisy(channels=3, size=12):
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 2


def drawn(net, std=0.05):
    """The network with random weights, its last ones too."""
    generator = torch.Generator().manual_seed(1)
    for p in net.parameters():
        p.data = std * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    return net.requires_grad_(False)


def witness(architecture, channels=3):
    """It is deepinv's, which adds where this subtracts, takes intensities, and is blind."""
    ours, x = drawn(architecture(channels, 8, 5)), noisy(channels)
    theirs = deepinv.models.DnCNN(channels, channels, depth=5, nf=8, pretrained=None).double().requires_grad_(False)
    state = [p.clone() for p in ours.state_dict().values()]
    state[-2:] = [-state[-2], -state[-1]]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), state, strict=True)))
    assert far(ours(x), 2 * theirs((x + 1) / 2) - 1) < 1e-12
    assert far(ours(x), x) > 1e-6
    assert torch.equal(ours(x, SIGMA), ours(x))


def witness_map(architecture):
    """The level of each image is a channel, on [0, 1]."""
    ours, x = drawn(architecture(2, 8, 3, noise_map=True)), noisy(2)
    fed = torch.cat([(x + 1) / 2, torch.ones(2, 1, 12, 12) * (SIGMA / 2).view(2, 1, 1, 1)], 1)
    assert far(ours(x, SIGMA), x - 2 * ours.model(fed)) < 1e-12


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_deepinvs(channels):
    witness(DnCNN, channels)


def test_the_noise_map_is_a_channel():
    witness_map(DnCNN)
    with pytest.raises(AssertionError, match="noise level"):
        DnCNN(noise_map=True)(noisy().float())


def test_it_starts_as_the_identity():
    assert torch.equal(DnCNN(1, 8, 4).double()(noisy(1)), noisy(1))
    assert sum(p.numel() for p in DnCNN(noise_map=True).parameters()) < 7e5
