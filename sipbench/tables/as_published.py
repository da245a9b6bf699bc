"""The published numbers of a table alone, laid out as they were published: no number of ours stands beside them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from sipbench import configs, tables
from sipbench.errors import UserError
from sipbench.metrics import HEADINGS, METRICS
from sipbench.safety.text import markdown, table_row
from sipbench.tables import latex
from sipbench.tables.latex import escape
from sipbench.tables.measures import Measure
from sipbench.tables.sheets import BLANK
from sipbench.tables.spec import TableSpec
from sipbench.tables.views.grid import write_text

Problem = tuple[str, str, float]  # degradation, dataset, noise level: the published names


@dataclass(frozen=True)
class Sheet:
    """What is printed: lines of (title, family, texts), a text for each problem and measure."""

    problems: list[Problem]
    measures: list[Measure]
    lines: list[tuple[str, str, list[str]]]


def write(spec: TableSpec) -> list[Path]:
    """NAME-published.md, .csv and .tex in the folder of the table."""
    if not spec.published.values:
        known = [name for name in tables.names() if configs.read("table", name).get("published")]
        raise UserError(f"no published numbers stand beside {spec.name}; they do beside {', '.join(known)}")
    texts = {"md": _markdown(spec), "csv": _csv(spec), "tex": _latex(spec)}
    return [write_text(spec.folder / f"{spec.name}-published.{ending}", text) for ending, text in texts.items()]


def sheet(spec: TableSpec) -> Sheet:
    """Every number of the published file, as it was printed: problems side by side, a line a method."""
    values = spec.published.values
    problems = list(dict.fromkeys((degradation, dataset, sigma) for dataset, degradation, sigma, *_ in values))
    order = list(dict.fromkeys(problem[0] for problem in problems))
    problems.sort(key=lambda problem: order.index(problem[0]))  # a dataset beside the other
    measures = [_measure(spec, name) for name in dict.fromkeys(key[4] for key in values)]
    families = {row.published: row.family for row in spec.rows if row.published}
    methods = sorted(spec.published.methods, key=lambda name: [*families, name].index(name))
    lines = [
        (name, families.get(name, ""), [_text(spec, p, name, m) for p in problems for m in measures])
        for name in methods
    ]
    return Sheet(problems, measures, lines)


def problem_title(degradation: str) -> str:
    """How a problem is headed, by its published name."""
    for name in configs.names("degradation"):
        node = configs.read("degradation", name)
        if node.get("published") == degradation:
            return str(node.get("title", name))
    return degradation


def _measure(spec: TableSpec, heading: str) -> Measure:
    own = next((m for m in spec.measures if m.heading == heading), None)
    if own is not None:
        return own
    metric = METRICS[HEADINGS[spec.headings][heading]]
    return Measure(heading, heading, 2 if metric.unit == "dB" else metric.places, metric.higher_is_better)


def _text(spec: TableSpec, problem: Problem, method: str, measure: Measure) -> str:
    degradation, dataset, sigma = problem
    value = spec.published.value(dataset, degradation, sigma, method, measure.heading)
    return f"{value:.{measure.places}f}" if value == value else BLANK


def _said(spec: TableSpec, found: Sheet) -> list[str]:
    levels = " and ".join(dict.fromkeys(f"{sigma:g}" for *_, sigma in found.problems))
    size = f"{spec.published.size} × {spec.published.size} pixels"
    said = (
        f"Copied from {spec.published.source}: {size}, noise of {levels}. Nothing here was measured by sipbench, and "
    )
    return [said + "nothing is ranked.", *([spec.published.note] if spec.published.note else [])]


def _columns(found: Sheet) -> Iterator[tuple[Problem, Measure]]:
    return ((problem, measure) for problem in found.problems for measure in found.measures)


def _markdown(spec: TableSpec) -> str:
    found = sheet(spec)
    heads = [f"{problem_title(p[0])}, {p[1]}: {m.title}" for p, m in _columns(found)]
    rows = [["Method", "Family", *heads], ["---", "---", *("---:" for _ in heads)]]
    rows += [[title, family, *texts] for title, family, texts in found.lines]
    said = "\n".join(f"- {markdown(line)}" for line in _said(spec, found))
    return f"# {markdown(spec.title)}: as published\n\n{said}\n\n" + "\n".join(map(table_row, rows)) + "\n"


def _csv(spec: TableSpec) -> str:
    found, stream = sheet(spec), io.StringIO()
    out = csv.writer(stream, lineterminator="\n")
    out.writerow(["method", "family", *(f"{p[1]} {p[0]} {m.heading}" for p, m in _columns(found))])
    out.writerows([title, family, *("" if t == BLANK else t for t in texts)] for title, family, texts in found.lines)
    return stream.getvalue()


def _latex(spec: TableSpec) -> str:
    found = sheet(spec)
    wide, each = len(found.measures), len(found.problems)
    tops = [[(problem_title(p[0]), wide) for p in found.problems], [(p[1], wide) for p in found.problems]]
    head = [_spanning(row) for row in tops]
    head.append(" & ".join(["Method", *(escape(m.title) for _ in range(each) for m in found.measures)]) + r" \\")
    groups = [
        [[escape(title), *map(escape, texts)] for title, _, texts in group]
        for _, group in groupby(found.lines, key=lambda line: line[1])
    ]
    said = _said(spec, found)
    caption = f"{escape(spec.title)}: as published. {' '.join(map(escape, said))}"
    body = latex.tabular(f"l{'r' * wide * each}", head, groups)
    return latex.page([f"{spec.title}: as published", *said], [latex.float_(caption, [body])])


def _spanning(row: list[tuple[str, int]]) -> str:
    """A line of headings, each over its columns; what stands side by side under one heading shares it."""
    parts, rules, at = [""], [], 2
    for title, group in groupby(row, key=lambda one: one[0]):
        wide = sum(n for _, n in group)
        parts.append(rf"\multicolumn{{{wide}}}{{c}}{{{escape(title)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + wide - 1}}}")
        at += wide
    return " & ".join(parts) + r" \\ " + " ".join(rules)
