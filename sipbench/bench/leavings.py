"""What a solver leaves behind in its process: threads, processes, closed streams, moved random generators."""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sipbench.bench.processes import children, command

HARMLESS = ("sipbench", "torch", "tqdm", "rich", "wandb")
"""Whose threads may stay: they start once, with the first use of what they help."""
PLAIN = {int, float, bool, str, type(None)}
"""Whose values are compared as they are."""
HELPERS = ("multiprocessing.resource_tracker", "torch._inductor")


class Leavings:
    """What was there at the start, and what is there beyond it at the end.

    A forked copy of the process that comes back from a solver would do the rest of the sweep a second time: it ends in
    `undo`, and leaves a mark that both copies see.
    """

    def __init__(self) -> None:
        self._me, self._fork = os.getpid(), mmap.mmap(-1, 1)
        self._threads, self._processes = set(threading.enumerate()), set(children(self._me))
        self._random = random_states()
        self._python = (sys.stdin, sys.stdout, sys.stderr)
        self._streams = {number: _kept(number) for number in (1, 2)}

    def undo(self) -> list[str]:
        """Put back what can be put back, end what still runs, and say what that was."""
        if os.getpid() != self._me:
            self._fork[0] = 1
            os._exit(0)
        return [*self._closed(), *self._drawn(), *self._running(), *self._threaded()]

    def _closed(self) -> Iterator[str]:
        for number, copy in self._streams.items():
            if copy is None:
                continue
            if not _same(number, copy):
                os.dup2(copy, number)
                yield f"it closed or replaced {('stdin', 'stdout', 'stderr')[number]}"
            os.close(copy)
        for name, before in zip(("stdin", "stdout", "stderr"), self._python, strict=True):
            now = getattr(sys, name)
            if now is not before or getattr(before, "closed", False):
                open_ = before if not getattr(before, "closed", False) else _reopened(name)
                setattr(sys, name, open_)
                yield f"it closed or replaced sys.{name}"

    def _drawn(self) -> Iterator[str]:
        now = random_states()
        moved = differences(self._random, {name: now[name] for name in self._random})
        if moved:
            restore_random(self._random)
            yield f"it changed the global random state of {' and '.join(moved)}: draw from problem.rng"

    def _running(self) -> Iterator[str]:
        left = [pid for pid in set(children(self._me)) - self._processes if not _helps(pid)]
        if left or self._fork[0]:
            yield "it left a process running, or forked and came back twice"
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._fork.close()

    def _threaded(self) -> Iterator[str]:
        left = [t for t in threading.enumerate() if t not in self._threads and t.is_alive() and not _known(t)]
        if left:
            yield f"it left {len(left)} thread{'s' * (len(left) > 1)} running"


def random_states() -> dict[str, Any]:
    """The states of the global generators by name."""
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "random": random.getstate(),
        "numpy.random": np.random.get_state(legacy=True),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["torch.cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random(states: Mapping[str, Any]) -> None:
    """Put the global generators back."""
    torch.set_rng_state(states["torch"])
    random.setstate(states["random"])
    np.random.set_state(states["numpy.random"])
    if "torch.cuda" in states:
        torch.cuda.set_rng_state_all(states["torch.cuda"])


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of what is no longer the same."""
    names = sorted({*before, *after})
    return [name.strip() for name in names if as_bytes(before.get(name)) != as_bytes(after.get(name))]


def as_bytes(value: Any) -> Any:
    """The value with its arrays as bytes, so that it can be compared, NaN and all."""
    if isinstance(value, Tensor):
        return value.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, (tuple, list)):
        return tuple(value) if set(map(type, value)) <= PLAIN else tuple(as_bytes(v) for v in value)
    return value


def _helps(pid: int) -> bool:
    """Whether a process is the helper of a library."""
    said = command(pid)
    return said is None or any(name in said for name in HELPERS)


def _known(thread: threading.Thread) -> bool:
    """Whether a thread is the helper of a library."""
    target = getattr(thread, "_target", None)
    modules = (type(thread).__module__, getattr(target, "__module__", "") or "")
    return any(module.split(".")[0] in HARMLESS for module in modules)


def _kept(number: int) -> int | None:
    """A second name for an open stream, to put it back by."""
    try:
        return os.dup(number)
    except OSError:
        return None


def _same(number: int, copy: int) -> bool:
    try:
        return os.path.sameopenfile(number, copy)
    except OSError:
        return False


def _reopened(name: str) -> Any:
    number = ("stdin", "stdout", "stderr").index(name)
    return open(number, "r" if number == 0 else "w", buffering=1, closefd=False)
