"""min TV(x) subject to RMS(y - x) <= sigma and the box: each way against a long primal-dual run, and certified."""

import pytest
import torch

from baselines.common.differences import differences
from baselines.common.losses import tv
from baselines.single.constrained import constrained
from sipbench import configs
from sipbench.noise import Gaussian
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem, Rng

SIGMA, SIDE = 0.2, 20


def pose(images=(0, 1), scale=1.06):
    """A disc, and two triangles whose values lie beyond the box, so that it binds; in double precision."""
    g = torch.linspace(-1, 1, SIDE, dtype=torch.float64)
    disc, halves = ((g[:, None] ** 2 + g**2) < 0.5) * 1.6 - 0.8 + 0.2 * g, scale * torch.sign(g[:, None] - g)
    x = torch.stack([disc, halves])[:, None][list(images)]
    rng = Rng.of(0, "constrained", images)
    y = x + SIGMA * rng.child("noise").portable.normal_like(x)
    return Problem(y, Denoise(x.shape, rng), Gaussian(SIGMA), tuple(x.shape), None, rng.child("solver"))


def primal_dual(y, iterations=3000, step=0.33):
    """Chambolle, Pock 2011: prox of the box; duals of the differences in [-1, 1], of the ball by its projection."""
    radius = SIGMA * y[0].numel() ** 0.5
    x, x_bar, z = y.clone(), y.clone(), torch.zeros_like(y)
    p, q = map(torch.zeros_like, differences(y))
    for _ in range(iterations):
        down, right = differences(x_bar)
        p, q, w = (p + step * down).clamp(-1, 1), (q + step * right).clamp(-1, 1), z + step * x_bar
        off = w / step - y
        z = w - step * (y + off * (radius / off.flatten(1).norm(dim=1)).clamp(max=1).view(-1, 1, 1, 1))
        g = z.clone()
        g[..., 1:, :] += p
        g[..., :-1, :] -= p
        g[..., 1:] += q
        g[..., :-1] -= q
        x, before = (x - step * g).clamp(-1, 1), x
        x_bar = 2 * x - before
    return x


def residual(problem, x):
    return (problem.y - x).square().flatten(1).mean(1).sqrt() / SIGMA


@pytest.fixture(scope="module")
def reference():
    x = primal_dual(pose().y)
    assert (residual(pose(), x) - 1).abs().max() < 1e-4 and (x[1].abs() == 1).float().mean() > 0.1
    return tv(x)


def witness(solve):
    """It stays in the box."""
    for way in ("sqp", "augmented"):
        assert solve(pose((1,), scale=1.2), way=way, iterations=100, points=1).x.abs().max() <= 1


OPTIONS = {
    "sqp": {"iterations": 300},
    "augmented": {"iterations": 600},
    "increasing": {"iterations": 600, "rho": 0.05, "growth": 2.0},
}


@pytest.mark.parametrize("way", OPTIONS)
def test_each_way_meets_the_constraint_at_the_least_objective(way, reference):
    problem = pose()
    found = constrained(problem, way=way, points=20, **OPTIONS[way])
    assert found.x.abs().max() <= 1
    assert (residual(problem, found.x) - 1).abs().max() < 0.01
    assert (found.certificate["objective"] / reference - 1).abs().max() < 0.01
    torch.testing.assert_close(found.certificate["objective"], tv(found.x))
    torch.testing.assert_close(found.certificate["violation"], (residual(problem, found.x) - 1).clamp(min=0))
    assert found.certificate["stationarity"].max() < 0.1


def test_a_fixed_penalty_misses_by_the_multiplier_over_its_weight():
    options = {"way": "penalty", "iterations": 400, "points": 1}
    missed = [constrained(pose(), rho=rho, **options).certificate["violation"] for rho in (1.0, 2.0, 4.0)]
    assert missed[0].min() > 0.05
    for light, heavy in zip(missed, missed[1:], strict=False):
        assert ((light / heavy) / 2 - 1).abs().max() < 0.15  # rho c = lam*, which depends on c a little


@pytest.mark.parametrize("way", ["sqp", "augmented"])
def test_the_certificate_is_not_given_early(way):
    early = constrained(pose(), way=way, iterations=20, points=20).certificate
    assert torch.maximum(early["stationarity"] / 0.1, early["violation"] / 0.01).min() > 1


def test_where_nothing_is_feasible_sqp_violates_least():
    problem = pose((1,), scale=1.2)
    least = residual(problem, problem.y.clamp(-1, 1)) - 1  # the nearest point of the box
    found = constrained(problem, way="sqp", iterations=150, points=1).certificate["violation"]
    assert least > 0.15 and found == pytest.approx(float(least), rel=2e-2)


@pytest.mark.parametrize(("way", "iterations"), [("augmented", 200), ("sqp", 80)])
def test_a_network_stops_at_the_noise(way, iterations):
    problem, network = pose((0,)), {"unknown": "network", "input_channels": 4, "channels": [8, 8], "skip": [4, 4]}
    found = constrained(problem, way=way, iterations=iterations, inner=20, points=3, **network)
    assert (residual(problem, found.x) - 1).abs().max() < 0.03
    assert found.certificate["objective"] < 0.7 * tv(problem.y)


def test_without_an_objective_it_is_feasible_and_stationary_at_once():
    found = constrained(pose(), way="sqp", regulariser="none", iterations=200, points=3)
    assert (found.certificate["violation"] <= 0.01).all() and (found.certificate["stationarity"] == 0).all()
    assert (found.stopped < 60).all()


@pytest.mark.parametrize("wrong", [{"way": "barrier"}, {"unknown": "wavelets"}, {"regulariser": "l0"}])
def test_unknown_words_are_named(wrong):
    with pytest.raises(ValueError, match="Known: "):
        configs.typed(constrained, wrong)
