"""The images that a training sees: all of a split, or some of them, in the same order each time round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sipbench.datasets.base import ENDLESS
from sipbench.errors import UserError

KEPT = 1 << 30  # bytes: images that take less are loaded once


class Images:
    """Training images by the number at which they are seen: 0, 1, 2, ... and round again.

    Args:
        count: how many of the split; None for all.
        subset: which; the smaller of two with this number lies within the larger.
    """

    def __init__(self, dataset: Any, count: int | None = None, subset: int = 0) -> None:
        if count is not None and not (type(count) is int and 1 <= count <= len(dataset)):
            raise UserError(f"images is a number from 1 to {len(dataset):,}, or null for all, not {count!r}")
        if type(subset) is not int or subset < 0:
            raise UserError(f"subset is a whole number from 0 on, not {subset!r}")
        self.dataset, self.size = dataset, len(dataset) if count is None else count
        self._chosen = _chosen(len(dataset), self.size, subset)
        bytes_ = 4 * self.size * torch.Size(dataset.shape).numel()
        self._kept = {} if bytes_ <= KEPT else None

    def __call__(self, numbers: Sequence[int]) -> Tensor:
        wanted = [self._chosen[n % self.size] for n in numbers]
        if self._kept is None:
            return self.dataset.load(wanted)
        new = [i for i in dict.fromkeys(wanted) if i not in self._kept]
        if new:
            self._kept |= dict(zip(new, self.dataset.load(new), strict=True))
        return torch.stack([self._kept[i] for i in wanted])


def _chosen(of: int, count: int, subset: int) -> Sequence[int]:
    """The indices: of an endless split the stretch number `subset`; else the first of a shuffled order of its own."""
    if of >= ENDLESS:
        return range(subset * ENDLESS, subset * ENDLESS + count)
    if count == of:
        return range(of)
    order = torch.randperm(of, generator=torch.Generator().manual_seed(subset))
    return order[:count].tolist()
