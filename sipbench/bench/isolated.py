"""A cell in a process of its own: what a solver does to its process cannot reach the rest of a sweep.

The process loads the cell once and solves batch after batch. From here it is watched: a solver that ends it, hangs, or
takes more memory than it may costs the images of its batch, which become failed rows with the reason; a new process
goes on with the next batch. Rows are stored here, never there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any

import torch

from sipbench.bench import deaths, forked, memory, record, store
from sipbench.bench.cell import Cell
from sipbench.bench.forked import Started
from sipbench.bench.identity import CodeChanged
from sipbench.bench.turn import Alone, Left, Turn, in_turn

Report = Callable[[int, int], None]
Rows = list[dict[str, Any]]
GRACE = 60.0  # seconds that a solver has beyond its budget, to come to the end of a step
EVERY = 0.05  # seconds between two looks at a process
LOADING = 900.0  # seconds that it may take to load


def run(
    cell: Cell,
    report: Report | None = None,
    images: Collection[int] | None = None,
    marks: Mapping[str, Any] = MappingProxyType({}),
    worker: Worker | None = None,
    turn: Turn | None = None,
) -> Iterator[Rows]:
    """As `sipbench.bench.run.run`, with the solver in a process of its own: the same rows, or failed ones.

    Who asks for one batch after the other hands over the process of the cell, which then stays.
    """
    left = Left(cell, images)
    if not left.batches:
        return iter(())
    stays = worker is not None
    worker = worker or Worker(replace(cell, isolate=False))
    try:
        if not worker.runs:
            worker.start()
        if worker.cell.hash != cell.hash:
            raise CodeChanged.of(cell)
        store.prepare(cell)
    except BaseException:
        worker.end()
        raise
    return _batches(worker, cell, left, report, marks, turn or Alone(), stays)


def _batches(
    worker: Worker, cell: Cell, left: Left, report: Report | None, marks: Mapping[str, Any], turn: Turn, stays: bool
) -> Iterator[Rows]:
    try:
        yield from in_turn(cell, left, lambda batch: worker.rows(batch, report), marks, turn)
    except BaseException:
        worker.end()
        raise
    if not stays:
        worker.end()


class Died(Exception):
    """A process came to its end, or was brought to it; the message says how."""


@dataclass
class Worker:
    """The process of a cell, started anew whenever it is needed and not there.

    Attributes:
        at: what it is at: `loading`, the `solver`, or what comes before and after that.
        since: when that began.
    """

    cell: Cell
    at: str = ""
    since: float = 0.0
    _process: Started | None = None
    _pipe: Connection | None = None
    _faults: Any = None
    _lost: str = ""
    _most: int = field(init=False)

    def __post_init__(self) -> None:
        self._most = memory.size(self.cell.memory_limit) if self.cell.memory_limit else memory.most()

    @property
    def runs(self) -> bool:
        """Whether its process is there, or would not come to life again."""
        return self._process is not None or bool(self._lost)

    @property
    def patience(self) -> float | None:
        """Seconds that what it is at may take; a solver's are for a batch."""
        budget = self.cell.budget_seconds
        solving = self.cell.kill_after or (budget + GRACE if budget else None)
        return {"loading": LOADING, "solver": solving}.get(self.at)

    def start(self) -> None:
        """Start the process and wait until the cell is loaded; what cannot be done at all is raised as it was there."""
        self._faults = tempfile.TemporaryFile()
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = forked.start("sipbench.bench.apart", (theirs.fileno(), self._faults.fileno()))
        self._now("loading")
        try:
            self._send((sys.argv[:1], torch.get_num_threads(), self.cell))
            kind, said = self._answer(None)
        except Died as error:
            self._lost = f"{error}, while its cell was loaded"
            self.end()
            return
        if kind == "refused":
            self.end()
            raise said
        if said != self.cell.hash:
            self.end()
            raise CodeChanged(f"{self.cell.label}: its code or its weights were changed while it ran: start it again")

    def rows(self, images: list[int], report: Report | None) -> Rows:
        """The rows of a batch, from the process; if that dies over it failed ones."""
        if self._process is None and not self._lost:
            self.start()
        if self._lost:  # it died while it was loaded, and would again
            return record.failures(self.cell, images, self._lost)
        try:
            self._now("")
            self._send(images)
            kind, said = self._answer(report)
        except Died as error:
            where, story = deaths.traced(self._faults)
            self.end()
            return self._failures(images, str(error), where, story)
        if kind == "refused":
            raise said
        rows, spoiled = said
        if spoiled:
            self.end()
        return rows

    def end(self) -> None:
        """End the process, with all that it started."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for part in (self._pipe, self._faults):
            if part is not None:
                part.close()
        self._process = self._pipe = self._faults = None

    def _failures(self, images: list[int], reason: str, where: list[str], story: str) -> Rows:
        at = f" ({where[-1].partition(' ')[0]})" if where else ""
        more = {"where": "\n".join(where), "traceback": story} if story else {}
        return [row | more for row in record.failures(self.cell, images, reason + at)]

    def _send(self, message: Any) -> None:
        assert self._pipe is not None
        with contextlib.suppress(OSError):  # it is gone: asking for the answer says how
            self._pipe.send(message)

    def _answer(self, report: Report | None) -> tuple[str, Any]:
        """What comes back: `ready`, `rows` or `refused`, and what goes with it."""
        assert self._pipe is not None and self._process is not None
        while True:
            if not self._pipe.poll(EVERY):
                self._look()
                continue
            try:
                kind, said = self._pipe.recv()
            except (EOFError, OSError):
                raise Died(self._ended()) from None
            except Exception as error:
                raise Died(f"killed: what it said could not be read ({type(error).__name__})") from error
            if kind == "step":
                if report is not None:
                    report(*said)
            elif kind == "solver":
                self._now("solver" if said else "")
            else:
                self._now("")
                return kind, said

    def _now(self, at: str) -> None:
        self.at, self.since = at, time.monotonic()

    def _look(self) -> None:
        """Whether it lives, answers in time, and keeps to its memory."""
        assert self._process is not None
        if self._process.poll() is not None and not (self._pipe and self._pipe.poll(0)):
            raise Died(self._ended())
        used = memory.used(self._process.pid)
        if used > self._most:
            hint = "memory_limit= says how much, and a smaller batch_size= needs less"
            raise Died(f"killed: it used more than {memory.text(self._most)} of memory ({hint})")
        if self.patience and time.monotonic() - self.since > self.patience:
            deaths.ask_where(self._process)
            raise Died(f"no answer for {self.patience:g} s: killed")

    def _ended(self) -> str:
        """How it came to its end. One that lives has only closed its end of the pipe."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return "killed: it closed the connection to the harness"
        return deaths.words(code, self.at)
