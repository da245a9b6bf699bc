"""The loss of a denoising network: what it is given, and what each error is."""

import math

import pytest
import torch

from sipbench.errors import UserError
from sipbench.problem import Rng
from sipbench.training.learned import prepare, wanted
from sipbench.training.losses import network_denoising_loss
from tests.training.test_recipes import cell, silent

X = torch.linspace(-0.8, 0.9, 500 * 12).view(500, 3, 2, 2)


class Spy(torch.nn.Module):
    """Keeps what it is given, and is off by a number."""

    def __init__(self, off=0.3):
        super().__init__()
        self.off = off

    def forward(self, x, sigma):
        self.noise, self.sigma = x - X[: len(x)], sigma
        return X[: len(x)] + self.off


def drawn(**options):
    spy, rng = Spy(), Rng.of(0, "train", range(len(X)))
    network_denoising_loss(**options)(spy, X, rng)
    return spy


def test_the_noise_has_the_level_that_the_network_is_told():
    spy = drawn()
    assert spy.sigma.shape == (len(X),)
    z = spy.noise / spy.sigma.view(-1, 1, 1, 1)
    assert float(z.std()) == pytest.approx(1, abs=0.03) and float(z.mean()) == pytest.approx(0, abs=0.03)
    alone = Spy()
    network_denoising_loss()(alone, X[:3], Rng.of(0, "train", range(3)))
    assert torch.equal(alone.noise, spy.noise[:3])


@pytest.mark.parametrize(("evenly", "of"), [("ratios", math.log), ("levels", float)])
def test_levels_are_even_on_the_range(evenly, of):
    low, high = of(0.02), of(0.5)
    share = (torch.tensor([of(s) for s in drawn(least=0.02, most=0.5, evenly=evenly).sigma]) - low) / (high - low)
    assert 0 <= share.min() < 0.02 and 0.98 < share.max() <= 1
    assert float(share.mean()) == pytest.approx(0.5, abs=0.04) and float(share.std()) == pytest.approx(0.289, abs=0.02)


@pytest.mark.parametrize(
    ("error", "value"), [("l1", 0.3), ("mse", 0.09), ("rms", 0.3), ("matching", 1 - math.exp(-0.09 / 0.2**2))]
)
def test_errors(error, value):
    loss = network_denoising_loss(error, width=0.2)
    rng = Rng.of(0, "train", range(4))
    assert float(loss(Spy(-0.3), X[:4], rng)) == pytest.approx(value, rel=1e-4)
    assert float(loss(Spy(0.0), X[:4], rng)) == 0


@pytest.mark.parametrize("options", [{"error": "l2"}, {"evenly": "logs"}])
def test_a_word_that_is_not_known(options):
    with pytest.raises(UserError, match="unknown"):
        network_denoising_loss(**options)


def test_a_denoiser_is_trained_once_for_every_problem_and_method(tmp_path):
    """Also one whose output is a gradient, which the loss goes through."""
    words = ["method=admm_lpn", "recipe.widths=[4]"]
    cells = [cell(tmp_path, *words, f"degradation={d}") for d in ("sr4", "inpaint70")]
    prepare(cells[0], silent)
    assert not wanted(cells)
    names = {cell(tmp_path, f"method={m}").lessons["net"].name for m in ("admm_dncnn", "pgd_dncnn", "red_dncnn")}
    assert len(names) == 1
