"""DnCNN beside deepinv's with the same weights, blind and with a noise map."""

import deepinv
import pytest
import torch

from baselines.datarich.dncnn import DnCNN
from tests.baselines.posed import far


def noisy(channels=3, size=12):
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 2


def drawn(net, std=0.05):
    """The network with random weights, its last ones too."""
    generator = torch.Generator().manual_seed(1)
    for p in net.parameters():
        p.data = std * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    return net.requires_grad_(False)


def test_it_starts_as_the_identity():
    assert torch.equal(DnCNN(1, 8, 4).double()(noisy(1)), noisy(1))
    assert sum(p.numel() for p in DnCNN(noise_map=True).parameters()) < 7e5


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_deepinvs(channels):
    """Which adds where this subtracts, and takes intensities."""
    ours, x = drawn(DnCNN(channels, 8, 5)), noisy(channels)
    theirs = deepinv.models.DnCNN(channels, channels, depth=5, nf=8, pretrained=None).double().requires_grad_(False)
    state = [p.clone() for p in ours.state_dict().values()]
    state[-2:] = [-state[-2], -state[-1]]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), state, strict=True)))
    assert far(ours(x), 2 * theirs((x + 1) / 2) - 1) < 1e-12
    assert far(ours(x), x) > 1e-6
    assert torch.equal(ours(x, torch.tensor([0.1, 0.2])), ours(x))


def test_the_noise_map_is_a_channel():
    """Of the level of each image, on [0, 1]."""
    ours, x, sigma = drawn(DnCNN(2, 8, 3, noise_map=True)), noisy(2), torch.tensor([0.1, 0.6], dtype=torch.float64)
    fed = torch.cat([(x + 1) / 2, torch.ones(2, 1, 12, 12) * torch.tensor([0.05, 0.3]).double().view(2, 1, 1, 1)], 1)
    assert far(ours(x, sigma), x - 2 * ours.model(fed)) < 1e-7
    with pytest.raises(AssertionError, match="noise level"):
        ours(x)
