"""A table or a sweep beside others on one results folder: each of its batches is held by a lease, as a worker's are.

Where no lease can be made, it goes on without: whether results can be written is said by who stores them.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sipbench.bench.cell import Cell
from sipbench.cluster import files, lease
from sipbench.cluster.agenda import key_of, named
from sipbench.cluster.lease import Lease
from sipbench.cluster.presence import BEAT, Presence, Watch, expiry, file_of, new_name
from sipbench.safety.text import line

PAUSE = 1.0  # seconds between two looks at what another holds


@dataclass
class Turn:
    """The turns of one process, or of several that work for it (see `sipbench.bench.turn.Turn`).

    Attributes:
        waits: whether what others hold is waited for, or left to them.
    """

    results: Path
    presence: Presence
    watch: Watch
    waits: bool = False
    left: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Path) -> Turn:
        """Of this process."""
        return cls(results, Presence(new_name()), Watch(results))

    @contextlib.contextmanager
    def __call__(self, cell: Cell, batch: Sequence[int]) -> Iterator[bool]:
        held, writable = None, True
        try:
            held = self._held(cell, batch)
        except OSError:
            writable = False
        if held is None and writable:
            self.left.setdefault(cell.hash, []).extend(batch)
            yield False
            return
        try:
            yield True
            if held is not None:
                lease.forget_deaths(held.folder, held.key)
        finally:
            if held is not None:
                held.release()

    def patient(self) -> Turn:
        return replace(self, waits=True, left={})

    @contextlib.contextmanager
    def seen(self, label: str, processes: int = 1) -> Iterator[None]:
        """Signs of life as long as this lasts; then nothing is held any more, and what the dead left is tidied."""
        own, ended = self.presence, threading.Event()
        own.began = time.time()
        own.doing = [{"label": label, "began": own.began}] * processes
        self._beat()
        beating = threading.Thread(target=self._go_on, args=(ended,), daemon=True)
        beating.start()
        try:
            yield
        finally:
            ended.set()
            beating.join()
            for held in lease.of_worker(self.results, own.worker):
                held.release()
            with contextlib.suppress(OSError):
                lease.tidy(self.results, own.worker, self.watch)
            own.leave(self.results)

    def done(self, images: int) -> None:
        self.presence.images += images

    def _held(self, cell: Cell, batch: Sequence[int]) -> Lease | None:
        folder, key, told = self.results / "leases" / cell.hash, key_of(batch), False
        while True:
            held = lease.claim(folder, key, self.presence.worker, self.watch, batch)
            if held is not None or not self.waits:
                return held
            if not told:
                told = self._tell(named(cell.label, cell.seed, batch), lease.holder(folder, key, batch))
            time.sleep(PAUSE)

    def _tell(self, what: str, worker: str) -> bool:
        """Say who holds a batch, where anybody still does."""
        if worker:
            job = (files.read(file_of(self.results, worker)) or {}).get("job")
            who = line(f"{worker} (job {job})" if job else worker)
            print(f"{what}: {who} is at work on it; waiting for that", file=sys.stderr, flush=True)
        return bool(worker)

    def _go_on(self, ended: threading.Event) -> None:
        while not ended.wait(min(BEAT, expiry() / 6)):
            self._beat()

    def _beat(self) -> None:
        with contextlib.suppress(OSError):
            self.presence.beat(self.results)
