"""Sending workers: a plan is frozen, so many equal workers are started on it, and who sent them may go.

Each engine starts the same command, `sipbench work NAME`; none has to outlive this process, and none is asked later.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sipbench.cluster import slurm
from sipbench.cluster.plan import Plan
from sipbench.cluster.share import whole
from sipbench.errors import UserError, unknown
from sipbench.safety.text import counted


@dataclass(frozen=True)
class Sent:
    """What was started, and what to type to watch and to end it."""

    what: str
    cancel: str


@dataclass(frozen=True)
class Wish:
    """How many workers, and what each may have.

    Attributes:
        work: further words for `sipbench work`.
        options: of the engine, by name.
    """

    workers: int
    work: tuple[str, ...]
    options: dict[str, str]


def check(engine: str, options: Iterable[str]) -> None:
    """Refuse an engine that is not known, and an option that is not one of its."""
    if engine not in ENGINES:
        raise unknown("launcher", engine, ENGINES)
    known = KNOWN[engine]
    for name in options:
        if name not in known and not (engine == "slurm" and name.startswith("slurm.")):
            raise unknown(f"option of +launcher={engine}", name, known)


def send(plan: Plan, engine: str, wish: Wish) -> Sent:
    """Freeze the plan and start its workers."""
    plan.freeze()
    plan.begin_anew()
    (plan.folder / "logs").mkdir(exist_ok=True)
    return ENGINES[engine](plan, wish)


def command(plan: Plan, wish: Wish) -> list[str]:
    """What a worker runs."""
    return [sys.executable, "-m", "sipbench.cli", "work", plan.name, f"results={plan.results}", *wish.work]


def environment() -> dict[str, str]:
    """The surroundings of a worker: this package is found wherever it starts."""
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _local(plan: Plan, wish: Wish) -> Sent:
    """Processes of this machine that share its cores; they go on when the terminal is closed."""
    from sipbench.cluster.share import cores

    own = [] if any(word.startswith("threads=") for word in wish.work) else [f"threads={_share(cores(), wish)}"]
    started = [_detached([*command(plan, wish), *own], plan, f"local-{n}") for n in range(wish.workers)]
    numbers = " ".join(str(process) for process in started)
    return Sent(f"{counted(len(started), 'worker')} on this machine, processes {numbers}", f"kill {numbers}")


def _srun(plan: Plan, wish: Wish) -> Sent:
    """Tasks of the allocation that this shell is in."""
    if shutil.which("srun") is None:
        raise UserError("there is no srun here: +launcher=srun is for a shell on a SLURM cluster")
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError("this shell is in no allocation: salloc first, or use +launcher=slurm")
    line = ["srun", f"--ntasks={wish.workers}", "--kill-on-bad-exit=0", *command(plan, wish)]
    process = _detached(line, plan, "srun")
    return Sent(f"{wish.workers} tasks of job {os.environ['SLURM_JOB_ID']}, by process {process}", f"kill {process}")


def _slurm(plan: Plan, wish: Wish) -> Sent:
    jobs = slurm.submit(plan, wish.workers, command(plan, wish), wish.options, environment())
    numbers = " ".join(jobs)
    workers = counted(wish.workers, "worker")
    return Sent(f"{workers}, job {numbers}; squeue -j {','.join(jobs)} shows them", f"scancel {numbers}")


def _ray(plan: Plan, wish: Wish) -> Sent:
    from sipbench.cluster import ray_actors

    name = ray_actors.submit(plan, wish.workers, command(plan, wish), wish.options, environment())
    where = f" {wish.options['address']}" if "address" in wish.options else ""
    stop = f"{sys.executable} -m sipbench.cluster.ray_actors {name} {wish.workers}{where}"
    return Sent(f"{wish.workers} actors of Ray, {name}-0 and on", stop)


def _share(cores: int, wish: Wish) -> int:
    each = next((w.partition("=")[2] for w in wish.work if w.startswith("workers_per_gpu=")), "1")
    return max(1, cores // (wish.workers * whole("workers_per_gpu", each)))


def _detached(line: list[str], plan: Plan, name: str) -> int:
    """A process that outlives this one and its terminal, its output in the logs of the plan."""
    with open(plan.folder / "logs" / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment()
        )
    return process.pid


ENGINES: dict[str, Callable[[Plan, Wish], Sent]] = {"local": _local, "slurm": _slurm, "srun": _srun, "ray": _ray}
KNOWN: dict[str, tuple[str, ...]] = {
    "local": (),
    "slurm": slurm.OPTIONS,
    "srun": (),
    "ray": ("cpus", "gpus", "address"),
}
