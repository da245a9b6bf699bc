"""DMPlug against its formulas written out in numpy, on a prior whose posterior mean is known."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.diffusion import dmplug as module
from baselines.diffusion.dmplug import dmplug
from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.blind import BlindBlur
from sipbench.operators.turbulence import Turbulence
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng

MEAN, STD, SIZE = 0.1, 0.5, 8


def pose(make=Inpainting, *, images=(0, 1), schedule="vp", dtype=torch.float64, **options):
    rng, shape = Rng.of(0, "dmplug", images), (len(images), 3, SIZE, SIZE)
    f = make(shape, rng.child("operator").portable, **options)
    x = MEAN + STD * rng.child("x").portable.normal(*shape[1:], dtype=dtype)
    y = f(x, f.draw(rng.child("theta").portable)) if f.blind else f(x)
    y = Gaussian(0.01)(y, rng.child("noise").portable)
    prior = Counted(IsotropicGaussian(shape[1:], MEAN, STD, schedule))
    return Problem(y, f, Gaussian(0.01), shape, prior, rng.child("solver"))


def reference(problem, iterations, lr, clip):
    """Adam on Z, one image after another, the gradient by hand; returns the last point at which a loss was taken."""
    P = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    pairs = [(P[666], P[333]), (P[333], P[0]), (P[0], 1.0)]
    shape, out = problem.shape[1:], []
    for i, z in enumerate(problem.rng.portable.normal(*shape, dtype=torch.float64)):
        f, n = problem.f.select(slice(i, i + 1)), z.numel()
        A = np.stack([f(e.view(1, *shape)).flatten().numpy() for e in torch.eye(n, dtype=torch.float64)], 1)
        Z, y = z.flatten().numpy().copy(), problem.y[i].flatten().numpy()
        m, v = np.zeros(n), np.zeros(n)
        for k in range(1, iterations + 1):
            x, slope = Z, np.ones(n)
            for now, then in pairs:
                gain = np.sqrt(now) * STD**2 / (now * STD**2 + 1 - now)
                x_hat = MEAN + gain * (x - np.sqrt(now) * MEAN)
                inside = np.abs(x_hat) <= 1 if clip else np.ones(n)
                x_hat = np.clip(x_hat, -1, 1) if clip else x_hat
                e = (x - np.sqrt(now) * x_hat) / np.sqrt(1 - now)
                x = np.sqrt(then) * x_hat + np.sqrt(1 - then) * e
                ratio = np.sqrt((1 - then) / (1 - now))
                slope = slope * ((np.sqrt(then) - ratio * np.sqrt(now)) * gain * inside + ratio)
            g = slope * (A.T @ (A @ x - y)) * 2 / len(y)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            Z = Z - lr * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        out.append(x.reshape(shape))
    return torch.from_numpy(np.stack(out))


def gap(solver, problem, clip=True):
    return (solver(problem, iterations=12, lr=0.05, clip=clip).x - reference(problem, 12, 0.05, clip)).abs().max()


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_is_the_algorithm(operator, clip):
    assert gap(dmplug, pose(operator), clip) < 1e-7


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (".flatten(1).mean(1)", ".flatten(1).sum(1)"),
        ("(1000 // steps)", "(999 // (steps - 1))"),
        ("ddim(x, x_hat.clamp(-1, 1) if clip else x_hat, now, then)", "ddim(x, x_hat, now, then).clamp(-1, 1)"),
        ("(index + 1) / 1000", "index / 1000"),
        ("** 2).sqrt() * Z", "** 2).sqrt() * 2 * Z"),
    ],
    ids=["sum for mean", "from the last time", "clipped too late", "index", "scale of Z"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {"__name__": "broken"}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    assert not gap(broken["dmplug"], pose()) < 1e-6


@pytest.mark.parametrize("schedule", ["ve", "flow"])
def test_every_schedule_gives_the_same_generator(schedule):
    known, other = (dmplug(pose(schedule=s), iterations=10, lr=0.05, clip=False).x for s in ("vp", schedule))
    assert (known - other).abs().max() < 1e-4


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


def residual(problem, x):
    return ((problem.y - problem.f(x)) * problem.f.valid).flatten(1).norm(dim=1)


def test_lbfgs_finds_the_least_squares_solution():
    problem = pose()
    x = dmplug(problem, iterations=40, optimizer="lbfgs", lr=1.0, line_search=True, clip=False).x
    slow = dmplug(problem, iterations=40, lr=0.05, clip=False).x
    assert (residual(problem, x) < 1e-6).all() and (residual(problem, slow) > 0.1).all()


@pytest.mark.parametrize("options", [{}, {"optimizer": "lbfgs", "lr": 1.0, "line_search": True}], ids=["adam", "lbfgs"])
def test_images_do_not_feel_each_other(options):
    together = dmplug(pose(), iterations=15, **options).x
    alone = [dmplug(pose(images=[i]), iterations=15, **options).x for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9


def test_it_stops_by_its_iterates_alone():
    """With steps far too long the iterates jump to and fro, and their variance is smallest early."""
    problem = pose(images=[0])
    stopped = dmplug(problem, iterations=200, lr=10.0, stopping="wmv", window=10, patience=8)
    k = int(stopped.stopped)
    assert 9 <= k < 100 and problem.prior.evaluations <= 3 * (k + 8 + 21)
    assert torch.equal(stopped.x, dmplug(problem, iterations=k + 1, lr=10.0).x)


class Watch:
    """Keeps the losses."""

    def __init__(self):
        self.losses = []

    def step(self, k, n):
        return True

    def show(self, x_hat, loss):
        self.losses.append(loss)


@pytest.mark.parametrize("optimizer", [{}, {"optimizer": "lbfgs", "lr": 1.0, "line_search": True}])
@pytest.mark.parametrize("make", [BlindBlur, Turbulence])
def test_it_finds_what_the_map_leaves_open(make, optimizer):
    watch = Watch()
    problem = replace(pose(make, size=5), _watch=watch)
    estimate = dmplug(problem, iterations=80, **({"lr": 0.05} | optimizer))
    loss = (problem.f(estimate.x, estimate.theta) - problem.y).square().flatten(1).mean(1)
    assert (loss < 0.3 * watch.losses[0]).all()
    assert (loss - watch.losses[-1]).abs().max() < 1e-12 or optimizer
    kernel = estimate.theta["kernel"]
    assert kernel.shape == (2, 1, 5, 5) and (kernel > 0).all()
    assert (kernel.flatten(1).sum(1) - 1).abs().max() < 1e-9
    assert not any(v.requires_grad for v in estimate.theta.values())
    if make is Turbulence and not optimizer:
        assert estimate.theta["tilt"].shape == (2, 2, SIZE, SIZE)
        assert estimate.theta["tilt"].abs().max() < 0.1


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"optimizer": "sgd"}, {"steps": 0}, {"stopping": "never"}):
        with pytest.raises(ValueError):
            dmplug(pose(), iterations=1, **wrong)
