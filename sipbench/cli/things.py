"""Datasets, priors and files of degradations: whether each is here, where, and how to get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sipbench import configs
from sipbench.errors import UserError
from sipbench.safety.text import counted

KINDS = ("prior", "dataset", "degradation")


@dataclass(frozen=True)
class Finding:
    """Whether a thing is here; where, and how to get it."""

    name: str
    present: bool
    where: str
    how: str = ""


def look(kind: str, name: str, cfg: Any) -> Finding | None:
    """What there is of it, or None where it needs no file. ``cfg`` says where data and weights lie."""
    return {"prior": _prior, "dataset": _dataset, "degradation": _degradation}[kind](name, cfg)


def findings(kind: str, cfg: Any) -> list[Finding]:
    """Every thing of a kind that needs a file."""
    return [found for name in configs.names(kind) if (found := look(kind, name, cfg)) is not None]


def models(name: str) -> list[str]:
    """The priors with checkpoints behind a name: itself, or for a dataset's name those that it stands for."""
    node = configs.read("prior", name)
    if "path" in node:
        return [name] if node["path"] != "???" else []
    others = [*(node.get("defaults") or []), *(node.get("variants") or {}).values()]
    return [model for other in others if other in configs.names("prior") for model in models(other)]


def _dataset(name: str, cfg: Any) -> Finding:
    from omegaconf import OmegaConf

    try:
        node = OmegaConf.to_container(
            configs.compose([f"dataset={name}", f"data={cfg['data']}"])["dataset"], resolve=True
        )
        with configs.in_a_line(f"the dataset {name}"):
            count = len(configs.build(node))  # pyright: ignore
        return Finding(name, True, counted(count, "image"))
    except UserError as error:
        return Finding(name, False, str(error), str(configs.read("dataset", name).get("get", "")))


def _degradation(name: str, cfg: Any) -> Finding | None:
    node = configs.read("degradation", name)["operator"]
    if "checkpoint" not in node:
        return None
    try:
        kind = configs.locate(node["_target_"])
        return Finding(name, True, str(kind.weight_file(**node | {"weights": cfg["weights"]})))
    except UserError as error:
        return Finding(name, False, str(error), str(error))


def _prior(name: str, cfg: Any) -> Finding | None:
    from sipbench import checkpoints

    node = configs.read("prior", name)
    if "path" not in node or node["path"] == "???":
        return None
    how = str(node.get("get", ""))
    try:
        return Finding(name, True, str(checkpoints.find(node["path"], cfg["weights"], how)))
    except UserError as error:
        return Finding(name, False, str(error), how)
