"""Deep Decoder: the published networks, written out with torch's own modules, and its fit."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from baselines.common import layers
from baselines.single.deep_decoder import DeepDecoder, deep_decoder, pyramid
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.problem import Rng
from tests.baselines.test_dip import pose, psnr

SMALL = {"k": 16, "scales": 3}


@pytest.mark.parametrize(("k", "expected"), [(64, 25_536), (128, 100_224), (256, 397_056), (512, 1_580_544)])
def test_published_parameter_counts(k, expected):
    network = DeepDecoder(Rng.of(0, "t", [0]), k, 3, (512, 512))
    assert sum(p.numel() for p in network.parameters()) == expected


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


def build(conv_first):
    rng = Rng.of(0, "t", [0, 1])
    network = DeepDecoder(rng, 6, 3, (16, 24), scales=3, conv_first=conv_first, dtype=torch.float64)
    for norm in network.norm:
        norm.bias.data += 0.3 * rng.normal(6, dtype=torch.float64)
    return network, rng.normal(6, 2, 3, dtype=torch.float64)


@pytest.mark.parametrize("conv_first", [True, False])
def test_it_is_the_plain_network(conv_first):
    network, z = build(conv_first)
    expected = torch.cat([plain(network, i, conv_first)(z[i : i + 1]) for i in (0, 1)])
    torch.testing.assert_close(network(z), expected, rtol=0, atol=1e-12)


def test_the_other_order_would_be_seen():
    network, z = build(True)
    assert (network(z)[:1] - plain(network, 0, False)(z[:1])).abs().max() > 1e-3


def test_sizes_are_rounded_up():
    assert pyramid((20, 13), 3) == [(3, 2), (5, 4), (10, 7), (20, 13)]
    network = DeepDecoder(Rng.of(0, "t", [0]), 4, 1, (20, 13), scales=3)
    assert network(torch.ones(1, 4, 3, 2)).shape == (1, 1, 20, 13)
    with pytest.raises(ValueError, match="fewer in scales"):
        DeepDecoder(Rng.of(0, "t", [0]), 4, 1, (8, 8), scales=3)


def test_the_perturbation_decays(monkeypatch):
    fed, forward = [], DeepDecoder.forward
    monkeypatch.setattr(DeepDecoder, "forward", lambda self, x: fed.append(x) or forward(self, x))
    problem, _ = pose(1)
    deep_decoder(problem, iterations=300, k=4, scales=3, sigma_z=0.5, decay=0.1, decay_every=100)
    fed = torch.stack(fed).view(3, 100, -1)
    assert fed.std(1).mean(1).div(torch.tensor([0.05, 0.005, 0.0005])).sub(1).abs().max() < 0.1


def one_by_one(problem, **settings):
    return torch.cat([deep_decoder(problem.select(slice(i, i + 1)), **settings).x for i in range(len(problem.y))])


def test_a_batch_is_its_images_one_by_one():
    problem, _ = pose(3, dtype=torch.float64)
    settings = SMALL | {"iterations": 50, "sigma_z": 0.05}
    assert (deep_decoder(problem, **settings).x - one_by_one(problem, **settings)).abs().max() < 1e-8


def test_a_norm_over_the_batch_would_be_seen(monkeypatch):
    monkeypatch.setattr(layers.Norm, "forward", lambda self, x: F.batch_norm(x, None, None, training=True))
    problem, _ = pose(2, dtype=torch.float64)
    settings = SMALL | {"iterations": 5}
    assert (deep_decoder(problem, **settings).x - one_by_one(problem, **settings)).abs().max() > 1e-4


def gain(operator, **settings):
    problem, x = pose(2, operator=operator)
    return (psnr(deep_decoder(problem, **SMALL, **settings).x, x) - psnr(problem.f.pinv(problem.y), x)).mean()


def test_inpainting_beats_the_pseudo_inverse():
    assert gain(Inpainting, iterations=200) > 5


def test_super_resolution_nears_the_pseudo_inverse():
    assert gain(BicubicDownsampling, iterations=200) > -4


def test_a_network_that_does_not_learn_would_be_seen():
    assert gain(Inpainting, iterations=200, lr=1e-6) < 2
