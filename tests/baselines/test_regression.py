"""Regression from pairs: k-NN errs as theory says, a network tends to the mean of what it cannot tell apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.datarich import regression
from sipbench.datasets.ball import Ball
from sipbench.metrics import evaluate, point_error
from sipbench.noise import Gaussian, Shot
from sipbench.operators.phase_random import GaussianMagnitude
from sipbench.problem import Problem, Rng
from sipbench.tables.views.symmetry import Space


def pose(n=5, points=1000, images=(0,), ratio=4.0, sigma=0.0, field="R"):
    x = Ball("test", n, points=points, complex=field == "C").load(images)
    rng, more = (
        Rng.of(0, "regression", images),
        {"matrix": "complex", "complex_image": "stacked"} if field == "C" else {},
    )
    f = GaussianMagnitude(tuple(x.shape), rng.child("operator").portable, ratio=ratio, measure="intensity", **more)
    noise = Gaussian(sigma)
    return Problem(noise(f(x), rng.child("noise").portable), f, noise, tuple(x.shape), None, rng.child("solver")), x


def witness_knn(knn):
    """The published figures of n = 5 and 20 000 pairs, for any A: 68 ± 2 before; and far less after."""
    problem, x = pose(points=4000, images=(0, 1))
    before = point_error(knn(problem, points=20_000, breaking=False), x)
    after = point_error(knn(problem, points=20_000), x)
    assert (before - 68).abs().max() < 2
    assert 9 < after.min() and after.max() < 17
    exactly_the_mean_of_five(knn)


def exactly_the_mean_of_five(knn):
    """An independent writing in numpy, on the pairs of the same streams."""
    problem, _ = pose(points=50)
    y, x = regression._pairs(problem, 500, True)
    assert len(y) == 400 and float(x[:, -1].min()) > 0
    distance = ((problem.y[0].double()[:, None] - y.double()) ** 2).sum(2).numpy()
    nearest = np.argsort(distance, axis=1)[:, :5]
    expected = torch.from_numpy(x.numpy()[nearest].mean(1))
    assert (knn(problem, points=500)[0, :, 0] - expected).abs().max() < 1e-6


def witness_mlp(mlp):
    """y = (a x)^2: the mean of the two roots before breaking, the positive root after."""
    problem, x = pose(n=1, points=200, ratio=1.0)
    settings = {"points": 4000, "steps": 250, "batch": 256, "widths": (32, 32)}
    before, after = mlp(problem, **settings, breaking=False), mlp(problem, **settings)
    assert before.abs().mean() < 0.1 and before.abs().max() < 0.3
    assert (after - x.abs()).abs().mean() < 0.03
    assert point_error(after, x) < 2 and point_error(before, x) > 250


def test_a_draw_of_the_map_has_pairs_and_a_network_of_its_own():
    problem, _ = pose(images=(0, 1), points=30)
    settings = {"points": 200, "steps": 20, "batch": 16, "widths": (8,)}
    both = regression.mlp(problem, **settings)
    alone = [regression.mlp(problem.select(slice(b, b + 1)), **settings) for b in range(2)]
    assert torch.equal(both, torch.cat(alone)) and not torch.equal(both[0], both[1])
    assert both.flatten(2).norm(dim=2).max() <= 1 + 1e-6


def test_the_same_pairs_serve_before_and_after():
    problem, _ = pose(points=10)
    (y, x), (same, broken) = (regression._pairs(problem, 100, breaking) for breaking in (False, True))
    assert torch.equal(y, same) and torch.equal(x * x[:, -1:].sign(), broken)
    assert torch.allclose(problem.f(x.view(1, 80, 1, 5))[0], y)


def test_pairs_are_as_noisy_as_what_is_measured():
    problem, _ = pose(points=10)
    loud = replace(problem, noise=Gaussian(0.1))
    clean, noisy = (regression._pairs(p, 1000, True)[0] for p in (problem, loud))
    assert abs(float((noisy - clean).std()) - 0.1) < 0.005


def test_pairs_have_the_noise_of_any_kind_that_is_told():
    problem, _ = pose(points=10)
    counted = replace(problem, noise=Shot(rate=100.0))
    clean, noisy = (regression._pairs(p, 1000, True)[0] for p in (problem, counted))
    expected = counted.noise.std(clean).square().mean().sqrt()
    assert abs(float((noisy - clean).square().mean().sqrt() / expected) - 1) < 0.05


def test_the_tree_and_all_distances_find_the_same():
    y, among = (Rng.of(s, "rows", [0]).normal(n, 8)[0] for s, n in ((0, 40), (1, 300)))
    for k, origin in ((1, 0), (5, 0), (5, 1000)):
        here, there = y + origin, among + origin
        assert torch.equal(regression.tree(here, there, k), regression.neighbours(here, there, k))


def test_the_target_of_complex_pairs_is_unique():
    """Of e^{i theta} x it is one point, whose first coordinate is real and positive; y is the same before and after."""
    problem, _ = pose(points=10, field="C")
    (y, x), (same, broken) = (regression._pairs(problem, 100, breaking) for breaking in (False, True))
    assert torch.equal(y, same) and x.shape == (80, 10) and (x.norm(dim=1) <= 1).all()
    assert (broken[:, 0] > 0).all() and broken[:, 5].abs().max() < 1e-6 < x[:, 5].abs().min()
    u, v = (torch.complex(*rows.double().view(-1, 2, 5).unbind(1)) for rows in (x, broken))
    assert ((u.conj() * v).sum(1).abs() - u.norm(dim=1) ** 2).abs().max() < 1e-6
    assert torch.allclose(problem.f(broken.view(1, 80, 2, 5))[0], y, atol=1e-5)


def test_complex_regression_errs_as_theory_says():
    """y = |a x|^2 of one complex number: its length is all that is learnt, or the mean of the circle."""
    problem, x = pose(n=1, points=2000, ratio=1.0, field="C")

    def error(x_hat):
        return float(evaluate(["point_error"], x_hat, x, problem.f.symmetries)["point_error"][0])

    before, after = (regression.knn(problem, points=4000, breaking=breaking) for breaking in (False, True))
    assert abs(error(before) - Space(1, "C").blind) < 10 and error(after) < 0.1
    settings = {"points": 4000, "steps": 250, "batch": 256, "widths": (32, 32)}
    before, after = (regression.mlp(problem, **settings, breaking=breaking) for breaking in (False, True))
    assert error(before) > 0.85 * Space(1, "C").zero and error(after) < 2
    assert after[:, :, 0].min() > -0.1 and after[:, :, 1].abs().max() < 0.1


@pytest.mark.parametrize("k", [0, 81])
def test_as_many_neighbours_as_there_are_pairs(k):
    problem, _ = pose()
    assert regression.knn(problem, points=100, k=80).shape == problem.shape
    with pytest.raises(ValueError, match=f"k is 1 to 80, the number of pairs, not {k}"):
        regression.knn(problem, points=100, k=k)


@pytest.mark.parametrize("solve", [regression.mlp, regression.knn])
def test_a_standard_deviation_takes_two_pairs(solve):
    with pytest.raises(ValueError, match="points is 2 or more, not 1"):
        solve(pose()[0], points=1)
