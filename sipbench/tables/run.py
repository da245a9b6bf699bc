"""`sipbench table`: compute what a table lacks, then print and write it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sipbench import metrics, tables
from sipbench.bench import damage
from sipbench.bench.cell import Cell
from sipbench.bench.index import stored
from sipbench.bench.rescore import score_stored
from sipbench.bench.run import run
from sipbench.bench.turn import Alone, Turn
from sipbench.configs import Overrides
from sipbench.errors import UserError, unknown
from sipbench.report.progress import Progress
from sipbench.report.wandb import log_stored, session
from sipbench.report.wandb_table import log_table
from sipbench.safety.text import are, counted
from sipbench.tables import as_published, views, workers
from sipbench.tables.views import show, text
from sipbench.training.learned import prepare


def run_table(name: str, words: list[str], turns: Callable[[Path], Turn] = lambda results: Alone()) -> int:
    """Exit code 0 where all that can be measured is; 1 where images failed or are to do; 2 where something is lacking.

    `turns` says of a results folder how to be one of several that work on it.
    """
    profile, others = Overrides(words).take("profile", "demo")
    jobs, others = others.take("jobs", "auto")
    compute, others = others.take("compute", "true")
    measured, others = others.take("measured", "all")
    keeps, others = others.take("kept", "false")
    if compute not in ("true", "false"):
        raise UserError(f"compute is true or false, not {compute!r}")
    if measured not in ("all", "none"):
        raise UserError(f"measured is all or none, not {measured!r}; none shows the published numbers alone")
    if keeps not in ("true", "false"):
        raise UserError(f"kept is true or false, not {keeps!r}")
    chosen, others = others.take("views", "")
    spec = replace(tables.load(name, profile, others), keeps=keeps == "true")
    if chosen:
        spec = replace(spec, views=tuple(_view(word.strip()) for word in chosen.split(",")))
    if measured == "none":
        return _as_published(spec)
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
    _computed((name, profile, list(others)), todo, beside, turns(spec.setting(*spec.pairs[0]).results))
    cells = {cell.hash: cell for entry in spec.entries() for cell in entry.cells}.values()
    rows = stored(cells)
    scored = sum(score_stored(cell, rows=rows[cell.folder]) for cell in cells)
    for cell in cells:
        if cell.hash not in {done.hash for done, _ in todo}:
            log_stored(cell)
    if todo:
        print(f"{counted(len(todo), 'cell')} in {time.monotonic() - began:.0f} s", file=sys.stderr)
    elif left:
        print(f"{counted(len(left), 'cell')} {are(len(left))} still to do", file=sys.stderr)
    elif not scored:
        print("everything is done already", file=sys.stderr)
    if scored:
        print(f"{scored} stored results scored, without solving", file=sys.stderr)
    frame = tables.collect(spec)
    if said := damage.summary(spec.setting(*spec.pairs[0]).results):
        print(said, file=sys.stderr)
    paths = show(spec, frame)
    setting = spec.setting(*spec.pairs[0])
    log_table(spec.name, spec.profile, frame, paths, setting.wandb, setting.results)
    own = text(spec, frame)
    _print(tables.render_text(spec, frame)) if own is None else print(own)
    print("written: " + ", ".join(str(p) for p in paths))
    return int(any(bool(frame[name].fillna(0).gt(0).any()) for name in ("failed", "todo")))


def _view(name: str) -> str:
    if name not in views.names():
        raise unknown("view", name, views.names())
    return name


def _as_published(spec: tables.TableSpec) -> int:
    paths = as_published.write(spec)
    print(paths[0].read_text(encoding="utf-8"))
    print("written: " + ", ".join(map(str, paths)))
    return 0


def _computed(table: workers.Table, todo: list[tuple[Cell, int]], beside: int, turn: Turn) -> None:
    """Do what is to do, one cell after the other or so many beside each other."""
    if todo:
        with turn.seen(f"table {table[0]}", beside):
            if beside > 1:
                workers.compute(table, todo, beside, turn)
            else:
                _one_by_one(todo, turn)


def _one_by_one(todo: list[tuple[Cell, int]], turn: Turn) -> None:
    """What others have is left to them; when nothing else is to do, it is waited for."""
    progress, failed = _progress(todo), []
    for cell, _ in todo:
        try:
            if cell.recipe:
                prepare(cell, lambda line: print(line, file=sys.stderr, flush=True))
        except Exception as error:  # what cannot be trained is told of, and the others go on
            failed.append(f"{cell.label}: {type(error).__name__}: {error}")
            continue
        _solve(cell, cell.images, progress, turn)
    progress.close()
    if left := [(cell, turn.left[cell.hash]) for cell, _ in todo if cell.hash in turn.left]:
        progress = _progress([(cell, len(images)) for cell, images in left])
        for cell, images in left:
            _solve(cell, images, progress, turn.patient())
        progress.close()
    if failed:
        raise UserError("\n  ".join([workers.LEFT, *failed]))


def _progress(todo: Sequence[tuple[Cell, int]]) -> Progress:
    return Progress([(cell.method["name"], n) for cell, n in todo])


def _solve(cell: Cell, images: Sequence[int], progress: Progress, turn: Turn) -> None:
    progress.cell(cell.label)
    with session(cell) as log:
        for rows in run(cell, progress.step, images, turn=turn):
            progress.landed(rows)
            log.batch(rows)


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console()
    Console(width=console.width if console.is_terminal else 160).print(table)
