"""Points of the unit ball: uniform, the same for everyone, and no split has what another has."""

import pytest
import torch

from sipbench.datasets.ball import Ball
from sipbench.errors import UserError
from sipbench.metrics import point_error


def test_the_points_are_uniform_in_the_ball():
    for n in (1, 3, 5):
        radius = Ball("test", n).load([0])[0].flatten(1).norm(dim=1)
        inner = (radius[:, None] < torch.tensor([0.5, 0.8]) ** (1 / n)).float().mean(0)
        assert radius.max() <= 1 and torch.allclose(inner, torch.tensor([0.5, 0.8]), atol=0.02)


def test_a_predictor_of_zero_errs_by_what_the_ball_says():
    x = Ball("test", 5).load([0, 1])
    assert (point_error(0 * x, x) - 1000 / 7).abs().max() < 1


def test_a_sample_is_the_same_in_any_batch_and_in_no_other_split():
    data = Ball("test", 5, points=50)
    assert torch.equal(data.load([3, 1])[1], data.load([1])[0]) and data.load([]).shape == (0, 50, 1, 5)
    others = [Ball(split, 5, points=50).load([1])[0] for split in ("train", "validation")]
    assert not any(torch.equal(data.load([1])[0], other) for other in others)
    assert len({data.fingerprint(i) for i in range(5)}) == 5


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(UserError, match="outside the 1000000 samples"):
        Ball().load([-1])
    with pytest.raises(ValueError, match="a dimension and points"):
        Ball(size=0)


def test_complex_points_are_uniform_in_their_ball():
    x = Ball("test", 2, complex=True).load([0, 1])
    assert x.shape == (2, 10_000, 2, 2) and (x[0, :, 0] != x[0, :, 1]).all()
    inner = (x.flatten(2).norm(dim=2)[..., None] < torch.tensor([0.5, 0.8]) ** (1 / 4)).float().mean((0, 1))
    assert torch.allclose(inner, torch.tensor([0.5, 0.8]), atol=0.02)
    assert (point_error(0 * x, x) - 1000 / 3).abs().max() < 5
