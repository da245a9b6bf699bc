"""DMPlug against its formulas written out in numpy, on a prior whose posterior mean is known."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.common.stopping import Stop
from baselines.diffusion.dmplug import dmplug
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.blind import BlindBlur
from sipbench.operators.turbulence import Turbulence
from tests.baselines.reference import Adam, back, clipped, denoise, gap, images, mul, parts, pose, residual

LBFGS = {"optimizer": "lbfgs", "lr": 1.0, "line_search": True}


def reference(problem, iterations, lr, clip):
    """Adam on Z, the gradient by hand; returns the last point at which a loss was taken."""
    P = np.append(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[[666, 333, 0]], 1.0)
    (A, y, Z, _), adam = parts(problem, own=True), Adam(lr)
    x = Z
    for _ in range(iterations):
        x, slope = Z, np.ones_like(Z)
        for now, then in pairwise(P):
            raw, gain = denoise(x, np.sqrt(now), np.sqrt(1 - now))
            x_hat, inside = clipped(raw, clip)
            ratio = np.sqrt((1 - then) / (1 - now))
            x = np.sqrt(then) * x_hat + ratio * (x - np.sqrt(now) * x_hat)
            slope = slope * ((np.sqrt(then) - ratio * np.sqrt(now)) * gain * inside + ratio)
        Z = adam(Z, slope * back(A, mul(A, x) - y) * 2 / y.shape[1])
    return images(problem, x)


def witness(solve, make=Inpainting, clip=True):
    problem = pose(make)
    assert gap(solve(problem, iterations=12, lr=0.05, clip=clip).x, reference(problem, 12, 0.05, clip)) < 1e-7


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(make, clip):
    witness(dmplug, make, clip)


@pytest.mark.parametrize("schedule", ["ve", "flow"])
def test_every_schedule_gives_the_same_generator(schedule):
    known, other = (dmplug(pose(schedule=s), iterations=10, lr=0.05, clip=False).x for s in ("vp", schedule))
    assert gap(known, other) < 1e-4


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_evaluations(optimizer):
    problem = pose()
    dmplug(problem, iterations=7, optimizer=optimizer)
    assert problem.prior.evaluations == 3 * 7 * 2
    dmplug(problem, iterations=7, steps=5, optimizer=optimizer, checkpointing=True)
    assert problem.prior.evaluations == 3 * 7 * 2 + 2 * 5 * 7 * 2


def test_checkpointing_changes_nothing():
    a, b = (dmplug(pose(), iterations=7, checkpointing=c).x for c in (False, True))
    assert torch.equal(a, b)


def test_lbfgs_finds_the_least_squares_solution():
    problem = pose()
    x = dmplug(problem, iterations=40, clip=False, **LBFGS).x
    slow = dmplug(problem, iterations=40, lr=0.05, clip=False).x
    assert (residual(problem, x) < 1e-6).all() and (residual(problem, slow) > 0.1).all()


def test_it_stops_by_its_iterates_alone():
    """With steps far too long the iterates jump to and fro, and their variance is smallest early."""
    problem = pose(images=[0])
    stopped = dmplug(problem, iterations=200, lr=10.0, stop=Stop("wmv", window=10, patience=8))
    k = int(stopped.stopped)
    assert 9 <= k < 100 and problem.prior.evaluations <= 3 * (k + 8 + 21)
    assert torch.equal(stopped.x, dmplug(problem, iterations=k + 1, lr=10.0).x)


@pytest.mark.parametrize("optimizer", [{"lr": 0.05}, LBFGS], ids=["adam", "lbfgs"])
def test_it_stops_by_its_loss(optimizer):
    """Of an image the point at which it was least, by half a percent at least."""
    problem = replace(pose(), _watch=Watch())
    estimate = dmplug(problem, iterations=30, stop=Stop("loss"), **optimizer)
    losses = torch.stack(problem._watch.losses)
    found = (problem.f(estimate.x) - problem.y).square().flatten(1).mean(1)
    assert gap(found, losses[estimate.stopped, torch.arange(2)]) < 1e-12
    assert (found <= 1.005 * losses.amin(0)).all()


def test_it_stops_by_self_validation():
    stop = Stop("self_validation", window=32, patience=4)
    estimate = dmplug(pose(), iterations=60, stop=stop)
    assert (estimate.stopped >= 31).all()


class Watch:
    """Keeps the losses."""

    def __init__(self):
        self.losses = []

    def step(self, k, n):
        return True

    def show(self, x_hat, loss):
        self.losses.append(loss)


@pytest.mark.parametrize("optimizer", [{"lr": 0.05}, LBFGS], ids=["adam", "lbfgs"])
@pytest.mark.parametrize("make", [BlindBlur, Turbulence])
def test_it_finds_what_the_map_leaves_open(make, optimizer):
    watch = Watch()
    problem = replace(pose(make, size=5), _watch=watch)
    estimate = dmplug(problem, iterations=80, **optimizer)
    loss = (problem.f(estimate.x, estimate.theta) - problem.y).square().flatten(1).mean(1)
    assert (loss < 0.3 * watch.losses[0]).all()
    assert gap(loss, watch.losses[-1]) < 1e-12
    kernel = estimate.theta["kernel"]
    assert kernel.shape == (2, 1, 5, 5) and (kernel > 0).all()
    assert (kernel.flatten(1).sum(1) - 1).abs().max() < 1e-9
    assert not any(v.requires_grad for v in estimate.theta.values())
    if make is Turbulence and optimizer is not LBFGS:
        assert estimate.theta["tilt"].shape == (2, 2, 8, 8)
        assert estimate.theta["tilt"].abs().max() < 0.1


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"steps": 0}, {"stop": Stop("never")}):
        with pytest.raises(ValueError):
            dmplug(pose(), iterations=1, **wrong)
