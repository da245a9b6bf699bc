"""The exact posterior of each measurement, where the dataset is a density: what judges a solver's draws."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from sipbench.bench.cell import Cell
from sipbench.metrics.posterior import Judge
from sipbench.noise import Gaussian, Noise
from sipbench.operators.base import Operator
from sipbench.problem import Problem


def posteriors(
    cell: Cell, noise: Noise, images: Sequence[int], problem: Problem
) -> Callable[[int], Sequence[Judge]] | None:
    """Judges so many draws of each image; None where no posterior is known exactly."""
    if lacks(cell, problem.f, noise):
        return None

    sigma = float(noise.sigma or 0)

    def judges(n: int) -> Sequence[Judge]:
        key = json.dumps([cell.source, cell.degradation, cell.seed, cell.split, cell.size], sort_keys=True, default=str)
        found = []
        for i, image in enumerate(images):
            make = partial(_posterior, cell.dataset, problem, i, sigma)
            found.append(_judge(Asked(key, image, n, make)))
        return found

    return judges


def lacks(cell: Cell, f: Operator, noise: Noise) -> str | None:
    """Why no posterior is known exactly, or None."""
    if cell.draws == 1:
        return "ask for some, as in draws=512"
    if not hasattr(cell.dataset, "posterior"):
        return f"{cell.names[0]} is no density: dataset=field_smooth is one"
    if not f.linear:
        return f"{cell.names[1]} is not linear"
    if not isinstance(noise, Gaussian) or noise.clip or noise.quantise or not noise.sigma:
        return f"the noise of {cell.names[1]} is not Gaussian"
    return None


@dataclass(frozen=True)
class Asked:
    """Which posterior, by how many draws at a time it is to judge, and how to make it."""

    key: str
    image: int
    draws: int
    make: Callable[[], Any] = field(compare=False)


@lru_cache(maxsize=32)
def _judge(asked: Asked) -> Judge:
    """Made once, however many methods draw from it."""
    return Judge(asked.make(), asked.draws, seed=asked.image)


def _posterior(dataset: Any, problem: Problem, i: int, sigma: float) -> Any:
    one = slice(i, i + 1)
    return dataset.posterior(copy.deepcopy(problem.f.select(one)).to("cpu"), problem.y[one].cpu(), sigma)
