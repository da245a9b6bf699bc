"""A network learns in half precision; what it learns from, and what stands round it in its solver, keeps its own."""

import pytest
import torch

from sipbench.training.loop import Schedule, fit
from tests.training.test_train import train

LOW = ["bfloat16", "float16"]
X = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)


class Tells(torch.nn.Module):
    """A convolution that notes the precision it calculates in."""

    def __init__(self):
        super().__init__()
        self.convolution, self.seen = torch.nn.Conv2d(3, 3, 3, padding=1), []

    def forward(self, x):
        v = self.convolution(x)
        self.seen.append(v.dtype)
        return v


def fitted(folder, precision, loss, steps=1):
    """What the network is after so many steps, without an average."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(Tells())
    schedule = Schedule(steps=steps, batch_size=2, warmup=1, decay=1e-4, ema=0.0, precision=precision)
    return fit(network, loss, lambda _: X, schedule, folder, device=torch.device("cpu"), report=lambda _: None)[0]


@pytest.mark.parametrize("precision", LOW)
def test_what_is_measured_and_solved_is_not_lowered(tmp_path, precision):
    """A matrix such as a forward map has, before the network and after it."""
    A = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    expected, seen = A @ X, []

    def loss(network, x, rng):
        y = A @ x
        v = network(y)
        x_hat = A.T @ v
        seen.append((torch.equal(y, expected[: len(y)]), y.dtype, v.dtype, x_hat.dtype))
        return (x_hat - x).square().mean()

    fitted(tmp_path, precision, loss)
    assert seen and set(seen) == {(True, *[torch.float32] * 3)}


@pytest.mark.parametrize("precision", LOW)
def test_the_network_is_lowered_and_so_is_a_part_that_is_called_by_itself(tmp_path, precision):
    seen = []

    def loss(network, x, rng):
        network[0].seen.clear()
        whole, part = network(x), network[0](x)
        seen[:] = network[0].seen
        return (whole + part).square().mean()

    average = fitted(tmp_path, precision, loss)
    assert seen == [getattr(torch, precision)] * 2
    assert average(X).dtype == torch.float32


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("method", ["unet", "unrolled_pgd", "modl"])
def test_tomography_is_learned_in_it(tmp_path, method, precision):
    """Its matrix is sparse, and there is no product of such in bfloat16."""
    words = [f"method={method}", "degradation=ct_sparse", "degradation.operator.views=5", "method.networks.net.width=4"]
    folder = train("net", tmp_path, 1, *words, "images=2", "validation=1", f"schedule.precision={precision}")
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize("precision", LOW)
def test_small_gradients_are_not_lost(tmp_path, precision):
    """As those of a mean over many large images, whose share of an entry is below the least number of float16."""

    def loss(network, x, rng):
        return 1e-6 * (network(x) - x).square().mean()

    exact, low = (fitted(tmp_path / name, name, loss)[0].convolution.weight for name in ("float32", precision))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        began = Tells().convolution.weight
    torch.testing.assert_close(low - began, exact - began, rtol=0.05, atol=1e-6)


def test_a_training_in_float16_goes_on_as_if_nothing_had_happened(tmp_path):
    def loss(network, x, rng):
        return 8 * (network(x) - x + rng.normal_like(x)).square().mean()  # enlarged as at first it is too large

    whole = fitted(tmp_path / "whole", "float16", loss, 6)
    fitted(tmp_path / "cut", "float16", loss, 3)
    resumed = fitted(tmp_path / "cut", "float16", loss, 6)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert all(bool(p.isfinite().all()) for p in whole.parameters())
