"""What the system tells of processes, by their numbers: from /proc, where there is one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
PARENT_DIED = 1  # PR_SET_PDEATHSIG of prctl


@dataclass(frozen=True)
class Process:
    """One of them.

    Attributes:
        ended: whether only what is left of it is there, until its parent has looked.
        parent: the number of its parent.
        started: when it began, in ticks since boot: another process may get its number.
    """

    name: str
    ended: bool
    parent: int
    started: int


def find(pid: int) -> Process | None:
    """None where there is none of this number, or nobody to ask."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        words = rest.split()
        return Process(name.partition("(")[2], words[0] in "ZX", int(words[1]), int(words[19]))
    except (OSError, ValueError, IndexError):
        return None


def children(pid: int) -> list[int]:
    """The living children of a process."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in file.read_text().split()]
    return [child for child in found if (process := find(child)) is not None and not process.ended]


def command(pid: int) -> str | None:
    """The words that it was started with."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return None


def ignores(pid: int, number: int) -> bool:
    """Whether it was told to ignore a signal, by itself or by who started it."""
    try:
        told = Path(f"/proc/{pid}/status").read_text().partition("SigIgn:")[2].split()
        return bool(int(told[0], 16) >> (number - 1) & 1)
    except (OSError, ValueError, IndexError):
        return False


def resident(pid: int) -> int:
    """Bytes of memory that it has in use."""
    try:
        return PAGE * int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0


def place() -> str:
    """Of this machine: its boot and its process table, within which a number is one process's. Empty if not told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def signal_with_parent(number: int = signal.SIGKILL) -> None:
    """This process gets a signal when its parent ends, however that came. Linux does it; elsewhere nobody."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DIED, number)
