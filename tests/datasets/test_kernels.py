"""The drawn kernels: the same for everyone, centred as blind problems have them, and of no other split."""

import pytest
import torch

from sipbench import configs
from sipbench.datasets.kernels import Kernels
from sipbench.operators.blind import BlindBlur
from sipbench.problem import Rng


def centres(x):
    """The centroid (row, column) of each kernel."""
    k = (x.double() + 1) / 2
    k = k / k.sum((-2, -1), keepdim=True)
    at = torch.arange(k.shape[-1], dtype=torch.float64)
    return torch.stack([(k.sum(-1) * at).sum(-1), (k.sum(-2) * at).sum(-1)], -1)


@pytest.mark.parametrize("size", [8, 16, 21, 64])
def test_pictures_that_fill_their_range(size):
    x = Kernels("validation", size).load(range(6))
    assert x.shape == (6, 1, size, size) and x.dtype == torch.float32
    assert (x.amax((1, 2, 3)) == 1).all() and x.min() >= -1
    assert (x.amin((1, 2, 3)) < -0.7).all()


@pytest.mark.parametrize("size", [15, 16])
def test_they_are_centred_as_those_of_blind_problems(size):
    f = BlindBlur((20, 1, 64, 64), Rng.of(0, "k", range(20)).portable, size=size)
    theirs = centres(f.draw(Rng.of(0, "k", range(20)).portable)["kernel"] * 2 - 1)
    gaussian = BlindBlur((1, 1, 64, 64), Rng.of(0, "k", [0]).portable, size=size, kernel="gaussian", sigma=1.0)
    ours = centres(Kernels("test", size).load(range(20)))
    for found in (theirs, centres(gaussian.draw(Rng.of(0, "k", [0]))["kernel"] * 2 - 1), ours):
        assert (found.mean(0) - (size - 1) // 2).abs().max() < 0.05
    straight = centres(Kernels("test", size, turned=False).load(range(20)))
    assert (straight.mean(0) - size // 2).abs().max() < 0.05


def test_the_options():
    assert Kernels("test", 16).version != Kernels("test", 16, turned=False).version
    spots = Kernels("test", 32, gaussian=1.0, sigma=(0.1, 0.1)).load([0, 1])
    assert torch.equal(spots[0], spots[1])
    x, y = Kernels("test", 32, gaussian=0.5).load(range(40)), Kernels("test", 32, gaussian=0.0).load(range(40))
    same = (x == y).flatten(1).all(1)
    assert 8 < same.sum() < 32
    assert not torch.equal(Kernels("test", 32, intensity=(0.0, 0.0)).load([0]), Kernels("test", 32).load([0]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gaussian": 1.5}, "Gaussians"),
        ({"intensity": (0.6, 0.4)}, "intensity"),
        ({"sigma": (0.0, 0.1)}, "sigma"),
    ],
)
def test_mistakes_are_said(options, said):
    with pytest.raises(ValueError, match=said):
        Kernels(**configs.typed(Kernels, options))
