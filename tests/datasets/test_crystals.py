"""The simulated crystals: the same for everyone, the same at any size, half a frame at most, and strongly strained."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sipbench.datasets import crystals
from sipbench.datasets.crystals import Crystals, draw


def magnitude(x: Tensor) -> Tensor:
    return x.norm(dim=1)


def boxes(x: Tensor) -> Tensor:
    """First and last row and column of each crystal, (B, 4)."""
    inside = magnitude(x) > 0
    found = []
    for image in inside:
        rows, columns = image.any(1).nonzero(), image.any(0).nonzero()
        found.append([int(v) for v in (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)])
    return torch.tensor(found)


def steps(x: Tensor) -> Tensor:
    """The phase from pixel to pixel along the rows, inside the crystals."""
    z = torch.complex(x[:, 0].double(), x[:, 1].double())
    inside = (z.abs() > 0.85)[..., 1:] & (z.abs() > 0.85)[..., :-1]
    return (z[..., 1:] * z[..., :-1].conj()).angle()[inside]


def along_the_rows(image: Tensor) -> float:
    """The greatest range of the unwrapped phase along a row of one crystal."""
    z = torch.complex(image[0].double(), image[1].double())
    ranges = [0.0]
    for row in z:
        row = row[row.abs() > 0.85]
        if len(row) > 1:
            path = (row[1:] * row[:-1].conj()).angle().cumsum(0)
            ranges.append(float(path.max() - path.min()))
    return max(ranges)


@pytest.mark.parametrize("size", [32, 64, 101])
def test_complex_images_in_their_range(size: int) -> None:
    x = Crystals("validation", size).load([0, 5])
    assert x.shape == (2, 2, size, size) and x.dtype == torch.float32
    assert x.min() >= -1 and x.max() <= 1 and magnitude(x).max() <= 1 + 1e-6
    assert not torch.atan2(x[:, 1], x[:, 0])[magnitude(x) == 0].any()


@pytest.mark.parametrize("size", [32, 33, 64])
def test_a_crystal_fills_a_quarter_to_half_of_the_frame_within_its_middle(size: int) -> None:
    top, bottom, left, right = boxes(draw(range(150), size)).T
    longer = torch.maximum(bottom - top, right - left)
    assert longer.min() >= size / 4 and longer.max() <= size / 2 + 0.5
    edge = (size - size // 2) // 2
    assert min(top.min(), left.min()) >= edge and max(bottom.max(), right.max()) <= size - edge + 1
    assert len(torch.unique(top)) > 3 and len(torch.unique(left)) > 3


def test_the_density_is_near_one_and_the_edge_one_pixel_wide() -> None:
    size = magnitude(draw(range(20), 128))
    inner = -F.max_pool2d(-(size > 0.9).double()[:, None], 3, 1, 1)[:, 0] > 0
    assert size[inner].min() > 0.89
    edge = ((size > 0) & (size < 0.89)).flatten(1).sum(1)
    outline = ((F.max_pool2d((size > 0.5).double()[:, None], 3, 1, 1)[:, 0] > 0) & (size <= 0.5)).flatten(1).sum(1)
    assert (edge < 2.5 * outline).all() and (edge > 0.3 * outline).all()


def test_crystals_are_convex_and_faceted() -> None:
    """The middle of two of its points lies in it; and few normals make its whole outline."""
    generator = torch.Generator().manual_seed(0)
    for image in magnitude(draw(range(5), 128)):
        points = (image > 0.85).nonzero()
        pairs = points[torch.randint(len(points), (2000, 2), generator=generator)]
        middle = pairs.double().mean(1).round().long()
        assert image[middle[:, 0], middle[:, 1]].min() > 0.4
    counts = {len(crystals.Grain(crystals._numbers(i), 3.0).normal) for i in range(100)}
    assert counts == set(range(crystals.FACETS[0], crystals.FACETS[1] + 1))


@pytest.mark.parametrize("phase", [0.0, 1.0, 3.0, 6.0])
def test_the_phase_is_smooth_and_has_the_range_asked_for(phase: float) -> None:
    x = draw(range(6), 256, phase)
    assert float(steps(x).abs().max()) < 0.35 * phase + 1e-6
    ranges = [max(along_the_rows(image), along_the_rows(image.mT)) for image in x]
    assert all(0.3 * math.pi * phase - 1e-6 <= r <= math.pi * phase + 1e-4 for r in ranges)
    assert max(ranges) > 0.8 * math.pi * phase - 1e-6


def test_the_pattern_is_centred() -> None:
    """The slope of the phase, taken out on average, would move it; a crystal given one is seen."""
    x = draw(range(30), 64).double()
    z = torch.complex(x[:, 0], x[:, 1])
    ramp = torch.exp(2j * math.pi * 6 / 64 * torch.arange(64, dtype=torch.float64))

    def away(z: Tensor) -> Tensor:
        pattern = torch.fft.fftshift(torch.fft.fft2(z), dim=(-2, -1)).abs().square()
        place = torch.arange(64, dtype=torch.float64) - 32
        return (pattern.sum(-2) * place).sum(-1) / pattern.sum((-2, -1))

    assert away(z).abs().max() < 2 and (away(z * ramp) - away(z)).min() > 5


def test_same_crystal_at_any_size() -> None:
    small, large = draw(range(6), 64, 0.5), draw(range(6), 128, 0.5)
    shrunk = F.interpolate(large, size=64, mode="area")
    error = (shrunk - small).flatten(1).norm(dim=1) / small.flatten(1).norm(dim=1)
    assert error.max() < 0.08
    other = (shrunk - small.roll(1, 0)).flatten(1).norm(dim=1) / small.flatten(1).norm(dim=1)
    assert other.min() > 0.5


def test_crystals_differ() -> None:
    assert torch.pdist(draw(range(16), 32).flatten(1)).min() > 3


def test_names() -> None:
    data = Crystals("test", 32)
    assert data.version == f"crystals-{crystals.VERSION}-phase3" and data.shape == (2, 32, 32)
    assert data.fingerprint(3) == f"{data.version}/test/3"
    assert Crystals("test", 32, phase=1.5).version.endswith("phase1.5")


def test_a_negative_phase_is_refused() -> None:
    with pytest.raises(ValueError, match="zero or positive, in units of pi, not -1"):
        Crystals("test", 64, phase=-1)
