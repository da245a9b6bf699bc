"""Points of the unit ball, many to an image: what is learnt from y = |A x|^2 is tried on all of them with one A."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sipbench.datasets.base import Dataset, Split
from sipbench.errors import UserError
from sipbench.problem import Rng

VERSION = 1  # part of the protocol hash of results: any change of a drawn number raises it
COUNT = 1_000_000


class Ball(Dataset):
    """An image is a sample of the uniform distribution on the unit ball of R^size: a channel a point, one row each.

    Or on that of C^size: a channel has two rows, the real and the imaginary part of its point.

    The channels of an image share their forward map, so the images of this dataset are draws of that map.

    Args:
        size: the dimension.
        points: how many points an image holds.
        complex: whether they are of C^size.
    """

    name = "ball"

    def __init__(self, split: Split = "test", size: int = 5, *, points: int = 10_000, complex: bool = False) -> None:
        if size < 1 or points < 1:
            raise ValueError(f"a ball needs a dimension and points, not size {size} and {points} points")
        self.split, self.size, self.shape = split, size, (points, 2 if complex else 1, size)

    @property
    def version(self) -> str:
        return f"{self.name}-{VERSION}"

    def __len__(self) -> int:
        return COUNT

    def load(self, indices: Sequence[int]) -> Tensor:
        """The points, (B, points, 1 or 2, size) float32."""
        for index in indices:
            if not 0 <= index < len(self):
                raise UserError(f"index {index} is outside the {len(self)} samples of the ball")
        if not len(indices):
            return torch.empty(0, *self.shape)
        return uniform(Rng.of(VERSION, f"{self.name}/{self.split}", [int(i) for i in indices]), *self.shape)

    def fingerprint(self, index: int) -> str:
        """What identifies a sample; it is drawn, so its name says all."""
        return f"{self.version}/{self.split}/{index}"


def uniform(rng: Rng, points: int, *shape: int) -> Tensor:
    """Uniform in the unit ball of arrays of a shape, (B, points, *shape): a normal direction, u^(1/n) long."""
    z = rng.child("direction").portable.normal(points, *shape, dtype=torch.float64)
    u = rng.child("radius").portable.uniform(points, *(1 for _ in shape), dtype=torch.float64)
    length = z.flatten(2).norm(dim=2).view_as(u)
    return (z / length * u ** (1 / z[0, 0].numel())).float()
