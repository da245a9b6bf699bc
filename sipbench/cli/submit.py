"""`sipbench submit`: freeze what is asked for and send workers to do it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sipbench.configs import Overrides
from sipbench.errors import UserError
from sipbench.safety.text import counted, visible

if TYPE_CHECKING:
    from sipbench.cluster.plan import Plan

HELP = """\
sipbench submit TABLE [key=value ...] +launcher=local|slurm|srun|ray workers=K     send K equal workers, and be done
sipbench submit -m key=value,value ... +launcher=... workers=K

  +launcher=local             processes of this machine, which go on when the terminal is closed
  +launcher=slurm             one job array; hours=4 cpus=4 gpus=1 mem_gb=16 partition= account= qos= constraint=,
                              setup="a line of shell", and any option of sbatch as slurm.NAME=VALUE: slurm.exclude=node3
  +launcher=srun              tasks of the allocation that this shell is in
  +launcher=ray               actors of a Ray cluster (ray start --head): cpus= gpus= of each, address=auto
  workers=2                   how many; they share the cells batch by batch, and more may join later: sipbench work NAME
  workers_per_gpu= threads= until= idle= isolate=     of each worker: sipbench work --help
  +launcher=slurm workers=0   freeze the cells, and send nothing

The cells are written to results/sweeps/NAME as they are now; a worker refuses one that has changed since. What is sent
needs nothing of this process: log out if you like. Sent again, it does only what is missing.

Example:  sipbench submit table1 profile=paper +launcher=slurm workers=8 hours=12 partition=gpu
"""
WORK = ("workers_per_gpu", "threads", "until", "idle", "isolate")


def main(words: list[str]) -> int:
    """Send the workers, and say what was sent and what to type next."""
    from sipbench.cli.hydra import expand
    from sipbench.cluster import slurm
    from sipbench.cluster.asked import plan_of
    from sipbench.cluster.share import whole
    from sipbench.cluster.status import status
    from sipbench.cluster.submit import KNOWN, Wish, check, send

    flags = [word for word in words if word in ("-m", "--multirun")]
    named = [word for word in words if "=" not in word and word not in flags]
    typed = Overrides([word for word in words if "=" in word])
    engine, typed = typed.take("launcher")
    many, typed = typed.take("workers", "2")
    if engine is None:
        raise UserError(f"where to? +launcher={'|'.join(KNOWN)}")
    own = [name for name in typed.keys if name in (*slurm.OPTIONS, "address") or name.startswith("slurm.")]
    options = {name: typed.get(name, "") for name in own}
    check(engine, options)
    workers = 0 if many == "0" else whole("workers", many)
    work = tuple(word for word in typed if word.partition("=")[0] in WORK)
    plan = plan_of([*flags, *named, *typed.without(*own, *WORK)], expand)
    if status(plan).code == 0:
        print(f"{plan.name}: everything is done already")
        return 0
    _say_refused(plan)
    workers = min(workers, sum(len(cell.batches) for cell in plan.cells))  # one more would find nothing to do
    sent = send(plan, engine, Wish(workers, work, options)) if workers else None
    if sent is None:
        plan.freeze()
    images = sum(len(cell.images) for cell in plan.cells)
    print(f"{plan.name}: {counted(len(plan.cells), 'cell')}, {counted(images, 'image')}, frozen in {plan.folder}")
    if sent is not None:
        print(f"sent: {sent.what}\nlogs:   {plan.folder / 'logs'}\ncancel: {sent.cancel}")
    where = f" results={plan.results}" if any(word.startswith("results=") for word in words) else ""
    print(f"watch:  sipbench status {plan.name}{where}")
    return 0


def _say_refused(plan: Plan) -> None:
    """The cells that nobody can do, as they lack something, told of before anything is sent; a mistake if all do."""
    refused = [cell for cell in plan.cells if cell.refused]
    if not refused:
        return
    first = f"{refused[0].label}, seed {refused[0].seed}: {refused[0].refused}"
    more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
    said = f"{counted(len(refused), 'cell')} cannot be done: {first}{more}"
    if len(refused) == len(plan.cells):
        raise UserError(said)
    print(f"sipbench: {visible(said)}", file=sys.stderr)
