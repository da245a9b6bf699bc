"""One process that works on a plan until nothing is left, its time is up, or it is told to stop.

It runs under a supervisor, which gives signs of life for it and sees how it ends: SIGUSR2 says to take no further
batch, SIGINT or SIGTERM to stop at once. What is finished is stored in any case.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

from sipbench.bench import isolated, record, store
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.identity import CodeChanged
from sipbench.bench.rescore import score_stored
from sipbench.bench.run import run
from sipbench.cluster import lease
from sipbench.cluster import plan as plans
from sipbench.cluster.agenda import Agenda, Job
from sipbench.cluster.plan import Plan, source
from sipbench.cluster.telling import FIRST, HANG, IDLE, ISOLATE, LOADED, UNTIL, WORKER, Teller, say
from sipbench.errors import UserError
from sipbench.report.wandb import log_stored
from sipbench.safety.text import visible

ATTEMPTS = 3  # that may end their process; then the batch has failed
HUNG = "hung"  # how the reason begins of one whose time is no one's to give
PAUSE = 2.0  # seconds between two looks at what others hold


class Labour:
    """The work on a plan.

    Attributes:
        until: when its time is up, on the clock `time.monotonic`.
        draining: whether no further batch is to be taken.
        failed: what could not be done, a line each.
    """

    def __init__(self, plan: Plan, teller: Teller) -> None:
        self.plan, self.teller = plan, teller
        self.agenda = Agenda(plan, os.environ[WORKER])
        self.until, self.idle = float(os.environ.get(UNTIL, "inf")), float(os.environ.get(IDLE, "inf"))
        self.draining, self.failed = False, list[str]()
        self._began = os.environ.get(LOADED) or source()
        self._cells, self._took = dict[str, Cell](), dict[str, float]()
        self._apart: isolated.Worker | None = None

    def all(self) -> int:
        """0 where nothing is left that it could do, 75 where its time was up, 2 where nothing can be stored."""
        signal.signal(signal.SIGUSR2, self._drain)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        try:
            return self._until_the_end()
        finally:
            self._let_go()

    def _until_the_end(self) -> int:
        waited = time.monotonic()
        while not self._time_is_up():
            job = self.agenda.next()
            if job is not None:
                if not self._fits(job):
                    job.lease.release()
                    break
                self._do(job)
                waited = time.monotonic()
            elif not self.agenda.left():
                for cell in self.agenda.whole():
                    lease.forget_deaths(self.plan.results / "leases" / cell.hash)
                lease.tidy(self.plan.results, self.agenda.worker, self.agenda.watch)
                return 0
            elif time.monotonic() - waited > self.idle:
                say("what is left is held by others; leaving it to them")
                return 75
            else:
                time.sleep(PAUSE)
        self.teller.tell(left=self.agenda.left())  # for want of time
        return 75

    def _drain(self, number: int, frame: FrameType | None) -> None:
        self.draining = True

    def _time_is_up(self) -> bool:
        return self.draining or time.monotonic() > self.until

    def _fits(self, job: Job) -> bool:
        """Whether a job will be done in time, where one of its cell was timed before."""
        return time.monotonic() + self._took.get(job.cell.hash, 0.0) < self.until

    def _do(self, job: Job) -> None:
        """Do it, and give it back however that ends."""
        began, landed = time.monotonic(), 0
        held = [str(job.lease.folder), job.lease.key, job.lease.number]
        self.teller.tell(hold=held, label=job.label, images=len(job.images), cell=job.cell.hash)
        try:
            cell = self._cell(job)
            self.teller.tell(limit=_limit(job, cell))
            if job.lesson:
                self._train(job, cell)
                lease.forget_deaths(job.lease.folder, job.lease.key)
            elif _hopeless(reasons := lease.deaths(job.lease.folder, job.lease.key)):
                landed = self._give_up(job, cell, reasons)
            else:
                for rows in self._solved(cell, job):
                    landed += len(rows)
                lease.forget_deaths(job.lease.folder, job.lease.key)
            if not job.lesson:
                self._took[job.cell.hash] = max(self._took.get(job.cell.hash, 0.0), time.monotonic() - began)
                self._landed(job, cell)
        except NotApplicable as error:
            self.plan.note(job.cell, "n/a", str(error))
            self.agenda.skip(job.cell, str(error))
        except Exception as error:
            self._refused(job, error)
        finally:
            job.lease.release()
            self.teller.tell(let=landed)
        what = "ended" if job.lesson else f"{landed or 'nothing'} landed"
        say(f"{job.label}: {what}, {time.monotonic() - began:.1f} s", sys.stdout)

    def _cell(self, job: Job) -> Cell:
        """Composed once, and the one that was submitted: one that changed since is refused."""
        if job.cell.hash not in self._cells:
            cell = job.cell.cell(self.plan)
            if change := job.cell.change(cell):
                raise Changed(f"{change} since it was submitted. Submit it again: what is done of it stays")
            cell = replace(cell, isolate=True) if ISOLATE in os.environ else cell
            self._cells = {**dict(list(self._cells.items())[-7:]), job.cell.hash: cell}
        return self._cells[job.cell.hash]

    def _solved(self, cell: Cell, job: Job) -> Iterator[list[dict[str, Any]]]:
        """The rows of a batch; the process of an isolated cell stays for the next batch of the same."""
        if not cell.isolate:
            return run(cell, self.teller.step, job.images, self._marks())
        if self._apart is None or self._apart.cell.hash != cell.hash:
            self._let_go()
            self._apart = isolated.Worker(replace(cell, isolate=False))
        return isolated.run(cell, self.teller.step, job.images, self._marks(), self._apart)

    def _marks(self) -> dict[str, str]:
        """What rows say where other code is on the disk than was submitted: this process may have loaded either."""
        then = self.plan.source
        try:
            now = source()
        except OSError:  # a file of it is being written
            now = "another"
        if now == self._began == then:
            return {}
        later = "" if now == self._began else f", changed to {now} meanwhile"
        return {"source_changed": f"submitted {then}, ran {self._began}{later}"}

    def _let_go(self) -> None:
        if self._apart is not None:
            self._apart.end()
            self._apart = None

    def _train(self, job: Job, cell: Cell) -> None:
        from sipbench.training.learned import train

        lesson = next(one for one in cell.lessons.values() if one.folder(cell.results).name == job.lesson)
        train(lesson, cell.results, cell.device, lambda line: say(line, sys.stdout))

    def _give_up(self, job: Job, cell: Cell, reasons: list[str]) -> int:
        """Rows that say why: the batch has ended the process of everyone who tried it."""
        why = next((r for r in reasons if r.startswith(HUNG)), "")
        why = why or f"its solver ended its process {len(reasons)} times: it {reasons[-1]}"
        images = [i for i in job.images if i in self.agenda.landed.left(job.cell)]
        store.prepare(cell)
        store.write(cell, [row | self._marks() for row in record.failures(cell, images, why)])
        lease.forget_deaths(job.lease.folder, job.lease.key)
        return len(images)

    def _landed(self, job: Job, cell: Cell) -> None:
        """After a batch: who finds its cell whole scores what lacks a score, and logs it, once of all workers."""
        self.agenda.tried(job)
        if job.cell.retry_failed:
            self.agenda.landed.forget(job.cell)
            self.plan.once(f"retried-{job.cell.hash}-{job.lease.key}")
        if not store.missing(cell) and self.plan.once(f"logged-{job.cell.hash}"):
            score_stored(cell)
            log_stored(cell)

    def _refused(self, job: Job, error: Exception) -> None:
        """A cell that this worker cannot do is left to others. Where nothing can be stored, it ends."""
        if isinstance(error, CodeChanged):
            error = Changed("its code changed since it was submitted. Submit it again: what is done of it stays")
        mistake = isinstance(error, UserError)
        if not mistake:
            say(traceback.format_exc())
        reason = str(error) if mistake else f"{type(error).__name__}: {error}"
        kind = "changed" if isinstance(error, Changed) else "error"
        say(visible(f"sipbench: {job.label}: {reason}"))
        if mistake and isinstance(error.__cause__, OSError) and "cannot be written" in reason:
            raise error
        concerned = [job.cell]
        if job.lesson:
            concerned = [one for one in self.plan.cells if job.lesson in one.lessons]
        for cell in concerned:
            self.plan.note(cell, kind, reason)
            self.agenda.skip(cell, reason)
        self.failed.append(reason)


def _hopeless(reasons: list[str]) -> bool:
    """Whether a batch is not tried again: it has ended too many processes, or once gone on for ever."""
    return len(reasons) >= ATTEMPTS or any(reason.startswith(HUNG) for reason in reasons)


def _limit(job: Job, cell: Cell) -> float | None:
    """Seconds after which it hangs; None of a batch without a budget, and of a training, which has none."""
    if job.lesson or not cell.budget_seconds:
        return None
    return hang() + 2 * cell.budget_seconds * cell.draws * len(job.images)


def hang() -> float:
    """Seconds that a batch may take beyond twice its budget: for loading, scores, and the last step."""
    return float(os.environ.get(HANG) or 300.0)


class Changed(UserError):
    """A cell is no longer what was submitted."""


def labour(plan: Plan, *, asked_anew: bool) -> int:
    """Of a worker's process: all of its work. With `asked_anew` what could not be done before is tried again."""
    plan.freeze()
    plan = plans.load(plan.results, plan.name)  # of the source that it was frozen with, if that was long ago
    if asked_anew and os.environ.get(FIRST):
        plan.begin_anew()
    try:
        return Labour(plan, Teller()).all()
    except KeyboardInterrupt:
        return 75
    except OSError as error:
        raise UserError(f"{plan.results} cannot be written: {error.strerror or error}") from error


def _stop(number: int, frame: FrameType | None) -> None:
    """Once: a second signal while everything is put away is not heard."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
