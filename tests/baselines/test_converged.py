"""Iterative solvers say of each image whether it came to rest: no after a few steps, yes after enough."""

import pytest
import torch

from baselines.classical.er import er
from baselines.classical.hio import hio_er
from baselines.classical.raar import raar
from baselines.classical.richardson_lucy import richardson_lucy
from baselines.classical.tgv import tgv
from baselines.classical.tikhonov import tikhonov
from baselines.classical.tv import tv
from baselines.classical.wavelet import wavelet
from baselines.classical.wirtinger import wirtinger
from tests.baselines.far import crystal
from tests.baselines.far import pose as far_field
from tests.baselines.posed import blur, pose
from tests.baselines.test_wirtinger import MAPS
from tests.baselines.test_wirtinger import pose as random_phase

ENOUGH = {tv: 3000, tgv: 5000, wavelet: 3000, tikhonov: 300}


@pytest.mark.parametrize("solve", ENOUGH, ids=lambda solve: solve.__name__)
def test_of_linear_problems(solve):
    problem = pose(blur(), size=24)
    assert solve(problem, iterations=3, tolerance=1e-5).converged.tolist() == [False, False]
    assert solve(problem, iterations=ENOUGH[solve], tolerance=1e-5).converged.tolist() == [True, True]


def test_of_wirtinger_flow():
    problem, _ = random_phase(*MAPS["gaussian, complex"])
    assert wirtinger(problem, iterations=20).converged.tolist() == [False, False]
    assert wirtinger(problem, iterations=1500).converged.tolist() == [True, True]


def test_of_projections():
    """With the object's own support HIO ends at it; of two starts, the word is about the one that is returned."""
    problem, _ = far_field(crystal(3, size=32, frame=96), support="exact", starts=2)
    assert hio_er(problem, iterations=30, restarts=1).converged.tolist() == [False, False]
    assert hio_er(problem, iterations=1500, restarts=2).converged.tolist() == [True, True]
    assert raar(problem, iterations=30, restarts=1).converged.tolist() == [False, False]
    assert raar(problem, iterations=30, restarts=1, tolerance=1.0).converged.tolist() == [True, True]
    assert er(problem, iterations=5, restarts=2).converged.tolist() == [False, False]
    assert er(problem, iterations=5, restarts=2, tolerance=1.0).converged.tolist() == [True, True]


def test_a_number_of_steps_that_regularises_is_no_matter_of_convergence():
    assert isinstance(richardson_lucy(pose(blur(), size=24)), torch.Tensor)
