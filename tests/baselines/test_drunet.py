"""DRUNet beside deepinv's, which has the layout of the public code, with the same weights."""

import deepinv
import pytest
import torch

from baselines.datarich.drunet import DRUNet
from tests.baselines.posed import far
from tests.baselines.test_dncnn import SIGMA, noisy

WIDTHS = (4, 6, 8, 10)
SHIPPED = (32, 64, 96, 128)


def pair(architecture=DRUNet, channels=3, gain=3.0):
    """Ours, and deepinv's with its weights; large ones, so that they matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = architecture(channels, WIDTHS, 2).double().requires_grad_(False)
    for p in ours.parameters():
        p *= gain
    theirs = deepinv.models.DRUNet(channels, channels, nc=WIDTHS, nb=2, pretrained=None).double().requires_grad_(False)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


def witness(architecture, channels=3):
    """It is deepinv's, on [0, 1] and [-1, 1]; the state of one loads strictly into the other. Any side will do."""
    ours, theirs = pair(architecture, channels)
    for side in (32, 12):
        x = noisy(channels, side)
        x_hat = ours(x, SIGMA)
        assert far(x_hat, 2 * theirs((x + 1) / 2, SIGMA / 2) - 1) < 1e-12
        assert far(x_hat, ours(x, SIGMA.flip(0))) > 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_deepinvs(channels):
    witness(DRUNet, channels)


def test_sides_are_continued():
    """By their last pixels, to the next multiple of sixteen."""
    (ours, _), x = pair(), noisy(3, 16)
    x[..., 11:, :] = x[..., 10:11, :]
    x[..., 13:] = x[..., 12:13]
    assert far(ours(x[..., :11, :13], SIGMA), ours(x, SIGMA)[..., :11, :13]) < 1e-12


def test_the_released_layout():
    """The names and shapes that the files drunet_color and drunet_gray hold, by the public code."""
    with torch.device("meta"):
        theirs = deepinv.models.DRUNet(pretrained=None).state_dict()
        ours = DRUNet().state_dict()
        small = sum(p.numel() for p in DRUNet(3, SHIPPED, 2).parameters())
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    assert sum(v.numel() for v in ours.values()) == 32_640_960
    assert small < 2.5e6
