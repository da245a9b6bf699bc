"""The denoisers that are plugged in, against scikit-image and against the prior's own posterior mean."""

import numpy as np
import pytest
import torch
from deepinv.models.tv import TVDenoiser

from baselines.datarich.denoisers import prior_denoiser, spaced, total_variation
from tests.baselines.plugged import Dense, posed
from tests.baselines.posed import far, pose
from tests.baselines.reference import SCHEDULES, gap


def witness_total_variation(denoise):
    """deepinv's solution at sigma^2, each image at its own level."""
    x, sigma = pose().y, torch.tensor([0.3, 0.5], dtype=torch.float64)
    theirs = [TVDenoiser(n_it_max=1000, crit=1e-9)(x[i : i + 1], float(sigma[i]) ** 2) for i in range(2)]
    assert far(denoise(x, sigma, iterations=400), torch.cat(theirs)) < 1e-3


def test_total_variation():
    witness_total_variation(total_variation)


def test_colours_share_their_edges():
    x, one = pose(channels=1).y, torch.tensor(0.4)
    together = total_variation(torch.cat([x, x, x], 1), one, 300)[:, :1]
    assert far(together, total_variation(x, one / 3**0.25, 300)) < 1e-6


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_prior_is_asked_at_the_level(schedule):
    """Of the images as they are, with noise of sigma for each."""
    problem = posed("inpainting", schedule)
    known, sigma = Dense(problem), [0.05, 0.7]
    x = problem.f.pinv(problem.y)
    exact = np.stack([known.denoised(v, s) for v, s in zip(x.flatten(1).numpy(), sigma, strict=True)])
    ours = prior_denoiser(problem)(x, torch.tensor(sigma, dtype=torch.float64))
    assert gap(ours, torch.from_numpy(exact).view(problem.shape)) < 1e-8


def test_levels_fall_in_even_ratios():
    assert torch.stack(spaced(0.8, 0.1, 4)).tolist() == pytest.approx([0.8, 0.4, 0.2, 0.1])
