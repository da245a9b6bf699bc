"""The weights that rows were made with, where a recipe trained them: a cell is named by what makes them, not by them.

Two machines that learn the same lesson may come to different weights. Rows tell which theirs were, in their column
`training`; of one cell there is one training.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from sipbench.bench.cell import Cell
from sipbench.bench.identity import digest
from sipbench.errors import UserError


def hashes(rows: Any) -> dict[str, set[str]]:
    """By part, the weights that rows of a cell were made with."""
    found: dict[str, set[str]] = {}
    for text in _texts(rows):
        for part, (_, weights) in _told(text).items():
            found.setdefault(part, set()).add(weights)
    return found


def mixed(rows: Any) -> int:
    """How many rows were made with another training than most that have learned the same lesson."""
    texts, counts = _texts(rows), dict[str, Counter[str]]()
    for text, rows_of_it in texts.items():
        for lesson, weights in _told(text).values():
            counts.setdefault(lesson, Counter())[weights] += rows_of_it
    most = {lesson: own.most_common(1)[0][0] for lesson, own in counts.items()}
    return sum(n for text, n in texts.items() if any(most[lesson] != w for lesson, w in _told(text).values()))


def check(cell: Cell, stored: list[dict[str, set[str]]]) -> None:
    """Refuse to go on with a cell whose rows were made with other weights than are there now."""
    for part, facts in cell.trainings.items():
        if others := set[str]().union(*(one.get(part, ()) for one in stored)) - {facts["sha256"]}:
            now = f"than lie in {cell.lessons[part].folder(cell.results)} now ({facts['sha256'][:8]})"
            hint = f"remove {cell.folder} and run it again, or put back what it was made with"
            raise UserError(
                f"{cell.label}: its rows were made with other weights of {part} {_short(others)} {now}: {hint}"
            )


def _short(weights: set[str]) -> str:
    return f"({', '.join(sorted(one[:8] for one in weights))})"


def _texts(rows: Any) -> Counter[str]:
    return Counter(rows["training"].dropna().value_counts().to_dict()) if "training" in rows else Counter()


def _told(text: object) -> dict[str, tuple[str, str]]:
    """By part its lesson and its weights; nothing where a text tells of none."""
    try:
        said = json.loads(str(text))
        return {part: (digest(one["made_of"]), str(one["sha256"])) for part, one in said.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
