"""The early-stopping table: what conf/table/*.yaml of kind `stopping` asks for, and its rows on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.errors import UserError, unknown
from sipbench.tables.place import is_partial, place

PROTOCOL = 1  # raised when what a number means changes
KEYS = ("title", "method", "iterations", "rules", "problems", "profiles")


@dataclass(frozen=True)
class Run:
    """One untrained method on one problem, run to its end with every rule looking on; one row an image.

    Attributes:
        cell: dataset, degradation and method, which does not stop by itself.
        rules: by name, `_target_` and options of what judges the iterates; `limit`, where it ends the run anyway.
        every: iterations from one scored iterate to the next.
    """

    name: str
    title: str
    cell: Cell
    rules: dict[str, dict[str, Any]]
    every: int

    @property
    def iterations(self) -> int:
        return self.cell.options["iterations"]

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that can change a row, but for the number of its image."""
        rules = {
            name: {k: v for k, v in rule.items() if k != "title"} | {"code": configs.code_hash(rule["_target_"])}
            for name, rule in self.rules.items()
        }
        identity = {"protocol": PROTOCOL, "cell": self.cell.identity, "rules": rules, "every": self.every}
        return json.loads(json.dumps(identity, sort_keys=True, default=str))

    @cached_property
    def folder(self) -> Path:
        """Where its rows lie, below the results folder."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]
        return Path(self.cell.results, "runs", "stopping", self.cell.names[0], digest)

    def rows(self) -> dict[int, dict[str, Any]]:
        """The stored rows by image."""
        paths = {i: self._file(i) for i in self.cell.images}
        try:
            return {i: json.loads(path.read_text()) for i, path in paths.items() if path.is_file()}
        except (OSError, ValueError) as error:
            raise UserError(f"damaged results in {self.folder} ({error}): delete this folder and run again") from error

    def solved(self) -> list[dict[str, Any]]:
        """The stored rows of the images that came to something."""
        return [row for row in self.rows().values() if row.get("status", "ok") == "ok"]

    def missing(self) -> list[int]:
        """The images that are still to do; a failed one is not tried again by itself."""
        have = self.rows()
        return [i for i in self.cell.images if i not in have]

    def write(self, image: int, row: dict[str, Any]) -> None:
        """Store a row, whole."""
        store.write_whole(self.folder / "run.json", json.dumps(self.identity, indent=2, sort_keys=True).encode())
        store.write_whole(self._file(image), json.dumps(row).encode())

    def _file(self, image: int) -> Path:
        return self.folder / f"image-{image:05d}.json"


@dataclass(frozen=True)
class StoppingSpec:
    """A table of this kind under one of its profiles."""

    name: str
    title: str
    profile: str
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
    partial: bool = False

    @property
    def rules(self) -> dict[str, dict[str, Any]]:
        return self.runs[0].rules

    @property
    def folder(self) -> Path:
        """Where the rendered table goes."""
        return place(self.runs[0].cell.results, self.profile, self.partial)


def load(name: str, profile: str = "demo", words: Iterable[str] = ()) -> StoppingSpec:
    """A table by the name of its config.

    Words: problem=, rule= and dataset= with one or more values, iterations=, and overrides of a single run.
    """
    node = _checked(name)
    if profile not in node["profiles"]:
        raise unknown(f"profile of table {name}", profile, node["profiles"])
    words = tuple(words)
    picked, typed = _words(words)
    chosen = {"every": 1, "options": {}, "words": [], **node, **node["profiles"][profile]}
    problems = _some("problem", node["problems"], picked.get("problem"))
    rules = _some("rule", chosen["rules"], picked.get("rule"))
    solver = {"iterations": chosen["iterations"], **node.get("options", {}), **chosen["options"]}
    own = [f"method={chosen['method']}", *(f"method.solver.{k}={v}" for k, v in solver.items())]
    runs = []
    for dataset in picked.get("dataset") or chosen["datasets"]:
        for problem, entry in problems.items():
            setting = [f"profile={profile}", f"dataset={dataset}", *entry["words"], *own, *chosen["words"], *typed]
            cell = Cell.of(configs.compose(setting), setting)
            runs.append(Run(problem, entry.get("title", problem), cell, rules, chosen["every"]))
    return StoppingSpec(name, node["title"], profile, tuple(runs), tuple(node.get("notes", ())), is_partial(words))


def _checked(name: str) -> dict[str, Any]:
    node = configs.read("table", name)
    if "like" in node:
        other = configs.read("table", node["like"])
        node = other | node | {"problems": _some("problem", other["problems"], node["problems"])}
    absent = [key for key in KEYS if not node.get(key)]
    if absent:
        raise UserError(f"conf/table/{name}.yaml has no {', '.join(absent)}; it needs {', '.join(KEYS)}")
    return node


def _words(words: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    picked, typed = {}, []
    for word in words:
        key, _, value = word.partition("=")
        if key in ("problem", "rule", "dataset"):
            picked[key] = [v.strip() for v in value.split(",") if v.strip()]
            if not picked[key]:
                raise UserError(f"{key}= names nothing: give one or more, separated by commas, or leave it out")
        elif key == "iterations":
            typed.append(f"method.solver.{word}")
        elif key in ("method", "degradation", "noise", "seed"):
            raise UserError(f"{word}: this table says by itself which {key} it runs; choose with problem= and rule=")
        else:
            typed.append(word)
    return picked, typed


def _some(kind: str, nodes: dict[str, Any], wanted: Sequence[str] | None) -> dict[str, Any]:
    for name in wanted or ():
        if name not in nodes:
            raise unknown(f"{kind} of this table", name, nodes)
    return {name: node for name, node in nodes.items() if wanted is None or name in wanted}
