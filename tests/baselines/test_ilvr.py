"""ILVR against its formulas on dense matrices."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import ilvr as module
from baselines.diffusion.ilvr import ilvr, low_pass
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.problem import Rng
from tests.baselines.exact import pose

MEAN, STD = 0.1, 0.5
OPERATORS = {
    "inpainting": lambda shape, rng: Inpainting(shape, rng, removed=0.5),
    "bicubic": lambda shape, rng: BicubicDownsampling(shape, rng, factor=2),
}


def small(operator="bicubic", schedule="vp", sigma=0.1):
    return pose(OPERATORS[operator], n=3, sigma=sigma, schedule=schedule, mean=MEAN, std=STD)


def dense(f, shape):
    return torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(np.prod(shape), dtype=torch.float64)], 1)


def reference(problem, steps, range_t, clip, phi=None):
    prior, shape = problem.prior, problem.shape[1:]
    A = dense(problem.f.select(slice(0, 1)), shape).numpy()
    inverse = np.linalg.pinv(A, rcond=1e-9)
    phi = inverse @ A if phi is None else phi
    image = problem.y.flatten(1).numpy() @ inverse.T
    (alpha, sigma), rng = (v.numpy() for v in prior.scales(prior.times(steps))), Rng(problem.rng.keys)
    x = sigma[0] * rng.portable.normal(*shape, dtype=torch.float64).flatten(1).numpy()
    draw = lambda: rng.normal(*shape, dtype=torch.float64).flatten(1).numpy()  # noqa: E731
    for k in range(steps):
        a, b, c, s = alpha[k], sigma[k], alpha[k + 1], sigma[k + 1]
        x_hat = MEAN + a * STD**2 / (a**2 * STD**2 + b**2) * (x - a * MEAN)
        x_hat = np.clip(x_hat, -1, 1) if clip else x_hat
        step = a / c  # the Gaussian q(x_s | x_t, x_hat) from q(x_t | x_s) = N(step x_s, width) by Bayes' rule
        width = b**2 - step**2 * s**2
        mean = (width * c * x_hat + s**2 * step * x) / b**2
        x = mean + np.sqrt(width * s**2 / b**2) * draw()
        noised = c * image + s * draw()
        if steps - 1 - k > range_t:
            x = x - x @ phi.T + noised @ phi.T
    return torch.from_numpy(x).view(problem.shape)


@pytest.mark.parametrize(("range_t", "clip"), [(0, True), (5, False), (-1, True)])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule, range_t, clip):
    x = ilvr(small(operator, schedule), steps=20, range_t=range_t, clip=clip)
    assert (x - reference(small(operator, schedule), 20, range_t, clip)).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("then.sigma * z", "2 * then.sigma * z"),
        ("then.alpha * reference + then.sigma", "now.alpha * reference + now.sigma"),
        ("- x_t)", ")"),
        ("steps - 1 - k > range_t", "k > range_t"),
    ],
    ids=["noise twice", "the level of now", "not replaced", "the other end"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    x = broken["ilvr"](small(), steps=20, range_t=5)
    assert (x - reference(small(), 20, 5, True)).abs().max() > 1e-3


def test_refined_to_the_end_it_agrees_with_the_measurement():
    problem = small()
    assert (problem.f(ilvr(problem, steps=10, range_t=-1)) - problem.y).abs().max() < 1e-9
    assert (problem.f(ilvr(problem, steps=10, range_t=10)) - problem.y).abs().max() > 0.1


def bicubic(n, factor):
    """Downsampling and upsampling as in the public resizer: weights of the cubic kernel, mirrored at the borders."""

    def cubic(u):
        u = abs(u)
        return 1.5 * u**3 - 2.5 * u**2 + 1 if u <= 1 else -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2 if u < 2 else 0

    def fold(i, m):
        return min(i % (2 * m), 2 * m - 1 - i % (2 * m))

    small = n // factor
    down, up = np.zeros((small, n)), np.zeros((n, small))
    for i in range(small):
        for j in range(-3 * n, 4 * n):
            down[i, fold(j, n)] += cubic((j - ((i + 0.5) * factor - 0.5)) / factor)
    for j in range(n):
        for i in range(-3 * small, 4 * small):
            up[j, fold(i, small)] += cubic((j + 0.5) / factor - 0.5 - i)
    return up / up.sum(1, keepdims=True) @ (down / down.sum(1, keepdims=True))


@pytest.mark.parametrize(("size", "factor"), [(8, 2), (8, 4), (16, 8)])
def test_the_low_pass_filter_is_bicubic_down_and_up(size, factor):
    problem = pose(OPERATORS["inpainting"], n=1, shape=(1, size, size))
    filtered = dense(low_pass(problem, factor), (1, size, size)).numpy()
    one = bicubic(size, factor)
    assert np.abs(filtered - np.kron(one, one)).max() < 1e-12


def test_with_the_low_pass_filter():
    one = bicubic(4, 2)
    x = ilvr(small(), steps=20, down_N=2)
    assert (x - reference(small(), 20, 0, True, np.kron(one, one))).abs().max() < 1e-8


def test_one_evaluation_a_step_without_a_graph():
    problem = small()
    denoise = problem.prior.denoise

    def watched(x_t, t):
        assert not torch.is_grad_enabled()
        return denoise(x_t, t)

    problem.prior.denoise = watched
    ilvr(problem, steps=13)
    assert problem.prior.evaluations == 13 * 3
