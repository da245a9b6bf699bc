"""What the samplers of the diffusion family have in common: their cost, what they draw unguided, that guidance fits."""

from functools import partial

import pytest

from baselines.diffusion.cdim import cdim
from baselines.diffusion.ddnm import ddnm
from baselines.diffusion.ddrm import ddrm
from baselines.diffusion.dds import dds
from baselines.diffusion.diffpir import diffpir
from baselines.diffusion.dmps import dmps
from baselines.diffusion.dps import dps
from baselines.diffusion.enkg import enkg
from baselines.diffusion.flowchef import flowchef
from baselines.diffusion.flowdps import flowdps
from baselines.diffusion.gdp import gdp
from baselines.diffusion.ilvr import ilvr
from baselines.diffusion.mcg import mcg
from baselines.diffusion.mmps import mmps
from baselines.diffusion.pigdm import pigdm
from baselines.diffusion.psld import psld
from baselines.diffusion.reddiff import reddiff
from baselines.diffusion.stsl import stsl
from sipbench.operators import Inpainting
from tests.baselines.exact import frozen, pose
from tests.baselines.reference import MEAN, OPERATORS, SCHEDULES, STD, Rescaled, gap, pose_latent, residual

DIFFERENTIATED = [dps, mcg, pigdm, psld]


@pytest.mark.parametrize("solve", [*DIFFERENTIATED, ddrm, dds, diffpir, dmps, flowchef, flowdps, gdp, ilvr, reddiff])
def test_one_evaluation_a_step_and_no_graph_where_none_is_needed(solve):
    problem = pose(OPERATORS["bicubic"], n=2)
    problem = problem if solve in DIFFERENTIATED else frozen(problem)
    assert not solve(problem, steps=13).requires_grad
    assert problem.prior.evaluations == 13 * 2


@pytest.mark.parametrize("schedule", ["ve", "flow"])
@pytest.mark.parametrize(
    "solve", [cdim, ddnm, ddrm, dds, diffpir, dmps, dps, gdp, ilvr, mcg, mmps, pigdm, psld, reddiff, stsl]
)
def test_the_units_of_the_state_change_nothing(solve, schedule):
    """At the same noise levels: steps are as long as on a variance-preserving prior."""

    def posed(kind):
        if solve in (psld, stsl):
            return pose_latent(OPERATORS["bicubic"], schedule=kind, inner=Rescaled)
        return pose(OPERATORS["bicubic"], n=2, prior=Rescaled((3, 8, 8), kind))

    assert gap(solve(posed("vp"), steps=9), solve(posed(schedule), steps=9)) < 1e-12


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("solve", "n", "shape", "slack"),
    [
        (partial(dps, steps=500, zeta=0.0, clip=False), 6, (3, 32, 32), 0.0),
        (partial(gdp, steps=500, scale=0.0, clip=False), 4, (1, 32, 32), 0.0),
        (partial(psld, steps=200, gamma=0.0, omega=0.0, eta=1.0), 40, (3, 8, 8), 0.0),
        (partial(flowchef, gradient_scale=0.0), 8, (1, 32, 32), 0.03),  # Euler's error, which falls with the steps
        (partial(enkg, steps=300, num_samples=40, guidance=0.0, num_updates=0), 4, (1, 8, 8), 0.03),
    ],
    ids=["dps", "gdp", "psld", "flowchef", "enkg"],
)
def test_without_guidance_it_samples_the_prior(solve, n, shape, slack, schedule):
    x = solve(pose(Inpainting, n=n, shape=shape, schedule=schedule))
    x = getattr(x, "samples", x)
    assert abs(x.mean() - MEAN) < 5 * STD / x.numel() ** 0.5
    assert abs(x.var() / STD**2 - 1) < 5 * (2 / x.numel()) ** 0.5 + slack


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("solve", "free", "guided", "share"),
    [
        (partial(dps, steps=100), {"zeta": 0.0}, {"zeta": 1.0}, 0.2),
        (partial(gdp, steps=100), {"scale": 0.0}, {"scale": 20.0}, 0.3),
        (flowchef, {"gradient_scale": 0.0}, {"gradient_scale": 5.0}, 0.5),
        (flowdps, {"step_size": 0.0}, {"step_size": 0.5}, 0.7),
        (partial(psld, steps=100), {"gamma": 0.0, "omega": 0.0}, {"gamma": 0.03, "omega": 0.3}, 0.3),
    ],
    ids=["dps", "gdp", "flowchef", "flowdps", "psld"],
)
def test_guidance_fits_the_measurement(solve, free, guided, share, schedule):
    problem = (
        pose_latent(schedule=schedule) if "omega" in free else pose(Inpainting, n=4, shape=(1, 8, 8), schedule=schedule)
    )
    free, guided = (residual(problem, solve(problem, **options)).norm() for options in (free, guided))
    assert guided < share * free
