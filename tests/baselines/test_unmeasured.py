"""What is not measured has no say: noise on removed pixels moves no estimate of an untrained solver, and no loss."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from baselines.classical.hio import hio_er
from baselines.classical.raar import raar
from baselines.classical.tv import tv
from baselines.classical.wavelet import wavelet
from baselines.classical.wirtinger import wirtinger
from baselines.common.stopping import Stop
from baselines.datarich.aipo import aipo
from baselines.datarich.csgm import csgm
from baselines.datarich.ilo import ilo
from baselines.diffusion.reddiff import reddiff
from baselines.single.constrained import constrained
from baselines.single.conv_decoder import conv_decoder
from baselines.single.deep_decoder import deep_decoder
from baselines.single.dip import dip
from baselines.single.dop import dop
from baselines.single.drp import drp
from baselines.single.inr import fourier_features, hash_grid, siren
from baselines.single.spectral_dip import spectral_dip
from sipbench.operators import Inpainting
from sipbench.operators.phase_diffraction import DiffractionPattern
from tests.baselines import far, generated, reference
from tests.baselines.untrained import followed, pose, streams

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


PHASE = {
    "hio_er": partial(hio_er, restarts=2),
    "raar": partial(raar, restarts=2),
    "wirtinger": partial(wirtinger, power=5),
}


@pytest.mark.parametrize("name", PHASE)
def test_what_lies_behind_a_beamstop_has_no_say(name):
    """Neither in the start, nor in the scale, nor in the residual that is shown: a detector may hold anything there."""
    x = far.crystal(0, size=16, frame=32)
    problem, _ = far.pose(x, f=DiffractionPattern(tuple(x.shape), streams(1), beamstop=2.5))
    behind = ~problem.f.valid.bool()
    assert behind.sum() > 10
    loud = replace(problem, y=problem.y.masked_fill(behind, 30.0))
    (found, shown), (other, again) = (followed(PHASE[name], p, iterations=21) for p in (problem, loud))
    assert torch.equal(found.x, other.x)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(shown, again, strict=True))


EMPTY = {name: SOLVERS[name] for name in ("conv_decoder", "drp")} | {"tv": tv, "wavelet": wavelet}
EMPTY["conv_decoder"] = partial(EMPTY["conv_decoder"], sigmoid=False)


class HalfLost(Inpainting):
    """Of the second image nothing is measured."""

    def __init__(self, shape, rng):
        super().__init__(shape, rng)
        self.mask[1] = 0


@pytest.mark.parametrize("name", EMPTY)
def test_of_an_image_that_was_not_measured_at_all_something_is_made(name):
    problem, _ = pose(dtype=torch.float64, operator=HalfLost)
    assert EMPTY[name](problem, iterations=12).x.isfinite().all()


def test_of_an_image_that_was_not_measured_at_all_a_prior_makes_something():
    assert reddiff(reference.pose(HalfLost), steps=3).isfinite().all()
    problem, G = generated.posed(HalfLost), generated.Matrices(5)
    for solve, iterations in ((csgm, 3), (ilo, (2, 2)), (aipo, 2)):
        assert solve(problem, generator=G, iterations=iterations).isfinite().all()
