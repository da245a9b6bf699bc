"""Which tables are shown: those whose CSV lies in results/PROFILE, and what is stored of those that are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sipbench import configs, tables
from sipbench.errors import UserError, unknown
from sipbench.tables.read import is_long
from sipbench.tables.spec import TableSpec


@dataclass(frozen=True)
class Found:
    """A table to show.

    Attributes:
        title: its own.
        csv: its file, if it is there.
        beside: other files of it, such as curves.
        spec: what it asks for; None where its CSV has columns of its own and there is nothing to ask.
    """

    name: str
    profile: str
    title: str
    csv: Path | None
    beside: tuple[Path, ...]
    spec: TableSpec | None


def found(names: Sequence[str], profiles: Sequence[str], results: Path) -> list[Found]:
    """The tables that are there, in the order of their names; one that is named must be."""
    for name in names:
        if name not in tables.names():
            raise unknown("table", name, tables.names())
    known = {profile for name in tables.names() for profile in _profiles(name)}
    for profile in profiles:
        if profile not in known:
            raise unknown("profile", profile, sorted(known))
    every = [one for name in names or _first(tables.names()) for one in _of(name, profiles, results, named=bool(names))]
    lost = [name for name in names if name not in {one.name for one in every}]
    if lost:
        raise UserError(f"nothing is there of {lost[0]} below {results}: sipbench table {lost[0]} computes it")
    if not every:
        part = results / "partial"
        more = f"; those in {part}, of which something was changed, are not shown" if part.is_dir() else ""
        raise UserError(f"no table is there below {results}: sipbench table table1 computes one{more}")
    return every


def _of(name: str, profiles: Sequence[str], results: Path, *, named: bool) -> Iterator[Found]:
    for profile in _profiles(name):
        if profiles and profile not in profiles:
            continue
        path = results / profile / f"{name}.csv"
        csv, title = path if path.is_file() else None, str(configs.read("table", name).get("title") or name)
        beside = tuple(sorted(path.parent.glob(f"{name}-*.csv")))
        if csv and not _is_long(csv, named):
            yield Found(name, profile, title, csv, beside, None)
            continue
        spec = tables.load(name, profile, [f"results={results}"])
        if csv or (named and _stored(spec)):
            yield Found(name, profile, title, csv, beside, spec)


def _is_long(csv: Path, named: bool) -> bool:
    """Whether it has the long form. One that cannot be read is left to whoever shows it, unless it was named."""
    try:
        return is_long(csv)
    except UserError:
        if named:
            raise
        return False


def _first(names: list[str]) -> list[str]:
    """Table 1 before the others."""
    return sorted(names, key=lambda name: name != "table1")


def _profiles(name: str) -> list[str]:
    return list(configs.read("table", name).get("profiles") or {})


def _stored(spec: TableSpec) -> bool:
    """Whether rows are stored of any of its cells."""
    return any(any(cell.folder.glob("rows-*.parquet")) for entry in spec.entries() for cell in entry.cells)
