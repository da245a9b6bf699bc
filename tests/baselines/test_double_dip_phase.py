"""Double DIP: magnitude and phase each by a network."""

import pytest
import torch

from baselines.single.double_dip_phase import _turn, double_dip_phase
from tests.baselines.test_dip_phase import TINY, assert_more_iterations_fit_better, faces, misfit, pose


def witness(solve):
    """A crystal with a phase is explained, which magnitudes alone cannot do."""
    problem = pose(images=[1], phase=1.0)
    assert (misfit(problem, solve(problem, iterations=150, **TINY).x) < 0.1).all()


@pytest.mark.parametrize("angle", ["circle", "tanh"])
def test_more_iterations_fit_better(angle):
    assert_more_iterations_fit_better(double_dip_phase, pose(), (5, 30, 80), 0.2, angle=angle)


@pytest.mark.parametrize("domain", ["signed", "unit"])
def test_a_real_image_is_the_real_part(domain):
    assert_more_iterations_fit_better(double_dip_phase, faces(domain), (3, 40))


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
