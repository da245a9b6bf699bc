"""The process of an isolated cell: load, then solve the batches that are asked for, until there are no more.

What starts it is `sipbench.bench.isolated`. It gets the command that it belongs to, the threads that torch may have,
the cell, and then lists of images; it says `ready`, and the rows of each list.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import torch

from sipbench.bench import deaths, processes
from sipbench.bench.run import Bench


def main(mother: int, pipe: int, faults: int) -> None:
    """Serve who is at the other end of the pipe; where it crashes goes into the file `faults`."""
    faulthandler.enable(faults)
    faulthandler.register(deaths.WHERE, faults)
    _end_with(mother)
    _be_killed_first()
    parent = Connection(pipe)
    try:
        sys.argv, threads, cell = parent.recv()
    except EOFError:
        return
    try:
        bench = _loaded(cell, threads, parent)
        _say(parent, "ready", bench.cell.hash)
    except BaseException as error:
        _say(parent, "refused", _sendable(error))
        return
    while True:
        try:
            images = parent.recv()
        except EOFError:
            return
        before = set(threading.enumerate())
        try:
            rows = bench.rows(images, lambda k, n: _say(parent, "step", (k, n)))
        except BaseException as error:
            _say(parent, "refused", _sendable(error))
            continue
        _say(parent, "rows", (rows, bool(set(threading.enumerate()) - before)))


def _loaded(cell: Any, threads: int, parent: Connection) -> Any:
    """The cell's parts, in a bench that tells the parent when the solver has the word."""
    torch.set_num_threads(threads)

    class Told(Bench):
        def solve(self, *args: Any, **options: Any) -> Any:
            _say(parent, "solver", True)
            try:
                return super().solve(*args, **options)
            except KeyboardInterrupt as error:  # nobody at a keyboard can reach this process: the solver raised it
                raise RuntimeError("the solver raised KeyboardInterrupt") from error
            finally:
                _say(parent, "solver", False)

    bench = Told.of(cell)
    bench.check_trained()
    return bench


def _say(parent: Connection, kind: str, what: Any) -> None:
    parent.send((kind, what))


def _sendable(error: BaseException) -> Exception:
    """An exception that the parent can raise: itself, or one with its words."""
    if isinstance(error, Exception):
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except Exception:
            pass
    return RuntimeError(f"{type(error).__name__}: {error}")


def _end_with(parent: int) -> None:
    """End when the parent is gone, however that came: by the system where it can, else by looking."""
    processes.signal_with_parent()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _be_killed_first() -> None:
    """Where memory ends, the system is to take this process and not its parent."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        return
