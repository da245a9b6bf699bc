"""Telling a person how far a run is: which cell, how many images, how long still."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from sipbench.safety.text import visible

SHOWN = 5  # reasons for which images of a cell failed


class Progress:
    """One line that renews itself on a terminal; elsewhere a line now and then.

    The time left is that of this cell, and of later cells whose method has already been timed; a plus sign says that
    there are others.
    """

    def __init__(
        self,
        todo: Sequence[tuple[str, int]],
        stream: TextIO | None = None,
        every: float = 10.0,
        unit: str = "images",
    ) -> None:
        """todo: the name of the method and the number of images, or whatever is counted, cell by cell."""
        self.todo, self.unit = list(todo), unit
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.every = 0.2 if self.live else every
        self.rates: dict[str, float] = {}
        self.at = -1
        self._told = 0.0

    def cell(self, label: str) -> None:
        """The next cell begins."""
        self.at += 1
        self.label, self.done, self.began = label, 0, time.monotonic()
        self.explained: set[str] = set()
        self.batch_began = self.began
        self._tell("starting", force=True)

    def step(self, k: int, n: int) -> None:
        """The solver is at step k of n with the current batch."""
        spent = time.monotonic() - self.batch_began
        left = spent / k * (n - k) if k else None
        self._tell(f"step {k}/{n}", left)

    def landed(self, rows: Sequence[dict[str, Any]]) -> None:
        """A batch is stored."""
        self.done += len(rows)
        self.rates[self.todo[self.at][0]] = (time.monotonic() - self.began) / self.done
        self.batch_began = time.monotonic()
        failed = [row for row in rows if row["status"] != "ok"]
        self._tell(f"stored{f', {len(failed)} failed' if failed else ''}", 0.0, force=True)
        for row in failed:
            if row.get("reason") not in self.explained and len(self.explained) < SHOWN:
                self._explain(row)

    def _explain(self, row: dict[str, Any]) -> None:
        """A failure, for the first of its reason in a cell, and where in the solver's own code it happened."""
        self.explained.add(row.get("reason", ""))
        lines = [
            f"image {row.get('image', '?')} failed: {row.get('reason', '')}",
            *(row.get("where") or "").splitlines(),
        ]
        self.stream.write(f"{chr(10) if self.live else ''}{(chr(10) + '    ').join(map(visible, lines))}\n")

    def close(self) -> None:
        if self.live:
            self.stream.write("\r\033[K")

    def _tell(self, what: str, batch_left: float | None = None, force: bool = False) -> None:
        now = time.monotonic()
        if not force and now - self._told < self.every:
            return
        self._told = now
        line = (
            f"[{self.at + 1}/{len(self.todo)}] {self.label}: {self.done}/{self.todo[self.at][1]} {self.unit}, {what}, "
            f"{_clock(now - self.began)} so far, {self._left(batch_left)} left"
        )
        self.stream.write(f"\r\033[K{line}" if self.live else f"{line}\n")
        self.stream.flush()

    def _left(self, batch_left: float | None) -> str:
        later = self.todo[self.at + 1 :]
        known = sum(self.rates[m] * n for m, n in later if m in self.rates)
        unknown = any(m not in self.rates for m, _ in later)
        rate = self.rates.get(self.todo[self.at][0])
        here = rate * (self.todo[self.at][1] - self.done) if rate else batch_left
        if here is None:
            return "?"
        return _clock(here + known) + ("+" if unknown else "")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    return f"{minutes}:{seconds:02d}"
