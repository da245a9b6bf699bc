"""What of a machine a worker may use: its cores and its GPUs, shared with others so that none is taken twice."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from sipbench.cluster import presence
from sipbench.errors import UserError


def cores() -> int:
    """The cores that this process may use: by its affinity, by its control group, and by its job."""
    found = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "PBS_NCPUS", "NSLOTS"):
        text = os.environ.get(name, "")
        if text.isdecimal() and int(text):
            found.append(int(text))
            break
    quota = _quota()
    return max(1, min([*found, *([quota] if quota else [])]))


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    try:
        found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU (\d+):", found.stdout, re.MULTILINE) if found.returncode == 0 else []


def places(each: int, on: str | None) -> list[str | None]:
    """A GPU, or none, for each process of a worker: so many on each GPU, or so many where there is none.

    Args:
        on: the device that was typed: `cpu` takes no GPU, one that is named leaves the choice as it is.
    """
    found: list[str | None] = list(gpus()) if on in (None, "auto", "cuda") else []
    return [gpu for gpu in found or [None] for _ in range(each)]


def threads(results: Path, processes: int, typed: str | None) -> int:
    """For each process of this worker: what was typed, or its share of the cores, other workers here counted."""
    if typed is not None:
        return whole("threads", typed)
    here = presence.place()
    others = sum(
        len(one.get("doing") or [1])
        for one in presence.everybody(results)
        if here and one.get("place") == here and not presence.gone(one)
    )
    own = 0 if os.environ.get("SLURM_JOB_ID") else others  # the cores of a job are its own
    return max(1, cores() // (processes + own))


def whole(name: str, text: str) -> int:
    """A number from 1 on that was typed."""
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{name} is a whole number from 1 on, not {text!r}")
    return int(text)


def _quota() -> int:
    """Whole cores of the control group, at least one; 0 where it sets no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        pass
    try:
        base = Path("/sys/fs/cgroup/cpu")
        quota, period = (int((base / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return 0
    return max(1, quota // period) if quota > 0 else 0
