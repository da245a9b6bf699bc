"""The denoisers that are plugged in, against scikit-image and against the prior's own posterior mean."""

import numpy as np
import pytest
import torch
from deepinv.models.tv import TVDenoiser

from baselines.datarich.denoisers import (
    bm3d_denoiser,
    denoiser_of,
    network_denoiser,
    prior_denoiser,
    spaced,
    total_variation,
)
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


class Told(torch.nn.Module):
    """What it was called with."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, sigma):
        self.x, self.sigma = x, sigma
        return self.weight.detach() * x


def witness_network_denoiser(make):
    """It is told the level of each image in its own precision; a scalar, as a schedule has it, counts for all."""
    for sigma in ([0.3], [0.3, 0.5]):
        net, x = Told(), pose().y
        x_hat = make(net)(x, torch.tensor(sigma, dtype=torch.float64).squeeze())
        assert net.x.dtype == net.sigma.dtype == torch.float32 and x_hat.dtype == torch.float64
        assert net.sigma.tolist() == pytest.approx([sigma[0], sigma[-1]]) and torch.equal(x_hat, x.float().double())


def test_a_network_is_told_the_level_of_each_image():
    witness_network_denoiser(network_denoiser)


def test_a_network_that_was_not_named_is_told():
    with pytest.raises(AssertionError, match="networks: net"):
        denoiser_of(pose(), "network")


def test_bm3d_is_told_the_level_of_each_image(monkeypatch):
    """Images and levels on [0, 1]."""
    seen = []

    def fake(profile="np"):
        return lambda image, level: seen.append((float(image.mean()), level)) or image**2

    monkeypatch.setattr("baselines.datarich.denoisers.block_matching", fake)
    x = pose().y
    x_hat = bm3d_denoiser()(x, torch.tensor([0.2, 0.6]))
    assert [level for _, level in seen] == pytest.approx([0.1, 0.3])
    assert far(x_hat, 2 * ((x + 1) / 2) ** 2 - 1) < 1e-12


def test_a_network_is_not_asked_below_what_it_has_learned():
    class Told(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, x, sigma):
            self.sigma = sigma
            return x

    net = Told()
    network_denoiser(net)(torch.zeros(2, 1, 4, 4), torch.tensor(0.001))
    assert net.sigma.tolist() == pytest.approx([0.01, 0.01])
    network_denoiser(net)(torch.zeros(2, 1, 4, 4), torch.tensor(0.3))
    assert net.sigma.tolist() == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize(("first", "last"), [(0.0, 0.1), (0.1, 0.0), (-1.0, 0.1)])
def test_a_level_of_no_noise_is_refused_in_words(first, last):
    with pytest.raises(ValueError, match=r"a denoiser's noise levels are above 0, not (0|-)"):
        spaced(first, last, 5)
