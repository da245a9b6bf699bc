"""Deep image prior: the published networks, written out with torch's own functions, and their fits."""

import pytest
import torch
import torch.nn.functional as F

from baselines.common.stopping import Stop
from baselines.single import layers
from baselines.single.conv_decoder import conv_decoder
from baselines.single.deep_decoder import deep_decoder
from baselines.single.dip import dip
from baselines.single.fit import Backtrack
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input
from sipbench import configs
from sipbench.operators import BicubicDownsampling
from sipbench.operators.jpeg import Jpeg
from sipbench.problem import Rng
from tests.baselines.untrained import assert_is_the_plain_hourglass, followed, gain, parameters, part, pose, streams
from tests.parity import difference
from tests.parity._networks import Skip, take
from tests.parity.single import dip_and_public

SMALL = {"input_channels": 8, "channels": (8, 16), "skip": (0, 4)}
FIT = SMALL | {"iterations": 100, "stop": Stop("wmv", window=10), "ema": 0.9}


def witness(solve):
    rng = streams()
    for size, kernel in (((24, 20), 3), ((15, 17), 5)):
        options = {"channels": (6, 8), "skip": (0, 2), "kernel": kernel, "dtype": torch.float64}
        network = part(solve, "Hourglass")(rng, 4, 3, **options)
        assert_is_the_plain_hourglass(network, rng.normal(4, *size, dtype=torch.float64))
    assert difference(*dip_and_public(solve)) < 1e-8
    problem, _ = pose(dtype=torch.float64)
    found, shown = followed(solve, problem, **SMALL, iterations=1, bypass_f=True, stop=Stop("fixed"))
    torch.testing.assert_close(shown[-1][1], (found.x - problem.y).square().flatten(1).mean(1))
    assert gain(solve, pose(), **FIT) > 5


@pytest.mark.parametrize(("solver", "settings"), [
    (dip, SMALL | {"clean_z": True}), (deep_decoder, {"k": 8, "scales": 2}),
    (conv_decoder, {"channels": 4, "layers": 3}),
])  # fmt: skip
def test_where_the_budget_is_spent_before_the_first_step_the_first_weights_count(solver, settings):
    problem, _ = pose()
    first = solver(problem, iterations=0, **settings).x
    assert first.shape == problem.shape and first.isfinite().all() and first.std() > 0


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


LAYOUTS = {
    "denoising": ((24, 40), {}, {}),
    "denoising, odd": ((25, 19), {}, {}),
    "text": ((24, 40), {"skip": (6, 8), "upsample": "nearest"}, {"upsample": "nearest"}),
    "hole": (
        (24, 40),
        {"skip": (0, 0), "upsample": "nearest", "kernel": 5, "up_1x1": False},
        {"upsample": "nearest", "kernel": 5, "up_1x1": False},
    ),
    "98 % missing": ((24, 40), {"skip": (0, 0), "downsample": "average"}, {"pool": True}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_hourglass_is_the_public_one(name):
    size, options, public = LAYOUTS[name]
    skip = options.get("skip", (2, 4))
    settings = {"channels": (6, 8), "dtype": torch.float64} | options | {"skip": skip}
    network, z = Hourglass(streams(), 4, 3, **settings), streams().normal(4, *size, dtype=torch.float64)
    for i, seen in enumerate(network(z)):
        plain = take(Skip(4, 3, (6, 8), skip, **public), network, i)
        torch.testing.assert_close(seen[None], plain(z[i : i + 1]), rtol=0, atol=1e-12)


def test_with_average_pooling_the_public_one_cannot_keep_an_odd_size():
    z = torch.zeros(1, 4, 25, 38, dtype=torch.float64)
    assert Skip(4, 3, (6, 8), (0, 0), pool=True)(z).shape == (1, 3, 24, 36)
    options = {"channels": (6, 8), "skip": (0, 0), "downsample": "average", "dtype": torch.float64}
    assert Hourglass(streams(1), 4, 3, **options)(z).shape == (1, 3, 25, 38)


def test_initial_weights_have_torchs_distribution():
    weight = layers.Conv(streams(), 16, 64, 3, dtype=torch.float64).weight
    bound = (16 * 9) ** -0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert abs(weight.std() / (bound / 3**0.5) - 1) < 0.03
    assert not torch.equal(weight[0], weight[1])


def test_stopping_does_not_couple_the_batch():
    problem, _ = pose(3, dtype=torch.float64)
    settings = FIT | {"input_channels": 4, "channels": (4, 8), "lr": 0.05}
    settings |= {"stop": Stop("wmv", window=10, patience=20)}
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


def test_past_f_the_output_is_compared_with_y_itself():
    """As published for JPEG; straight through the codec is another loss, and y of another size cannot be met."""
    problem, _ = pose(operator=Jpeg, dtype=torch.float64)
    for bypass_f in (True, False):
        found, shown = followed(dip, problem, **SMALL, iterations=3, bypass_f=bypass_f, stop=Stop("fixed"))
        x_hat = found.x if bypass_f else problem.f(found.x)
        torch.testing.assert_close(shown[-1][1], (x_hat - problem.y).square().flatten(1).mean(1))
    with pytest.raises(ValueError, match="one shape"):
        dip(pose(operator=BicubicDownsampling)[0], **SMALL, bypass_f=True)


@pytest.mark.parametrize("rule", [Stop("fixed"), Stop("wmv", window=3, patience=4)])
def test_the_output_at_the_clean_z_is_that_of_the_weights_that_were_chosen(rule):
    """Without noise on z the output of the weights after a step is the iterate of the step that follows."""
    problem, _ = pose(dtype=torch.float64)
    settings = SMALL | {"lr": 0.1, "sigma_z": 0.0, "ema": 0.5}
    clean = dip(problem, **settings, iterations=12, clean_z=True, stop=rule)
    x_mean = dip(problem, **settings, iterations=12, stop=rule).x
    raw = [x for x, _ in followed(dip, problem, **(settings | {"ema": 0.0}), iterations=13, stop=Stop("fixed"))[1]]
    expected = torch.stack([raw[k + 1][i] for i, k in enumerate(clean.stopped.tolist())])
    torch.testing.assert_close(clean.x, expected, rtol=0, atol=1e-12)
    assert (clean.x - x_mean).abs().max() > 1e-3


def test_weights_go_back_after_a_spike_each_image_s_own():
    weights = torch.nn.Parameter(torch.zeros(2, 3))
    guard = Backtrack(torch.optim.SGD([weights], lr=1.0), 5.0)
    for value, losses in ((1.0, (1.0, 1.0)), (2.0, (3.1, 3.2)), (3.0, (1.0, 3.1)), (4.0, (3.5, 3.5))):
        weights.data[:] = value
        guard(torch.tensor(losses))
    assert weights[0].tolist() == [3.0] * 3 and weights[1].tolist() == [4.0] * 3
    weights.data[:] = 5.0
    guard(torch.tensor((3.0, 3.0)))
    assert weights[0].tolist() == [5.0] * 3 and weights[1].tolist() == [5.0] * 3
