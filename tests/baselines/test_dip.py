"""Deep image prior: the published networks, and a batch that is nothing but its images."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from baselines.common import layers
from baselines.single.dip import dip
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input
from sipbench import configs
from sipbench.datasets.faces import Faces
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting, LinearOperator
from sipbench.problem import Problem, Rng

SMALL = {"input_channels": 8, "channels": (8, 16), "skip": (0, 4), "window": 10, "patience": 20}


@pytest.fixture(autouse=True)
def one_thread():
    """The networks here are too small to share among threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pose(n, *, size=32, dtype=torch.float32, operator=Inpainting):
    x = Faces("validation", size).load(range(n)).to(dtype)
    rng = Rng.of(0, "faces", range(n))
    f = operator(x.shape, rng.child("operator").portable)
    noise = Gaussian(0.01)
    y = noise(f(x), rng.child("noise"))
    return Problem(y=y, f=f, noise=noise, shape=tuple(x.shape), prior=None, rng=rng.child("solver")), x


def one_by_one(problem, **settings):
    return torch.cat([dip(problem.select(slice(i, i + 1)), **settings).x for i in range(len(problem.y))])


def psnr(x_hat, x):
    return 10 * torch.log10(4 / (x_hat.clamp(-1, 1) - x).square().flatten(1).mean(1))


@pytest.mark.parametrize(
    ("c_in", "settings", "expected"),
    [
        (32, {}, 2_217_831),
        (32, {"skip": (128,) * 5}, 3_002_627),
        (3, {"channels": (8, 16, 32, 64, 128), "skip": (0, 0, 0, 4, 4)}, 572_827),
    ],
    ids=["denoising", "text inpainting", "JPEG"],
)
def test_published_parameter_counts(c_in, settings, expected):
    network = Hourglass(Rng.of(0, "t", [0]), c_in, 3, **settings)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_the_grouped_network_is_the_plain_one():
    """One image through torch's own modules, with the same weights."""
    rng = Rng.of(0, "t", [0, 1])
    block = layers.Block(rng, 4, 6, 3, 2, dtype=torch.float64)
    z = rng.normal(4, 10, 12, dtype=torch.float64)
    for i in range(2):
        conv = F.conv2d(F.pad(z[i : i + 1], [1] * 4, "reflect"), block.conv.weight[i], block.conv.bias[i], stride=2)
        plain = F.leaky_relu(F.instance_norm(conv), 0.2)
        torch.testing.assert_close(block(z)[i : i + 1], plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("pad", [1, 2])
def test_padding_reflects(pad):
    x = torch.arange(60.0).view(1, 1, 6, 10)
    assert torch.equal(layers.reflect(x, pad), F.pad(x, [pad] * 4, mode="reflect"))


def test_initial_weights_have_torchs_distribution():
    weight = layers.Conv(Rng.of(0, "t", [0, 1]), 16, 64, 3, dtype=torch.float64).weight
    bound = (16 * 9) ** -0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert abs(weight.std() / (bound / 3**0.5) - 1) < 0.03
    assert not torch.equal(weight[0], weight[1])


@pytest.mark.parametrize("size", [(24, 20), (15, 17)])
def test_any_size_passes(size):
    network = Hourglass(Rng.of(0, "t", [0]), 4, 3, channels=(8, 8), skip=(0, 4))
    assert network(torch.rand(1, 4, *size, generator=torch.Generator())).shape == (1, 3, *size)


def test_a_batch_is_its_images_one_by_one():
    problem, _ = pose(8, dtype=torch.float64)
    settings = SMALL | {"iterations": 50, "stopping": "fixed"}
    assert (dip(problem, **settings).x - one_by_one(problem, **settings)).abs().max() < 1e-8


def test_a_norm_over_the_batch_would_be_seen(monkeypatch):
    def coupled(self, x):
        return F.batch_norm(x, None, None, training=True)

    monkeypatch.setattr(layers.Norm, "forward", coupled)
    problem, _ = pose(2, dtype=torch.float64)
    settings = SMALL | {"iterations": 5, "stopping": "fixed"}
    assert (dip(problem, **settings).x - one_by_one(problem, **settings)).abs().max() > 1e-4


def test_stopping_does_not_couple_the_batch():
    problem, _ = pose(3, dtype=torch.float64)
    settings = SMALL | {"iterations": 100, "lr": 0.05, "ema": 0.9}
    together = dip(problem, **settings)
    assert together.stopped is not None
    assert len(set(together.stopped.tolist())) > 1
    assert (together.x - one_by_one(problem, **settings)).abs().max() < 1e-6


def test_same_problem_same_bytes():
    problem, _ = pose(2)
    first, second = (dip(problem, iterations=10, **SMALL).x for _ in range(2))
    assert first.dtype == torch.float32
    assert torch.equal(first, second)


def quality(operator, **settings):
    """The mean gain over the pseudo-inverse in dB."""
    problem, x = pose(2, operator=operator)
    f = problem.f
    assert isinstance(f, LinearOperator)
    estimate = dip(problem, **(SMALL | {"patience": 1000, "ema": 0.9} | settings))
    return (psnr(estimate.x, x) - psnr(f.pinv(problem.y), x)).mean()


def test_inpainting_beats_the_pseudo_inverse():
    assert quality(Inpainting, iterations=100) > 5


def test_a_network_that_does_not_learn_would_be_seen():
    assert quality(Inpainting, iterations=100, lr=1e-6) < 2


def test_super_resolution_nears_the_pseudo_inverse():
    assert quality(BicubicDownsampling, iterations=100) > -3


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="one number a scale"):
        Hourglass(Rng.of(0, "t", [0]), 4, 3, channels=(8, 8), skip=(4,))
    with pytest.raises(ValueError, match="more than 4 pixels"):
        Hourglass(Rng.of(0, "t", [0]), 4, 3, channels=(8, 8), skip=(0, 4))(torch.zeros(1, 4, 4, 4))


