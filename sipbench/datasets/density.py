"""Draws from a density that is known exactly, as images: what is measured of them has an exact posterior."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sipbench import configs
from sipbench.datasets.base import Dataset, Split
from sipbench.errors import UserError
from sipbench.operators.base import LinearOperator
from sipbench.problem import Rng

VERSION = 1  # part of the protocol hash of results: any change of a drawn pixel raises it
COUNT = 1_000_000
LARGEST = 4096  # pixels: an exact posterior holds a number for each pair of them


class Density(Dataset):
    """Images drawn from a prior with a formula, in double precision; their pixels may lie outside of [-1, 1].

    Args:
        density: the name of that prior in conf/prior, which a solver is handed unless another is named.
        series: the name of the random streams, if they are not to be those of the dataset. Measurements of one series,
            and draws from them, stay what they are whatever the dataset is called.
    """

    name = "density"

    def __init__(self, density: str, split: Split = "test", size: int = 8, *, series: str | None = None) -> None:
        self.density, self.split, self.size = density, split, size
        self._series = series and (series if split == "test" else f"{series}/{split}")

    @cached_property
    def prior(self) -> Any:
        """The density."""
        if math.prod(self.shape) > LARGEST:
            raise UserError(f"{self.density}: exact posteriors are for {LARGEST} pixels at most: set size=8")
        return configs.build(self._node)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._node["shape"])

    @property
    def version(self) -> str:
        """Name, version and what the density's config says."""
        said = hashlib.sha256(json.dumps(self._node, sort_keys=True).encode()).hexdigest()[:12]
        return f"{self.name}-{VERSION}/{self.density}/{said}"

    def __len__(self) -> int:
        return COUNT

    def load(self, indices: Sequence[int]) -> Tensor:
        """The images, (B, C, H, W) float64."""
        for index in indices:
            if not 0 <= index < len(self):
                raise UserError(f"index {index} is outside the {len(self)} draws of {self.density}")
        root = Rng.of(0, self._series or f"{self.density}/{self.split}", [int(i) for i in indices])
        x = root.child("x").portable  # one by one: many at once are not rounded as each is
        return torch.cat([self.prior.sample(x.select(slice(i, i + 1))) for i in range(len(x))])

    def posterior(self, f: LinearOperator, y: Tensor, sigma: float) -> Any:
        """p(x | y) of one measurement y = f(x) + N(0, sigma^2 I), (1, ...)."""
        return self.prior.posterior(f, y, sigma)

    def streams(self, indices: Sequence[int], seed: int) -> Rng | None:
        """The root streams of measurements of a series."""
        return Rng.of(seed, self._series, [int(i) for i in indices]) if self._series else None

    def solver_streams(self, indices: Sequence[int], draw: int) -> Rng | None:
        """A solver's streams for one draw from each measurement of a series."""
        if not self._series:
            return None
        return Rng([Rng.of(int(i), f"{self._series}/draws", [draw]).keys[0] for i in indices])

    def fingerprint(self, index: int) -> str:
        """What identifies an image; it is drawn, so its name says all."""
        return f"{self.version}/{self._series or self.split}/{index}"

    @cached_property
    def _node(self) -> dict[str, Any]:
        """The density's config, of this size."""
        from omegaconf import OmegaConf

        whole = OmegaConf.create({"size": self.size, "prior": configs.read("prior", self.density)})
        node: Any = OmegaConf.to_container(whole.prior, resolve=True)
        return {k: v for k, v in node.items() if k not in (*configs.META, "variants")}
