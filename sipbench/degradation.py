"""A degradation: a forward map and a noise model, and how a measurement is made with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sipbench import configs
from sipbench.errors import UserError, unknown
from sipbench.noise import Noise
from sipbench.operators.base import BlindOperator, LinearOperator, Operator
from sipbench.operators.phase import PhaseRetrieval
from sipbench.operators.unknowns import CHANNELS, UNKNOWNS
from sipbench.problem import Rng

if TYPE_CHECKING:
    from sipbench.datasets import Dataset

Theta = Mapping[str, Tensor]
ELSE = "noise=gaussian noise.sigma=0.01 puts another noise in their place"
MAGNITUDES = f"this f gives magnitudes: degradation.operator.measure=intensity, or {ELSE}"
NEGATIVE = f"this f gives negative values: {ELSE}"


@dataclass(frozen=True)
class Degradation:
    """y = f(x) + n, or y = f(x, theta) + n where the operator is blind.

    Attributes:
        operator: builds f from the shape (B, C, H, W) and one random stream per image.
        noise: the noise model.
        noise_on_invalid: whether noise is added also where y carries no information (removed pixels).
        reveal_noise: whether the solver is told the noise model.
        unknown: what x is made of a picture of the dataset: `image` as it is, `grey`, `complex` or `object`.
        shape_of: the shape of x from the shape of y, for real measurements.
        told: what a solver hears in the place of this one, or None where it hears the truth.
    """

    operator: Callable[[tuple[int, ...], Rng], Operator]
    noise: Noise
    noise_on_invalid: bool = True
    reveal_noise: bool = True
    unknown: str = "image"
    shape_of: Callable[[tuple[int, ...]], tuple[int, ...]] = tuple
    told: Degradation | None = None

    def __post_init__(self) -> None:
        for name in ("noise_on_invalid", "reveal_noise"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"{name} is true or false, not {getattr(self, name)!r}")
        if self.unknown not in UNKNOWNS:
            raise UserError(f"unknown is {', '.join(UNKNOWNS)}, not {self.unknown!r}")

    @classmethod
    def of(cls, node: dict[str, Any]) -> Degradation:
        """From a config: `operator` and `noise` are nodes with a `_target_`; `told` is what a solver hears instead."""
        with configs.in_a_line(f"the noise of {node['name']}"):
            noise = configs.build(node["noise"])
        operator, kind = partial(_operator, node), _kind(node)
        flags = {k: node[k] for k in ("noise_on_invalid", "reveal_noise", "unknown") if k in node}
        options = {k: v for k, v in node["operator"].items() if not k.startswith("_")}
        told = None if node.get("told") in (None, {}) else cls.of(as_told(node))
        return cls(operator, noise, shape_of=partial(kind.unknown_shape, **options), told=told, **flags)

    def x(self, pictures: Tensor, rng: Rng) -> Tensor:
        """The truth: what this degradation takes pictures (B, C, H, W) of a dataset for."""
        return UNKNOWNS[self.unknown](pictures, rng.child("unknown").portable)

    def x_shape(self, dataset: Dataset) -> tuple[int, ...]:
        """(C, H, W) of x for a dataset of pictures, or of measurements."""
        if dataset.measured:
            try:
                return tuple(self.shape_of((1, *dataset.shape)))[1:]
            except ValueError as error:
                raise UserError(str(error)) from error
        return (CHANNELS[self.unknown] or dataset.shape[0], *dataset.shape[1:])

    def build(self, shape: tuple[int, ...], rng: Rng) -> Operator:
        """f for these images, from the streams that define the problem."""
        f = self.operator(shape, rng.child("operator").portable)
        if getattr(self.noise, "counts", False) and isinstance(f, PhaseRetrieval) and not f.intensity:
            raise UserError(f"photons are counted of intensities, and {MAGNITUDES}")
        return f

    def theta(self, f: Operator, rng: Rng) -> Theta | None:
        """The truth that a blind f leaves open, from the same streams; None where nothing is left open."""
        return f.draw(rng.child("theta").portable) if isinstance(f, BlindOperator) else None

    def measure(self, x: Tensor, rng: Rng) -> tuple[Tensor, Operator]:
        """(y, f) for a batch."""
        f = self.build(tuple(x.shape), rng)
        return self._observe(f, x, self.theta(f, rng), rng), f

    def measure_exactly(self, x: Tensor, rng: Rng) -> tuple[Tensor, Operator]:
        """(y, f) with y the same to the bit whatever the batch: one image at a time, in double precision."""
        f = self.build(tuple(x.shape), rng)
        theta, rows = self.theta(f, rng), []
        for i in range(len(x)):
            one = slice(i, i + 1)
            mine = None if theta is None else {k: v[one] for k, v in theta.items()}
            rows.append(self._observe(f.select(one), x[one].double(), mine, rng.select(one)).to(x.dtype))
        return torch.cat(rows), f

    def accept(self, y: Tensor, rng: Rng) -> tuple[Tensor, Operator]:
        """(y, f) for real measurements y, whose truth nobody has; f is built for the x that belongs to them."""
        shape = tuple(self.shape_of(tuple(y.shape)))
        f = self.build(shape, rng)
        theta = self.theta(f, rng)
        expected = tuple(self._clean(f, torch.zeros(shape), theta).shape)
        if expected != tuple(y.shape):
            raise UserError(f"a measurement of {tuple(y.shape[1:])} does not fit: {expected[1:]} comes of {shape[1:]}")
        return y, f

    @staticmethod
    def _clean(f: Operator, x: Tensor, theta: Theta | None) -> Tensor:
        return f.measure(x) if theta is None else f.measure(x, theta)

    def _observe(self, f: Operator, x: Tensor, theta: Theta | None, rng: Rng) -> Tensor:
        y = self._clean(f, x, theta)
        if getattr(self.noise, "counts", False) and y.min() < -1e-6 * y.max().abs():
            raise UserError(f"photons are counted of intensities, and {NEGATIVE}")
        noisy = self.noise(y, rng.child("noise").portable)
        if self.noise_on_invalid or f.valid is None:
            return noisy
        return torch.where(f.valid.bool(), noisy, y)


def as_told(node: dict[str, Any]) -> dict[str, Any]:
    """The node of what a solver hears: the options that `told` names, or, where it names a `_target_`, another part."""
    own, told = {k: v for k, v in node.items() if k != "told"}, node["told"]
    for part, said in told.items() if isinstance(told, Mapping) else [("", told)]:
        if part not in ("operator", "noise", ""):
            raise unknown("part under degradation.told", part, ("operator", "noise"))
        if not isinstance(said, Mapping):
            where = ".".join(filter(None, ["degradation.told", part]))
            example = "+degradation.told.noise.sigma=0.1"
            raise UserError(f"{where} names options of its operator or its noise, as in {example}, not {said!r}")
        own[part] = said if "_target_" in said else own[part] | said
    return own


def _operator(node: dict[str, Any], shape: tuple[int, ...], rng: Rng) -> Operator:
    return configs.build(node["operator"] | {"name": node["name"]}, shape, rng)


def _kind(node: dict[str, Any]) -> Any:
    """The class of its operator."""
    found = configs.locate(node["operator"]["_target_"])
    if not hasattr(found, "unknown_shape"):
        why = "let it be a class that inherits sipbench.operators.Operator"
        raise UserError(f"{node.get('name')}: {node['operator']['_target_']} is no operator: {why}")
    return found


def facts(name: str) -> dict[str, Any]:
    """What a degradation's operator says of itself, for lists."""
    node = configs.read("degradation", name)
    kind = _kind(node)
    f = _small(node)
    return {
        "name": name,
        "title": node.get("title", name),
        "linear": kind.linear,
        "blind": kind.blind,
        "svd": kind.linear and (kind.svd is not LinearOperator.svd if f is None else f.svd() is not None),
        "symmetries": list((f or kind).symmetries),
        "range": node.get("range", "[-1, 1]"),
        "protocol": node.get("protocol", ""),
        "noise": {k: v for k, v in node["noise"].items()},
    }


def small(node: dict[str, Any]) -> dict[str, Any]:
    """A degradation's config with what its `check` sets, so that small images will do."""
    return node | {"operator": node["operator"] | (node.get("check") or {})}


def _small(node: dict[str, Any]) -> Any:
    """The operator for a small image, or None where it cannot be built here (a checkpoint is missing)."""
    channels = CHANNELS[node.get("unknown", "image")] or 3
    try:
        with configs.in_a_line(f"the degradation {node['name']}"):
            return _operator(small(node), (1, channels, 32, 32), Rng.of(0, "facts", [0]).portable)
    except UserError:
        return None
