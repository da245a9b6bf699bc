"""The rows of all folders as one table: what is sound, about its problems, and scored here.

A row that is the table's own cell, to the hash, bears the table's name for it; any other bears the name of who handed
it in. Cells that are taken are written, with the scores made here, into a results folder of the leaderboard's own, so
that every view of a table and the report work on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.bench import store
from sipbench.cluster.merge import damage, told
from sipbench.errors import UserError
from sipbench.leaderboard.handed import Handed, check, handed, problem, unlike
from sipbench.leaderboard.twice import compared
from sipbench.leaderboard.verify import OURS, Judge, Record, Refused
from sipbench.safety.text import are, counted, line
from sipbench.tables.spec import Entry, Row, TableSpec

NOBODY = "nobody handed it in"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Found:
    """What is to be said of a cell that was handed in: by whom, which, and in one line what."""

    by: str
    cell: str
    said: str


@dataclass(frozen=True)
class Taken:
    """A cell that stands in the table: its rows have scores that were made here."""

    by: str
    pair: Pair
    cell: Handed
    rows: list[Record]


@dataclass
class Gathered:
    """All that was handed in.

    Attributes:
        taken: what stands in the table; of a cell that several handed in, the one with the most images.
        rejected: what does not, and why.
        unverified: what kept no estimates: its scores are claims, and stand in no table.
        twice: what several people handed in, and whether they agree.
        notes: what else is to be known: images that are missing, versions.
    """

    taken: list[Taken] = field(default_factory=list)
    rejected: list[Found] = field(default_factory=list)
    unverified: list[Found] = field(default_factory=list)
    twice: list[Found] = field(default_factory=list)
    notes: list[Found] = field(default_factory=list)


@dataclass(frozen=True)
class Board(TableSpec):
    """A table whose cells others computed."""

    given: tuple[Entry, ...] = ()
    out: Path = Path("leaderboard")

    @cached_property
    def planned(self) -> tuple[Entry, ...]:
        return self.given

    def entries(self) -> list[Entry]:
        return list(self.given)

    @property
    def folder(self) -> Path:
        return self.out


def gather(folders: Sequence[Path], spec: TableSpec) -> Gathered:
    """Look at every cell of every folder."""
    for folder in folders:
        if not (folder / "runs").is_dir():
            raise UserError(f"{folder} is no results folder: it has no folder runs")
    looking, gathered = Looking(spec), Gathered()
    for by, folder in zip(names_of(folders), folders, strict=True):
        for cell in store.cells(folder):
            looking.at(by, folder, cell, gathered)
    gathered.taken = _once(gathered, spec)
    return gathered


def names_of(folders: Sequence[Path]) -> list[str]:
    """Who handed in: the folders' names, with as much of their paths as tells them apart."""
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise UserError("the same folder is named twice")
    for n in range(1, max(len(path.parts) for path in paths) + 1):
        names = [line("/".join(path.parts[-n:])) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{line(path)} ({k})" for k, path in enumerate(paths, 1)]


class Looking:
    """What each cell is held against: the problems of the table, posed here once."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.places = [(pair, seed) for pair in spec.pairs for seed in spec.seeds_of(pair[1])]
        self.problems = {place: problem(spec.setting(*place[0]), place[1]) for place in self.places}
        self.judges = {place: Judge.of(spec.setting(*place[0]), place[1]) for place in self.places}

    def at(self, by: str, folder: Path, cell: Path, gathered: Gathered) -> None:
        """One cell: taken, or named with its reason."""
        label = " / ".join(cell.relative_to(folder / "runs").parts)
        try:
            place, own = self._placed(folder, cell)
            rows, verified = self.judges[place].rows(own)
        except Refused as error:
            gathered.rejected.append(Found(by, label, str(error)))
            return
        if not verified:
            gathered.unverified.append(Found(by, label, _claims(rows, self.judges[place].names)))
            return
        gathered.taken.append(Taken(by, place[0], own, rows))
        lost = len(self.judges[place].cell.images) - len(rows)
        if lost:
            of = f"{counted(n := lost + len(rows), 'image')} {are(n)}"
            gathered.notes.append(Found(by, label, f"{lost} of {of} missing: it is not ranked"))

    def _placed(self, folder: Path, cell: Path) -> tuple[tuple[Pair, int], Handed]:
        """Which problem and seed of the table a cell is of."""
        said, why = told(cell)
        if why:
            raise Refused(why)
        for file in store.files(cell):
            if why := damage(file, cell.name):
                raise Refused(f"{file.name}: {why}")
        try:
            return self._known(said, folder, cell)
        except (TypeError, LookupError, AttributeError, ValueError) as error:  # of a stranger: it may hold anything
            raise Refused("its cell.json cannot be read") from error

    def _known(self, said: Record, folder: Path, cell: Path) -> tuple[tuple[Pair, int], Handed]:
        """By what its cell.json says."""
        dataset, degradation, method, _ = cell.relative_to(folder / "runs").parts
        theirs = dict(said["identity"])
        check(theirs)
        for place, ours in self.problems.items():
            if not unlike(theirs, ours):
                own = handed(self.spec.setting(*place[0]), place[1], method, said, folder)
                if own.folder != cell:
                    raise Refused(f"it lies in the folder of another problem than {own.label}")
                return place, own
        near = [p for p in self.places if self._names(p[0]) == (dataset, degradation)]
        if not near:
            raise Refused(f"no problem of {self.spec.name}: {degradation} on {dataset}")
        raise Refused(f"another problem: {min((unlike(theirs, self.problems[p]) for p in near), key=len)}")

    def _names(self, pair: Pair) -> Pair:
        return self.spec.setting(*pair).names[:2]


def board(spec: TableSpec, gathered: Gathered, out: Path) -> Board:
    """The table of what was taken, with its cells below `out`."""
    own = {cell.hash: entry.row for entry in spec.planned for cell in entry.cells if _here(cell)}
    cells: dict[tuple[str, Pair], list[Handed]] = {}
    rows: dict[str, Row] = {}
    settled: dict[str, Row] = {}  # the row of each setting: its cells of all seeds, and no others, are one
    for one in gathered.taken:
        cell = one.cell.below(out)
        _let_go(cell)
        store.prepare(cell)
        store.write(cell, one.rows)
        row = own.get(cell.hash) or settled.get(cell.setting) or _row(one, {*cells})
        row = settled.setdefault(cell.setting, rows.setdefault(row.name, row))
        cells.setdefault((row.name, one.pair), []).append(cell)
    order = [row.name for row in spec.rows]
    ranked = sorted(rows.values(), key=lambda r: (order.index(r.method) if r.method in order else len(order), r.name))
    given = [_entry(spec, pair, row, cells.get((row.name, pair), []), out) for pair in spec.pairs for row in ranked]
    kept = {f.name: getattr(spec, f.name) for f in fields(TableSpec)}
    notes = (
        *spec.notes,
        "Handed in by others: every score and residual was computed here from the stored estimates. Seconds and "
        "evaluations are as they were handed in, on the devices named, and are no measurement of ours.",
    )
    return Board(**{**kept, "rows": tuple(ranked), "notes": notes}, given=tuple(given), out=out)


def _let_go(cell: Handed) -> None:
    """Remove what an earlier board has written of a cell: it may not be what is handed in now."""
    read = {path: store.table(path, None) for path in store.files(cell.folder, "rows")}
    own = [path for path, rows in read.items() if rows is not None and OURS in rows.column_names]
    for path in (*own, *(store.files(cell.folder, "scores") if own else ())):
        path.unlink(missing_ok=True)


def _entry(spec: TableSpec, pair: Pair, row: Row, cells: list[Handed], out: Path) -> Entry:
    """A row on a problem; a seed that nobody handed in is still to do."""
    if not cells:
        return Entry(*pair, row, status="n/a", reason=NOBODY)
    have = {cell.seed: cell for cell in cells}
    lost = {"identity": {"nobody": row.name, "weights": {}}}
    every = (have.get(s) or handed(spec.setting(*pair), s, row.method, lost, out) for s in spec.seeds_of(pair[1]))
    return Entry(*pair, row, tuple(every))


def _row(one: Taken, used: set[tuple[str, Pair]]) -> Row:
    """A row of who handed it in; a second setting of the same method on a problem bears the hash of a cell, too."""
    method = one.cell.names[2]
    node = configs.read("method", method) if method in configs.names("method") else {}
    name = f"{method} ({one.by})"
    if (name, one.pair) in used:
        name = f"{method} ({one.by}, {one.cell.hash[:8]})"
    title = str(node.get("title") or method)
    return Row(name, str(node.get("family") or "others"), method=method, named=name.replace(method, title, 1))


def _here(cell: Any) -> bool:
    """Whether all that names a cell is here."""
    try:
        return bool(cell.hash)
    except UserError:
        return False


def _once(gathered: Gathered, spec: TableSpec) -> list[Taken]:
    """Each cell once; those that several handed in are compared."""
    found: dict[str, list[Taken]] = {}
    for one in gathered.taken:
        found.setdefault(one.cell.hash, []).append(one)
    for same in found.values():
        for other in same[1:]:
            said = compared(same[0].rows, other.rows, [m for m in spec.metrics.values()])
            gathered.twice.append(
                Found(f"{same[0].by} and {other.by}", f"{other.cell.label} / {other.cell.hash}", said)
            )
    return [max(same, key=_solved) for same in found.values()]


def _solved(one: Taken) -> int:
    return sum(row["status"] == "ok" for row in one.rows)


def _claims(rows: list[Record], names: Sequence[str]) -> str:
    """The means that are claimed where nothing is there to check them by."""
    return "not verified: no estimates are stored" + "".join(_mean(rows, name) for name in names)


def _mean(rows: list[Record], name: str) -> str:
    values = [float(r[name]) for r in rows if r["status"] == "ok" and r.get(name) is not None and r[name] == r[name]]
    return f"; {name} {sum(values) / len(values):.4g} is claimed" if values else ""


def findings(gathered: Gathered) -> Iterator[tuple[str, list[Found]]]:
    """What is said below the table, under its headings."""
    yield "Rejected", gathered.rejected
    yield "Not verified", gathered.unverified
    yield "Handed in twice", gathered.twice
    yield "Incomplete", gathered.notes
