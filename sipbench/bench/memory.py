"""How much memory a process and all that it started have in use, and how much they may."""

from __future__ import annotations

import re
from pathlib import Path

from sipbench.bench.processes import children, resident
from sipbench.errors import UserError
from sipbench.safety import sizes

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)i?B", re.IGNORECASE)
UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
SHARE = 0.9  # of the machine's memory, where no limit was named


def size(text: object) -> int:
    """`4GB` or `500MB` in bytes; steps are of 1024."""
    found = SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    bytes_ = int(float(found[1]) * 1024 ** UNITS[found[2].lower()]) if found else 0
    if bytes_ <= 0:
        raise UserError(f"memory_limit is a size such as 4GB or 500MB, or null, not {text!r}")
    return bytes_


def text(bytes_: int) -> str:
    """Bytes as a person writes them."""
    number, unit = (bytes_ / 1024**3, "GB") if bytes_ >= 1024**3 else (bytes_ / 1024**2, "MB")
    return f"{number:.3g} {unit}" if number < 1000 else f"{number:.0f} {unit}"


def most() -> int:
    """What processes here may have in use: most of the machine's memory, or of its container's."""
    whole = sizes.memory()
    try:
        whole = min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no container, or one without a limit
        pass
    return int(SHARE * whole)


def used(pid: int) -> int:
    """Bytes in use by a process and its descendants; 0 where the system does not tell."""
    return sum(resident(one) for one in _tree(pid))


def _tree(pid: int, depth: int = 5) -> list[int]:
    below = [one for child in (children(pid) if depth else ()) for one in _tree(child, depth - 1)]
    return [pid, *below]
