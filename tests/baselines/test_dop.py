"""Double over-parameterisation: the square terms catch the corrupted entries, and nothing else does."""

import torch

from baselines.single.dop import dop
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem, Rng

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


def caught(solve, lr_c):
    """The share of the corrupted entries of which most is explained, and the mean error elsewhere."""
    problem, x, corruption = toy()
    estimate = solve(problem, iterations=150, lr=2.0, lr_c=lr_c, **SMALL)
    sparse, hit = estimate.theta["sparse"], corruption != 0
    explained = (sparse - corruption).abs() < 0.5 * corruption.abs()
    return explained[hit].double().mean(), sparse[~hit].abs().mean(), (estimate.x - x).abs().mean()


def assert_the_first_step(solve, size):
    """g <- g (1 - a), h <- h (1 + a) with a = 4 lr_c r / 786,432 at any size, r the residual on [0, 1]."""
    problem, _, _ = toy(size)
    out = solve(problem, iterations=1, lr_c=5e4, init=0.1, **SMALL | {"channels": (8,), "skip": (0,)})
    draw = problem.rng.child("corruption").portable
    g, h = (0.1 * draw.normal_like(problem.y) for _ in range(2))
    a = 4 * 5e4 / 786_432 * ((out.x - problem.y) / 2 + g**2 - h**2)
    expected = 2 * ((g * (1 - a)) ** 2 - (h * (1 + a)) ** 2)
    torch.testing.assert_close(out.theta["sparse"], expected, rtol=0, atol=1e-12)


def witness(solve):
    for size in (16, 24):
        assert_the_first_step(solve, size)
    share, elsewhere, error = caught(solve, 60_000.0)
    assert share > 0.9 and elsewhere < 0.05 and error < 0.06


def test_with_a_small_rate_the_network_has_to_explain_all():
    assert caught(dop, 10.0)[0] < 0.1
