"""RED-diff against its formulas written out in numpy; on a Gaussian prior it ends at the mode."""

from functools import partial

import numpy as np
import pytest
import torch

from baselines.diffusion.reddiff import WEIGHTINGS, reddiff
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.blur import Blur
from tests.baselines.exact import pose
from tests.baselines.reference import MEAN, SCHEDULES, STD, Adam, denoise, gap, images, levels, parts

SHAPE = (1, 8, 8)


def reference(problem, steps, lr, lam, power, sigma_x0):
    """Adam by hand; the weight is (sigma / alpha)^power."""
    (A, y, _, draw), adam = parts(problem), Adam(lr, (0.9, 0.99))
    mu, used = y @ np.linalg.pinv(A).T, np.linalg.norm(A, axis=1) > 0
    for alpha, sigma in levels(problem, steps)[:-1]:
        x0 = mu + sigma_x0 * draw() if sigma_x0 else mu
        noise = draw()
        x_t = alpha * x0 + sigma * noise
        e = (x_t - alpha * denoise(x_t, alpha, sigma)[0]) / sigma
        g = (x0 @ A.T - y) @ A / used.sum() + lam * (sigma / alpha) ** power * (e - noise) / mu.shape[1]
        mu = adam(mu, g)
    return images(problem, mu)


def witness(solve, make=Inpainting, schedule="vp", weighting="linear", power=1, sigma_x0=0.0):
    problem = pose(make, n=2, shape=SHAPE, schedule=schedule)
    x = solve(problem, steps=12, lr=0.07, weighting=weighting, sigma_x0=sigma_x0)
    assert gap(x, reference(problem, 12, 0.07, 0.25, power, sigma_x0)) < 1e-8


@pytest.mark.parametrize(("weighting", "power"), [("linear", 1), ("sqrt", 0.5), ("square", 2), ("const", 0)])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, schedule, weighting, power):
    witness(reddiff, make, schedule, weighting, power)


def test_the_width_of_the_variational_distribution():
    witness(reddiff, sigma_x0=0.1)


def test_weightings_agree_where_the_noise_is_as_strong_as_the_image():
    one = torch.ones(())
    assert {name: float(w(one)) for name, w in WEIGHTINGS.items() if name != "log"} == dict.fromkeys(
        [name for name in WEIGHTINGS if name != "log"], 1.0
    )
    assert float(WEIGHTINGS["trunc_linear"](torch.tensor(80.0))) == 1
    assert float(WEIGHTINGS["log"](one)) == pytest.approx(np.log(2))


def witness_mode(solve, schedule="vp"):
    """It fits and optimises, it does not sample: a sample would be one spread away where nothing is measured."""
    problem = pose(Inpainting, n=4, shape=SHAPE, sigma=1e-3, schedule=schedule)
    x, known = solve(problem, steps=400, lr=0.03), problem.f.mask.bool()
    assert (x - problem.y)[known].abs().max() < 0.15
    assert (x - MEAN)[~known].square().mean().sqrt() / STD < 0.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_seeks_the_mode(schedule):
    witness_mode(reddiff, schedule)


def test_a_blur_does_not_blow_the_noise_up_at_the_start():
    """Singular values next to zero would carry the noise to values that so many steps do not come back from."""
    problem = pose(partial(Blur, size=9, sigma=1.5), n=2, shape=(1, 16, 16), sigma=0.01)
    assert problem.linear.pinv(problem.y).abs().max() > 30
    assert reddiff(problem, steps=20, lr=0.05).abs().max() < 3
