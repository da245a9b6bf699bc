"""The options of one cell's solver: their values, and where each comes from.

    signature   the default of the solver's own signature
    config      the method's config, under `solver`: the paper's default where the signature has another
    paper       what the paper or its public code sets for the task
    searched    found by a search on validation images, whose command is under `chosen`
    demo        a setting for the built-in demo that was not searched
    hand        typed on the command line

The later wins; `tuned=false` leaves out all that is set per task or for the demo.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sipbench.configs.annotation import as_annotated
from sipbench.configs.methods import PRECISION, deep
from sipbench.configs.signature import options as signature
from sipbench.errors import UserError

SOLVER = "method.solver."
PRECISIONS = ("float32", "float64")
SMALL = ("demo", "study")  # the profiles whose settings are those under `demo`
ALL = "all"  # the entry under `demo` and `chosen` that holds for every task
NONE: Mapping[str, Any] = {}
SET = ("paper", "searched", "demo")  # origins of values that `tuned=false` leaves out


@dataclass(frozen=True)
class Options:
    """What a solver is called with.

    Attributes:
        values: by name; nodes with a `_target_` as plain data.
        origins: where each comes from. A node that was changed in a part has the origin of that part.
        precision: float32 or float64, of the measurement that the solver is handed and so of what it computes.
    """

    values: dict[str, Any]
    origins: dict[str, str]
    precision: str = PRECISION

    @property
    def tuned(self) -> bool:
        """Whether any of them is set for the task or for the demo."""
        return any(origin in SET for origin in self.origins.values())


def resolve(
    method: Mapping[str, Any], task: str, profile: str = "none", tuned: bool = True, typed: Mapping[str, Any] = NONE
) -> Options:
    """The options of a method for a degradation under a profile; `typed` are those set by hand, as nested data.

    Where another function was put in the place of the method's own, it gets of them what it takes.
    """
    known = signature(method["solver"]["_target_"])
    takes = {*known.options, "precision"} if known and not known.open else None
    solver = _taken({k: v for k, v in method["solver"].items() if k != "_target_"}, takes)
    values, origins = dict(solver), _of_node(method["solver"]["_target_"], solver)
    layers = _layers(method, task, profile) if tuned else []
    for origin, settings in [*((o, _taken(s, takes)) for o, s in layers), ("hand", dict(typed))]:
        values = deep(values, settings)
        origins |= {name: _searched(method, task, name) if origin == "demo" else origin for name in settings}
    precision = values.pop("precision", PRECISION)
    if precision not in PRECISIONS:
        raise UserError(f"precision is {' or '.join(PRECISIONS)}, not {precision!r}")
    kinds = known.annotations if known else {}
    return Options({k: as_annotated(v, kinds.get(k)) for k, v in values.items()}, origins, precision)


def _taken(settings: Mapping[str, Any], names: set[str] | None) -> dict[str, Any]:
    """Those settings that bear one of these names; None stands for any."""
    return {name: value for name, value in settings.items() if names is None or name in names}


def _of_node(target: str, solver: Mapping[str, Any]) -> dict[str, str]:
    """Signature or config, for each option of a solver's node."""
    known = signature(target)
    defaults = (known.defaults if known else {}) | {"precision": PRECISION}
    same = {name for name in solver if name in defaults and _text(solver[name]) == _text(defaults[name])}
    return {name: "signature" if name in same else "config" for name in solver}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _layers(method: Mapping[str, Any], task: str, profile: str) -> list[tuple[str, dict[str, Any]]]:
    """What the paper sets for the task, then what the demo sets for all tasks and for this one."""
    layers = [("paper", (method.get("paper") or {}).get(task) or {})]
    if profile in SMALL:
        demo = method.get("demo") or {}
        layers += [("demo", demo.get(ALL) or {}), ("demo", demo.get(task) or {})]
    return layers


def _searched(method: Mapping[str, Any], task: str, name: str) -> str:
    """Searched where a command under `chosen` names the task and the option, else demo."""
    for search in method.get("chosen") or []:
        if {task, ALL} & set(search.get("tasks") or []) and name in (search.get("options") or []):
            return "searched"
    return "demo"


def typed(solver: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The options of a composed solver's node that these keys of the command line set, nested as they are.

    typed({"stop": {"rule": "emv", "window": 9}}, ["method.solver.stop.rule"]) == {"stop": {"rule": "emv"}}
    """
    found: dict[str, Any] = {}
    for key in sorted(keys):
        if not key.startswith(SOLVER) or key == f"{SOLVER}_target_":
            continue
        value: Any = solver
        parents = key.removeprefix(SOLVER).split(".")
        for name in parents:
            value = value.get(name, ...) if isinstance(value, Mapping) else ...
        if value is ...:
            continue
        for name in reversed(parents):
            value = {name: value}
        found = deep(found, value)
    return found
