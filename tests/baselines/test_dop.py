"""Double over-parameterisation: the square terms catch the corrupted entries, and nothing else does."""

import inspect

import pytest
import torch

from baselines.single import dop as module
from baselines.single.dop import dop
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem, Rng
from tests.baselines.test_dip import pose

SMALL = {"input_channels": 8, "channels": (8, 8, 8), "skip": (0, 4, 4)}


def toy(size=32, amount=0.3):
    """A smooth grey image, 30 % of whose pixels are black or white, and what was added to each."""
    t = torch.linspace(0, 1, size, dtype=torch.float64)
    x = 0.5 * torch.sin(3 * t + 1)[:, None] * torch.cos(4 * t)[None, :]
    rng = Rng.of(0, "toy", [0])
    u = rng.uniform(1, size, size, dtype=torch.float64)
    x = x.expand(1, 1, size, size)
    y = torch.where(u < amount / 2, -1.0, torch.where(u < amount, 1.0, x))
    problem = Problem(y, Denoise(x.shape, rng.child("f")), None, tuple(x.shape), None, rng.child("solver"))
    return problem, x, y - x


def caught(solve, **settings):
    """The share of the corrupted entries of which most is explained, and the mean error elsewhere."""
    problem, x, corruption = toy()
    estimate = solve(problem, iterations=250, **SMALL, **settings)
    sparse, hit = estimate.theta["sparse"], corruption != 0
    explained = (sparse - corruption).abs() < 0.5 * corruption.abs()
    return explained[hit].double().mean(), sparse[~hit].abs().mean(), (estimate.x - x).abs().mean()


FAST = {"lr": 2.0, "lr_c": 60_000.0}


def test_the_squares_catch_the_corruption():
    share, elsewhere, error = caught(dop, **FAST)
    assert share > 0.9
    assert elsewhere < 0.05
    assert error < 0.06


def test_other_rates_would_be_seen():
    """With lr_c too small the network has to explain all."""
    assert caught(dop, lr=2.0, lr_c=10.0)[0] < 0.1


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("optim.SGD(groups)", "optim.Adam(groups, lr=0.01)"), ("- h.square()", "+ h.square()")],
    ids=["Adam", "no negative corruption"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    share, elsewhere, error = caught(broken["dop"], **FAST)
    assert share < 0.9 or elsewhere > 0.05 or error > 0.06


@pytest.mark.parametrize("size", [16, 24])
def test_the_first_step(size):
    """g <- g (1 - a), h <- h (1 + a) with a = 4 lr_c r / 786,432 at any size, r the residual on [0, 1]."""
    problem, _, _ = toy(size)
    out = dop(problem, iterations=1, lr_c=5e4, init=0.1, **SMALL | {"channels": (8,), "skip": (0,)})
    draw = problem.rng.child("corruption").portable
    g, h = (0.1 * draw.normal_like(problem.y) for _ in range(2))
    a = 4 * 5e4 / 786_432 * ((out.x - problem.y) / 2 + g**2 - h**2)
    expected = 2 * ((g * (1 - a)) ** 2 - (h * (1 + a)) ** 2)
    torch.testing.assert_close(out.theta["sparse"], expected, rtol=0, atol=1e-12)


def test_a_batch_is_its_images_one_by_one():
    problem, _ = pose(3, dtype=torch.float64)
    settings = SMALL | {"iterations": 30}
    together = dop(problem, **settings)
    alone = [dop(problem.select(slice(i, i + 1)), **settings) for i in range(3)]
    assert (together.x - torch.cat([e.x for e in alone])).abs().max() < 1e-9
    assert (together.theta["sparse"] - torch.cat([e.theta["sparse"] for e in alone])).abs().max() < 1e-9
