"""D-Flow on a Gaussian prior, whose flow is known and is an affine map of the noise."""

import pytest
import torch

from baselines.diffusion.dflow import dflow, flow
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.base import Operator
from sipbench.priors.gaussian import IsotropicGaussian
from tests.baselines.reference import MEAN, SCHEDULES, STD, gap, pose

SHAPE = (3, 8, 8)


class Cubes(Operator):
    """A map that is not linear."""

    def __init__(self, shape, rng):
        super().__init__(shape)

    def forward(self, x):
        return x + x**3


def exact(u, tau):
    """The flow from time tau to 0: the place in units of the spread round the mean is kept."""
    return MEAN + STD * (u - (1 - tau) * MEAN) / ((1 - tau) ** 2 * STD**2 + tau**2) ** 0.5


def witness_flow(flow, schedule="ve"):
    """The midpoint rule follows the flow to second order: with 20 and with 40 steps, down to time 0.02."""
    prior, end = IsotropicGaussian(SHAPE, MEAN, STD, schedule), 0.02
    u = torch.linspace(-2, 2, 192, dtype=torch.float64).view(1, *SHAPE)
    coarse, fine = (
        gap(exact(flow(prior, u, torch.linspace(0.98, end, steps + 1, dtype=torch.float64)), end), exact(u, 0.98))
        for steps in (20, 40)
    )
    assert coarse < 1e-4 and coarse / fine > 3.5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_flow_is_followed_to_second_order(schedule):
    witness_flow(flow, schedule)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_backwards_it_returns(schedule):
    prior = IsotropicGaussian(SHAPE, MEAN, STD, schedule)
    x = torch.linspace(-1, 1, 192, dtype=torch.float64).view(1, *SHAPE)
    taus = torch.linspace(0.98, 0, 101, dtype=torch.float64)
    assert gap(flow(prior, flow(prior, x, taus.flip(0)), taus), x) < 5e-3


def gradient(problem, x, steps, lam):
    """The objective's gradient at the noise that gives x, with T found by probing; per image its norm."""
    prior = problem.prior
    alpha, sigma = prior.scales(prior.times(1)[0])
    tau = sigma / (alpha + sigma)
    taus = tau * torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    spread = (tau**2 + (1 - tau) ** 2).sqrt()
    zero, one = (flow(prior, spread * torch.full(problem.shape, v).double(), taus) for v in (0.0, 1.0))
    slope = one - zero
    z = (x - zero) / slope
    r2 = z.flatten(1).square().sum(1).view(-1, 1, 1, 1)
    data = 2 * slope * problem.f.T(problem.f(x) - problem.y)
    return (data + lam * z * (1 - (z[0].numel() - 1) / r2)).flatten(1).norm(dim=1)


def witness(solve, make=Inpainting, schedule="vp"):
    """It reaches a stationary point."""
    problem = pose(make, schedule=schedule)
    assert gradient(problem, solve(problem, iterations=60, lam=0.1), 5, 0.1).max() < 1e-5


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling])
def test_it_reaches_a_stationary_point(make, schedule):
    witness(dflow, make, schedule)


@pytest.mark.parametrize("make", [Inpainting, Cubes])
def test_without_regulariser_the_data_are_fitted(make):
    problem = pose(make, schedule="flow")
    x = dflow(problem, iterations=60, lam=0.0)
    valid = 1.0 if problem.f.valid is None else problem.f.valid
    assert ((problem.f(x) - problem.y) * valid).abs().max() < 1e-6


def test_evaluations():
    problem = pose(schedule="flow")
    dflow(problem, iterations=7, steps=3)
    assert problem.prior.evaluations == 2 * 3 * (7 + 2) * 2
    dflow(problem, iterations=7, steps=3, checkpointing=True)
    assert problem.prior.evaluations == 2 * 3 * (7 + 2) * 2 + 2 * 3 * (2 * 7 + 2) * 2


def test_checkpointing_changes_nothing():
    a, b = (dflow(pose(schedule="flow"), iterations=10, checkpointing=c) for c in (False, True))
    assert torch.equal(a, b)
