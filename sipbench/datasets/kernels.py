"""Blur kernels drawn from a seed, as images: what a prior of kernels is trained on.

BlindDPS takes the image v of such a prior for the kernel (v + 1) / 2 divided by its sum, so the scale of a picture is
free. Here the largest sample of each is 1 and nothing is -1: they fill the range of the priors, as a picture would.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sipbench.datasets.base import Dataset, Split
from sipbench.errors import UserError
from sipbench.operators import kernels
from sipbench.problem import Rng

VERSION = 1  # part of the protocol hash of results: any change of a drawn pixel raises it
SPLITS = {"test": 10_000_000, "validation": 10_000_000, "train": 2**40}  # length of each split
SIZES = (8, 128)


class Kernels(Dataset):
    """Motion and Gaussian kernels, 2 k / max(k) - 1: endless, of any size, and the same on every machine.

    Each split has random streams of its own, so no kernel is in two of them; nor are they those of any problem, whose
    streams have other names.

    Args:
        gaussian: the part of them that are Gaussians; the others are motions.
        intensity: that of a motion, drawn evenly from [low, high].
        sigma: that of a Gaussian as a part of the size, likewise; the published 3 of 64 pixels is 0.047.
        turned: turn them by 180 degrees, as blind problems with a `zero` boundary do: the centre is (size - 1) // 2.
    """

    name = "kernels"

    def __init__(
        self,
        split: Split = "test",
        size: int = 64,
        *,
        gaussian: float = 1 / 3,
        intensity: Sequence[float] = (0.3, 0.7),
        sigma: Sequence[float] = (0.02, 0.08),
        turned: bool = True,
    ) -> None:
        if not SIZES[0] <= size <= SIZES[1]:
            raise ValueError(f"size {size} is outside {SIZES[0]}..{SIZES[1]} pixels")
        if not 0 <= gaussian <= 1:
            raise ValueError(f"the part of the Gaussians lies in [0, 1], not {gaussian}")
        if len(intensity) != 2 or not 0 <= intensity[0] <= intensity[1] <= 1:
            raise ValueError(f"intensity is [low, high] within [0, 1], not {intensity}")
        if len(sigma) != 2 or not 0 < sigma[0] <= sigma[1] <= 1:
            raise ValueError(f"sigma is [low, high] within (0, 1], not {sigma}")
        self.split, self.size, self.shape = split, size, (1, size, size)
        self.gaussian, self.turned = gaussian, turned
        self.intensity, self.sigma = (intensity[0], intensity[1]), (sigma[0], sigma[1])

    @property
    def version(self) -> str:
        """Name, version and options of the drawing, part of the protocol of a result."""
        ranges = "-".join(f"{v:g}" for v in (self.gaussian, *self.intensity, *self.sigma))
        return f"{self.name}-{VERSION}-{ranges}{'-turned' if self.turned else ''}"

    def __len__(self) -> int:
        return SPLITS[self.split]

    @torch.no_grad()
    def load(self, indices: Sequence[int]) -> Tensor:
        """The kernels of these indices of the split, (B, 1, size, size) in [-1, 1]."""
        for index in indices:
            if not 0 <= index < len(self):
                raise UserError(f"index {index} is outside the {len(self)} kernels of split {self.split!r}")
        if not len(indices):
            return torch.empty(0, *self.shape)
        k = torch.cat([self._draw(int(i)) for i in indices])
        k = k.flip(-2, -1) if self.turned else k
        return (2 * k / k.amax((-2, -1), keepdim=True) - 1).float()

    def fingerprint(self, index: int) -> str:
        """What identifies a kernel; it is drawn, so its name says all."""
        return f"{self.version}/{self.split}/{index}"

    def _draw(self, index: int) -> Tensor:
        rng = Rng.of(VERSION, f"{self.name}/{self.split}", [index]).portable
        kind, where = rng.uniform(2, dtype=torch.float64)[0].tolist()
        low, high = self.sigma if kind < self.gaussian else self.intensity
        value = low + (high - low) * where
        if kind < self.gaussian:
            return kernels.gaussian(self.size, value * self.size)
        return kernels.motion(rng.child("motion"), self.size, value)
