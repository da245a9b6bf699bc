"""`sipbench table`: compute what a table lacks, then print and write it."""

from __future__ import annotations

import sys
import time

from sipbench import bench, tables
from sipbench.errors import UserError
from sipbench.progress import Progress
from sipbench.wandb_log import session


def run_table(name: str, words: list[str]) -> int:
    """Exit code 0 where every cell that can be measured is; 1 where images failed; 2 where something is lacking."""
    spec = tables.load(name, words)
    lacking = tables.missing(spec)
    if lacking:
        raise UserError("\n  ".join([f"{name} with profile {spec.profile} lacks:", *lacking]))
    todo = tables.pending(spec)
    began = time.monotonic()
    progress = Progress([(cell.method["name"], n) for cell, n in todo])
    for cell, _ in todo:
        progress.cell(cell.label)
        with session(cell) as log:
            for rows in bench.run(cell, progress.step):
                progress.landed(rows)
                log.batch(rows)
    progress.close()
    if not todo:
        print("everything is done already", file=sys.stderr)
    else:
        print(f"{len(todo)} cells in {time.monotonic() - began:.0f} s", file=sys.stderr)
    frame = tables.collect(spec)
    paths = tables.write(spec, frame)
    print(tables.render_text(spec, frame))
    print("written: " + ", ".join(str(p) for p in paths))
    return 1 if frame["failed"].fillna(0).sum() else 0
