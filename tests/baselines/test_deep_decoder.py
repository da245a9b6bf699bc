"""Deep Decoder: the published networks, written out with torch's own modules, and its fit."""

import pytest
import torch
from torch import nn

from baselines.common.stopping import Stop
from baselines.single.deep_decoder import DeepDecoder, deep_decoder, pyramid
from sipbench.operators import BicubicDownsampling
from tests.baselines.untrained import gain, parameters, part, pose, streams
from tests.parity import difference
from tests.parity.single import deep_decoder_and_public

SMALL = {"k": 16, "scales": 3}


@pytest.mark.parametrize(("k", "expected"), [(64, 25_536), (128, 100_224), (256, 397_056), (512, 1_580_544)])
def test_published_parameter_counts(k, expected):
    assert parameters(DeepDecoder(streams(1), k, 3, (512, 512))) == expected


def plain(network, i, conv_first):
    """Image i's network of torch's modules, for sizes that halve without rest."""
    modules, last = [], len(network.mix) - 1
    for j, (mix, norm) in enumerate(zip(network.mix, network.norm, strict=True)):
        k = mix.weight.shape[1]
        conv, bn = nn.Conv2d(k, k, 1, bias=False).double(), nn.BatchNorm2d(k).double()
        conv.weight.data = mix.weight.data[i, :, :, None, None]
        bn.weight.data, bn.bias.data = norm.weight.data[i], norm.bias.data[i]
        up = [nn.Upsample(scale_factor=2, mode="bilinear")]
        before, after = (not conv_first and j > 0, conv_first and j < last)
        modules += [*(up if before else []), conv, *(up if after else []), nn.ReLU(), bn]
    head = nn.Conv2d(k, 3, 1, bias=False).double()
    head.weight.data = network.head.weight.data[i, :, :, None, None]
    return nn.Sequential(*modules, head, nn.Sigmoid())


def assert_is_the_plain_network(make, conv_first):
    rng = streams()
    network = make(rng, 6, 3, (16, 24), scales=3, conv_first=conv_first, dtype=torch.float64)
    for norm in network.norm:
        norm.bias.data += 0.3 * rng.normal(6, dtype=torch.float64)
    z = rng.normal(6, 2, 3, dtype=torch.float64)
    expected = torch.cat([plain(network, i, conv_first)(z[i : i + 1]) for i in (0, 1)])
    torch.testing.assert_close(network(z), expected, rtol=0, atol=1e-12)


def witness(solve):
    for conv_first in (True, False):
        assert_is_the_plain_network(part(solve, "DeepDecoder"), conv_first)
    assert difference(*deep_decoder_and_public(solve)) < 1e-8
    assert gain(solve, pose(), iterations=200, **SMALL) > 5


def test_super_resolution_nears_the_pseudo_inverse():
    assert gain(deep_decoder, pose(operator=BicubicDownsampling), iterations=200, **SMALL) > -4


def test_sizes_are_rounded_up():
    assert pyramid((20, 13), 3) == [(3, 2), (5, 4), (10, 7), (20, 13)]
    network = DeepDecoder(streams(1), 4, 1, (20, 13), scales=3)
    assert network(torch.ones(1, 4, 3, 2)).shape == (1, 1, 20, 13)
    with pytest.raises(ValueError, match="fewer in scales"):
        DeepDecoder(streams(1), 4, 1, (8, 8), scales=3)


def test_the_perturbation_decays(monkeypatch):
    fed, forward = [], DeepDecoder.forward
    monkeypatch.setattr(DeepDecoder, "forward", lambda self, x: fed.append(x) or forward(self, x))
    deep_decoder(pose(1)[0], iterations=120, k=4, scales=3, sigma_z=0.5, decay=0.1, decay_every=40)
    *fed, clean = fed
    fed = torch.stack(fed).view(3, 40, -1)
    assert fed.std(1).mean(1).div(torch.tensor([0.05, 0.005, 0.0005])).sub(1).abs().max() < 0.1
    assert (clean.flatten() - fed.mean((0, 1))).abs().max() < 0.1 and clean.min() >= 0 and clean.max() <= 0.1


def test_the_least_loss_is_returned_however_late():
    problem, _ = pose(1)
    found = deep_decoder(problem, iterations=60, **SMALL, lr=0.02)
    assert found.stopped > 40  # still falling
    assert deep_decoder(problem, iterations=60, **SMALL, lr=0.02, stop=Stop("loss", patience=1)).stopped < 40
