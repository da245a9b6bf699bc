"""What a table asks for: its rows, its columns, and a cell for each of them, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.cells import Cells
from sipbench.bench.index import stored
from sipbench.bench.lacks import absent, files, unfit
from sipbench.tables import kept
from sipbench.tables.measures import Measure
from sipbench.tables.place import place
from sipbench.tables.published import Published


@dataclass(frozen=True)
class Theory:
    """What theory says of a sampler's draws.

    Attributes:
        does: samples, other or optimises, where `exact_on` does not say that it samples the posterior.
        exact_on: the problems whose posterior it samples.
    """

    does: str
    exact_on: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the table: a method, maybe with words of its own, or a part of what a method's cell stores.

    Attributes:
        name: how the long form and `method=` name it; a plain row bears the name of its method.
        published: its name in the published file, if it is in there.
        method: the method's config.
        named: how it is printed, or None for the method's own title.
        words: the overrides that are its own.
        part: measures are read from the columns PART_measure, or, if empty, from the measure's own.
        per_problem: the overrides that are its own on each problem.
        theory: what is said of it beforehand, for a view that shows it.
    """

    name: str
    family: str
    published: str | None = None
    method: str = ""
    named: str | None = None
    words: tuple[str, ...] = ()
    part: str = ""
    per_problem: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    theory: Theory | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", self.method or self.name)

    def column(self, measure: Measure, known: Iterable[str] = ()) -> str:
        """The column of the stored rows that a measure of this row stands in.

        What a run costs is shared by its parts, unless the rows know what a part costs.
        """
        own = f"{self.part}_{measure.column}"
        return own if self.part and (not measure.shared or own in known) else measure.column

    @property
    def exists(self) -> bool:
        """Whether its solver is here already."""
        return self.method in configs.names("method")

    @cached_property
    def title(self) -> str:
        own = configs.read("method", self.method).get("title") if self.exists else None
        return self.named or own or self.published or self.name


@dataclass(frozen=True)
class Task:
    """A problem of the table: a degradation, with what is changed of it.

    Attributes:
        title: how a sheet is headed, or None for the degradation's own title.
        words: the overrides that make it.
        dataset: the only dataset that it is for, if it is for one.
        against: the problem of the same images that it is held against.
        swept: what the table's sweep sets of it, by the last part of the word's key: `sigma` of noise.sigma.
        of: the problem that was swept, as it is without.
        seeds: those that it averages, if not the table's.
    """

    name: str
    title: str | None = None
    words: tuple[str, ...] = ()
    dataset: str | None = None
    swept: Mapping[str, Any] = field(default_factory=dict)
    against: str | None = None
    of: Task | None = None
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One (dataset, degradation, method): its cells, one a seed, or why it has none.

    Attributes:
        status: "ok", "not yet" (no such solver) or "n/a" (it cannot run here).
        reason: why, where there are no cells.
    """

    dataset: str
    degradation: str
    row: Row
    cells: tuple[Cell, ...] = ()
    status: str = "ok"
    reason: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it in a table."""
        return self.dataset, self.degradation, self.row.name

    @property
    def cell(self) -> Cell | None:
        """The cell of the first seed."""
        return self.cells[0] if self.cells else None


