"""What nothing asks for in a results folder: what the dead left behind, and cells of no table and no sweep."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sipbench import configs
from sipbench.bench import store
from sipbench.cluster import files, lease, presence
from sipbench.cluster import plan as plans
from sipbench.cluster.presence import Watch
from sipbench.errors import UserError
from sipbench.safety.text import file_word

if TYPE_CHECKING:
    from sipbench.tables.spec import Row, TableSpec

GROUPS = ("dataset", "degradation", "method")  # as the folders of cells lie
EMPTY = "empty"
OLD = 3600.0  # seconds after which a half-written file is nobody's


@dataclass(frozen=True)
class Waste:
    """A file or a folder that nothing asks for, why, and how large it is."""

    path: Path
    why: str
    bytes: int

    def remove(self) -> None:
        """A folder that was empty stays where something was put into it meanwhile."""
        with contextlib.suppress(FileNotFoundError):
            if self.why == EMPTY:
                with contextlib.suppress(OSError):
                    self.path.rmdir()
            elif self.path.is_dir():
                shutil.rmtree(self.path)
            else:
                self.path.unlink()


def wanted(results: Path, tables: Iterable[str] | None = None) -> set[str]:
    """The folders of all cells that a sweep asks for, or a table under any of its profiles.

    Where a cell cannot be named, since its data or its weights are not here, all cells of its dataset, degradation and
    method are wanted: their common folder stands for them. Of a table those cells alone are composed that may be here.
    """
    here = {tuple(folder.relative_to(results).parts[1:4]) for folder in store.cells(results)}
    sweeps = {path.parent.name for file in ("plan.json", "cells.jsonl") for path in results.glob(f"sweeps/*/{file}")}
    found = {cell.folder for name in sweeps for cell in plans.load(results, name).cells if cell.hash}
    for table in configs.names("table") if tables is None else tables:
        for profile in _profiles(table):
            found |= _of_table(table, profile, here)
    return found


def unasked(results: Path, asked: set[str]) -> Iterator[Waste]:
    """Cells that no table and no sweep asks for; what was run by itself is among them: nothing tells it apart.

    One that somebody is at work on is not.
    """
    runs, watch = (results / "runs").resolve(), Watch(results)
    busy = {cell for cell, held in lease.holders(results).items() if not all(map(watch.dead, held.values()))}
    for folder in store.cells(results):
        led_out = folder.resolve() != runs / folder.relative_to(results / "runs")  # a link is not followed
        kept = led_out or folder.name in busy
        if not kept and not {str(folder.relative_to(results)), str(folder.parent.relative_to(results))} & asked:
            yield Waste(folder, "no table and no sweep asks for it", _size(folder))


def leftovers(results: Path) -> Iterator[Waste]:
    """What was left behind by processes that ended. Only what the store and the workers have made is looked at."""
    for path in sorted((results / "runs").glob("*/*/*/*/.*.tmp")):
        if _old(path):
            yield Waste(path, "half written by a process that ended", _size(path))
    yield from _of_workers(results)


def _of_workers(results: Path) -> Iterator[Waste]:
    """Leases and signs of life of workers that are gone for sure."""
    watch, there = Watch(results), {one["worker"]: one for one in presence.everybody(results)}
    for cell, held in lease.holders(results).items():
        folder = results / "leases" / cell
        for key, owner in held.items():
            if watch.dead(owner) or (owner not in there and all(map(_old, folder.glob(f"{key}.*")))):
                for path in sorted(folder.glob(f"{key}.*.lease")):
                    yield Waste(path, "held by a worker that is gone", _size(path))
    for name, said in there.items():
        path = presence.file_of(results, name)
        if presence.gone(said) or _old(path):
            yield Waste(path, "of a worker that is gone", _size(path))
    for folder in ("leases/*", "workers"):
        for path in results.glob(f"{folder}/.*.tmp"):
            if _old(path):
                yield Waste(path, "half written by a process that ended", _size(path))
    for name in files.listed(results / "leases"):
        folder = results / "leases" / name
        if folder.is_dir() and not files.listed(folder):
            yield Waste(folder, EMPTY, 0)


def _profiles(table: str) -> list[str]:
    node = configs.read("table", table)
    return [*(node.get("profiles") or {})]


def _of_table(table: str, profile: str, here: set[tuple[str, ...]]) -> set[str]:
    """The folders of its cells of a dataset, a degradation and a method of which there are cells."""
    from sipbench import tables

    spec = tables.load(table, profile)
    planned = [(pair, row) for pair in spec.pairs for row in spec.rows if row.exists]
    kept = [spec.entry(*pair, row) for pair, row in planned if _may_be(spec, pair, row, here)]
    found = set()
    for cell in {id(cell): cell for entry in kept for cell in entry.cells}.values():
        try:
            found.add(str(cell.folder.relative_to(cell.results)))
        except UserError:
            found.add("/".join(["runs", *map(file_word, cell.names)]))
    return found


def _may_be(spec: TableSpec, pair: tuple[str, str], row: Row, here: set[tuple[str, ...]]) -> bool:
    """Whether a cell of this entry may be among those that are here, told by the names that its words give it."""
    words = [*spec.tasks[pair[1]].words, *spec.words, *row.words, *row.per_problem.get(pair[1], ())]
    if any(word.partition("=")[0].endswith("name") for word in words):
        return True
    chosen = {"dataset": pair[0], "method": row.method}
    chosen |= {key: value for key, _, value in (word.partition("=") for word in words) if key in GROUPS}
    names = [_name(group, chosen.get(group, "")) for group in GROUPS]
    return any(all(name in ("", part) for name, part in zip(names, parts, strict=True)) for parts in here)


@cache
def _name(group: str, choice: str) -> str:
    """What a config calls itself, as folders bear it; nothing where only composing tells."""
    name = (configs.read(group, choice) if choice in configs.names(group) else {}).get("name")
    return file_word(name) if isinstance(name, str) and "$" not in name else ""


def _old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > OLD
    except OSError:
        return False


def _size(path: Path) -> int:
    inside = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in inside)
