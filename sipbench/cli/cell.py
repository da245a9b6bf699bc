"""One job: what is missing of a cell is done, here or on a node of a cluster."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

from sipbench.bench.cell import Cell, NotApplicable
from sipbench.errors import UserError

NOT_APPLICABLE = 3  # beside the exit codes 1 and 2 in a job's note: no mistake, the method cannot do this cell


def run(cell: Cell) -> str:
    """Do what is missing of a cell, telling how far it is, and sum it up."""
    from sipbench.bench import run as bench
    from sipbench.bench import store
    from sipbench.report.progress import Progress
    from sipbench.report.wandb import session

    todo = store.missing(cell, retry_failed=cell.cfg["retry_failed"])
    if not todo:
        return f"{cell.label}: already done: {len(cell.images)} images{_scores(cell)}"
    progress = Progress([(cell.method["name"], len(todo))])
    batches = bench.run(cell, progress.step)
    progress.cell(cell.label)
    try:
        with session(cell) as log:
            for rows in batches:
                progress.landed(rows)
                log.batch(rows)
    finally:
        progress.close()
    return f"{cell.label}: {len(todo)} images done{_scores(cell)}; rows in {cell.folder}"


def run_cell(cfg: Any) -> None:
    """One job of a sweep, wherever it runs. Why it failed is left beside its logs for the one who sent it."""
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get()
    try:
        print(run(Cell.of(cfg, list(job.overrides.task))), flush=True)
    except Exception as error:
        if of_launcher(error):
            raise
        mistake = isinstance(error, UserError)
        if not mistake:
            traceback.print_exc()
        reason = str(error) if mistake else f"{type(error).__name__}: {error}"
        code = NOT_APPLICABLE if isinstance(error, NotApplicable) else 2 if mistake else 1
        note(Path(job.sweep.dir), job.job.num).write_text(json.dumps([code, reason]), encoding="utf-8")


def note(logs: Path, number: int | str) -> Path:
    """Where the job of that number leaves why it failed."""
    return logs / f"failed-{number}.json"


def of_launcher(error: BaseException) -> bool:
    """Whether a launcher raised it: submitit's signals among others, which no one else may swallow."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name.split(".")[0] in ("submitit", "hydra_plugins") for name in (type(error).__module__, *frames[-1:]))


def _scores(cell: Cell) -> str:
    from sipbench.bench import store

    rows = store.read(cell.folder)
    rows = rows[rows["image"].isin(cell.images) & (rows["status"] == "ok")]
    names = [n for n in (*cell.cfg["metrics"], "seconds") if n in rows and rows[n].notna().any()]
    return "".join(f", {name} {rows[name].mean():.4g}" for name in names)
