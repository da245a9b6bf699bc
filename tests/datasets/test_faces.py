"""The drawn portraits: the same for everyone, the same at any size, and full of fine detail."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sipbench.datasets import faces
from sipbench.datasets.faces import Faces, draw

pytestmark = pytest.mark.usefixtures("drawn_anew")


def psnr(a: Tensor, b: Tensor) -> Tensor:
    return -10 * ((a - b) / 2).square().mean((1, 2, 3)).log10()


@pytest.mark.parametrize("size", [32, 64, 100])
def test_pictures_are_eight_bit_photographs(size: int) -> None:
    x = Faces("validation", size).load([0, 5])
    assert x.shape == (2, 3, size, size) and x.dtype == torch.float32
    assert x.min() >= -1 and x.max() <= 1 and x.std() > 0.1
    steps = (x.double() + 1) * 127.5
    assert (steps - steps.round()).abs().max() < 1e-4


def test_single_precision_draws_the_same_portraits() -> None:
    assert psnr(draw(range(8), 64, dtype=torch.float32), draw(range(8), 64)).min() > 40


def test_pictures_differ() -> None:
    assert torch.pdist(draw(range(16), 32).flatten(1)).min() > 5


def test_same_portrait_at_any_size() -> None:
    small, large = draw(range(8), 64), draw(range(8), 128)
    assert psnr(F.interpolate(large, size=64, mode="bicubic", antialias=True), small).min() > 30


def test_fine_detail_is_lost_by_downsampling() -> None:
    x = Faces("test", 64).load(range(16))
    small = F.interpolate(x, size=16, mode="bicubic", antialias=True)
    back = F.interpolate(small, size=64, mode="bicubic").clamp(-1, 1)
    assert 21 < psnr(back, x).mean() < 27


def test_names() -> None:
    data = Faces("test", 32)
    assert data.version == f"faces-{faces.VERSION}" and data.shape == (3, 32, 32)
    assert data.fingerprint(3) == f"{data.version}/test/3"
