"""Deep image priors of phase retrieval: what they share, and one network that draws the object."""

import pytest
import torch

from baselines.common.phase import magnitudes, overall, residual
from baselines.common.stopping import make_stopper
from baselines.single.dip_phase import dip_phase
from baselines.single.phase import SideBySide, Steady, box_size, choose, embed, follow
from sipbench.datasets.crystals import Crystals
from sipbench.operators.phase import FourierMagnitude
from sipbench.operators.phase_diffraction import DiffractionPattern
from sipbench.operators.phase_random import CodedDiffraction
from sipbench.operators.symmetries import SYMMETRIES
from sipbench.problem import Problem, Rng

TINY = {"input_channels": 4, "channels": [8, 8], "skip": [0, 0], "restarts": 1, "stopping": "loss", "lr": 0.02}


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
    return overall(residual(problem.f, x, magnitudes(problem, x.dtype), 1))


def test_more_iterations_fit_better():
    problem = pose()
    losses = [misfit(problem, dip_phase(problem, iterations=n, **TINY).x) for n in (5, 40, 120)]
    assert (losses[0] > losses[1]).all() and (losses[1] > losses[2]).all() and (losses[2] < 0.2).all()


def test_outside_of_the_box_there_is_nothing():
    problem = pose()
    assert box_size(problem, 0.5) == (16, 16) and box_size(pose(support=0.5), 0.5) == (32, 32)
    x = dip_phase(problem, iterations=3, **TINY).x
    assert (x[..., :8, :] == 0).all() and (x[..., 24:] == 0).all() and (x[..., 8:24, 8:24] != 0).any()
    ones = embed(torch.ones(2, 2, 16, 16), problem)
    assert ones.shape == problem.shape and ones.sum() == 2 * 2 * 16 * 16


def test_outside_of_a_support_that_is_told_there_is_nothing():
    x = dip_phase(pose(support=0.5), iterations=3, **TINY).x
    assert (x[..., :8, :] == 0).all() and (x[..., 24:] == 0).all() and (x[..., 8:24, 8:24] != 0).any()


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
        score = make_stopper("wmv", x, window=5).score
        score = Steady(score, DiffractionPattern.symmetries) if steady else score
        for k in range(8):
            scores[steady] = score(SYMMETRIES["phase"](x, rng.child(str(k))), None)
    assert (scores[True] < 1e-12).all() and (scores[False] > 1e-4).all()


@pytest.mark.parametrize("domain", ["signed", "unit"])
def test_real_images(domain):
    problem = faces(domain)
    losses = [misfit(problem, dip_phase(problem, iterations=n, **TINY).x) for n in (3, 40)]
    assert (losses[1] < losses[0]).all()


def test_coded_patterns():
    rng, shape = Rng.of(0, "codes", [0]), (1, 2, 16, 16)
    f = CodedDiffraction(shape, rng, complex_image=True)
    x = Crystals("validation", 32, 1.0).load([0])[..., 8:24, 8:24].double()
    problem = Problem(f(x), f, None, shape, None, rng.child("solver"))
    assert (misfit(problem, dip_phase(problem, iterations=100, **TINY).x) < 0.2).all()


def test_images_do_not_feel_each_other():
    together = dip_phase(pose(), iterations=8, **TINY | {"restarts": 2})
    alone = [dip_phase(pose(images=[i]), iterations=8, **TINY | {"restarts": 2}) for i in (0, 1)]
    assert (together.x - torch.cat([a.x for a in alone])).abs().max() < 1e-9
    assert together.stopped.tolist() == [int(a.stopped) for a in alone]
