"""What is not measured has no say: noise on removed pixels moves no estimate of an untrained solver, and no loss."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from baselines.common.stopping import Stop
from baselines.single.constrained import constrained
from baselines.single.conv_decoder import conv_decoder
from baselines.single.deep_decoder import deep_decoder
from baselines.single.dip import dip
from baselines.single.dop import dop
from baselines.single.drp import drp
from baselines.single.inr import fourier_features, hash_grid, siren
from baselines.single.spectral_dip import spectral_dip
from tests.baselines.untrained import followed, pose

SOLVERS = {
    "constrained": partial(constrained, way="penalty", points=2),
    "conv_decoder": partial(conv_decoder, channels=8, layers=3, in_size=(4, 4), lr=0.3),
    "deep_decoder": partial(deep_decoder, k=8, scales=3, lr=0.3),
    "dip": partial(dip, channels=(8,), skip=(2,), backtrack=1.0, lr=0.3, stop=Stop("loss")),
    "dop": partial(dop, channels=(8,), skip=(2,), input_channels=4),
    "drp": partial(drp, channels=(8,), skip=(2,)),
    "fourier_features": partial(fourier_features, hidden=8, features=8, loss="rmse", regulariser="tv", lam=0.1),
    "hash_grid": partial(hash_grid, hidden=8, levels=3, loss="rmse", regulariser="tv", lam=0.1),
    "siren": partial(siren, hidden=8, layers=1, loss="rmse", regulariser="tv", lam=0.1),
    "spectral_dip": partial(spectral_dip, channels=(8, 8), input_channels=4, backtrack=1.0),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_what_is_not_measured_has_no_say(name):
    problem, _ = pose(dtype=torch.float64)
    loud = replace(problem, y=torch.where(problem.f.mask.bool(), problem.y, 30.0))
    (found, shown), (other, again) = (followed(SOLVERS[name], p, iterations=20) for p in (problem, loud))
    assert torch.equal(found.x, other.x)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(shown, again, strict=True))
