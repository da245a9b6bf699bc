"""Loading a cell's prior and networks: once a process, however many cells use them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import torch

from sipbench import checkpoints, configs
from sipbench.bench.cell import Cell
from sipbench.bench.watch import Counted


def load_prior(cell: Cell, device: torch.device) -> Any:
    """The prior of the images."""
    return _ready(cell, cell.prior or {}, device)


def load_priors(cell: Cell, device: torch.device) -> dict[str, Counted]:
    """The further priors of a method, by the name of the keyword they are passed as."""
    return {name: Counted(_ready(cell, node, device)) for name, node in cell.priors.items()}


def _ready(cell: Cell, node: dict[str, Any], device: torch.device) -> Any:
    node = {k: v for k, v in node.items() if k != "get"}
    if "path" in node:
        node["weights"] = str(cell.weights_folder)
    return _prior(json.dumps(node, sort_keys=True), device)


@cache
def _prior(node: str, device: torch.device) -> Any:
    content = json.loads(node)
    return configs.build(content, device=device) if "path" in content else configs.build(content)


def forget() -> None:
    """Load everything anew from here on: what is kept in memory may have been written into."""
    _prior.cache_clear()
    _network.cache_clear()


def load_networks(cell: Cell, device: torch.device) -> dict[str, torch.nn.Module]:
    """The trained networks of a method, by the name of the keyword they are passed as."""
    return {
        name: _network(json.dumps(node, sort_keys=True), str(cell.weights[name]), device)
        for name, node in (cell.method.get("networks") or {}).items()
    }


@cache
def _network(node: str, file: str, device: torch.device) -> torch.nn.Module:
    from pathlib import Path

    architecture = {k: v for k, v in json.loads(node).items() if k not in ("weights", "get")}
    if "path" in architecture:  # the file is all of it
        return configs.build(architecture | {"path": file}).requires_grad_(False).to(device)
    network = checkpoints.load_into(configs.build(architecture), Path(file))
    return network.requires_grad_(False).eval().to(device)
