"""How a process came to its end, in plain words, and where in the solver's file that was."""

from __future__ import annotations

import re
import signal
import sysconfig
import time
from pathlib import Path
from typing import IO

from sipbench.bench.forked import Started
from sipbench.bench.guard import OURS

WHERE = signal.SIGUSR1
"""At this signal a process writes down where it is, even out of a loop that never comes back to Python."""
SIGNALS = {
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGBUS: "a bus error: memory that is not there",
    signal.SIGABRT: "aborted: a check in compiled code failed, or abort() was called",
    signal.SIGFPE: "a division by zero in compiled code",
    signal.SIGILL: "an illegal instruction: compiled code for another processor",
    signal.SIGKILL: "killed from outside (SIGKILL): mostly by the system, for want of memory",
    signal.SIGTERM: "ended from outside (SIGTERM)",
}
FRAME = re.compile(r'File "(.+)", line (\d+) in (.+)')


def words(code: int, at: str) -> str:
    """An exit code, or the negative number of a signal, as a reason; `at` is what the process was at."""
    where = ", outside of the solver" if at == "" else ""
    if code >= 0:
        return f"{'the solver' if at == 'solver' else 'something'} ended the process with os._exit({code}){where}"
    try:
        found = signal.Signals(-code)
    except ValueError:
        return f"ended by signal {-code}{where}"
    return SIGNALS.get(found, f"ended by the signal {found.name}") + where


def ask_where(process: Started) -> None:
    """Let a process that hangs write down where."""
    process.send_signal(signal.SIGCONT)
    process.send_signal(WHERE)
    time.sleep(0.3)


def traced(faults: IO[bytes]) -> tuple[list[str], str]:
    """What a process wrote down at its end: the innermost lines outside of the harness, and all of it."""
    faults.seek(0)
    story = faults.read(100_000).decode(errors="replace")
    threads = sorted(story.split("\n\n"), key=lambda part: not part.startswith("Current thread"))
    frames = [[match for match in FRAME.findall(thread) if _is_own(match[0])] for thread in threads]
    own = next(filter(None, frames), [])
    return [f"{Path(file).name}:{line} in {name}" for file, line, name in own[:3]][::-1], story


def _is_own(file: str) -> bool:
    """Whether a file is neither the harness's, nor torch's, nor Python's."""
    library = sysconfig.get_paths()["stdlib"]
    return not file.startswith((*OURS, "<")) and (not file.startswith(library) or "site-packages" in file)
