"""Quality by the number of training images, read from the store: a line a problem, method, n and subset.

A table sweeps `recipe.images`; its seeds are the subsets. A row whose cells train nothing is the same for every n, and
stands once, at n = 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.lesson import Lesson
from sipbench.datasets.base import ENDLESS
from sipbench.tables import images
from sipbench.tables.spec import Entry, Row, TableSpec
from sipbench.training.loop import Schedule

if TYPE_CHECKING:
    import pandas as pd

Array = Any
FACTS = ("training_seconds", "seconds", "width", "parameters", "steps", "best_step", "cell")


@dataclass(frozen=True)
class Point:
    """A method at one n, trained on one subset.

    Attributes:
        problem: as it is without the sweep.
        n: training images: see `shown`; 0 where nothing is trained.
        subset: the seed, which also draws the noise of the test images.
        values: the table's first measure of each test image, by its index.
        facts: what the training and the solving took.
    """

    problem: tuple[str, str]
    row: Row
    n: int
    subset: int
    values: pd.Series
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Growth:
    """A method on a problem: the whole points that it has, and the rectangle of them that its curve is made of.

    Attributes:
        n: the numbers of images, of the subset that has most of them; [0] where nothing is trained.
        subsets: those that have all of these.
    """

    row: Row
    points: tuple[Point, ...]

    @cached_property
    def n(self) -> list[int]:
        by_subset = [[p.n for p in self.points if p.subset == s] for s in dict.fromkeys(p.subset for p in self.points)]
        return sorted(max(by_subset, key=len))

    @cached_property
    def subsets(self) -> list[int]:
        known = {(p.subset, p.n) for p in self.points}
        return [s for s in dict.fromkeys(p.subset for p in self.points) if all((s, n) in known for n in self.n)]

    @property
    def trained(self) -> bool:
        return self.n != [0]

    def values(self, n: list[int] | None = None, subsets: list[int] | None = None) -> Array:
        """(n, subsets, images). What trains nothing has the same for every n."""
        import numpy as np

        n, subsets = self.n if n is None else n, self.subsets if subsets is None else subsets
        found = {(p.n, p.subset): p.values.sort_index().to_numpy() for p in self.points}
        return np.array([[found[k if self.trained else 0, s] for s in subsets] for k in n])

    def widths(self) -> list[str]:
        """Of each n the width that was chosen, or those of the subsets where these differ: `8/16/16`."""
        facts = {(p.n, p.subset): p.facts.get("width") for p in self.points}
        chosen = [[str(facts[n, s]) for s in self.subsets if facts[n, s]] for n in self.n]
        return ["/".join(own if len(set(own)) > 1 else own[:1]) for own in chosen if own]

    def mean_fact(self, name: str) -> list[float]:
        """Of each n, over the subsets."""
        facts = {(p.n, p.subset): p.facts.get(name) or 0.0 for p in self.points}
        return [sum(float(facts[n, s]) for s in self.subsets) / len(self.subsets) for n in self.n]


def points(spec: TableSpec) -> list[Point]:
    """Of all problems and rows, in the table's order, those of which every image has a value, and none failed."""
    kept, seen, found = images.stored(spec), set[str](), []
    for entry in spec.entries():
        for cell in entry.cells:
            rows = kept[entry.key]
            own = rows[rows["seed"] == cell.seed]
            values = images.values(own, entry.row.column(spec.measures[0], own))
            whole = len(values) == len(own) == len(cell.images)
            if whole and cell.hash + entry.row.name not in seen:
                seen.add(cell.hash + entry.row.name)
                found.append(_point(spec, entry, cell, own, values))
    return found


def growths(spec: TableSpec) -> dict[tuple[str, str], list[Growth]]:
    """By problem, the methods that have points, in the table's order."""
    found: dict[tuple[str, str], dict[str, list[Point]]] = {}
    for point in points(spec):
        found.setdefault(point.problem, {}).setdefault(point.row.name, []).append(point)
    return {
        problem: [Growth(row, tuple(rows[row.name])) for row in spec.rows if row.name in rows]
        for problem, rows in found.items()
    }


