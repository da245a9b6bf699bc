"""The exact-posterior table as Markdown and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.tables.collect import summary
from sipbench.tables.posterior import KINDS, PosteriorSpec, Task
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd

BLANK = "–"
Record = dict[str, Any]
FIGURES = {  # of a row: the heading and the decimals
    "ratio": ("W/floor", 2),
    "distance": ("W", 4),
    "mmse_gap": ("MMSE gap, dB", 2),
    "inside50": ("inside 50 %", 2),
    "inside90": ("inside 90 %", 2),
    "coverage50": ("coverage 50 %", 2),
    "coverage90": ("coverage 90 %", 2),
}
COSTS = ("evaluations", "seconds", "floor")


def collect(spec: PosteriorSpec, reasons: Mapping[tuple[str, str], str | None]) -> list[Record]:
    """One record a (problem, method): means over the measurements with half widths of their 95 % intervals.

    reasons: by (method, problem), why there is nothing to measure, or None.
    """
    return [_record(task, reasons[task.method, task.name]) for task in spec.tasks]


def _record(task: Task, reason: str | None) -> Record:
    import numpy as np

    rows = [] if reason else list(task.rows().values())
    good = [row for row in rows if row["status"] == "ok"]
    absent = "not yet" if not task.exists else "n/a" if reason else ""
    failures = "; ".join(dict.fromkeys(row["reason"] for row in rows if row["status"] != "ok"))
    record: Record = {
        "problem": task.name,
        "method": task.method,
        "title": task.title,
        "kind": KINDS[task.kind],
        "status": absent or ("ok" if good else "failed" if rows else "to do"),
        "reason": reason or failures,
        "why": task.entry.get("why", ""),
        "n": len(good),
        "failed": len(rows) - len(good),
        "todo": 0 if reason else task.measurements - len(rows),
    }
    for name in (*FIGURES, *COSTS):
        mean, ci95 = summary(np.array([row[name] for row in good], dtype=float))
        record |= {name: mean, f"{name}_ci95": ci95}
    return record


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """The table in wide form, one row a (problem, method)."""
    import pandas as pd

    return pd.DataFrame(list(records))


def write(spec: PosteriorSpec, records: Sequence[Record]) -> list[Path]:
    """Write NAME.md and NAME.csv into results/PROFILE."""
    table = frame(records).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    texts = {"md": render(spec, records), "csv": table}
    return [write_text(spec.folder / f"{spec.name}.{ending}", text) for ending, text in texts.items()]


def render(spec: PosteriorSpec, records: Sequence[Record]) -> str:
    """What the numbers mean, the distances at a glance, a section a problem, what is not there and why."""
    parts = [f"# {spec.title}", _bullets(heading(spec, records)), "## At a glance: W/floor", _glance(spec, records)]
    for name, problem in spec.problems.items():
        parts += [f"## {problem.get('title', name)}", _sheet([r for r in records if r["problem"] == name])]
    parts += ["## What theory says", _bullets([f"{task.title}: {_theory(task)}" for task in _methods(spec)])]
    if lines := _absent(records):
        parts += ["## What is not there", _bullets(lines)]
    return "\n\n".join(parts) + "\n"


def heading(spec: PosteriorSpec, records: Sequence[Record]) -> list[str]:
    """How the numbers came about and what they mean."""
    problems = [r for r in records if r["problem"] in spec.problems and r["n"]]
    floors = {r["problem"]: f"{r['problem']} {r['floor']:.4f}" for r in problems}
    return [
        f"{spec.n} draws of each of {spec.measurements} measurements a problem; mean ± half width of the 95 % "
        "confidence interval of the mean over measurements (Student t). Double precision.",
        "W: sliced Wasserstein distance (of order 2, the same random directions for all) to exact draws of the "
        "posterior, in coordinates where the posterior has unit covariance. "
        f"floor: that between two sets of exact draws ({', '.join(floors.values()) or 'not measured yet'}).",
        "MMSE gap: squared error to expect of the mean of the draws over that of the posterior mean, in dB; what a "
        "mean of so many draws misses by chance is taken off.",
        "inside: how many of the draws lie in the exact posterior's highest-density set of 50 or 90 %; 0.50 and 0.90 "
        "are right, more is crowded round the mode, less is off or too wide.",
        "coverage: how much of the exact posterior lies in the draws' central interval of 50 or 90 %, pixel by pixel; "
        "less is too narrow or off, more is too wide.",
        "NFE: network evaluations a draw. s: seconds for all draws of a measurement.",
    ]


def _glance(spec: PosteriorSpec, records: Sequence[Record]) -> str:
    """A row a method, a column a problem; bold where theory says that it samples the posterior."""
    head = ["Method", *spec.problems]
    lines = [head, ["---", *("---:" for _ in spec.problems)]]
    for task in _methods(spec):
        own = {r["problem"]: r for r in records if r["method"] == task.method}
        values = [_value(own[name], "ratio") for name in spec.problems]
        exact = [own[name]["kind"] == KINDS["samples"] and own[name]["n"] for name in spec.problems]
        marked = [f"**{v}**" if is_exact else v for v, is_exact in zip(values, exact, strict=True)]
        lines.append([task.title, *marked])
    return f"Bold: theory says that it samples the posterior here.\n\n{_table(lines)}"


def _sheet(records: Sequence[Record]) -> str:
    head = ["Method", "In theory it", *(title for title, _ in FIGURES.values()), "NFE", "s"]
    lines = [head, ["---", "---", *("---:" for _ in head[2:])]]
    for r in records:
        figures = [_value(r, name) for name in FIGURES]
        costs = [f"{r['evaluations']:.0f}", f"{r['seconds']:.2f}"] if r["n"] else [BLANK, BLANK]
        lines.append([r["title"], r["kind"], *figures, *costs])
    return _table(lines)


def _value(record: Record, name: str) -> str:
    """mean ± half width, or why there is none."""
    if not record["n"]:
        return record["status"]
    places, ci95 = FIGURES[name][1], record[f"{name}_ci95"]
    mean = _fixed(record[name], places)
    return f"{mean} ± {_fixed(ci95, places)}" if ci95 == ci95 else mean


def _fixed(value: float, places: int) -> str:
    """With so many decimals, or as 1e+06 where it is far off."""
    return f"{value:.{places}f}" if abs(value) < 1000 else f"{value:.0e}"


def _methods(spec: PosteriorSpec) -> list[Task]:
    """One task a method, on the first problem."""
    return list(spec.tasks[: len(spec.methods)])


def _theory(task: Task) -> str:
    exact = task.entry.get("exact_on", [])
    where = f"{KINDS['samples']} ({', '.join(exact)}), elsewhere {KINDS[task.entry['does']]}" if exact else ""
    return f"{where or KINDS[task.entry['does']]}. {task.entry.get('why', '')}".rstrip()


def _absent(records: Sequence[Record]) -> list[str]:
    """What has no numbers and why, one line a reason."""
    reasons: dict[str, list[str]] = {}
    for r in records:
        if r["status"] == "not yet":
            reasons.setdefault(f"not yet: {r['reason']}", []).append(r["title"])
        elif r["status"] == "n/a":
            reasons.setdefault(f"n/a: {r['reason']}", []).append(f"{r['title']} ({r['problem']})")
        elif r["failed"]:
            count = f"{r['failed']} of {r['n'] + r['failed']}"
            reasons.setdefault(f"failed: {r['reason']}", []).append(f"{r['title']} ({r['problem']}, {count})")
        elif r["todo"]:
            reasons.setdefault("to do: run the table again to go on", []).append(f"{r['title']} ({r['problem']})")
    return [f"{reason}: {', '.join(dict.fromkeys(names))}" for reason, names in reasons.items()]


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
