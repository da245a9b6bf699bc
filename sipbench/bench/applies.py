"""Whether a method can do a cell at all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from sipbench import configs
from sipbench.bench import exact, probe
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.needs import unmet
from sipbench.degradation import Degradation
from sipbench.metrics import METRICS, available
from sipbench.operators.base import Operator
from sipbench.problem import Rng


def check(
    cell: Cell, degradation: Degradation, prior: Any, networks: Mapping[str, Any], priors: Mapping[str, Any]
) -> None:
    """If it cannot with these parts, NotApplicable says why."""
    for name in cell.metrics:
        available(name)
    if cell.probe:
        probe.check(cell.probe)
    said = degradation.told or degradation
    images = [0, 1] if "fixed" in (cell.method.get("needs") or []) else [0]
    with configs.in_a_line(f"the degradation {cell.names[1]}"):
        f = said.build((len(images), *shape(cell)), Rng.of(0, "check", images))
        if said is degradation.told and not f.blind:
            _same_shape(degradation, f)
    if cell.probe and cell.draws > 1:
        raise NotApplicable("a probe watches one draw: use draws=1")
    noise = said.noise if said.reveal_noise else None
    if reason := unmet(cell.method, cell.names[1], f, noise, prior):
        raise NotApplicable(reason)
    of_draws = next((name for name in cell.metrics if METRICS[name].of_draws), None)
    if of_draws and (reason := exact.lacks(cell, f, degradation.noise)):
        raise NotApplicable(f"{of_draws} compares draws with an exact posterior: {reason}")
    _priors(cell, prior, priors)
    given = {**cell.options, **networks, **priors}
    missing = [n for n in _required(cell.solver) if n not in given]
    if missing:
        raise NotApplicable(f"{cell.names[2]} is given no {', '.join(missing)}: set it in its config")


def fits(prior: Any, cell: Cell) -> bool:
    """Whether a prior is of images such as the unknown."""
    return tuple(prior.image_shape) == shape(cell)


def other_channels(cell: Cell, channels: int) -> str:
    """That a network of a method is for images of other channels than these, where one is: why it may have failed."""
    for name, node in (cell.method.get("networks") or {}).items():
        own = node.get("channels", channels)
        if own != channels:
            why = f"its network {name} is for images of {own} channels, and these have {channels}"
            return f"{cell.method['name']} cannot do this: {why}"
    return ""


def _priors(cell: Cell, prior: Any, priors: Mapping[str, Any]) -> None:
    """Whether each prior is of what it stands for."""
    if prior is not None and cell.prior is not None and not fits(prior, cell):
        own, wanted = tuple(prior.image_shape), shape(cell)
        sized = not cell.dataset.measured and own[0] == wanted[0] and own[1] == own[2]
        hint = f": size={own[1]}, or a prior of this size" if sized else ""
        raise NotApplicable(f"prior {cell.prior['name']} is for {own}, not {wanted}{hint}")
    for name, further in priors.items():
        box = cell.theta_shapes[name.removesuffix("_prior")]
        if not _within(further.shape, box):
            raise NotApplicable(f"{name} is for {tuple(further.shape)}, which does not fit into {box}")


def _same_shape(degradation: Degradation, told: Operator) -> None:
    """A solver cannot take a y that the f it is told has no place for."""
    x = torch.zeros(told.shape)
    y, _ = degradation.measure(x, Rng.of(0, "check", range(len(x))))
    shape = tuple(told.measure(x).shape)
    if shape != tuple(y.shape):
        why = f"such an f gives measurements of {shape[1:]}, and y is {tuple(y.shape)[1:]}"
        raise NotApplicable(f"degradation.told: {why}")


def shape(cell: Cell) -> tuple[int, ...]:
    """(C, H, W) of the unknown."""
    return Degradation.of(cell.degradation).x_shape(cell.dataset)


def _within(shape: Sequence[int], box: Sequence[int]) -> bool:
    """Whether it has the box's channels and no longer sides: a smaller kernel lies in the middle of its box."""
    return len(shape) == len(box) and shape[0] == box[0] and all(n <= m for n, m in zip(shape, box, strict=True))


def _required(solver: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(solver).parameters.values()
    return [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