def title(spec: TableSpec, problem: tuple[str, str]) -> str:
    """How a problem is headed without its sweep."""
    task = next(t.of or t for t in spec.tasks.values() if (t.of or t).name == problem[1])
    cell = next(spec.setting(*pair) for pair in spec.pairs if (spec.tasks[pair[1]].of or spec.tasks[pair[1]]) is task)
    return task.title or cell.degradation.get("title", task.name)


def table(spec: TableSpec) -> pd.DataFrame:
    """The points in long form; low and high are the 95 % interval of a point's mean over the images."""
    import pandas as pd

    from sipbench.tables.collect import summary

    records = []
    for p in points(spec):
        mean, half = summary(p.values)
        data, told = learned_from(p.row), knows(p.row)
        names = {"dataset": p.problem[0], "problem": p.problem[1], "method": p.row.name, "title": p.row.title}
        value = {spec.measures[0].column: mean, "low": mean - half, "high": mean + half, "images": len(p.values)}
        said = {"family": p.row.family, "knowledge": told, "data": data}
        records.append(names | {"n": p.n, "subset": p.subset} | value | said | dict(p.facts))
    columns = ["dataset", "problem", "method", "title", "n", "subset", spec.measures[0].column, "low", "high", "images"]
    return pd.DataFrame(records, columns=[*columns, "family", "knowledge", "data", *FACTS])


def shown(lesson: Lesson) -> int:
    """How many training images: of all as many as there are, or as it is shown where they are drawn without end.

    A memory has as many as it is made for.
    """
    if lesson.images is not None:
        return lesson.images
    count, schedule = len(lesson.split("train")), Schedule.of(lesson.schedule)
    if lesson.objective == "memory":
        return min(int(lesson.network["count"]), count)
    return count if count < ENDLESS else schedule.steps * schedule.batch_size


def learned_from(row: Row) -> str:
    """What it learned from: pairs, images, or none."""
    data = configs.read("method", row.method).get("data") or {}
    return "none" if data.get("from", "none") == "none" else "pairs" if data.get("pairs") else "images"


def knows(row: Row) -> str:
    """What its solver is told, and what its training saw beside the images."""
    known = configs.read("method", row.method).get("knowledge") or {}
    said = [
        ("told", [*(known.get("told") or []), *(known.get("where_told") or [])]),
        ("trained for", known.get("in_training")),
    ]
    return "; ".join(f"{how} {' and '.join(what)}" for how, what in said if what) or "nothing"


def _point(spec: TableSpec, entry: Entry, cell: Cell, rows: Any, values: Any) -> Point:
    task = spec.tasks[entry.degradation]
    n = next(map(shown, cell.lessons.values()), 0)
    problem = entry.dataset, (task.of or task).name
    own = rows["cell"].iloc[0] if "cell" in rows else cell.hash
    return Point(problem, entry.row, n, cell.seed, values, dict(_facts(rows)) | {"cell": own})


def _facts(rows: Any) -> Iterator[tuple[str, Any]]:
    """Of all its parts together: seconds and parameters; of the first the width, and how long it was trained."""
    yield "seconds", float(rows["seconds"].mean())
    if "training" not in rows or rows["training"].isna().all():
        return
    yield "training_seconds", float(rows["training_seconds"].iloc[0])
    parts = _parts(rows["training"].iloc[0])
    one = next(iter(parts.values()), {})
    widths = {int(width): loss for width, loss in (one.get("widths") or {}).items() if loss is not None}
    yield "width", min(widths, key=widths.__getitem__) if widths else None
    yield "parameters", sum(part.get("parameters") or 0 for part in parts.values())
    yield "steps", one.get("step")
    yield "best_step", one.get("best_step")


def _parts(told: Any) -> dict[str, Any]:
    """What a row says of its trainings; nothing where that cannot be read."""
    try:
        found = json.loads(told)
    except (TypeError, ValueError, RecursionError):
        return {}
    good = isinstance(found, dict) and all(isinstance(part, dict) for part in found.values())
    return found if good else {}
