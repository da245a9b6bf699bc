"""What a cell's name is a hash of: all that can change its result, and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sipbench import checkpoints, configs
from sipbench.bench import protocol
from sipbench.errors import UserError

LEFT_OUT = (*configs.META, "variants", "weights", "root", "protocol", "check", "range")  # words that only describe
PLACES = (*LEFT_OUT, "path", "learned")


def identity(cell: Any) -> dict[str, Any]:
    """Of a Cell. No device, batch size, launcher or logging; files count by their content, code without comments."""
    degradation, target = cell.degradation, cell.method["solver"]["_target_"]
    networks = cell.method.get("networks") or {}
    there = {name: path for name, path in cell.weights.items() if name not in cell.lessons}
    own = {name: path for name, path in there.items() if "path" not in networks.get(name, {})}  # not made elsewhere
    found = {
        "protocol": protocol.solving(),
        "dataset": [cell.source["name"], cell.dataset.version, cell.split, cell.size, _without(cell.source, PLACES)],
        "degradation": _degradation(degradation),
        "method": [cell.method["name"], *configs.without_place([target, configs.code_hash(target), cell.options])],
        "networks": {k: _without(node, (*PLACES, "trusted")) for k, node in networks.items()},
        "prior": _without(cell.prior, PLACES) if cell.prior and _in_use(cell, cell.prior) else None,
        "weights": {name: checkpoints.sha256(path) for name, path in there.items()},
        "settings": {name: checkpoints.settings_sha256(path) for name, path in own.items()},
        "budget": cell.budget_seconds,
        "seed": cell.seed,
    }
    if cell.lessons:  # what makes them, since they may not be there yet
        found["trained"] = {name: digest(lesson.made_of) for name, lesson in cell.lessons.items()}
    if cell.draws > 1:
        found["draws"] = cell.draws
    if cell.priors:
        found["priors"] = {name: _without(node, PLACES) for name, node in cell.priors.items()}
    if cell.precision != "float32":
        found["precision"] = cell.precision
    if cell.probe:
        found["probe"] = _without(configs.without_place(cell.probe), configs.META)
    if others := _others(cell):
        found["code"] = {configs.without_place(t): configs.code_hash(t) for t in others}
    return json.loads(json.dumps(found, sort_keys=True, default=str))


class CodeChanged(UserError):
    """The code that a cell runs is no longer the code that its name stands for."""

    @classmethod
    def of(cls, cell: Any) -> CodeChanged:
        return cls(f"{cell.label}: its code was changed while this ran: run it again")


def check_code(cell: Any) -> None:
    """Refuse a cell whose code was edited after it was named or imported."""
    target, named = cell.method["solver"]["_target_"], cell.identity
    now = {configs.without_place(t): configs.code_hash(t) for t in _others(cell)}
    if configs.code_hash(target) != named["method"][2] or now != named.get("code", {}):
        raise CodeChanged.of(cell)
    if name := next(filter(None, map(configs.edited, [target, *_others(cell)])), ""):
        raise UserError(f"{cell.label}: {name} was edited after it was imported here: begin a new process")


def question(cell: Any) -> str:
    """A digest of what is asked, whatever code answers it: the identity without versions and without code."""
    found = {k: v for k, v in cell.identity.items() if k not in ("protocol", "code")}
    name, target, _, options = found["method"]
    found["method"] = [name, target, options]
    if cell.lessons:
        code = ("version", "protocol", "code")
        lessons = {
            name: {k: v for k, v in lesson.made_of.items() if k not in code} for name, lesson in cell.lessons.items()
        }
        found["trained"] = lessons
    return digest(found)


def digest(identity: Any) -> str:
    """A short name of plain data."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _others(cell: Any) -> list[str]:
    """The code of a cell beside its solver's."""
    prior = _without(cell.prior or {}, ("learned",))
    found = targets([cell.source, cell.degradation, prior, cell.priors, cell.options, cell.probe])
    return sorted(found - {cell.method["solver"]["_target_"]})


def _degradation(node: dict[str, Any]) -> dict[str, Any]:
    """Without what only describes it, and without the places of files."""
    found = _without(node, LEFT_OUT) | {"operator": _without(node["operator"], PLACES)}
    told = found.pop("told", None)
    if told:  # of the parts that are told each counts as a part does
        found["told"] = {k: _without(v, ("path",)) if k == "operator" else v for k, v in told.items()}
    return found


def targets(node: Any) -> set[str]:
    """The code that a config names outside of the harness, whose own code the protocol keeps."""
    if isinstance(node, dict):
        own = node.get("_target_", "")
        found = {own} if own and not own.startswith("sipbench.") else set()
        return found.union(*map(targets, node.values()))
    return set().union(*map(targets, node)) if isinstance(node, list | tuple) else set()


def _in_use(cell: Any, prior: dict[str, Any]) -> bool:
    return cell.takes_prior and ("prior" in cell.weights or "path" not in prior)


def _without(node: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {k: v for k, v in node.items() if k not in names}
