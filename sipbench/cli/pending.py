"""Hydra's sweeper, told what to send: the jobs that are pending alone, and all of them, whatever becomes of each."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sipbench.bench import processes


@contextmanager
def sending(jobs: Sequence[Sequence[str]]) -> Iterator[None]:
    """Inside, a sweep is these jobs, numbered from 0, in batches of the size that its config sets.

    Left to itself the sweeper sends every combination again, stops at the first batch of which a job is lost, and
    waits for no job behind that one. Here all are sent and waited for; then the first error is raised.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from submitit import Job

    lost: list[Exception] = []
    sweep, results = BasicSweeper.sweep, Job.results

    def every(self: Any, arguments: list[str]) -> list[Any]:
        from omegaconf import OmegaConf

        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        step = self.max_batch_size or len(jobs)
        for begin in range(0, len(jobs), step):
            _judged(self.launcher, [list(job) for job in jobs[begin : begin + step]], begin, lost)
        if lost:
            raise lost[0]
        return []

    def waited(self: Any) -> list[Any]:
        try:
            return results(self)
        except Exception as error:  # said when the others are done
            lost.append(error)
            return [None]

    BasicSweeper.sweep, Job.results = every, waited
    try:
        yield
    except KeyboardInterrupt as error:
        if error.args:
            _end_local()
        raise
    finally:
        BasicSweeper.sweep, Job.results = sweep, results


def _end_local() -> None:
    """Ctrl-C for the jobs on this machine, where a signal ended their driver alone; a terminal tells them itself.

    Each is a process that waits for one that works. What began in the background of a script is deaf to Ctrl-C until it
    works: it holds nothing yet.
    """
    for waiting in processes.children(os.getpid()):
        if "submitit" in (processes.command(waiting) or ""):
            for pid in processes.children(waiting):
                _end(pid, signal.SIGKILL if processes.ignores(pid, signal.SIGINT) else signal.SIGINT)
            _end(waiting, signal.SIGINT)


def _end(pid: int, number: int) -> None:
    with suppress(OSError):
        os.kill(pid, number)


def _judged(launcher: Any, jobs: list[list[str]], begin: int, lost: list[Exception]) -> None:
    """Launch a batch; what went wrong with a job, or with all of them, is kept."""
    try:
        returned = launcher.launch(jobs, initial_job_idx=begin)
    except Exception as error:
        lost.append(error)
        return
    for job in returned:
        try:
            _ = job.return_value if job is not None else None
        except Exception as error:
            lost.append(error)
