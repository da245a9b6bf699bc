"""The exact-posterior table: what conf/table/*.yaml of kind `posterior` asks for, and its rows on disk."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.errors import UserError, unknown
from sipbench.tables.place import is_partial, place

PROTOCOL = 1  # raised when what a number means changes
KEYS = ("title", "draws", "profiles", "problems", "methods")
ENTRY = ("title", "does", "exact_on", "why", "options", "per_problem", "ensemble", "schedule")
KINDS = {
    "samples": "samples the posterior",
    "other": "samples something else",
    "optimises": "only optimises",
}


@dataclass(frozen=True)
class Task:
    """A method on a problem: draws for each of several measurements, one row a measurement.

    Attributes:
        problem: title, prior, operator and sigma.
        entry: what the table says of the method: what ENTRY names.
        n: draws a measurement.
    """

    method: str
    problem: dict[str, Any]
    entry: dict[str, Any]
    n: int
    measurements: int
    results: Path

    @property
    def name(self) -> str:
        """The name of the problem."""
        return self.problem["name"]

    @property
    def exists(self) -> bool:
        """Whether its solver is here already."""
        return self.method in configs.names("method")

    @cached_property
    def node(self) -> dict[str, Any]:
        """The method's config."""
        return configs.read("method", self.method)

    @property
    def title(self) -> str:
        return self.entry.get("title") or (self.node.get("title", self.method) if self.exists else self.method)

    @property
    def copies(self) -> int:
        """The size of the batch: one image a draw, or a single one for a solver that moves an ensemble."""
        return 1 if self.entry.get("ensemble") else self.n

    @property
    def kind(self) -> str:
        """What theory says it does on this problem: a key of KINDS."""
        return "samples" if self.name in self.entry.get("exact_on", []) else self.entry["does"]

    @cached_property
    def cell(self) -> Cell:
        """The solver with its options: its config's, the table's over them, the table's for this problem over both."""
        from omegaconf import OmegaConf

        chosen = {**(self.entry.get("options") or {}), **((self.entry.get("per_problem") or {}).get(self.name) or {})}
        told = {"sigma": self.problem["sigma"], "d": math.prod(self.problem["prior"]["shape"]), "draws": self.n}
        node = OmegaConf.create({**told, "options": chosen})
        options: Any = OmegaConf.to_container(node.options, resolve=True)
        return Cell(self.node, {"name": self.name}, tuned=False, typed=options)

    @property
    def identity(self) -> dict[str, Any]:
        """All that can change a row, but for the number of its measurement."""
        target = self.node["solver"]["_target_"]
        problem = {k: v for k, v in self.problem.items() if k != "title"}
        identity = {
            "protocol": PROTOCOL,
            "problem": problem,
            "draws": [self.n, self.copies],
            "method": [self.method, target, configs.code_hash(target), self.cell.options],
            "prior": [self.entry.get("schedule"), self.node.get("prior"), self.node.get("needs")],
        }
        return json.loads(json.dumps(identity, sort_keys=True, default=str))

    @cached_property
    def folder(self) -> Path:
        """Where its rows lie, below the results folder."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]
        return Path(self.results, "runs", "posterior", self.name, self.method, digest)

    def rows(self) -> dict[int, dict[str, Any]]:
        """The stored rows by the number of their measurement."""
        paths = {k: self._file(k) for k in range(self.measurements)}
        try:
            return {k: json.loads(path.read_text()) for k, path in paths.items() if path.is_file()}
        except (OSError, ValueError) as error:
            raise UserError(f"damaged results in {self.folder} ({error}): delete this folder and run again") from error

    def write(self, measurement: int, row: dict[str, Any]) -> None:
        """Store a row, whole."""
        store.write_whole(self.folder / "task.json", json.dumps(self.identity, indent=2, sort_keys=True).encode())
        store.write_whole(self._file(measurement), json.dumps(row).encode())

    def _file(self, measurement: int) -> Path:
        return self.folder / f"measurement-{measurement:03d}.json"


@dataclass(frozen=True)
class PosteriorSpec:
    """A table of this kind under one of its profiles.

    Attributes:
        problems: by name, in the table's order.
        methods: what the table says of each, by name.
        measurements: how many of each problem.
    """

    name: str
    title: str
    profile: str
    problems: dict[str, dict[str, Any]]
    methods: dict[str, dict[str, Any]]
    n: int
    measurements: int
    results: Path
    retry_failed: bool = False
    partial: bool = False

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        """Every method on every problem, problem by problem."""
        shared = (self.n, self.measurements, self.results)
        return tuple(
            Task(method, {"name": name, **problem}, entry, *shared)
            for name, problem in self.problems.items()
            for method, entry in self.methods.items()
        )

    @property
    def folder(self) -> Path:
        """Where the rendered table goes."""
        return place(self.results, self.profile, self.partial)

    def missing(self, task: Task) -> list[int]:
        """The measurements of a task that are still to do."""
        done = [k for k, row in task.rows().items() if not (self.retry_failed and row["status"] != "ok")]
        return [k for k in range(task.measurements) if k not in done]


def load(name: str, profile: str = "demo", words: Iterable[str] = ()) -> PosteriorSpec:
    """A table by the name of its config. Words: method=, problem=, draws=, measurements=, results=, retry_failed=."""
    words = tuple(words)
    node, given = _checked(name), _words(words)
    if profile not in node["profiles"]:
        raise unknown(f"profile of table {name}", profile, node["profiles"])
    chosen = {"draws": node["draws"], **node["profiles"][profile], **given}
    for key in ("draws", "measurements"):
        if type(chosen[key]) is not int or chosen[key] < 2 - (key == "measurements"):
            raise UserError(f"{key} is a whole number from {2 - (key == 'measurements')} on, not {chosen[key]!r}")
    spec = PosteriorSpec(
        name=name,
        title=node["title"],
        profile=profile,
        problems=_picked("problem", node["problems"], given.get("problem")),
        methods=_picked("method", node["methods"], given.get("method")),
        n=chosen["draws"],
        measurements=chosen["measurements"],
        results=Path(str(given.get("results", "results"))),
    )
    return replace(spec, retry_failed=bool(given.get("retry_failed", False)), partial=is_partial(words))


def _checked(name: str) -> dict[str, Any]:
    node = configs.read("table", name)
    absent = [key for key in KEYS if not node.get(key)]
    if absent:
        raise UserError(f"conf/table/{name}.yaml has no {', '.join(absent)}; it needs {', '.join(KEYS)}")
    for method, entry in node["methods"].items():
        if entry.get("does") not in KINDS:
            raise unknown(f"kind (does) of method {method} in conf/table/{name}.yaml", str(entry.get("does")), KINDS)
        for key in entry:
            if key not in ENTRY:
                raise unknown(f"key of method {method} in conf/table/{name}.yaml", str(key), ENTRY)
        for problem in (*entry.get("exact_on", []), *(entry.get("per_problem") or {})):
            if problem not in node["problems"]:
                raise unknown(f"problem of method {method} in conf/table/{name}.yaml", problem, node["problems"])
    return node


def _words(words: Iterable[str]) -> dict[str, Any]:
    import yaml

    known, given = ("method", "problem", "draws", "measurements", "results", "retry_failed"), {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in known:
            raise unknown("option of this table", key, known)
        axis = key in ("method", "problem")
        given[key] = [v.strip() for v in value.split(",") if v.strip()] if axis else yaml.safe_load(value)
        if given[key] in ([], None):
            raise UserError(f"{key}= names nothing: give a value, or leave it out")
    return given


def _picked(kind: str, nodes: dict[str, Any], wanted: list[str] | None) -> dict[str, Any]:
    for name in wanted or []:
        if name not in nodes:
            raise unknown(f"{kind} of this table", name, nodes)
    return {name: node for name, node in nodes.items() if wanted is None or name in wanted}
