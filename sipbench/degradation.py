"""A degradation: a forward map and a noise model, and how a measurement is made with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sipbench import configs
from sipbench.noise import Noise
from sipbench.operators.base import LinearOperator, Operator
from sipbench.problem import Rng


@dataclass(frozen=True)
class Degradation:
    """y = f(x) + n.

    Attributes:
        operator: builds f from the shape (B, C, H, W) and one random stream per image.
        noise: the noise model.
        noise_on_invalid: whether noise is added also where y carries no information (removed pixels).
        reveal_noise: whether the solver is told the noise model.
    """

    operator: Callable[[tuple[int, ...], Rng], Operator]
    noise: Noise
    noise_on_invalid: bool = True
    reveal_noise: bool = True

    @classmethod
    def of(cls, node: dict[str, Any]) -> Degradation:
        """From a config: `operator` and `noise` are nodes with a `_target_`."""
        noise = configs.build(node["noise"])
        operator = partial(_operator, node)
        flags = {k: node[k] for k in ("noise_on_invalid", "reveal_noise") if k in node}
        return cls(operator, noise, **flags)

    def build(self, shape: tuple[int, ...], rng: Rng) -> Operator:
        """f for these images, from the streams that define the problem."""
        return self.operator(shape, rng.child("operator").portable)

    def measure(self, x: Tensor, rng: Rng) -> tuple[Tensor, Operator]:
        """(y, f) for a batch."""
        f = self.build(tuple(x.shape), rng)
        return self._add_noise(f, f(x), rng), f

    def measure_exactly(self, x: Tensor, rng: Rng) -> tuple[Tensor, Operator]:
        """(y, f) with y the same to the bit whatever the batch: one image at a time, in double precision."""
        f = self.build(tuple(x.shape), rng)
        rows = []
        for i in range(len(x)):
            part, own = f.select(slice(i, i + 1)), rng.select(slice(i, i + 1))
            y = self._add_noise(part, part(x[i : i + 1].double()), own)
            rows.append(y.to(x.dtype))
        return torch.cat(rows), f

    def _add_noise(self, f: Operator, y: Tensor, rng: Rng) -> Tensor:
        noisy = self.noise(y, rng.child("noise").portable)
        if self.noise_on_invalid or f.valid is None:
            return noisy
        return torch.where(f.valid.bool(), noisy, y)


def _operator(node: dict[str, Any], shape: tuple[int, ...], rng: Rng) -> Operator:
    return configs.build(node["operator"] | {"name": node["name"]}, shape, rng)


def facts(name: str) -> dict[str, Any]:
    """What a degradation's operator says of itself, for lists."""
    node = configs.read("degradation", name)
    operator = configs.locate(node["operator"]["_target_"])
    return {
        "name": name,
        "title": node.get("title", name),
        "linear": operator.linear,
        "svd": operator.linear and operator.svd is not LinearOperator.svd,
        "symmetries": list(operator.symmetries),
        "range": node.get("range", "[-1, 1]"),
        "protocol": node.get("protocol", ""),
        "noise": {k: v for k, v in node["noise"].items()},
    }
