"""MCG against its formulas on dense matrices, the gradient by hand."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import mcg as module
from baselines.diffusion.mcg import mcg
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.priors.base import Prior
from sipbench.priors.schedules import named
from sipbench.problem import Rng
from tests.baselines.exact import pose

MEAN = 0.1
OPERATORS = {
    "inpainting": lambda shape, rng: Inpainting(shape, rng, removed=0.5),
    "bicubic": lambda shape, rng: BicubicDownsampling(shape, rng, factor=2),
}


class Correlated(Prior):
    """x ~ N(mean, C) with neighbours alike, so that what is measured says something of what is not."""

    shape = (1, 4, 4)

    def __init__(self, schedule):
        super().__init__(named(schedule))
        row = 0.6 ** (torch.arange(4.0)[:, None] - torch.arange(4.0)).abs().double()
        self.C = 0.3 * torch.kron(row, row)

    def mean_vector(self):
        return torch.full((16,), MEAN, dtype=torch.float64)

    def covariance(self):
        return self.C

    def slope(self, alpha, sigma):
        return alpha * torch.linalg.solve(alpha**2 * self.C + sigma**2 * torch.eye(16), self.C)

    def denoise(self, x_t, t):
        alpha, sigma = self.scales(t)
        return MEAN + ((x_t - alpha * MEAN).flatten(1) @ self.slope(alpha, sigma)).view_as(x_t)


def small(operator="bicubic", schedule="vp"):
    return pose(OPERATORS[operator], n=3, prior=Correlated(schedule))


def reference(problem, steps, zeta, clip, measurement_noise):
    prior, shape = problem.prior, problem.shape[1:]
    f = problem.f.select(slice(0, 1))
    A = torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(np.prod(shape), dtype=torch.float64)], 1).numpy()
    inverse, y = np.linalg.pinv(A, rcond=1e-9), problem.y.flatten(1).numpy()
    (alpha, sigma), rng = (v.numpy() for v in prior.scales(prior.times(steps))), Rng(problem.rng.keys)
    draw = lambda like: rng.normal(*like[1:], dtype=torch.float64).flatten(1).numpy()  # noqa: E731
    x = sigma[0] * rng.portable.normal(*shape, dtype=torch.float64).flatten(1).numpy()
    for k in range(steps):
        a, b, c, s = alpha[k], sigma[k], alpha[k + 1], sigma[k + 1]
        slope = prior.slope(a, b).numpy()
        raw = MEAN + (x - a * MEAN) @ slope
        x_hat, inside = (np.clip(raw, -1, 1), np.abs(raw) <= 1) if clip else (raw, 1)
        r = (y - x_hat @ A.T) @ inverse.T
        pulled = -r @ (inverse @ A).T / np.linalg.norm(r, axis=1, keepdims=True)  # the norm's gradient in x_hat
        step = a / c
        width = b**2 - step**2 * s**2
        mean = (width * c * x_hat + s**2 * step * x) / b**2
        x = mean + np.sqrt(width * s**2 / b**2) * draw(problem.shape) - zeta * (inside * pulled) @ slope
        z = draw(problem.y.shape) if measurement_noise else draw(problem.shape) @ A.T
        x = x - x @ A.T @ inverse.T + (c * y + s * z) @ inverse.T
    return torch.from_numpy(x).view(problem.shape)


@pytest.mark.parametrize(("clip", "measurement_noise"), [(True, False), (False, True)])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule, clip, measurement_noise):
    x = mcg(small(operator, schedule), steps=20, zeta=0.7, clip=clip, measurement_noise=measurement_noise)
    assert (x - reference(small(operator, schedule), 20, 0.7, clip, measurement_noise)).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("then.sigma * z - f", "2 * then.sigma * z - f"),
        ("then.alpha * y + then.sigma", "now.alpha * y + now.sigma"),
        ("r.flatten(1).norm(dim=1)", "r.norm()[None]"),
        ("slope = -r", "slope = r"),
    ],
    ids=["noise twice", "the level of now", "norm over the batch", "the wrong way"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    x = broken["mcg"](small(), steps=20, zeta=0.7)
    assert (x - reference(small(), 20, 0.7, True, False)).abs().max() > 1e-3


def test_the_result_agrees_with_the_measurement():
    problem = small()
    assert (problem.f(mcg(problem, steps=10)) - problem.y).abs().max() < 1e-9


def test_one_evaluation_a_step_and_no_more_than_its_graph():
    """The prior is differentiated, A^+ and A are not."""
    problem = small()
    forward = type(problem.f).forward

    def watched(x):
        assert not torch.is_grad_enabled()
        return forward(problem.f, x)

    problem.f.forward = watched
    mcg(problem, steps=13)
    assert problem.prior.evaluations == 13 * 3
