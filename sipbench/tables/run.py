"""`sipbench table`: compute what a table lacks, then print and write it."""

from __future__ import annotations

import sys
import time
from typing import Any

from sipbench import metrics, tables
from sipbench.bench import damage
from sipbench.bench.cell import Cell
from sipbench.bench.index import stored
from sipbench.bench.rescore import score_stored
from sipbench.bench.run import run
from sipbench.configs import Overrides
from sipbench.errors import UserError
from sipbench.report.progress import Progress
from sipbench.report.wandb import log_stored, session
from sipbench.tables import workers
from sipbench.tables.views import show, text
from sipbench.training.learned import prepare


def run_table(name: str, words: list[str]) -> int:
    """Exit code 0 where every cell that can be measured is; 1 where images failed; 2 where something is lacking."""
    profile, others = Overrides(words).take("profile", "demo")
    jobs, others = others.take("jobs", "auto")
    compute, others = others.take("compute", "true")
    if compute not in ("true", "false"):
        raise UserError(f"compute is true or false, not {compute!r}")
    spec = tables.load(name, profile, others)
    lacking = tables.missing(spec)
    if lacking:
        raise UserError("\n  ".join([f"{name} with profile {spec.profile} lacks:", *lacking]))
    for metric in spec.metrics.values():
        metrics.available(metric, download=True)
    for note in tables.notes(spec):
        print(note, file=sys.stderr)
    left = tables.pending(spec)
    todo = left if compute == "true" else []
    began = time.monotonic()
    beside = workers.chosen(jobs, str(spec.setting(*spec.pairs[0]).device), len(todo))
    if beside > 1:
        workers.compute((name, profile, list(others)), todo, beside)
    else:
        _one_by_one(todo)
    cells = {cell.hash: cell for entry in spec.entries() for cell in entry.cells}.values()
    rows = stored(cells)
    scored = sum(score_stored(cell, rows=rows[cell.folder]) for cell in cells)
    for cell in cells:
        if cell.hash not in {done.hash for done, _ in todo}:
            log_stored(cell)
    if todo:
        print(f"{len(todo)} cells in {time.monotonic() - began:.0f} s", file=sys.stderr)
    elif left:
        print(f"{len(left)} cells are still to do", file=sys.stderr)
    elif not scored:
        print("everything is done already", file=sys.stderr)
    if scored:
        print(f"{scored} stored results scored, without solving", file=sys.stderr)
    frame = tables.collect(spec)
    if said := damage.summary(spec.setting(*spec.pairs[0]).results):
        print(said, file=sys.stderr)
    paths = show(spec, frame)
    own = text(spec, frame)
    _print(tables.render_text(spec, frame)) if own is None else print(own)
    print("written: " + ", ".join(str(p) for p in paths))
    return int(bool(frame["failed"].fillna(0).gt(0).any()))


def _one_by_one(todo: list[tuple[Cell, int]]) -> None:
    progress, failed = Progress([(cell.method["name"], n) for cell, n in todo]), []
    for cell, _ in todo:
        try:
            if cell.recipe:
                prepare(cell, lambda line: print(line, file=sys.stderr, flush=True))
        except Exception as error:  # what cannot be trained is told of, and the others go on
            failed.append(f"{cell.label}: {type(error).__name__}: {error}")
            continue
        progress.cell(cell.label)
        with session(cell) as log:
            for rows in run(cell, progress.step):
                progress.landed(rows)
                log.batch(rows)
    progress.close()
    if failed:
        raise UserError("\n  ".join([workers.LEFT, *failed]))


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console()
    Console(width=console.width if console.is_terminal else 160).print(table)
