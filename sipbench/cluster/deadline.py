"""How long a worker may go on: what was typed, and what the job that it is in has left.

A job's limit is its end less its beginning, both by the clock of the queue; how much of it has passed is told by how
long the job's processes have been running here. So a node whose clock is wrong is right about the time that is left.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from datetime import datetime, timedelta

from sipbench.bench import processes
from sipbench.cluster import presence
from sipbench.errors import UserError


def typed(until: str | None) -> float:
    """Seconds from now: a number of them, or a time of day, HH:MM or HH:MM:SS, today or tomorrow."""
    if until is None:
        return float("inf")
    if re.fullmatch(r"\d+(\.\d*)?", until):
        return float(until)
    for form in ("%H:%M:%S", "%H:%M"):
        try:
            wanted = datetime.strptime(until, form).time()
        except ValueError:
            continue
        now = datetime.now()
        then = datetime.combine(now.date(), wanted)
        return ((then if then > now else then + timedelta(days=1)) - now).total_seconds()
    raise UserError(f"until is a number of seconds or a time such as 18:30 or 18:30:00, not {until!r}")


def of_job() -> float:
    """Seconds until the queue ends the job that this process is in, less a margin; endless where there is none."""
    job = presence.job()
    if not job:
        return float("inf")
    shown = ask("scontrol", "--oneliner", "show", "job", job)
    times = dict(re.findall(r"(StartTime|EndTime)=(\S+)", shown.partition("\n")[0]))
    try:
        begin, end = (datetime.fromisoformat(times[name]) for name in ("StartTime", "EndTime"))
    except (KeyError, ValueError):  # a job without a limit has no end
        return float("inf")
    limit = (end - begin).total_seconds()
    left = limit - running()
    if os.environ.get("SLURM_STEP_ID", "").isdecimal():  # by srun, maybe long after the job began
        left = min(left, (end - datetime.now()).total_seconds())
    return left - margin(limit)


def margin(limit: float) -> float:
    """What is kept of a limit to end in good order: a twentieth, at least 10 and at most 60 seconds."""
    return min(60.0, max(10.0, limit / 20))


def running() -> float:
    """Seconds since the oldest process above this one that the queue started."""
    try:
        ticks, uptime = os.sysconf("SC_CLK_TCK"), time.clock_gettime(time.CLOCK_BOOTTIME)
        pid, oldest = os.getpid(), 0.0
        while pid > 1 and (process := processes.find(pid)) is not None:
            oldest = uptime - process.started / ticks
            if "slurmstepd" in process.name:
                return oldest
            pid = process.parent
    except (OSError, ValueError, AttributeError):
        pass
    return 0.0


def ask(*command: str) -> str:
    """What a program of the queue answers; nothing where it is not there, fails or takes too long."""
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout if found.returncode == 0 else ""
