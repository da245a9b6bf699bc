"""Deep image prior: the published networks, written out with torch's own functions, and their fits."""

import pytest
import torch
import torch.nn.functional as F

from baselines.common.stopping import Stop
from baselines.single import layers
from baselines.single.dip import dip
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input
from sipbench import configs
from sipbench.operators import BicubicDownsampling
from sipbench.problem import Rng
from tests.baselines.untrained import assert_is_the_plain_hourglass, followed, gain, parameters, part, pose, streams

SMALL = {"input_channels": 8, "channels": (8, 16), "skip": (0, 4)}
FIT = SMALL | {"iterations": 100, "stop": Stop("wmv", window=10), "ema": 0.9}


def witness(solve):
    rng = streams()
    for size, kernel in (((24, 20), 3), ((15, 17), 5)):
        options = {"channels": (6, 8), "skip": (0, 2), "kernel": kernel, "dtype": torch.float64}
        network = part(solve, "Hourglass")(rng, 4, 3, **options)
        assert_is_the_plain_hourglass(network, rng.normal(4, *size, dtype=torch.float64))
    assert gain(solve, pose(), **FIT) > 5


PUBLISHED = {
    "denoising": (32, {}, 2_217_831),
    "text inpainting": (32, {"skip": (128,) * 5}, 3_002_627),
    "JPEG": (3, {"channels": (8, 16, 32, 64, 128), "skip": (0, 0, 0, 4, 4)}, 572_827),
    "Deep Random Projector": (3, {"channels": (64,), "skip": (4,)}, 82_979),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    c_in, settings, expected = PUBLISHED[name]
    assert parameters(Hourglass(streams(1), c_in, 3, **settings)) == expected


def test_initial_weights_have_torchs_distribution():
    weight = layers.Conv(streams(), 16, 64, 3, dtype=torch.float64).weight
    bound = (16 * 9) ** -0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert abs(weight.std() / (bound / 3**0.5) - 1) < 0.03
    assert not torch.equal(weight[0], weight[1])


def test_stopping_does_not_couple_the_batch():
    problem, _ = pose(3, dtype=torch.float64)
    settings = FIT | {"lr": 0.05, "stop": Stop("wmv", window=10, patience=20)}
    together = dip(problem, **settings)
    alone = torch.cat([dip(problem.select(slice(i, i + 1)), **settings).x for i in range(3)])
    assert len(set(together.stopped.tolist())) > 1
    assert (together.x - alone).abs().max() < 1e-6


def test_super_resolution_nears_the_pseudo_inverse():
    assert gain(dip, pose(operator=BicubicDownsampling), **FIT) > -3


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="one number a scale"):
        Hourglass(streams(), 4, 3, channels=(8, 8), skip=(4,))
    with pytest.raises(ValueError, match="more than 4 pixels"):
        Hourglass(streams(), 4, 3, channels=(8, 8), skip=(0, 4))(torch.zeros(2, 4, 4, 4))


def test_the_demo_works_in_double():
    """In single precision Adam's growth of rounding moves an image by 0.01 within 30 iterations, with its batch."""
    assert configs.read("method", "dip")["demo"]["all"]["precision"] == "float64"


def test_spare_channels_change_nothing():
    """In single precision 20 channels are padded to 32 for speed; alone, or in double precision, they are not."""
    layer = layers.Conv(streams(), 20, 8, 3, dtype=torch.float32)
    x = Rng.of(0, "t", [2, 3]).normal(20, 9, 9)
    plain = [F.conv2d(F.pad(x[i : i + 1], [1] * 4, "reflect"), layer.weight[i], layer.bias[i]) for i in range(2)]
    torch.testing.assert_close(layer(x), torch.cat(plain), rtol=1e-4, atol=1e-5)


OTHERS = [{"upsample": "nearest"}, {"kernel": 5}, {"downsample": "average"}, {"up_1x1": False}, {"input": "normal"}]
OTHERS += [{"loss": "l1"}, {"loss": "huber"}, {"regulariser": "tv", "lam": 0.1}]


@pytest.mark.parametrize("options", OTHERS)
def test_other_networks_and_objectives_fit(options):
    _, shown = followed(dip, pose()[0], **SMALL, iterations=40, stop=Stop("fixed"), **options)
    assert shown[-1][1].max() < shown[0][1].min()


def test_the_meshgrid_is_coordinates():
    z = fixed_input("meshgrid", streams(), 2, (3, 5), torch.float64)
    assert torch.equal(z[0], z[1])
    assert z[0, 0, 2, 0] == 1 and z[0, 1, 0, 2] == 0.5
