"""RED-diff against its formulas written out in numpy; on a Gaussian prior it ends at the mode."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.diffusion import reddiff as module
from baselines.diffusion.reddiff import WEIGHTINGS, reddiff
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.problem import Rng
from tests.baselines.exact import Frozen, pose

MEAN, STD, SHAPE = 0.1, 0.5, (1, 8, 8)


def dense(problem):
    f = problem.f.select(slice(0, 1))
    n = torch.Size(SHAPE).numel()
    return np.stack([f(e.view(1, *SHAPE)).flatten().numpy() for e in torch.eye(n, dtype=torch.float64)], 1)


def reference(problem, steps, lr, lam, power, sigma_x0):
    """Adam by hand, one image after another; the weight is (sigma / alpha)^power."""
    A, scales = dense(problem), problem.prior.scales
    times, streams = problem.prior.times(steps)[:-1], Rng(problem.rng.keys)
    z = [streams.normal(*SHAPE, dtype=torch.float64) for _ in range(steps * (1 + (sigma_x0 > 0)))]
    out = []
    for i, y in enumerate(problem.y.flatten(1).numpy()):
        used = np.linalg.norm(A, axis=1) > 0
        mu = np.linalg.pinv(A) @ y
        v, s = np.zeros_like(mu), np.zeros_like(mu)
        draws = iter(z)
        for k, t in enumerate(times, 1):
            alpha, sigma = (float(value) for value in scales(t))
            x0 = mu + sigma_x0 * next(draws)[i].numpy().ravel() if sigma_x0 else mu
            noise = next(draws)[i].numpy().ravel()
            x_t = alpha * x0 + sigma * noise
            slope = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
            e = (x_t - alpha * (MEAN + slope * (x_t - alpha * MEAN))) / sigma
            g = A.T @ (A @ x0 - y) / used.sum() + lam * (sigma / alpha) ** power * (e - noise) / mu.size
            v, s = 0.9 * v + 0.1 * g, 0.99 * s + 0.01 * g**2
            mu = mu - lr * (v / (1 - 0.9**k)) / (np.sqrt(s / (1 - 0.99**k)) + 1e-8)
        out.append(mu.reshape(SHAPE))
    return torch.from_numpy(np.stack(out))


@pytest.mark.parametrize(("weighting", "power"), [("linear", 1), ("sqrt", 0.5), ("square", 2), ("const", 0)])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, schedule, weighting, power):
    problem = pose(operator, n=2, shape=SHAPE, schedule=schedule)
    expected = reference(problem, 12, 0.07, 0.25, power, 0.0)
    assert (reddiff(problem, steps=12, lr=0.07, weighting=weighting) - expected).abs().max() < 1e-8


def test_the_width_of_the_variational_distribution():
    problem = pose(Inpainting, n=2, shape=SHAPE)
    expected = reference(problem, 12, 0.07, 0.25, 1, 0.1)
    assert (reddiff(problem, steps=12, lr=0.07, sigma_x0=0.1) - expected).abs().max() < 1e-8


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("/ (2 * m)", "/ m"),
        ("m = y[0].numel() if f.valid is None", "m = y[0].numel() if True"),
        ("w = lam * WEIGHTINGS[weighting](now.sigma / now.alpha)", "w = lam * WEIGHTINGS[weighting](now.sigma)"),
        ("now.alpha / now.sigma * (x0", "now.sigma * (x0"),
        ("square, 0.99)", "square, 0.999)"),
        ("descend(problem, prior.times(steps))", "descend(problem, prior.times(steps + 1)[1:])"),
    ],
    ids=["no half", "count of noise", "weight", "scale", "Adam's memory", "schedule off by one"],
)
def test_a_broken_variant_is_seen(right, wrong):
    problem, broken = pose(Inpainting, n=2, shape=SHAPE), {}
    source = inspect.getsource(module)
    assert right in source
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    expected = reference(problem, 12, 0.07, 0.25, 1, 0.0)
    assert (broken["reddiff"](problem, steps=12, lr=0.07) - expected).abs().max() > 1e-4


def test_weightings_agree_where_the_noise_is_as_strong_as_the_image():
    one = torch.ones(())
    assert {name: float(w(one)) for name, w in WEIGHTINGS.items() if name != "log"} == dict.fromkeys(
        [name for name in WEIGHTINGS if name != "log"], 1.0
    )
    assert float(WEIGHTINGS["trunc_linear"](torch.tensor(80.0))) == 1
    assert float(WEIGHTINGS["log"](one)) == pytest.approx(np.log(2))


def mode(solve, schedule):
    """How far known pixels are from y at most, and removed ones from the prior's mean in units of its spread."""
    problem = pose(Inpainting, n=4, shape=SHAPE, sigma=1e-3, schedule=schedule)
    x, known = solve(problem, steps=400, lr=0.03), problem.f.mask.bool()
    return float((x - problem.y)[known].abs().max()), float((x - MEAN)[~known].square().mean().sqrt() / STD)


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_it_seeks_the_mode(schedule):
    """It fits and optimises, it does not sample: a sample would be one spread away where nothing is measured."""
    misfit, spread = mode(reddiff, schedule)
    assert misfit < 0.15 and spread < 0.5


def test_with_the_wrong_sign_it_does_not():
    broken, source = {}, inspect.getsource(module)
    assert "+ w / mu[0]" in source
    exec(compile(source.replace("+ w / mu[0]", "- w / mu[0]"), "broken", "exec"), broken)
    assert mode(broken["reddiff"], "vp")[1] > 0.5


def test_one_evaluation_a_step_without_a_graph():
    problem = pose(Inpainting, n=2, shape=SHAPE)
    problem = replace(problem, prior=Frozen(problem.prior._prior))
    reddiff(problem, steps=13)
    assert problem.prior.evaluations == 13 * 2


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="weighting is one of linear"):
        reddiff(pose(Inpainting, n=1, shape=SHAPE), weighting="cubic")