@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_in_double_a_batch_is_its_images_even_where_y_is_single(operator):
    problem, _ = pose(3, operator=operator)
    together = dip(problem, iterations=30, double=True, **SMALL).x
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, one_by_one(problem, iterations=30, double=True, **SMALL), rtol=0, atol=1e-6)


def test_the_demo_works_in_double():
    """In single precision Adam's growth of rounding moves an image by 0.01 within 30 iterations, with its batch."""
    assert configs.read("method", "dip")["demo"]["all"]["double"] is True


def test_spare_channels_change_nothing():
    """In single precision 20 channels are padded to 32 for speed; alone, or in double precision, they are not."""
    block = layers.Conv(Rng.of(0, "t", [0, 1]), 20, 8, 3, dtype=torch.float32)
    x = Rng.of(0, "t", [2, 3]).normal(20, 9, 9)
    plain = [F.conv2d(F.pad(x[i : i + 1], [1] * 4, "reflect"), block.weight[i], block.bias[i]) for i in range(2)]
    torch.testing.assert_close(block(x), torch.cat(plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"upsample": "nearest"}, {"kernel": 5}, {"downsample": "average"}, {"up_1x1": False}]
)
def test_other_hourglasses_fit(options):
    problem, _ = pose(2)
    shown = []
    dip(watched(problem, shown), **SMALL, iterations=40, stopping="fixed", **options)
    assert shown[-1].max() < shown[0].min()


@pytest.mark.parametrize(
    "options", [{"loss": "l1"}, {"loss": "huber"}, {"regulariser": "tv", "lam": 0.1}, {"input": "normal"}]
)
def test_other_losses_fit(options):
    problem, _ = pose(2)
    shown = []
    dip(watched(problem, shown), **SMALL, iterations=40, stopping="fixed", **options)
    assert shown[-1].max() < shown[0].min()


def test_the_meshgrid_is_coordinates():
    z = fixed_input("meshgrid", Rng.of(0, "t", [0, 1]), 2, (3, 5), torch.float64)
    assert torch.equal(z[0], z[1])
    assert z[0, 0, 2, 0] == 1 and z[0, 1, 0, 2] == 0.5


def watched(problem, losses):
    class Watch:
        def step(self, k, n):
            return True

        def show(self, x_hat, loss):
            losses.append(loss)

    return replace(problem, _watch=Watch())
