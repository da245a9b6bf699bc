"""The loss of a denoising network: what it is given, and what each error is."""

import math

import pytest
import torch

from sipbench.errors import UserError
from sipbench.problem import Rng
from sipbench.training.learned import prepare, wanted
from sipbench.training.lessons import Training
from sipbench.training.loop import Schedule, fit
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


@pytest.mark.parametrize("unknown", ["image", "grey"])
def test_proximal_matching_follows_the_published_schedule(tmp_path, unknown):
    """l1 for half of the steps, then widths of 1.28, 0.64, 0.32 and 0.16 for an eighth each, at a tenth of the rate."""
    words = ["method=admm_lpn", "recipe.error=matching", "recipe.widths=null", f"+degradation.unknown={unknown}"]
    loss = Training.of(cell(tmp_path, *words).lessons["net"]).loss
    x, expected = X[:4, :1].expand(-1, 3, -1, -1), {0.0: ("l1", 1), 0.49: ("l1", 1)}
    off = lambda noisy, sigma: x[:, : noisy.shape[1]] - 0.3  # noqa: E731
    expected |= {0.5 + k / 8: (width, 0.1) for k, width in enumerate((1.28, 0.64, 0.32, 0.16))} | {0.999: (0.16, 0.1)}
    for share, (width, factor) in expected.items():
        now, slower = loss.at(share)
        value = float(now(off, x, Rng.of(0, "train", range(4))))
        right = 0.3 if width == "l1" else 1 - math.exp(-(0.3**2) / width**2)
        assert value == pytest.approx(right, rel=1e-4) and slower == factor
    last = float(loss(off, x, Rng.of(0, "train", range(4))))
    assert last == pytest.approx(1 - math.exp(-(0.3**2) / 0.16**2), rel=1e-4)


def test_the_loop_asks_a_loss_that_changes_how_far_it_is(tmp_path):
    class Halves:
        def __init__(self):
            self.shares, self.plain = [], 0

        def __call__(self, network, x, rng):
            self.plain += 1
            return network(x).square().mean()

        def at(self, share):
            self.shares.append(share)
            return (lambda network, x, rng: (network(x) - x).square().mean()), 0.0  # nothing is learned at a rate of 0

    loss, network = Halves(), torch.nn.Linear(1, 1)
    schedule = Schedule(steps=4, warmup=0, batch_size=1)
    average, _ = fit(
        network, loss, lambda n: torch.ones(1, 1), schedule, tmp_path / "a", device=torch.device("cpu"), report=silent
    )
    assert loss.shares == [0, 0.25, 0.5, 0.75] and loss.plain == 1
    assert torch.equal(average.weight, network.weight) and network.weight.grad is not None


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
