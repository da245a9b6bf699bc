"""A generator of a file: its codes, its range, the trust that it asks for, and that CSGM runs with it."""

import warnings

import pytest
import torch
from torch import nn

from baselines.datarich.csgm import csgm
from sipbench.errors import UserError
from sipbench.foreign.generator import generator
from tests.baselines.reference import pose


@pytest.fixture
def saved(tmp_path):
    """A DCGAN's manner: codes of (5, 1, 1), images on [0, 1]."""
    torch.manual_seed(0)
    G = nn.Sequential(nn.Flatten(), nn.Linear(5, 3 * 8 * 8), nn.Sigmoid(), nn.Unflatten(1, (3, 8, 8)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(G, torch.zeros(2, 5, 1, 1)).save(str(tmp_path / "G.pt"))
    return G, tmp_path / "G.pt"


def test_it_is_code_and_asks_for_trust(saved):
    with pytest.raises(UserError, match="trusted=true"):
        generator(saved[1], latent=[5, 1, 1])


def test_csgm_runs_with_it(saved):
    made, file = saved
    G = generator(file, latent=[5, 1, 1], low=0.0, high=1.0, trusted=True).requires_grad_(False)
    z = torch.randn(3, 5, 1, 1)
    assert (G(z) - (2 * made(z) - 1)).abs().max() < 1e-6
    first, last = (csgm(pose(shape=(3, 8, 8)), generator=G, iterations=n, restarts=1) for n in (1, 30))
    problem = pose(shape=(3, 8, 8))
    misfit = [float((problem.f(x) - problem.y).square().mean()) for x in (first, last)]
    assert misfit[1] < misfit[0]
