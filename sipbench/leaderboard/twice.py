"""Two results of one cell: whether they agree, and by how much they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sipbench.bench import packing
from sipbench.leaderboard.verify import Record, same
from sipbench.safety.text import counted


def compared(one: Sequence[Record], other: Sequence[Record], names: Sequence[str]) -> str:
    """In words: on which images both succeeded, the largest differences of their scores, and of their estimates."""
    a, b = ({int(r["image"]): r for r in rows if r["status"] == "ok"} for rows in (one, other))
    both = sorted(a.keys() & b.keys())
    alone = len(a.keys() ^ b.keys())
    only = f"; {counted(alone, 'image')} only one of them solved" if alone else ""
    if not both:
        return f"no image that both solved{only}"
    apart = max(_apart(a[i], b[i]) for i in both)
    worst = [_worst(name, both, a, b) for name in names]
    differ = [text for text in worst if text]
    said = f"differ by up to {', '.join(differ)}" if differ else "agree"
    return f"{said} on {counted(len(both), 'image')}; their estimates differ by at most {apart:.2g}{only}"


def _worst(name: str, both: list[int], a: dict[int, Record], b: dict[int, Record]) -> str:
    """The largest difference of a metric and where it is, if a table would print another number."""
    pairs = [(abs(float(x) - float(y)), i, x, y) for i in both if (x := a[i].get(name)) is not None
             and (y := b[i].get(name)) is not None and x == x and y == y and x != y]  # fmt: skip
    if not pairs:
        return ""
    d, image, x, y = max(pairs)
    return "" if same(name, float(x), float(y)) else f"{name} {d:.4g} (image {image})"


def _apart(one: Record, other: Record) -> float:
    """The largest difference of two estimates; infinite where they are of other shapes."""
    x, y = (packing.unpacked(_bytes(row["estimate"])).x for row in (one, other))
    return float((x - y).abs().max()) if x.shape == y.shape else float("inf")


def _bytes(value: Any) -> bytes:
    return bytes(value)
