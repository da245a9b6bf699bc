"""A process that works, as its supervisor sees it: what it holds, and how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sipbench.bench import forked
from sipbench.bench.forked import Started
from sipbench.cluster import lease
from sipbench.cluster.lease import Lease
from sipbench.cluster.telling import FIRST, say

PROCESS = "sipbench.cli.hand"  # what it runs
FRUITLESS = 3  # processes one after the other that end before they begin anything; then the worker gives up
LOST = 12  # and so many that end in the middle of a batch, with none finished in between


@dataclass
class Hand:
    """One of a worker's processes.

    Attributes:
        holds: the batch that it works on, as it said when it began.
        images: how many it has finished.
        ended: its exit code once it is to stay ended.
        left: whether it said that something is left to do.
    """

    words: list[str]
    environment: dict[str, str]
    worker: str
    process: Started | None = None
    holds: dict[str, Any] = field(default_factory=dict)
    images: int = 0
    ended: int | None = None
    left: bool = False
    _since: float = 0.0
    _pipe: int = -1
    _buffer: bytes = b""
    _fruitless: int = 0
    _lost: int = 0
    _why: str = ""

    def start(self, *, first: bool = False) -> None:
        """Begin a process: a fork of one that has imported what takes long, once for all processes of the worker."""
        self._pipe, speaks = os.pipe()
        os.set_blocking(self._pipe, False)
        environment = {**self.environment, **({FIRST: "1"} if first else {})}
        deaf = (signal.SIGUSR2,)  # until it listens: it would end of it
        self.process = forked.begin(PROCESS, (speaks,), self.words, environment, deaf)
        os.close(speaks)
        self._why = ""

    @property
    def pid(self) -> int | None:
        """The number of its process; None while that is on its way."""
        return self.process.pid if self.process is not None and self.process.there else None

    @property
    def pipe(self) -> int:
        return self._pipe

    def hear(self) -> None:
        """What it has said since."""
        with contextlib.suppress(BlockingIOError):
            while said := os.read(self._pipe, 1 << 16):
                self._buffer += said
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, said: dict[str, Any]) -> None:
        if "hold" in said:
            self.holds, self._since = said | {"began": time.time()}, time.monotonic()
        elif ("step" in said or "limit" in said) and self.holds:
            self.holds |= said
        elif "let" in said:
            self.holds, self._fruitless, self._lost = {}, 0, 0
            self.images += said["let"]
        elif "left" in said:
            self.left = bool(said["left"])

    def signal(self, number: int, why: str = "") -> None:
        """Tell it something. With `why` it is ended, and its batch is blamed for that."""
        self._why = why or self._why
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def overdue(self) -> bool:
        """Whether its batch takes longer than a solver with a budget possibly can."""
        limit = self.holds.get("limit")
        return bool(limit) and time.monotonic() - self._since > limit

    def look(self, *, stopping: bool) -> bool:
        """See whether it ended; give back what it held, note why, and start another in its place."""
        code = self.process.poll() if self.process else None
        if code is None or self.ended is not None:
            return False
        self.hear()
        os.close(self._pipe)
        self._pipe, self._buffer = -1, b""
        if self.holds:
            self._lost += 1
            self._give_back(code, blamed=not stopping)
        elif code in (0, 2, 75) or stopping:
            self.ended = code
            return True
        else:
            self._fruitless += 1
        if stopping or self._fruitless >= FRUITLESS or self._lost >= LOST:
            self.ended = code if code > 0 else 1
            return True
        self.start()
        return True

    def _give_back(self, code: int, *, blamed: bool) -> None:
        folder, key, number = self.holds["hold"]
        held = Lease(Path(folder), key, number, self.worker)
        if blamed and held.held():
            reason = self._why or ending(code)
            say(f"sipbench: {self.holds['label']}: its process {reason}; going on")
            with contextlib.suppress(OSError):
                lease.died(held.folder, key, reason)
        held.release()
        self.holds = {}


def ending(code: int) -> str:
    """How a process ended, in plain words."""
    if code >= 0:
        return f"was ended by its solver with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    known = {"SIGSEGV": "a segmentation fault", "SIGKILL": "maybe for want of memory", "SIGABRT": "an abort in C code"}
    return f"was ended by {name}" + (f", {known[name]}" if name in known else "")
