"""`sipbench status`: what of a sweep or a table is done, running, failed and missing."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from sipbench.errors import UserError
from sipbench.safety.text import counted, line, visible

if TYPE_CHECKING:
    from pathlib import Path

    from sipbench.cluster.status import Standing, Status, Worker

HELP = """\
sipbench status [SWEEP | TABLE key=value ... | -m key=value,value ...] [--json]     how far it is

  SWEEP                       the name that sipbench submit printed; without any word every sweep, a line each
  TABLE [profile=demo] ...    the cells of a table; -m and words: all combinations
  results=FOLDER              the folder that the workers share
  --json                      all of it, for programs

It reads files and asks no queue: use it on any machine that sees the folder, while workers run or after.
Exit code 0: all is done; 1: images failed or are missing; 2: a mistake, or a cell that cannot be done as it is.

Example:  sipbench status table1 profile=paper
"""
SHOWN = 20  # cells of a kind that are printed


def main(words: list[str]) -> int:
    """Print it; the exit code is that of the results."""
    from sipbench.cli.hydra import expand
    from sipbench.cluster import plan as plans
    from sipbench.cluster.asked import plan_of
    from sipbench.cluster.status import status

    as_json, damaged, own = "--json" in words, False, [word for word in words if word != "--json"]
    if [word for word in own if not word.startswith("results=")]:
        found = [status(plan_of(own, expand))]
    else:
        results = plans.results_of(own)
        names = plans.names(results)
        if not names:
            raise UserError(f"nothing was submitted in {results}: name a table, or -m and the words of a sweep")
        found = [one for name in names if (one := _readable(results, name)) is not None]
        damaged = len(found) < len(names)
    alone = len(found) == 1 and not damaged
    if as_json:
        print(json.dumps(found[0].plain() if alone else [one.plain() for one in found], indent=2))
    else:
        for one in found:
            _tell(one, whole=alone)
    return 2 if damaged else max(one.code for one in found)


def _readable(results: Path, name: str) -> Status | None:
    """How far a sweep is; of one that is damaged that is said, and it keeps no other from being told of."""
    from sipbench.cluster import plan as plans
    from sipbench.cluster.status import status

    try:
        return status(plans.load(results, name))
    except UserError as error:
        print(f"sipbench: {visible(error)}", file=sys.stderr)
        return None


def _tell(one: Status, *, whole: bool) -> None:
    counts = ", ".join(f"{one.total(what)} {what}" for what in ("done", "failed", "running", "missing"))
    beyond = sum(cell.state == "n/a" for cell in one.cells)
    print(
        f"{line(one.name)}: {counted(len(one.cells), 'cell')}, {counted(one.total('images'), 'image')}: {counts}"
        + _beyond(beyond)
        + _left(one)
    )
    if n := one.total("changed"):
        said = "done by other code than was submitted: see their column source_changed"
        print(f"{counted(n, 'image')} {'was' if n == 1 else 'were'} {said}")
    if not whole:
        return
    for worker in one.workers:
        _worker(worker)
    for state in ("running", "missing", "failed", "mistake", "n/a"):
        cells = [cell for cell in one.cells if cell.state == state]
        if cells:
            print(state)
        for cell in cells[:SHOWN]:
            print(f"  {_cell(cell)}")
        if len(cells) > SHOWN:
            print(f"  ... and {counted(len(cells) - SHOWN, 'cell')} more")


def _beyond(cells: int) -> str:
    return f"; {counted(cells, 'cell')} n/a" if cells else ""


def _left(one: Status) -> str:
    seconds = one.seconds_left
    if not one.total("missing") + one.total("running") or seconds is None:
        return ""
    return f"; about {_time(seconds)} of solving for " + (f"the {one.hands} at work" if one.hands else "one worker")


def _worker(worker: Worker) -> None:
    job = f", job {worker.job}" if worker.job else ""
    quiet = f", silent for {_time(worker.silent)}" if worker.silent > 60 else ""
    done = counted(worker.images, "image")
    print(f"worker {worker.name} on {worker.host}{job}: {done} in {_time(worker.since)}{quiet}")
    for one in worker.doing:
        step = f", step {one['step']} of {one['of']}" if "step" in one else ""
        print(f"  {one['label']}: for {_time(one['seconds'])}{step}")


def _cell(cell: Standing) -> str:
    counts = [f"{getattr(cell, what)} {what}" for what in ("done", "failed", "running", "missing")]
    said = ", ".join(text for text in counts if not text.startswith("0 "))
    return ": ".join(filter(None, [f"{cell.label}, seed {cell.seed}", said, cell.reason]))


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
