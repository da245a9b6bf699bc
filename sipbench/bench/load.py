"""Loading a cell's prior and networks: once a process, however many cells use them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import torch

from sipbench import checkpoints, configs
from sipbench.bench.cell import Cell
from sipbench.bench.lesson import architecture
from sipbench.bench.watch import Counted
from sipbench.errors import UserError

PARTS = ("kind", "shape", "image_shape", "denoise", "scales", "times", "decode")  # what a prior has at least
KNOWN = "let it make a sipbench.priors.Prior, or choose one of sipbench list priors with prior=NAME"


def load_prior(cell: Cell, device: torch.device) -> Any:
    """The prior of the images. One that is still to be trained comes with random weights, to be looked at alone."""
    node = {k: v for k, v in (cell.prior or {}).items() if k != "learned"}
    lesson = cell.lessons.get("prior")
    if lesson is None:
        return _ready(cell, node, device)
    if lesson.done(cell.results):
        return _ready(cell, node | {"path": str(lesson.trained(cell.results, cell.trainings["prior"]))}, device)
    from sipbench.priors.network import NetworkPrior

    return NetworkPrior(configs.build(lesson.network).eval().to(device), lesson.scheduler or {})


def said_shape(cell: Cell) -> tuple[int, ...] | None:
    """(C, H, W) of the prior's images, as the config beside its weights says; None where only the prior can tell."""
    if "prior" not in cell.weights or "codec" in cell.weights:
        return None
    try:
        said = checkpoints.read_json(cell.weights["prior"].parent / "config.json")
    except UserError:
        return None
    channels, side = said.get("in_channels"), said.get("sample_size")
    return (channels, side, side) if isinstance(channels, int) and isinstance(side, int) else None


def load_priors(cell: Cell, device: torch.device) -> dict[str, Counted]:
    """The further priors of a method, by the name of the keyword they are passed as."""
    return {name: Counted(_ready(cell, node, device, name)) for name, node in cell.priors.items()}


def _ready(cell: Cell, node: dict[str, Any], device: torch.device, part: str = "prior") -> Any:
    node = {k: v for k, v in node.items() if k != "get"}
    if "path" in node:
        node["weights"] = str(cell.weights_folder)
    files = [cell.weights[name] for name in (part, *(("codec",) if part == "prior" else ())) if name in cell.weights]
    content = tuple((checkpoints.sha256(file), checkpoints.settings_sha256(file)) for file in files)
    return _prior(json.dumps(node, sort_keys=True), content, device)


@cache
def _prior(node: str, content: tuple[tuple[str, str], ...], device: torch.device) -> Any:
    """The prior of a node, by the hashes of its weights and of their settings too."""
    own = json.loads(node)
    made = configs.build(own, device=device) if "path" in own else configs.build(own)
    if any(not hasattr(made, part) for part in PARTS):
        raise UserError(f"{own['_target_']} makes a {type(made).__name__}, and no prior: {KNOWN}")
    return made


def forget() -> None:
    """Load everything anew from here on: what is kept in memory may have been written into."""
    _prior.cache_clear()
    _network.cache_clear()


def load_networks(cell: Cell, device: torch.device) -> dict[str, torch.nn.Module]:
    """The trained networks of a method, by the name of the keyword they are passed as.

    One that is still to be trained comes with random weights, to be looked at alone.
    """
    found: dict[str, torch.nn.Module] = {}
    for name, node in (cell.method.get("networks") or {}).items():
        own, lesson, file = architecture(node), cell.lessons.get(name), cell.weights[name]
        if lesson is not None and not lesson.done(cell.results):
            found[name] = configs.build(own).eval().to(device)
            continue
        if lesson is not None:  # of several widths the best was taken; no code is named by what lies beside weights
            folder = lesson.trained(cell.results, cell.trainings[name])
            laid_down = checkpoints.read_json(folder / "config.json")
            own |= {k: laid_down[k] for k in ("width",) if k in own and k in laid_down}
        found[name] = _network(json.dumps(own, sort_keys=True), str(file), checkpoints.sha256(file), device)
    return found


def untrained(cell: Cell) -> list[str]:
    """The parts that its recipe has not trained yet."""
    return [name for name, lesson in cell.lessons.items() if not lesson.done(cell.results)]


@cache
def _network(node: str, file: str, content: str, device: torch.device) -> torch.nn.Module:
    """The network of a file, by the hash of its content too: it may have been trained on since."""
    from pathlib import Path

    own = json.loads(node)
    if "path" in own:  # made elsewhere: the file is all of it, its mode too
        return configs.build(own | {"path": file}).requires_grad_(False).to(device)
    network = checkpoints.load_into(configs.build(own), Path(file))
    return network.requires_grad_(False).eval().to(device)
