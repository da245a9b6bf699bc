"""Deep image priors of phase retrieval: what they share, and one network that draws the object."""

import pytest
import torch

from baselines.common.phase import magnitudes, overall, residual
from baselines.common.stopping import Stop
from baselines.single.dip_phase import dip_phase
from baselines.single.phase import SideBySide, Steady, box_size, choose, embed, follow
from sipbench.datasets.crystals import Crystals
from sipbench.operators.phase import FourierMagnitude
from sipbench.operators.phase_diffraction import DiffractionPattern
from sipbench.operators.phase_random import CodedDiffraction
from sipbench.operators.symmetries import SYMMETRIES
from sipbench.problem import Problem, Rng

TINY = {"input_channels": 4, "channels": [8, 8], "skip": [0, 0], "restarts": 1, "stop": Stop("loss"), "lr": 0.02}


def pose(images=(0, 1), support=None, phase=0.5):
    x = Crystals("validation", 32, phase).load(images).double()
    rng = Rng.of(0, "dip", images)
    f = DiffractionPattern(tuple(x.shape), rng, support=support)
    return Problem(f(x), f, None, tuple(x.shape), None, rng.child("solver"))


def faces(domain, images=(0, 1)):
    rng, shape = Rng.of(0, "dip", images), (len(images), 3, 16, 16)
    f = FourierMagnitude(shape, rng, domain=domain)
    x = rng.child("x").portable.uniform(*shape[1:], dtype=torch.float64) * 2 - 1
    return Problem(f(x), f, None, shape, None, rng.child("solver"))


def misfit(problem, x):
    return overall(residual(problem.f, x, magnitudes(problem), 1))


def assert_more_iterations_fit_better(solve, problem, counts, at_last=1.0, **options):
    losses = [misfit(problem, solve(problem, iterations=n, **TINY, **options).x) for n in counts]
    assert all((more < fewer).all() for fewer, more in zip(losses, losses[1:], strict=False))
    assert (losses[-1] < at_last).all()


def test_more_iterations_fit_better():
    assert_more_iterations_fit_better(dip_phase, pose(), (5, 30, 80), 0.2)


@pytest.mark.parametrize("domain", ["signed", "unit"])
def test_real_images(domain):
    assert_more_iterations_fit_better(dip_phase, faces(domain), (3, 40))


@pytest.mark.parametrize(("support", "drawn"), [(None, (16, 16)), (0.5, (32, 32))])
def test_outside_of_the_box_and_of_a_support_that_is_told_there_is_nothing(support, drawn):
    problem = pose(support=support)
    assert box_size(problem, 0.5) == drawn
    x = dip_phase(problem, iterations=3, **TINY).x
    assert (x[..., :8, :] == 0).all() and (x[..., 24:] == 0).all() and (x[..., 8:24, 8:24] != 0).any()
    ones = embed(torch.ones(2, 2, *drawn), problem)
    assert ones.shape == problem.shape and ones.sum() == 2 * 2 * drawn[0] * drawn[1]


def test_the_restart_with_the_smallest_residual_is_returned():
    """Each start alone is the run of one restart with that start's streams."""
    problem = pose()
    several = dip_phase(problem, iterations=10, **TINY | {"restarts": 3})
    starts = SideBySide.of(problem, 3).rng.keys
    assert len(set(starts)) == 6
    fewer = dip_phase(problem, iterations=10, **TINY)
    assert (misfit(problem, several.x) <= misfit(problem, fewer.x)).all()
    loss, v = torch.tensor([3.0, 1, 2, 5, 4, 0]), torch.arange(6.0)
    assert choose(v, loss, 3).tolist() == [2.0, 5.0]


@pytest.mark.parametrize("name", ["phase", "shift"])
def test_iterates_that_only_drift_do_not_move(name):
    """Else the variance of the iterates would never fall."""
    x = Crystals("validation", 32, 1.0).load([0, 1]).double()
    symmetries = DiffractionPattern.symmetries
    moved = SYMMETRIES[name](x, Rng.of(1, "drift", [0, 1]))
    assert (moved - x).abs().max() > 0.1
    assert (follow(moved, x, symmetries) - x).abs().max() < 1e-9
    assert torch.equal(follow(moved, x, ()), moved)


def test_stopping_looks_past_drift():
    x = Crystals("validation", 32, 1.0).load([0, 1]).double()
    rng = Rng.of(1, "drift", [0, 1])
    scores = {}
    for steady in (True, False):
        score = Stop("wmv", window=5)(x).score
        score = Steady(score, DiffractionPattern.symmetries) if steady else score
        for k in range(8):
            scores[steady] = score(SYMMETRIES["phase"](x, rng.child(str(k))), None)
    assert (scores[True] < 1e-12).all() and (scores[False] > 1e-4).all()


def test_coded_patterns():
    rng, shape = Rng.of(0, "codes", [0]), (1, 2, 16, 16)
    f = CodedDiffraction(shape, rng, complex_image=True)
    x = Crystals("validation", 32, 1.0).load([0])[..., 8:24, 8:24].double()
    problem = Problem(f(x), f, None, shape, None, rng.child("solver"))
    assert (misfit(problem, dip_phase(problem, iterations=100, **TINY).x) < 0.2).all()
