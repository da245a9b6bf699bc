"""A worker: its processes do the work, and it gives signs of life for them, whatever they are in the middle of.

It loads nothing heavy, so that it outlives what they die of: a batch that ends its process is noted and given back,
and another process goes on. When it dies itself, they die with it, and others take over what they held.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from sipbench.cluster import deadline, lease, presence
from sipbench.cluster.hand import Hand
from sipbench.cluster.presence import BEAT, Presence, expiry, new_name
from sipbench.cluster.telling import IDLE, UNTIL, WORKER, say
from sipbench.errors import UserError
from sipbench.safety.text import counted

GRACE = 8.0  # seconds between being told to stop and being ended
TICK = 0.5
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Supervisor:
    """Of one worker.

    Args:
        words: of the command, as its processes are started with.
        places: a GPU or none for each process.
        threads: of each process.
        seconds: until its time is up.
        idle: seconds that it waits for batches that others hold.
    """

    def __init__(
        self,
        results: Path,
        words: Sequence[str],
        places: Sequence[str | None],
        threads: int,
        seconds: float,
        idle: float,
    ) -> None:
        self._results, self._until = results, time.monotonic() + seconds
        self.presence = Presence(new_name(), sweep=words[0] if words and "=" not in words[0] else "")
        shared = dict.fromkeys(THREADS, str(threads))
        shared |= {WORKER: self.presence.worker, UNTIL: str(self._until), IDLE: str(idle)}
        devices = [{} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu} for gpu in places]
        self._hands = [Hand(list(words), {**os.environ, **shared, **own}, self.presence.worker) for own in devices]
        self._told, self._killed_at, self._signals = "", 0.0, list[int]()

    def run(self) -> int:
        """0 in good order, however much is left; else the worst code of its processes."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._hear)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(signal.SIGHUP, self._hear)
        try:
            self.presence.beat(self._results)
        except OSError as error:
            where = f"results cannot be written to {self._results}: {error.strerror or error}"
            raise UserError(f"{where}. Choose another folder with results=...") from error
        for i, hand in enumerate(self._hands):
            hand.start(first=i == 0)
        beaten = time.monotonic()
        interval = min(BEAT, expiry() / 6)
        while any(hand.ended is None for hand in self._hands):
            self._listen()
            self._signal()
            for hand in self._hands:
                self._look(hand)
            self.presence.doing = [dict(hand.holds) for hand in self._hands if hand.holds]
            self.presence.images = sum(hand.images for hand in self._hands)
            if time.monotonic() - beaten > interval:
                beaten = time.monotonic()
                self._beat()
        self.presence.leave(self._results)
        self._say_goodbye()
        codes = [hand.ended for hand in self._hands if hand.ended not in (0, 75)]
        return 0 if self._told or not codes else max(code or 0 for code in codes)

    @property
    def left(self) -> bool:
        """Whether it ended for want of time, or since it was told to, with something left to do."""
        stopped = self._told in ("signal", "time")
        return any(hand.left or (stopped and hand.ended != 0) for hand in self._hands)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _listen(self) -> None:
        pipes = {hand.pipe: hand for hand in self._hands if hand.pipe >= 0 and hand.ended is None}
        ready, _, _ = select.select(list(pipes), [], [], TICK)
        for pipe in ready:
            pipes[pipe].hear()
        if ready:
            time.sleep(0.02)  # a pipe whose other end is closed is always ready

    def _signal(self) -> None:
        """What it was told is told on: to take no more, or to stop; and who does not stop is ended."""
        while self._signals:
            if self._signals.pop(0) in (signal.SIGUSR1, signal.SIGUSR2):
                self._told = self._told or "drain"
                say("told that the end is near: finishing what has begun")
            else:
                self._stop("signal")
        if self._told == "drain":
            self._all(signal.SIGUSR2)  # again and again: a process that has just started does not listen yet
        now = time.monotonic()
        if now > self._until:
            self._stop("time")
        if self._killed_at and now > self._killed_at:
            self._all(signal.SIGKILL)

    def _stop(self, why: str) -> None:
        if not self._killed_at:
            say("stopping; what was finished is stored")
            self._told, self._killed_at = why, time.monotonic() + GRACE
            self._all(signal.SIGINT)

    def _all(self, number: int) -> None:
        for hand in self._hands:
            hand.signal(number)

    def _look(self, hand: Hand) -> None:
        if hand.overdue() and not self._killed_at:
            hand.signal(signal.SIGKILL, "hung: a step went on long after its budget was spent")
        pid = hand.pid
        if hand.look(stopping=bool(self._killed_at or self._told)):
            for held in lease.of_worker(self._results, self.presence.worker, pid):  # just taken, and not yet told of
                held.release()

    def _beat(self) -> None:
        try:
            self.presence.beat(self._results)
        except OSError as error:  # a full disk: others may take over, and what they do twice is the same
            say(f"sipbench: no sign of life can be given: {error.strerror}")

    def _say_goodbye(self) -> None:
        say(f"worker {self.presence.worker}: {counted(self.presence.images, 'image')}", sys.stdout)


def requeue() -> bool:
    """Put the job that this process is in back into its queue, where it was not cancelled."""
    job = presence.job()  # of an array the task: the number alone may stand for all of them
    if not job or "JobState=RUNNING" not in deadline.ask("scontrol", "--oneliner", "show", "job", job):
        return False
    deadline.ask("scontrol", "requeue", job)
    return True