@dataclass(frozen=True)
class TableSpec:
    """A table under one of its profiles.

    Attributes:
        measures: what is shown of the stored rows: metrics, then further columns.
        tasks: the problems by name.
        words: overrides of every cell.
        notes: what else is to be known, a line each.
        views: how it is shown, by the names of sipbench/tables/views.
        references: the rows that a view asks of every other row when it passes them.
        overrides: what was typed beyond the table's own choices.
        partial: whether something that was typed changes what it shows.
        keeps: whether cells that the store has not are shown by the scores that lie beside the table.
    """

    name: str
    title: str
    profile: str
    headings: str
    measures: tuple[Measure, ...]
    datasets: tuple[str, ...]
    tasks: dict[str, Task]
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    published: Published
    overrides: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    views: tuple[str, ...] = ("grid",)
    references: tuple[str, ...] = ()
    partial: bool = False
    keeps: bool = False

    @property
    def metrics(self) -> dict[str, str]:
        """The headings that are metrics, and the metric that each stands for."""
        return {m.heading: m.metric for m in self.measures if m.metric}

    @property
    def degradations(self) -> tuple[str, ...]:
        """The names of the problems."""
        return tuple(self.tasks)

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every (dataset, problem), dataset by dataset."""
        own = list(dict.fromkeys(task.dataset for task in self.tasks.values() if task.dataset))
        shared = [d for d in self.datasets if d not in own or any(t.dataset is None for t in self.tasks.values())]
        return tuple(
            (dataset, name)
            for dataset in dict.fromkeys([*shared, *own])
            for name, task in self.tasks.items()
            if task.dataset == dataset or (task.dataset is None and dataset in self.datasets)
        )

    def setting(self, dataset: str, degradation: str) -> Cell:
        """What all methods of one problem share; its method means nothing."""
        return self._settings[dataset, degradation]

    def seeds_of(self, degradation: str) -> tuple[int, ...]:
        """The seeds that a problem averages."""
        return self.tasks[degradation].seeds or self.seeds

    def settings(self) -> list[Cell]:
        """What the methods share, problem by problem."""
        return [self.setting(*pair) for pair in self.pairs]

    def problem_title(self, dataset: str, degradation: str, *, with_dataset: bool = True) -> str:
        """How a problem is headed: by its own title or its degradation's, and by its dataset's unless it is in that."""
        cell = self.setting(dataset, degradation)
        title = self.tasks[degradation].title or cell.degradation.get("title", degradation)
        of = str(cell.source.get("title", dataset))
        return f"{title}, {of}" if with_dataset and of.lower() not in str(title).lower() else title

    def published_as(self, dataset: str, degradation: str) -> str | None:
        """The name of the published dataset that stands for this one: the same data at the same size."""
        cell = self.setting(dataset, degradation)
        name = cell.source.get("published")
        return name if name in self.published.datasets and cell.size == self.published.size else None

    def published_value(self, published_dataset: str | None, degradation: str, row: Row, heading: str) -> float:
        """A published number, or NaN; a degradation that was changed by hand has none."""
        if published_dataset is None or any(o.lstrip("+~").startswith("degradation.") for o in self.overrides):
            return float("nan")
        node = next(self.setting(*pair) for pair in self.pairs if pair[1] == degradation).degradation
        sigma = node["noise"].get("sigma", float("nan"))
        return self.published.value(published_dataset, node.get("published"), sigma, row.published, heading)

    def words_of(self, dataset: str, degradation: str, row: Row, seed: int) -> list[str]:
        """What to type after `sipbench` for a cell of it."""
        mine = [f"method={row.method}", f"seed={seed}", *row.words, *row.per_problem.get(degradation, ())]
        return [*self._words(dataset, degradation), *mine, *self.overrides]

    @property
    def folder(self) -> Path:
        """Where the rendered table goes."""
        return place(self.setting(*self.pairs[0]).results, self.profile, self.partial)

    def kept_of(self, row: Row, cell: Cell) -> Any:
        """The rows that lie beside the table and answer what a cell asks, where there is one for every image."""
        return kept.of(self._kept, row.name, cell) if self.keeps else None

    @cached_property
    def _kept(self) -> kept.Lines:
        whole = place(self.setting(*self.pairs[0]).results, self.profile, partial=False)
        return kept.read(kept.beside(whole, self.name))

    @cached_property
    def _settings(self) -> dict[tuple[str, str], Cell]:
        more = [f"seed={self.seeds[0]}", *self.overrides]
        return {pair: self._made(_not_of_a_method([*self._words(*pair), *more])) for pair in self.pairs}

    @cached_property
    def planned(self) -> tuple[Entry, ...]:
        """Every entry, whether or not what it needs is here."""
        return tuple(self.entry(*pair, row) for pair in self.pairs for row in self.rows)

    def entries(self) -> list[Entry]:
        """Every entry; one that cannot run here says why. Looked up once: load the table again to look again."""
        return list(self._entries)

    def named(self) -> list[tuple[Cell, list[str]]]:
        """Every cell whose files are here with the words that compose it, each once; the first seeds come first."""
        placed = [(i, cell) for entry in self.planned for i, cell in enumerate(entry.cells)]
        here = [cell for _, cell in sorted(placed, key=lambda one: one[0]) if next(files(cell), None) is None]
        words = {id(cell): words for words, cell in self._cells.items()}
        return list({cell.hash: (cell, list(words[id(cell)])) for cell in here}.values())

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        lacks = {id(cell): absent(cell) for entry in self.planned for cell in entry.cells}
        here = [cell for entry in self.planned for cell in entry.cells if not lacks[id(cell)]]
        rows = stored(here)

        def why(cell: Cell) -> str | None:
            return lacks[id(cell)] or unfit(cell, rows[cell.folder])

        def checked(entry: Entry) -> Entry:
            asked = (cell for cell in entry.cells if self.kept_of(entry.row, cell) is None)
            reason = next(filter(None, map(why, asked)), None)
            return replace(entry, cells=(), status="n/a", reason=reason) if reason else entry

        return tuple(map(checked, self.planned))

    def entry(self, dataset: str, degradation: str, row: Row) -> Entry:
        """One entry as it is planned, whether or not what it needs is here."""
        if not row.exists:
            return Entry(dataset, degradation, row, status="not yet", reason="its solver is not part of sipbench yet")
        cells = tuple(self._cell(dataset, degradation, row, seed) for seed in self.seeds_of(degradation))
        return Entry(dataset, degradation, row, cells)

    def _cell(self, dataset: str, degradation: str, row: Row, seed: int) -> Cell:
        words = self.words_of(dataset, degradation, row, seed)
        if (shared := self._cells.get(tuple(words))) is not None:
            return shared
        return self._cells.setdefault(tuple(words), self._made(words))

    @cached_property
    def _cells(self) -> dict[tuple[str, ...], Cell]:
        """What was made already, by its words: rows of one method are often parts of one cell."""
        return {}

    @cached_property
    def _maker(self) -> Cells:
        return Cells()

    def _words(self, dataset: str, degradation: str) -> list[str]:
        return [f"profile={self.profile}", f"dataset={dataset}", *self.tasks[degradation].words, *self.words]

    def _made(self, words: list[str]) -> Cell:
        return self._maker.of(words, self.metrics.values())


def _not_of_a_method(overrides: Iterable[str]) -> list[str]:
    return [o for o in overrides if not o.lstrip("+~").startswith("method.")]
