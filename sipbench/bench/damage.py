"""Stored files that are not what was written: each is named once, none stops the others.

What a damaged file held counts as not done. Whoever runs its cell again sets it aside, under a name that ends with
`.damaged`, and does its images anew; nothing is deleted.
"""

from __future__ import annotations

import sys
from pathlib import Path

_seen: set[Path] = set()


def note(path: Path, why: object) -> None:
    """Tell of a damaged file, in one line and once."""
    if path not in _seen:
        _seen.add(path)
        what = "what it holds counts as not done: run again, and it is set aside and done anew"
        print(f"sipbench: damaged results {path}: {why}; {what}", file=sys.stderr, flush=True)


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
    print(f"sipbench: damaged results {path}: {why}; set aside as {place.name}", file=sys.stderr, flush=True)


def summary(below: Path) -> str:
    """How many damaged files were seen below a folder, and what became of them; nothing where there were none."""
    seen = [path for path in _seen if path.is_relative_to(below)]
    aside = sum(any(path.parent.glob(f"{path.name}.*damaged")) for path in seen)
    left = len(seen) - aside
    said = [f"{left} left out"] * bool(left) + [f"{aside} set aside"] * bool(aside)
    return f"damaged results files: {', '.join(said)}" if said else ""
