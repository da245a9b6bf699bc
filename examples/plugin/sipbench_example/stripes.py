"""Drawn images: coloured stripes at an angle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sipbench.datasets.base import Dataset, Split
from sipbench.errors import UserError
from sipbench.problem import Rng

VERSION = 1  # part of a cell's name: any change of a pixel raises it


class Stripes(Dataset):
    """x = colour cos(2 pi (frequency along a direction) + phase), all of it drawn from the image's own stream."""

    name = "stripes"

    def __init__(self, split: Split = "test", size: int = 64) -> None:
        self.split, self.size, self.shape = split, size, (3, size, size)

    @property
    def version(self) -> str:
        return f"{self.name}-{VERSION}"

    def __len__(self) -> int:
        return 1000

    def load(self, indices: Sequence[int]) -> Tensor:
        for index in indices:
            if not 0 <= index < len(self):
                raise UserError(f"index {index} is outside the {len(self)} images of {self.name}")
        rng = Rng.of(VERSION, f"{self.name}/{self.split}", [int(i) for i in indices]).portable
        angle, frequency, phase = (2 * math.pi * rng.uniform(3)).unbind(1)
        at = torch.linspace(0, 1, self.size)
        along = angle.cos()[:, None, None] * at[:, None] + angle.sin()[:, None, None] * at
        wave = torch.cos(2 * frequency[:, None, None] * along + phase[:, None, None])
        return rng.child("colour").uniform(3, 1, 1) * wave[:, None]

    def fingerprint(self, index: int) -> str:
        return f"{self.version}/{self.split}/{index}"
