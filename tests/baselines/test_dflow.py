"""D-Flow on a Gaussian prior, whose flow is known and is an affine map of the noise."""

import inspect

import pytest
import torch

from baselines.diffusion import dflow as module
from baselines.diffusion.dflow import dflow, flow
from sipbench.bench.watch import Counted
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.base import Operator
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng

MEAN, STD, SIZE = 0.1, 0.5, 8
SCHEDULES = ["vp", "ve", "flow"]


class Cubes(Operator):
    """A map that is not linear."""

    def forward(self, x):
        return x + x**3


def pose(make=Inpainting, *, images=(0, 1), schedule="flow"):
    rng, shape = Rng.of(0, "dflow", images), (len(images), 3, SIZE, SIZE)
    f = make(shape, rng.child("operator").portable) if make is not Cubes else Cubes(shape)
    x = MEAN + STD * rng.child("x").portable.normal(*shape[1:], dtype=torch.float64)
    y = Gaussian(0.01)(f(x), rng.child("noise").portable)
    prior = Counted(IsotropicGaussian(shape[1:], MEAN, STD, schedule))
    return Problem(y, f, Gaussian(0.01), shape, prior, rng.child("solver"))


def exact(u, tau):
    """The flow from time tau to 0: the place in units of the spread round the mean is kept."""
    return MEAN + STD * (u - (1 - tau) * MEAN) / ((1 - tau) ** 2 * STD**2 + tau**2) ** 0.5


def errors(module, schedule):
    """How far the midpoint rule is from the flow, with 20 and with 40 steps, down to time 0.02."""
    prior = IsotropicGaussian((3, SIZE, SIZE), MEAN, STD, schedule)
    u, out = torch.linspace(-2, 2, 192, dtype=torch.float64).view(1, 3, SIZE, SIZE), []
    end = 0.02
    for steps in (20, 40):
        taus = torch.linspace(0.98, end, steps + 1, dtype=torch.float64)
        out.append(float((exact(module["flow"](prior, u, taus), end) - exact(u, 0.98)).abs().max()))
    return out


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_flow_is_followed_to_second_order(schedule):
    coarse, fine = errors(vars(module), schedule)
    assert coarse < 1e-4 and coarse / fine > 3.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_backwards_it_returns(schedule):
    prior = IsotropicGaussian((3, SIZE, SIZE), MEAN, STD, schedule)
    x = torch.linspace(-1, 1, 192, dtype=torch.float64).view(1, 3, SIZE, SIZE)
    taus = torch.linspace(0.98, 0, 101, dtype=torch.float64)
    assert (flow(prior, flow(prior, x, taus.flip(0)), taus) - x).abs().max() < 5e-3


def optimum(problem, steps, lam):
    """The gradient of the objective at the noise that gives x, with T found by probing; per image its norm."""
    prior, tau = problem.prior, problem.prior.scales(problem.prior.times(1)[0])
    tau = tau[1] / sum(tau)
    taus = tau * torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    spread = (tau**2 + (1 - tau) ** 2).sqrt()
    zero, one = (flow(prior, spread * torch.full(problem.shape, v).double(), taus) for v in (0.0, 1.0))
    slope = one - zero

    def gradient(x):
        z = (x - zero) / slope
        r2 = z.flatten(1).square().sum(1).view(-1, 1, 1, 1)
        data = 2 * slope * problem.f.T(problem.f(x) - problem.y)
        return (data + lam * z * (1 - (z[0].numel() - 1) / r2)).flatten(1).norm(dim=1)

    return gradient


def defect(solver, schedule="flow", operator=Inpainting, lam=0.1):
    problem = pose(operator, schedule=schedule)
    x = solver(problem, iterations=60, lam=lam)
    return float(optimum(problem, 5, lam)(x).max())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_it_reaches_a_stationary_point(operator, schedule):
    assert defect(dflow, schedule, operator) < 1e-5


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("velocity(prior, middle, half)", "velocity(prior, middle, now)"),
        ("(u - prior.denoise(", "(u - 2 * prior.denoise("),
        ("/ (sigma / (alpha + sigma))", "/ sigma**2"),
    ],
    ids=["swapped times", "factor of two", "variance"],
)
def test_a_broken_flow_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {"__name__": "broken"}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    coarse, fine = errors(broken, "ve")
    assert coarse > 1e-4 or coarse / fine < 3.5


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("r**2 / 2 - (d - 1)", "r**2 - (d - 1)"),
        ("residual + lam", "residual - lam"),
        ("(f(x_hat) - y)", "(f(x_hat) - 2 * y)"),
        ("spread * solver.x", "solver.x"),
    ],
    ids=["factor of two", "sign", "twice the measurement", "scale"],
)
def test_a_broken_objective_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {"__name__": "broken"}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    assert not defect(broken["dflow"], "vp") < 1e-4


def test_without_regulariser_the_data_are_fitted():
    for make in (Inpainting, Cubes):
        problem = pose(make)
        x = dflow(problem, iterations=60, lam=0.0)
        valid = 1.0 if problem.f.valid is None else problem.f.valid
        assert ((problem.f(x) - problem.y) * valid).abs().max() < 1e-6


def test_evaluations():
    problem = pose()
    dflow(problem, iterations=7, steps=3)
    assert problem.prior.evaluations == 2 * 3 * (7 + 2) * 2
    dflow(problem, iterations=7, steps=3, checkpointing=True)
    assert problem.prior.evaluations == 2 * 3 * (7 + 2) * 2 + 2 * 3 * (2 * 7 + 2) * 2


def test_checkpointing_changes_nothing():
    a, b = (dflow(pose(), iterations=10, checkpointing=c) for c in (False, True))
    assert torch.equal(a, b)


def test_images_do_not_feel_each_other():
    together = dflow(pose(), iterations=15)
    alone = [dflow(pose(images=[i]), iterations=15) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9
