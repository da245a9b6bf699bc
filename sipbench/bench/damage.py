"""Stored files that are not what was written: each is named once, none stops the others.

What a damaged file held counts as not done. Whoever runs its cell again sets it aside, under a name that ends with
`.damaged`, and does its images anew; nothing is deleted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sipbench.metrics import METRICS
from sipbench.safety.text import visible

HEAVY = ("estimate", "png")  # columns that are read only when they are named
TEXTS = ("status", "reason", "cell", "device")
ABOUT_SCORES = ("scored_on", "cell")  # texts of a file of scores
NUMBERS = ("metrics_version", "seconds", "evaluations", "peak_memory_mib")
_seen: set[Path] = set()


def note(path: Path, why: object) -> None:
    """Tell of a damaged file, in one line and once."""
    if path not in _seen:
        _seen.add(path)
        what = "what it holds counts as not done: run again, and it is set aside and done anew"
        print(visible(f"sipbench: damaged results {path}: {why}; {what}"), file=sys.stderr, flush=True)


def set_aside(path: Path, why: object) -> None:
    """Rename a damaged file. One that another process renamed already is left to it."""
    _seen.add(path)
    names = [
        path.with_name(f"{path.name}.damaged"),
        *(path.with_name(f"{path.name}.{n}.damaged") for n in range(2, 99)),
    ]
    place = next((name for name in names if not name.exists()), names[-1])
    try:
        path.rename(place)
    except FileNotFoundError:
        return
    said = f"sipbench: damaged results {path}: {why}; set aside as {place.name}"
    print(visible(said), file=sys.stderr, flush=True)


def summary(below: Path) -> str:
    """How many damaged files were seen below a folder, and what became of them; nothing where there were none."""
    seen = [path for path in _seen if path.is_relative_to(below)]
    aside = sum(any(path.parent.glob(f"{path.name}.*damaged")) for path in seen)
    left = len(seen) - aside
    said = [f"{left} left out"] * bool(left) + [f"{aside} set aside"] * bool(aside)
    return f"damaged results files: {', '.join(said)}" if said else ""


def misfit(schema: Any, *, scores: bool) -> str:
    """What is wrong with the kinds of the columns that everybody reads, or nothing. A score is a number."""
    from pyarrow.types import is_null

    wrong = (f for f in schema if not (is_null(f.type) or _fits(f.name, f.type, score=scores)))
    return next((f"it is no file of a store: its {field.name} is {field.type}" for field in wrong), "")


def _fits(name: str, kind: Any, *, score: bool) -> bool:
    """Whether a column has a kind of values that it may have."""
    from pyarrow import types

    whole = types.is_integer(kind) and not types.is_uint64(kind)
    if name == "image":
        return whole
    if name in (ABOUT_SCORES if score else TEXTS):
        return types.is_string(kind) or types.is_large_string(kind)
    if name in HEAVY:
        return types.is_binary(kind) or types.is_large_binary(kind)
    if name == "kept":
        return types.is_boolean(kind)
    if score or name in NUMBERS or name.removeprefix("oracle_") in METRICS:
        return whole or types.is_floating(kind) or types.is_boolean(kind)
    return True
