"""One job array of equal workers. No accounting is asked, and nothing waits for it.

The worker is the batch script itself, so that SLURM's signals reach it. A quarter of the time limit before its end, at
most two minutes, it is told to finish its batch; then it puts its job back into the queue if something is left.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from sipbench.cluster import deadline
from sipbench.cluster.plan import Plan
from sipbench.errors import UserError

OPTIONS = ("hours", "cpus", "gpus", "mem_gb", "partition", "account", "qos", "constraint", "setup")
LARGEST = 1000  # the longest array that SLURM takes unless told otherwise
WARNED = 120  # seconds before the limit


def submit(
    plan: Plan, workers: int, command: Sequence[str], options: Mapping[str, str], environment: Mapping[str, str]
) -> list[str]:
    """Send the array, or several where the cluster takes no longer one; the numbers of the jobs."""
    if shutil.which("sbatch") is None:
        raise UserError("there is no sbatch here: submit from a machine of the cluster, or use +launcher=local")
    script = plan.folder / "worker.sh"
    script.write_text(_script(command, options.get("setup", "")), encoding="utf-8")
    script.chmod(0o755)
    at_once, jobs = _longest(), []
    for begin in range(0, workers, at_once):
        many = min(at_once, workers - begin)
        line = ["sbatch", "--parsable", f"--array=0-{many - 1}", *_options(plan, options), str(script)]
        try:
            found = subprocess.run(
                line, capture_output=True, text=True, timeout=120, check=False, env=dict(environment)
            )
        except subprocess.TimeoutExpired as error:
            raise UserError("sbatch does not answer: try again later; what is submitted already goes on") from error
        if found.returncode:
            sent = f" (jobs {' '.join(jobs)} are sent)" if jobs else ""
            why = " ".join(found.stderr.split())[:400]
            hint = (
                " What a worker takes is said by gpus=, cpus= and mem_gb=."
                if "specification" in why or "configuration" in why
                else ""
            )
            raise UserError(f"{why}{sent}: {shlex.join(line)}.{hint}")
        jobs.append(found.stdout.strip().partition(";")[0])
    return jobs


def _options(plan: Plan, options: Mapping[str, str]) -> list[str]:
    minutes = _minutes(options.get("hours", "4"))
    warned = min(WARNED, minutes * 60 // 4)
    given = {
        "job-name": plan.name,
        "time": str(minutes),
        "signal": f"B:USR2@{warned}",
        "open-mode": "append",
        "output": str(plan.folder / "logs").replace("%", "%%") + "/%A_%a.log",
        "nodes": "1",
        "ntasks": "1",
        "cpus-per-task": options.get("cpus", "4"),
        "mem": f"{options.get('mem_gb', '16')}G",
    }
    gpus = options.get("gpus", "1")
    given |= {"gpus-per-node": gpus} if gpus != "0" else {}
    given |= {name: options[name] for name in ("partition", "account", "qos", "constraint") if name in options}
    given |= {name.removeprefix("slurm."): value for name, value in options.items() if name.startswith("slurm.")}
    return ["--requeue", *(f"--{name}={value}" if value else f"--{name}" for name, value in given.items())]


def _minutes(hours: str) -> int:
    """SLURM counts whole minutes; below two a worker would be told to end before it has begun."""
    try:
        minutes = round(float(hours) * 60)
    except ValueError as error:
        raise UserError(f"hours is a number such as 4 or 0.5, not {hours!r}") from error
    if minutes < 2:
        raise UserError(f"hours={hours} is too short: a worker takes a minute to start; use 0.1 or more")
    return minutes


def _longest() -> int:
    """How long an array may be here: its index stays below MaxArraySize."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", deadline.ask("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(found.group(1)) - 1 if found else LARGEST)


def _script(command: Sequence[str], setup: str) -> str:
    """The worker in the place of the shell. Signals that come before it listens are not to end it."""
    lines = ["#!/bin/bash", "trap '' USR1 USR2", "export SIPBENCH_REQUEUE=1"]
    lines += [*([setup] if setup else []), f"exec {shlex.join(command)}"]
    return "\n".join(lines) + "\n"
