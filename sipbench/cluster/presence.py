"""Who is at work: each worker has a file of its own that it writes again and again.

Another worker is dead when its process is provably gone from this machine, or when its file has not changed for as
long as it may take, by the clock of who looks on. Clocks of two machines are never compared.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sipbench.bench import processes
from sipbench.bench.processes import place
from sipbench.cluster import files

BEAT = 10.0  # seconds from one sign of life to the next
EXPIRY = 150.0  # and after so many without one the worker is dead: NFS may show an old file for 60
KINDS = {"beats": int, "expiry": (int, float), "doing": list}  # of what others ask of a worker's file
SHORTEST = "SIPBENCH_EXPIRY"  # in the environment: another expiry, such as for tests


def expiry() -> float:
    """Seconds without a sign of life after which this process takes a worker for dead."""
    try:
        return float(os.environ.get(SHORTEST, ""))
    except ValueError:
        return EXPIRY


def new_name() -> str:
    """Of a worker: readable, and of no other."""
    return f"{socket.gethostname().split('.')[0]}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


@dataclass
class Presence:
    """A worker's own file.

    Attributes:
        place: of which machine, boot and process table `pid` is a number; empty where that cannot be told.
        started: when the process began, in ticks since boot: another process may get its number.
        job: the job of a cluster's queue.
        beats: how often it was written.
        now, began: the worker's own clock, for durations.
        doing: what it does, each with its own `began`.
        images: how many it has finished.
    """

    worker: str
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    place: str = field(default_factory=lambda: place())
    started: int = field(default_factory=lambda: started(os.getpid()) or 0)
    job: str = field(default_factory=lambda: job())
    expiry: float = field(default_factory=expiry)
    sweep: str = ""
    beats: int = 0
    began: float = field(default_factory=time.time)
    now: float = 0.0
    doing: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    ended: bool = False

    def beat(self, results: Path) -> None:
        self.beats, self.now = self.beats + 1, time.time()
        files.write(file_of(results, self.worker), asdict(self))

    def leave(self, results: Path) -> None:
        """Gone for good, and nothing is held any more."""
        with contextlib.suppress(OSError):
            file_of(results, self.worker).unlink(missing_ok=True)


def file_of(results: Path, worker: str) -> Path:
    return results / "workers" / f"{worker}.json"


def everybody(results: Path) -> list[dict[str, Any]]:
    """What each worker said last."""
    names = sorted(name for name in files.listed(results / "workers") if name.endswith(".json"))
    found = ((name, said(results, name[:-5])) for name in names)
    return [one for name, one in found if one.get("worker") == name[:-5]]  # no name leads to another file


def said(results: Path, worker: str) -> dict[str, Any]:
    """What a worker said last; nothing where there is none, or where it is nonsense."""
    found = files.read(file_of(results, worker)) or {}
    return found if all(isinstance(found[name], kind) for name, kind in KINDS.items() if name in found) else {}


def gone(said: dict[str, Any]) -> bool:
    """Whether the process is provably no more: it said so, or it was on this machine and is not there."""
    if said.get("ended"):
        return True
    pid = said.get("pid")
    if not said.get("place") or said["place"] != place() or not isinstance(pid, int):
        return False
    now = started(pid)
    return now != said.get("started") and (now is not None or not _hidden(pid))


class Watch:
    """One process's view of the others: since when it has seen no sign of life of each."""

    def __init__(self, results: Path) -> None:
        self._results, self._seen = results, dict[str, tuple[int, float]]()

    def dead(self, worker: str) -> bool:
        """Whether what this worker holds may be taken over."""
        last = said(self._results, worker)
        if last and gone(last):
            return True
        beats, now = last.get("beats", -1), time.monotonic()
        known = self._seen.get(worker)
        if known is None or known[0] != beats:
            self._seen[worker] = (beats, now)
            return False
        return now - known[1] > max(last.get("expiry", 0.0), expiry())


def started(pid: int) -> int | None:
    """When a process began, in ticks since boot; None where there is none, or only what is left of one."""
    found = processes.find(pid)
    return None if found is None or found.ended else found.started


def _hidden(pid: int) -> bool:
    """Whether it is another user's, which /proc may not show here."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def job() -> str:
    """The job of the queue that this process is in, as its queue names it."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Of a child: get this signal when its parent ends, however that came. Linux does it; elsewhere nobody."""
    if sys.platform == "linux":
        parent = os.getppid()
        processes.signal_with_parent(number)
        if os.getppid() != parent or parent == 1:
            os._exit(1)
