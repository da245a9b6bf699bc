"""Double DIP: magnitude and phase each by a network."""

import inspect

import pytest
import torch

from baselines.single import double_dip_phase as module
from baselines.single.double_dip_phase import _turn, double_dip_phase
from tests.baselines.test_dip_phase import TINY, faces, misfit, pose


@pytest.mark.parametrize("angle", ["circle", "tanh"])
def test_more_iterations_fit_better(angle):
    problem = pose()
    losses = [misfit(problem, double_dip_phase(problem, iterations=n, angle=angle, **TINY).x) for n in (5, 40, 120)]
    assert (losses[0] > losses[1]).all() and (losses[1] > losses[2]).all() and (losses[2] < 0.2).all()


@pytest.mark.parametrize("angle", ["circle", "tanh"])
def test_the_head_is_a_unit_vector(angle):
    v = torch.randn(2, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cos, sin = _turn(v, angle)
    assert (cos.square() + sin.square() - 1).abs().max() < 1e-9
    if angle == "tanh":
        assert (torch.atan2(sin, cos) - torch.pi * v.tanh()).abs().max() < 1e-9


def test_magnitudes_are_within_one():
    x = double_dip_phase(pose(), iterations=5, **TINY).x
    assert x.norm(dim=1).max() <= 1 + 1e-9


@pytest.mark.parametrize("domain", ["signed", "unit"])
def test_a_real_image_is_the_real_part(domain):
    problem = faces(domain)
    losses = [misfit(problem, double_dip_phase(problem, iterations=n, **TINY).x) for n in (3, 40)]
    assert (losses[1] < losses[0]).all()


def test_without_a_phase_the_data_cannot_be_fitted():
    problem = pose(images=[1], phase=1.0)
    source = inspect.getsource(module)
    assert "a * turn[1]" in source
    broken = {}
    exec(compile(source.replace("a * turn[1]", "0 * turn[1]"), "broken", "exec"), broken)
    solvers = double_dip_phase, broken["double_dip_phase"]
    fitted, not_fitted = (misfit(problem, solve(problem, iterations=150, **TINY).x) for solve in solvers)
    assert (fitted < 0.7 * not_fitted).all()


def test_images_do_not_feel_each_other():
    together = double_dip_phase(pose(), iterations=8, **TINY)
    alone = [double_dip_phase(pose(images=[i]), iterations=8, **TINY) for i in (0, 1)]
    assert (together.x - torch.cat([a.x for a in alone])).abs().max() < 1e-9
