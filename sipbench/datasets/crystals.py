"""Crystals: Bragg crystals simulated from a seed, complex images at any size from 32 to 256 pixels.

What coherent diffraction imaging recovers: a faceted grain of nearly constant density, whose phase is the strain of its
lattice, smooth and stronger than one turn. Around it is nothing: the grain fills at most half of the frame in each
direction, so that the intensities of its far field determine it up to a phase, a shift and a conjugate flip.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sipbench.datasets.base import Dataset, Split
from sipbench.errors import UserError

VERSION = 1  # part of the protocol hash of results: any change of a drawn pixel raises it
SPLITS = {"test": 0, "validation": 10_000_000, "train": 20_000_000}  # first global index of each split
SPLIT_LENGTH = 10_000_000
TRAIN_LENGTH = 2**40
SIZES = (32, 256)
EXTENT = (0.25, 0.45)  # of the frame, the longer side of the box around a grain; its soft edge stays within one half
FACETS = (5, 10)
WAVES = 12  # plane waves behind the phase, and as many behind the density
ROUGHNESS = 1.0  # radians of a typical wave over the grain's radius
NUMBERS = 5 + 2 * FACETS[1] + 2 * 3 * WAVES  # uniform numbers behind one grain
ANGLES, RINGS = 720, 24  # the polar grid on which a grain is measured, the same at any size


class Grain:
    """A grain by its continuous formulas, in coordinates where the frame is [-1, 1]^2 and the grain lies at (x0, y0).

    Its shape is the intersection of half planes <n_k, r> <= d_k whose normals lie about evenly round the circle. Its
    density and its phase are sums of plane waves, a few radians from end to end.
    """

    def __init__(self, numbers: Tensor, phase: float) -> None:
        self._left, self.phase = numbers, phase
        count = FACETS[0] + int(self._take(1) * (FACETS[1] - FACETS[0] + 1))
        turn, jitter, away = self._take(1), self._take(FACETS[1])[:count], self._take(FACETS[1])[:count]
        self.normal = 2 * math.pi * (turn + (torch.arange(count) + 0.7 * (jitter - 0.5)) / count)
        self._place(1 - 0.35 * away)
        self.density_waves, self.phase_waves = self._waves(), self._waves()
        self._level()

    def draw(self, size: int) -> Tensor:
        """Real and imaginary part, (2, size, size) float64."""
        line = (torch.arange(size, dtype=torch.float64) + 0.5) * (2 / size) - 1
        x, y = (line - self.x0).expand(size, -1), (line - self.y0)[:, None].expand(-1, size)
        planes = zip(self.normal.tolist(), self.distance.tolist(), strict=True)
        outside = torch.stack([math.cos(a) * x + math.sin(a) * y - d for a, d in planes]).amax(0)
        near_one = 0.95 + 0.05 * (self._field(self.density_waves, x, y) / 3).sin()
        density = (0.5 - outside * (size / 2)).clamp(0, 1) * near_one
        flat = self._field(self.phase_waves, x, y) - self.slope[0] * x - self.slope[1] * y - self.middle
        phase = flat * (math.pi * self.phase / self.range)
        return torch.stack([density * phase.cos(), density * phase.sin()]) + 0.0  # outside 0, not -0: its phase is 0

    def _take(self, count: int) -> Tensor:
        """The next random numbers."""
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def _place(self, distance: Tensor) -> None:
        """Scale the outline to its extent and put its box at random into the middle half of the frame."""
        extent, down, right = self._take(3).tolist()
        angle = torch.arange(ANGLES, dtype=torch.float64) * (2 * math.pi / ANGLES)
        facing = torch.cos(angle[:, None] - self.normal)
        reach = torch.where(facing > 1e-3, distance / facing.clamp(min=1e-3), torch.inf).amin(1)
        x, y = reach * angle.cos(), reach * angle.sin()
        sides = torch.stack([x.max() - x.min(), y.max() - y.min()])
        self.scale = float(2 * (EXTENT[0] + (EXTENT[1] - EXTENT[0]) * extent) / sides.max())
        self.distance = self.scale * distance
        room = 2 * EXTENT[1] - self.scale * sides
        self.x0 = float((right - 0.5) * room[0] - self.scale * (x.max() + x.min()) / 2)
        self.y0 = float((down - 0.5) * room[1] - self.scale * (y.max() + y.min()) / 2)
        ring = self.scale * (torch.arange(1, RINGS + 1, dtype=torch.float64) / RINGS)[:, None]
        self.inside = (ring * x, ring * y)

    def _waves(self) -> list[tuple[float, float, float]]:
        """Wave vectors (normally distributed, coarse beside the grain) and phases of plane waves."""
        length = (-2 * self._take(WAVES).clamp(min=1e-9).log()).sqrt() * (ROUGHNESS / self.scale)
        angle, start = 2 * math.pi * self._take(WAVES), 2 * math.pi * self._take(WAVES)
        return list(zip((length * angle.cos()).tolist(), (length * angle.sin()).tolist(), start.tolist(), strict=True))

    @staticmethod
    def _field(waves: list[tuple[float, float, float]], x: Tensor, y: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for kx, ky, start in waves:
            total = total + torch.cos(kx * x + ky * y + start)
        return total

    def _level(self) -> None:
        """Take the mean slope out of the phase, which would only move the pattern, and measure its range."""
        x, y = self.inside
        area = torch.hypot(x, y) / torch.hypot(x, y).sum()
        u, v, raw = x - (area * x).sum(), y - (area * y).sum(), self._field(self.phase_waves, x, y)
        xx, xy, yy = (area * u * u).sum(), (area * u * v).sum(), (area * v * v).sum()
        fx, fy = (area * raw * u).sum(), (area * raw * v).sum()
        det = xx * yy - xy * xy
        self.slope = (float((fx * yy - fy * xy) / det), float((fy * xx - fx * xy) / det))
        flat = raw - self.slope[0] * x - self.slope[1] * y
        self.middle, self.range = float(flat.max() + flat.min()) / 2, float(flat.max() - flat.min())


def _numbers(index: int) -> Tensor:
    """All random numbers of one grain, from a private generator seeded by the version and the index."""
    seed = hashlib.sha256(f"crystals-{VERSION}/{index}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(seed[:7], "big"))
    return torch.rand(NUMBERS, generator=generator, dtype=torch.float64)


@torch.no_grad()
def draw(indices: Sequence[int], size: int, phase: float = 3.0) -> Tensor:
    """Grains of these global indices, (B, 2, size, size) in [-1, 1], drawn one by one in double precision."""
    if not len(indices):
        return torch.empty(0, 2, size, size)
    return torch.stack([Grain(_numbers(int(i)), phase).draw(size) for i in indices]).float()


class Crystals(Dataset):
    """Simulated Bragg crystals: endless, of any size, and the same on every machine.

    Test and validation hold ten million grains each, training goes on without end, and no grain is in two splits.
    `phase` is the range of the phase within a grain in units of pi: 3 is plus and minus one and a half.
    """

    name = "crystals"

    def __init__(self, split: Split = "test", size: int = 64, phase: float = 3.0) -> None:
        if not SIZES[0] <= size <= SIZES[1]:
            raise ValueError(f"size {size} is outside {SIZES[0]}..{SIZES[1]} pixels")
        if not (phase >= 0 and math.isfinite(phase)):
            raise ValueError(f"the range of the phase is zero or positive, in units of pi, not {phase}")
        self.split, self.size, self.phase, self.shape = split, size, phase, (2, size, size)

    @property
    def version(self) -> str:
        """Name, version and phase of the drawing, part of the protocol of a result."""
        return f"{self.name}-{VERSION}-phase{self.phase:g}"

    def __len__(self) -> int:
        return TRAIN_LENGTH if self.split == "train" else SPLIT_LENGTH

    def load(self, indices: Sequence[int]) -> Tensor:
        """The grains of these indices of the split, (B, 2, size, size): real and imaginary part in [-1, 1]."""
        for index in indices:
            if not 0 <= index < len(self):
                raise UserError(f"index {index} is outside the {len(self)} crystals of split {self.split!r}")
        return draw([SPLITS[self.split] + int(i) for i in indices], self.size, self.phase)

    def fingerprint(self, index: int) -> str:
        """What identifies a grain; it is drawn, so its name says all."""
        return f"{self.version}/{self.split}/{index}"
