"""One job: what is missing of a cell is done, here or on a node of a cluster."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.bench import validate
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.errors import UserError, of_launcher
from sipbench.safety.text import counted

if TYPE_CHECKING:
    from sipbench.bench.turn import Turn

EXPLAINS = ("residual_ratio", "residual")  # in units of the noise, where its level is known
NOT_APPLICABLE = 3  # beside the exit codes 1 and 2 in a job's note: no mistake, the method cannot do this cell


def run(cell: Cell) -> str:
    """Do what is missing of a cell, telling how far it is, and sum it up.

    What is stored and lacks a score is scored; a log that was asked for is of all that is stored.
    """
    from sipbench.bench import store
    from sipbench.bench.rescore import score_stored
    from sipbench.report.wandb import log_stored

    store.remove_leftovers(cell.folder)
    scored = score_stored(cell)
    if todo := store.missing(cell, retry_failed=cell.retry_failed):
        validate.servable(cell.dataset, todo)
        _train(cell)
        failed = _solve(cell, len(todo))
        bad = f", {failed} of them failed" if failed else ""
        return f"{cell.label}: {counted(len(todo), 'image')} done{bad}{scores(cell)}; rows in {cell.folder}"
    log_stored(cell)
    more = f", {scored} of them scored now" if scored else ""
    return f"{cell.label}: already done: {counted(len(cell.images), 'image')}{more}{scores(cell)}"


def _train(cell: Cell) -> None:
    """What its recipe asks for and is not there yet; what cannot be done at all is said before."""
    if cell.recipe:
        from sipbench.bench.run import Bench
        from sipbench.training.learned import prepare

        Bench.of(cell)
        prepare(cell)


def _solve(cell: Cell, count: int) -> int:
    """Solve what is missing, and wait for what others are at work on; the number of images that failed."""
    from sipbench.bench.run import run as run_batches
    from sipbench.cluster.turn import Turn
    from sipbench.report.progress import Progress
    from sipbench.report.wandb import session

    progress = Progress([(cell.method["name"], count)])
    turn = Turn.of(cell.results)
    batches = run_batches(cell, progress.step, turn=turn)
    progress.cell(cell.label)
    failed = 0
    try:
        with turn.seen(cell.label), session(cell) as log:
            for rows in chain(batches, _waited(cell, progress.step, turn)):
                progress.landed(rows)
                log.batch(rows)
                failed += sum(row["status"] != "ok" for row in rows)
    finally:
        progress.close()
    return failed


def _waited(cell: Cell, report: Callable[[int, int], None], turn: Turn) -> Iterator[list[dict[str, Any]]]:
    """What of a cell was left to others, when they are done with it: nothing, unless they are gone."""
    from sipbench.bench.run import run as run_batches

    if images := turn.left.get(cell.hash):
        yield from run_batches(cell, report, images, turn=turn.patient())


def run_cell(cfg: Any) -> None:
    """One job of a sweep, wherever it runs. Why it failed is left beside its logs for the one who sent it."""
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get()
    if "SUBMITIT_LOCAL_JOB_ID" in os.environ:  # by Ctrl-C its driver ends it, in the background of a script too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        print(run(_of_sweep(Cell.of(cfg, list(job.overrides.task)), job)), flush=True)
    except Exception as error:
        if of_launcher(error):
            raise
        mistake = isinstance(error, UserError)
        if not mistake:
            traceback.print_exc()
        reason = str(error) if mistake else f"{type(error).__name__}: {error}"
        code = NOT_APPLICABLE if isinstance(error, NotApplicable) else 2 if mistake else 1
        _leave(note(Path(job.sweep.dir), job.job.num), json.dumps([code, reason]))


def _of_sweep(cell: Cell, job: Any) -> Cell:
    """The cell, its log among those of its sweep: they share a group and a tag, which are named after its folder."""
    where = Path(job.sweep.dir)
    name = f"sweep-{where.parent.name}-{where.name}"[:64]
    tags = [*(cell.wandb.get("tags") or ()), name]
    return replace(cell, wandb={**cell.wandb, "group": cell.wandb.get("group") or name, "tags": tags})


def note(logs: Path, number: int | str) -> Path:
    """Where the job of that number leaves why it failed."""
    return logs / f"failed-{number}.json"


def _leave(path: Path, text: str) -> None:
    """Leave a note; where the disk takes none, standard error has it, and the store shows what is missing."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"sipbench: {path}: {error.strerror}: {text}", file=sys.stderr, flush=True)


def scores(cell: Cell) -> str:
    """The means over the images that succeeded, to be read after a label. Without a truth how well y is explained.

    A mean of some of them says of how many; a metric that has no value on any is n/a.
    """
    from sipbench.bench import store

    rows = store.read(cell.folder)
    rows = rows[rows["image"].isin(cell.images) & (rows["status"] == "ok")]
    if not len(rows):
        return ""
    wanted = cell.metrics if cell.paired or not cell.measured else ()
    found = {n: rows[n].dropna() for n in (*cell.metrics, *EXPLAINS, "seconds") if n in rows and rows[n].notna().any()}
    explains = [] if set(cell.metrics) & set(found) else [name for name in EXPLAINS if name in found][:1]
    shown = [name for name in (*cell.metrics, *explains, "seconds") if name in found or name in wanted]
    return "".join(f", {name} {_mean(found.get(name), len(rows))}" for name in shown)


def _mean(values: Any, solved: int) -> str:
    if values is None:
        return "n/a"
    return f"{values.mean():.4g}" + (f" (of {len(values)})" if len(values) < solved else "")
