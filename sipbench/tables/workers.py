"""Cells of a table side by side: several processes, each with its share of the threads.

The networks of a small demo are too small for two threads: two cells on a thread each take about half the time that
they take one after the other on two. Each process stores what it finishes, as a run by itself does, so that a run that
is killed goes on from there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from typing import Any

from sipbench.bench.cell import Cell
from sipbench.bench.turn import Alone, Turn
from sipbench.errors import UserError
from sipbench.safety.text import counted, line

MOST = 4  # processes, unless a number is typed
ENDING = 5.0  # seconds that the end of a process may take
LEFT = "these trainings failed, and their cells are left:"
Row = dict[str, Any]
Table = tuple[str, str, list[str]]
"""Its name, its profile, and what was typed beside them."""
Rest = list[tuple[Cell, list[Row], list[int]]]
"""Cells of which others have images: what was done of each, and those images."""
_cells: dict[str, Cell] = {}  # of the table that this process works on, by hash
_turns: list[Turn] = []  # this process's, one


def chosen(typed: str, device: str, cells: int) -> int:
    """How many processes: what was typed, or on a CPU as many as there are threads, up to a few; on a GPU one."""
    import torch

    from sipbench.device import choose

    if typed != "auto":
        if not typed.isdecimal() or int(typed) < 1:
            raise UserError(f"jobs is auto or a number from 1 on, not {typed!r}")
        return min(int(typed), max(cells, 1))
    return min(torch.get_num_threads(), MOST, max(cells, 1)) if choose(device).type == "cpu" else 1


def compute(table: Table, todo: Sequence[tuple[Cell, int]], jobs: int, turn: Turn | None = None) -> None:
    """Do these cells of a table in so many processes, and tell of each as it is done."""
    import torch

    began, threads = time.monotonic(), max(1, torch.get_num_threads() // jobs)
    turn = turn or Alone()
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare, (table, threads, turn))
    try:
        agenda, rest = Agenda([cell for cell, _ in todo]), Rest()
        for n, (cell, rows) in enumerate(chain(_worked(pool, agenda, jobs, rest), _waited(pool, rest)), 1):
            turn.done(len(rows))
            _tell(n, len(todo), cell, rows, time.monotonic() - began)
        if agenda.failed:
            raise UserError("\n  ".join([LEFT, *agenda.failed]))
    except BrokenProcessPool as error:
        why = "a process was ended from outside, maybe for want of memory: what is done is stored"
        raise UserError(f"{why}. Run again with jobs=1, or a smaller batch_size=") from error
    finally:
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes if sys.exc_info()[0] else []:
            process.terminate()
            process.join(ENDING)


class Agenda:
    """What is next: the first cell whose trainings are done, or before it the first training that a cell waits for.

    Attributes:
        failed: what the trainings said that came to nothing; cells that need one are left undone.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        from sipbench.training.learned import wanted

        self._lacking = {lesson.name for lesson in wanted(cells)}
        self._cells, self._begun, self.failed = list(cells), set[str](), list[str]()

    def next(self) -> Cell | str | None:
        """A cell, the name of a training, or None while there is nothing but to wait."""
        for cell in self._cells:
            lacking = [one.name for one in cell.lessons.values() if one.name in self._lacking]
            if not lacking:
                self._cells.remove(cell)
                return cell
            for name in lacking:
                if name not in self._begun:
                    self._begun.add(name)
                    return name
        return None

    def trained(self, name: str) -> None:
        self._lacking.discard(name)

    def refused(self, name: str, reason: str) -> None:
        self.failed.append(f"{name}: {reason}")


def _worked(pool: ProcessPoolExecutor, agenda: Agenda, jobs: int, rest: Rest) -> Iterator[tuple[Cell, list[Row]]]:
    """Keep the processes busy; each cell with its rows as it is done. One of which others have a part is put aside."""
    running: dict[Future[Any], Cell | str] = {}
    while True:
        while len(running) < jobs and (job := agenda.next()) is not None:
            at = (_train, job) if isinstance(job, str) else (_run, job.hash)
            running[pool.submit(*at)] = job
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            if not isinstance(job, str):
                rows, left = future.result()
                if left:
                    rest.append((job, rows, left))
                else:
                    yield job, rows
            elif reason := future.result():
                agenda.refused(job, reason)
            else:
                agenda.trained(job)


def _waited(pool: ProcessPoolExecutor, rest: Rest) -> Iterator[tuple[Cell, list[Row]]]:
    """When nothing else is to do: what was put aside, each as the others are done with it."""
    running = {pool.submit(_run, cell.hash, left): (cell, rows) for cell, rows, left in rest}
    for future in as_completed(running):
        cell, rows = running[future]
        yield cell, rows + future.result()[0]


def _train(name: str) -> str:
    """Give a lesson of the table's cells; why that failed, or nothing."""
    from sipbench.training.learned import train

    cell, lesson = next((c, one) for c in _cells.values() for one in c.lessons.values() if one.name == name)
    try:
        train(lesson, cell.results, cell.device, lambda line: print(line, file=sys.stderr, flush=True))
    except Exception as error:  # one that cannot be trained is told of, and the others go on
        return f"{type(error).__name__}: {error}"
    return ""


def _tell(n: int, of: int, cell: Cell, rows: Sequence[Row], seconds: float) -> None:
    failed = [row for row in rows if row["status"] != "ok"]
    said = counted(len(rows), "image") + (f", {len(failed)} failed" if failed else "") if rows else "by others"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    print(f"[{n}/{of}] {cell.label}: {said}, {minutes}:{rest:02d} so far", file=sys.stderr, flush=True)
    if failed:
        print(f"    image {failed[0].get('image', '?')} failed: {line(failed[0].get('reason', ''))}", file=sys.stderr)


def _prepare(table: Table, threads: int, turn: Turn) -> None:
    """Of a process: its threads, its turn, and the cells of the table.

    Ctrl-C is for the parent, which ends its processes.
    """
    import torch

    from sipbench.tables.declared import load

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    torch.set_num_threads(threads)
    _turns.append(turn)
    _cells.update({cell.hash: cell for entry in load(*table).planned for cell in entry.cells})


def end_with_parent() -> None:
    """Of a process: end when the parent is gone, however that came; else it would work on and then wait for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(name: str, waited: Sequence[int] | None = None) -> tuple[list[Row], list[int]]:
    """Do a cell: what is worth telling of its rows, and the images that others have and that are not `waited` for."""
    from sipbench.bench.run import run
    from sipbench.report.wandb import session

    if name not in _cells:
        raise UserError(f"the cell {name} has become another one: its code was changed while this ran: run it again")
    cell, told = _cells[name], []
    turn = _turns[0] if waited is None else _turns[0].patient()
    with session(cell) as log:
        for rows in run(cell, images=waited, turn=turn):
            log.batch(rows)
            told += [{key: row.get(key) for key in ("image", "status", "reason")} for row in rows]
    return told, turn.left.get(name, [])
