"""DiffPIR against its formulas on dense matrices, the data step by a linear solver."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import diffpir as module
from baselines.diffusion.diffpir import diffpir, grid
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.sampling import AveragePooling
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Rng
from tests.baselines.exact import pose

MEAN, STD = 0.1, 0.5


class WithoutSVD(AveragePooling):
    def svd(self, dtype=torch.float32):
        return None


OPERATORS = {
    "inpainting": lambda shape, rng: Inpainting(shape, rng, removed=0.5),
    "bicubic": lambda shape, rng: BicubicDownsampling(shape, rng, factor=2),
    "without SVD": lambda shape, rng: WithoutSVD(shape, rng, factor=2),
}


def small(operator="bicubic", schedule="vp", sigma=0.1):
    return pose(OPERATORS[operator], n=3, sigma=sigma, schedule=schedule, mean=MEAN, std=STD)


def reference(problem, steps, lam=1.0, zeta=0.1, skip="quad", init="measurement", clip=True):
    """In the public code's units: the data step on [0, 1] with the noise of [0, 1], sigma_t on [-1, 1]."""
    prior, shape = problem.prior, problem.shape[1:]
    f = problem.f.select(slice(0, 1))
    d = np.prod(shape)
    A = torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(d, dtype=torch.float64)], 1).numpy()
    y, rng = problem.y.flatten(1).numpy(), Rng(problem.rng.keys)
    noise = max(0.001, problem.noise.sigma / 2)
    even = prior.times(steps).numpy()
    k = np.arange(steps)
    quad = even[0] + (even[-2] - even[0]) * np.sqrt(k / max(steps - 1, 1))
    times = even if skip == "uniform" else np.append(quad, 0.0)
    alpha, sigma = (v.numpy() for v in prior.scales(torch.from_numpy(times)))
    x = sigma[0] * rng.portable.normal(*shape, dtype=torch.float64).flatten(1).numpy()
    if init == "measurement":
        x = x + alpha[0] * np.linalg.solve(A.T @ A + 4 * noise**2 * np.eye(d), A.T @ y.T).T
    for k in range(steps):
        a, b, c, s = alpha[k], sigma[k], alpha[k + 1], sigma[k + 1]
        x_hat = MEAN + a * STD**2 / (a**2 * STD**2 + b**2) * (x - a * MEAN)
        x_hat = np.clip(x_hat, -1, 1) if clip else x_hat
        if k < steps - 1:
            rho = lam * noise**2 / (b / a) ** 2
            level = A @ np.full(d, 0.5)  # of an image on [0, 1] that is zero on [-1, 1]
            right = A.T @ (y / 2 + level).T + rho * (x_hat / 2 + 0.5).T
            x_hat = 2 * np.linalg.solve(A.T @ A + rho * np.eye(d), right).T - 1
        e = (x - a * x_hat) / b
        z = rng.normal(*shape, dtype=torch.float64).flatten(1).numpy()
        x = c * x_hat + s * (np.sqrt(1 - zeta) * e + np.sqrt(zeta) * z)
    return torch.from_numpy(x).view(problem.shape)


@pytest.mark.parametrize(
    "options", [{}, {"zeta": 1.0, "lam": 7.0, "skip": "uniform"}, {"init": "noise", "zeta": 0.25, "clip": False}]
)
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator, schedule, options):
    x = diffpir(small(operator, schedule), steps=20, **options)
    assert (x - reference(small(operator, schedule), 20, **options)).abs().max() < 1e-6


def test_the_noise_has_a_floor():
    x = diffpir(small(sigma=0.0), steps=20)
    assert (x - reference(small(sigma=0.0), 20)).abs().max() < 1e-6
    assert x.isfinite().all()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("max(FLOOR, sigma / 2)", "max(FLOOR, sigma)"),
        ("zeta**0.5 * rng", "zeta * rng"),
        ("then.alpha * x0 + then.sigma", "then.alpha * x0 + now.sigma"),
        ("(now.sigma / now.alpha) ** 2", "(then.sigma / then.alpha) ** 2"),
        ("if then.sigma > 0:", "if True:"),
    ],
    ids=["twice the noise", "no root", "the level of now", "the level of then", "data at the last step"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    x = broken["diffpir"](small(schedule="flow"), steps=20)
    assert (x - reference(small(schedule="flow"), 20)).abs().max() > 1e-3


def test_the_quadratic_grid_is_the_public_one_to_its_rounding():
    public = 1000 - np.sqrt(np.linspace(0, 1000**2, 100)).astype(int)
    times = grid(IsotropicGaussian((1, 4, 4)), 100, "quad") * 1000
    assert np.abs(times[:99].numpy() - public[:99]).max() <= 1 + 1e-9
    assert times[99:].tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_grids_share_their_ends(schedule, steps):
    prior = IsotropicGaussian((1, 4, 4), schedule=schedule)
    uniform, quad = (grid(prior, steps, skip) for skip in ("uniform", "quad"))
    assert len(quad) == len(uniform) == steps + 1
    assert torch.allclose(quad[[0, -2, -1]], uniform[[0, -2, -1]])
    assert (quad.diff() < 0).all()


@pytest.mark.parametrize("options", [{"skip": "square"}, {"init": "zero"}])
def test_an_unknown_choice_is_told(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        diffpir(small(), **options)


def test_one_evaluation_a_step_without_a_graph():
    problem = small()
    denoise = problem.prior.denoise

    def watched(x_t, t):
        assert not torch.is_grad_enabled()
        return denoise(x_t, t)

    problem.prior.denoise = watched
    diffpir(problem, steps=13)
    assert problem.prior.evaluations == 13 * 3
