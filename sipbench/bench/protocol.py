"""The protocol: a version and a hash of the code of each part that numbers rest on, kept in protocol.lock.

A change of that code either changes numbers, and then the version of its part is raised; or it does not, and then a
line of the lock says so. `python -m sipbench.bench.protocol` shows where code and lock differ;
`... raise PART "why"` and `... unchanged "why"` write the lock.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from sipbench.configs.source_text import without_layout

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "protocol.lock"
PARTS = {
    "operators": ("operators", "degradation.py"),
    "noise": ("noise.py", "problem.py"),
    "datasets": ("datasets",),
    "metrics": ("metrics",),
    "priors": ("priors", "checkpoints.py"),
    "training": ("training",),
    "bench": ("bench", "foreign"),
}


@cache
def lock() -> dict[str, Any]:
    """The lock: `parts`, each with its version and the hash of its code, and `history`, a line a change."""
    return json.loads(LOCK.read_text(encoding="utf-8"))


def versions() -> dict[str, int]:
    """The version of each part."""
    return {name: part["version"] for name, part in lock()["parts"].items()}


def text() -> str:
    """The versions in one line, for a row."""
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def solving() -> Any:
    """What is part of a cell's identity: 1, as long as no part that a solver's result rests on was raised.

    Metrics are not: a score is computed from what is stored, anew where its version was raised. Training is part of the
    name of what a recipe trains, and of no other cell's.
    """
    left_out = ("metrics", "training")
    raised = {name: version for name, version in versions().items() if version > 1 and name not in left_out}
    return {"raised": raised} if raised else 1


def code(part: str) -> str:
    """The hash of a part's code, blind to comments, docstrings and layout."""
    files = [path for place in PARTS[part] for path in _files(ROOT / place)]
    texts = [f"{path.relative_to(ROOT).as_posix()}\n{without_layout(path)}" for path in files]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def changed() -> list[str]:
    """The parts whose code is not that of the lock."""
    return [name for name in PARTS if lock()["parts"].get(name, {}).get("code") != code(name)]


def write(why: str, raised: str | None = None) -> None:
    """Take the code as it is: with a version raised, or with the word that numbers are unchanged."""
    kept = json.loads(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {"parts": {}, "history": []}
    parts = {name: {"version": kept["parts"].get(name, {}).get("version", 1), "code": code(name)} for name in PARTS}
    if raised:
        parts[raised]["version"] += 1
    line = f"{raised} raised to {parts[raised]['version']}: {why}" if raised else f"numbers unchanged: {why}"
    history = kept["history"] if kept["history"][-1:] == [line] else [*kept["history"], line]
    content = {"parts": parts, "history": history}
    LOCK.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    lock.cache_clear()


def _files(place: Path) -> list[Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _refusal(words: list[str]) -> str:
    """What was wrong with the words, and which are known."""
    known = f'raise PART "why" (PART: {", ".join(PARTS)}), unchanged "why", or nothing, to see what changed'
    if words[0] not in ("raise", "unchanged"):
        return f"unknown word {words[0]!r}; known: {known}"
    if words[0] == "raise" and len(words) == 3:
        return f"unknown part {words[1]!r}; known: {known}"
    return f"{words[0]} takes {'a part and why' if words[0] == 'raise' else 'why'}, in quotes; known: {known}"


def main(words: list[str]) -> int:
    """Show what differs, or write the lock."""
    if words[:1] == ["unchanged"] and len(words) == 2:
        write(words[1])
    elif words[:1] == ["raise"] and len(words) == 3 and words[1] in PARTS:
        write(words[2], words[1])
    elif words:
        print(_refusal(words), file=sys.stderr)
        return 2
    for name in changed():
        print(f"{name}: its code is not that of protocol.lock (version {versions().get(name, 'none')})")
    return int(bool(changed()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
