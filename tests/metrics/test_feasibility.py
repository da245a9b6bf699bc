"""The residual: over the valid entries, per image, in the units of y."""

import torch
from torch import Tensor

from sipbench.metrics import residual
from sipbench.operators import BicubicDownsampling, Inpainting, Operator
from sipbench.problem import Rng
from tests.metrics.images import pair


class Gain(Operator):
    """f(x) = 2 x with a validity given by hand."""

    def __init__(self, valid: Tensor | None) -> None:
        super().__init__()
        self._valid = valid

    @property
    def valid(self):
        return self._valid

    def forward(self, x):
        return 2 * x


def test_it_is_the_root_mean_square_per_image():
    x = torch.zeros(2, 1, 2, 2)
    y = torch.tensor([[3.0, 3, 3, 3], [0, 0, 0, 8]]).view(2, 1, 2, 2)
    torch.testing.assert_close(residual(Gain(None), y, x), torch.tensor([3.0, 4.0], dtype=torch.float64))


def test_only_valid_entries_count():
    """A mask (1, 1, H, W) is broadcast over images and channels; what it hides may be anything."""
    valid = torch.tensor([[1.0, 0], [0, 0]]).view(1, 1, 2, 2)
    y = torch.full((2, 3, 2, 2), torch.nan)
    y[:, :, 0, 0] = torch.tensor([[1.0, 1, 1], [0, 0, 3]])
    expected = torch.tensor([1.0, 3**0.5], dtype=torch.float64)
    torch.testing.assert_close(residual(Gain(valid), y, torch.zeros(2, 3, 2, 2)), expected)


def test_no_valid_entry_gives_nan():
    assert residual(Gain(torch.zeros(1)), torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)).isnan().all()


def test_at_the_truth_it_is_the_noise_level():
    """Averaging over the removed pixels too would give 0.55 sigma."""
    sigma = 0.01
    _, x = pair(3, 3, 64, 64)
    rng = Rng.of(0, "test", range(3))
    f = Inpainting(tuple(x.shape), rng.child("mask"), removed=0.7)
    y = f(x) + f.mask * sigma * rng.child("noise").normal_like(x)
    assert ((residual(f, y, x) / sigma - 1).abs() < 0.05).all()


def test_an_estimate_is_not_clipped():
    x = torch.full((1, 1, 2, 2), 2.0)
    assert residual(Gain(None), 2 * x, x) == 0


def test_a_batch_is_its_images_one_by_one():
    x_hat, x = pair(3, 3, 32, 32)
    f = BicubicDownsampling(tuple(x.shape), Rng.of(0, "test", range(3)), factor=4)
    alone = [residual(f, f(a[None]), b[None]) for a, b in zip(x, x_hat, strict=True)]
    scores = residual(f, f(x), x_hat)
    torch.testing.assert_close(scores, torch.cat(alone), rtol=1e-5, atol=0)
    assert (scores.diff() > 0).all()
