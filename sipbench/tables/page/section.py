"""A table as the page has it: its numbers from the store, or from its CSV where that knows more of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sipbench import configs
from sipbench.report.page import model
from sipbench.report.page.pictures import Drawn
from sipbench.tables import images
from sipbench.tables.collect import collect
from sipbench.tables.learning import knows, learned_from
from sipbench.tables.measures import COSTS, SECONDS, Measure
from sipbench.tables.page import cells, charts, galleries
from sipbench.tables.page.find import Found
from sipbench.tables.read import read_long
from sipbench.tables.sheets import Record, records
from sipbench.tables.spec import Entry, Row, TableSpec
from sipbench.tables.views.pairs import against
from sipbench.tables.wording import heading, published, remarks

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Collected:
    """A table whose pictures are still to be packed, and what the page says of its cells."""

    whole: model.Table
    drawn: tuple[Drawn, ...]
    cells: tuple[model.Cell, ...]

    @property
    def charts(self) -> tuple[model.Chart, ...]:
        return self.whole.charts

    def table(self, packed: Sequence[model.Gallery]) -> model.Table:
        return replace(self.whole, galleries=tuple(packed))


def collected(found: Found) -> Collected:
    """All that is there of a table."""
    spec = found.spec
    assert spec is not None
    kept = images.stored(spec, along=True)
    df, source = _numbers(found, spec, kept)
    shown = {entry.key: entry for entry in spec.entries() if entry.cells and _same(entry, df) and len(kept[entry.key])}
    own = {key: kept[key] for key in shown}
    measures = tuple(_measure(m) for m in (*spec.measures, *COSTS))
    table = model.Table(
        name=spec.name,
        profile=spec.profile,
        title=spec.title,
        source=source,
        measures=measures,
        problems=tuple(_problem(spec, *pair) for pair in spec.pairs),
        methods=tuple(_method(row) for row in spec.rows),
        entries=tuple(_entries(spec, df)),
        notes=tuple(heading(spec, df)),
        remarks=tuple(remarks(spec, df)),
        charts=tuple([*charts.along(spec, own), *charts.beside(spec, found.beside)]),
        matrices=tuple(_matrices(spec, kept)) if source == STORE else (),
        published=published(spec) if spec.published.values else "",
    )
    drawn = tuple(galleries.drawn(spec, shown, own))
    return Collected(table, drawn, tuple(cells.told(spec, df, own)))


STORE = "collected from what is stored"


def key(dataset: str, degradation: str) -> str:
    """What names a problem on the page."""
    return f"{dataset}/{degradation}"


def _numbers(found: Found, spec: TableSpec, kept: images.Rows) -> tuple[pd.DataFrame, str]:
    """The long form, and where it comes from."""
    if found.csv is None:
        return collect(spec), STORE
    written = read_long(found.csv)
    known: Any = written[written["mean"].notna()]
    there = set(zip(known["dataset"], known["degradation"], known["method"], strict=True))
    if sum(len(rows) > 0 for rows in kept.values()) >= len(there):
        return collect(spec), STORE
    wanted = {(*pair, row.name) for pair in spec.pairs for row in spec.rows}
    have = set(zip(written["dataset"], written["degradation"], written["method"], strict=True))
    return _with(written, wanted - have, spec), f"read from {found.csv.name}"


def _with(df: Any, lost: Iterable[tuple[str, str, str]], spec: TableSpec) -> pd.DataFrame:
    """The rows that the table asks for; those that the file has not are not computed yet."""
    import pandas as pd

    names = {row.name for row in spec.rows} | set(spec.published.methods)
    known = df[df["method"].isin(sorted(names))]
    blank = {"status": "not computed", "profile": spec.profile, "best_group": False, "n": 0, "failed": 0, "todo": 0}
    more = [
        {"dataset": d, "degradation": p, "method": m, "metric": measure.heading} | blank
        for d, p, m in sorted(lost)
        for measure in (*spec.measures, *COSTS)
    ]
    if not more:
        return known
    texts = dict.fromkeys(("reason", "settings", "device", "cell", "published_dataset"), "")
    return pd.concat([known, pd.DataFrame(more).assign(**texts)], ignore_index=True).astype(dict(known.dtypes))


def _same(entry: Entry, df: Any) -> bool:
    """Whether the numbers that are shown are those of the cells that are stored."""
    own = df[(df["dataset"] == entry.dataset) & (df["degradation"] == entry.degradation)]
    named = set(own[own["method"] == entry.row.name]["cell"])
    return " ".join(cell.hash for cell in entry.cells) in named


def _measure(m: Measure) -> model.Measure:
    better = {True: "higher", False: "lower", None: ""}[m.higher_is_better]
    return model.Measure(m.heading, m.title, m.places, better, m in COSTS)


def _problem(spec: TableSpec, dataset: str, degradation: str) -> model.Problem:
    title = spec.problem_title(dataset, degradation, with_dataset=False)
    source = spec.setting(dataset, degradation).source.get("title", dataset)
    return model.Problem(key(dataset, degradation), dataset, degradation, title, source)


def _method(row: Row) -> model.Method:
    if not row.exists:
        return model.Method(row.name, row.title, row.family, "", "")
    node = configs.read("method", row.method)
    parity = node.get("parity") or {}
    said = ": ".join(str(parity[name]) for name in ("verdict", "note") if parity.get(name))
    return model.Method(
        row.name, row.title, row.family, learned_from(row), knows(row), node.get("citation") or "", said
    )


def _entries(spec: TableSpec, df: pd.DataFrame) -> Iterable[model.Entry]:
    lines: dict[tuple[str, str, str], dict[str, Record]] = {}
    for record in records(df):
        lines.setdefault((record["dataset"], record["degradation"], record["method"]), {})[record["metric"]] = record
    for pair in spec.pairs:
        own = spec.published_as(*pair)
        for row in spec.rows:
            if line := lines.get((*pair, row.name)):
                others = {
                    f"{name}, other images": lines.get((name, pair[1], row.name), {})
                    for name in spec.published.datasets
                }
                yield _entry(spec, pair, row, line, {own: line} if own else others)


def _entry(
    spec: TableSpec, pair: tuple[str, str], row: Row, line: dict[str, Record], published: dict[str, dict[str, Record]]
) -> model.Entry:
    first = next(iter(line.values()))
    count = line.get(SECONDS.heading, first)
    measures = [m for m in (*spec.measures, *COSTS) if m.heading in line]
    scores = {m.heading: _score(m.heading, line, published) for m in measures}
    numbers = {name: int(count[name]) for name in ("n", "failed", "todo", "unconverged")}
    origins = " + ".join(part.partition(":")[0] for part in str(first["settings"]).split("; ") if part)
    return model.Entry(
        problem=key(*pair),
        method=row.name,
        status=str(first["status"]),
        reason=str(first["reason"]),
        origins=origins,
        scores=scores,
        cells=tuple(str(first["cell"]).split()) if isinstance(first["cell"], str) else (),
        **numbers,
    )


def _score(heading: str, line: dict[str, Record], published: dict[str, dict[str, Record]]) -> model.Score:
    record = line[heading]
    others = {name: float(own[heading]["published"]) for name, own in published.items() if heading in own}
    return model.Score(
        mean=float(record["mean"]),
        low=float(record["low"]),
        high=float(record["high"]),
        best=bool(record["best_group"]),
        difference_low=float(record["difference_low"]),
        difference_high=float(record["difference_high"]),
        p=float(record["p_holm"]),
        oracle=float(record["oracle_mean"]),
        published={name: value for name, value in others.items() if value == value},
    )


def _matrices(spec: TableSpec, kept: images.Rows) -> Iterable[model.Matrix]:
    for pair, measure, table in images.together(spec, kept):
        names, found = tuple(str(name) for name in table.columns), against(measure, table)
        entries = tuple(tuple(None if a == b else found[a, b] for b in names) for a in names)
        yield model.Matrix(key(*pair), measure.heading, len(table), names, entries)
