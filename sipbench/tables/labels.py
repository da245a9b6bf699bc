"""Labels of points in a picture, put where they lie neither on one another nor on a point.

Each label is tried around its point, near before far, and stays where nothing is; all lengths are in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Place = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top
AROUND = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))  # right above is where one looks first
REACH = (4, 9, 15, 22, 30, 40, 52, 66, 82, 100)
APART = 3.0  # between two labels side by side
POINT = 4.0  # half the side of the square that a point keeps free
FAR = 12.0  # from here on a line leads from the point to its label
GROUND = {"facecolor": "white", "edgecolor": "none", "pad": 0}  # the front does not cross a label


def draw(axes: Any, points: Sequence[tuple[str, float, float]], size: float = 7) -> None:
    """Write the title of each (title, x, y) beside it. The axes have their place and their limits already."""
    figure = axes.figure
    renderer, scale = figure.canvas.get_renderer(), 72 / figure.dpi
    texts = [
        axes.annotate(title, (x, y), fontsize=size, xytext=(0, 0), textcoords="offset points") for title, x, y in points
    ]
    boxes = [text.get_window_extent(renderer) for text in texts]
    anchors = [tuple(axes.transData.transform((x, y))) for _, x, y in points]
    frame = tuple(axes.get_window_extent(renderer).extents)
    found = placed(anchors, [(box.width + APART, box.height) for box in boxes], frame)
    for text, (left, bottom, right, top), (x, y) in zip(texts, found, anchors, strict=True):
        text.set(x=(left - x) * scale, y=(bottom - y) * scale, ha="left", va="bottom", bbox=GROUND, zorder=2)
        near = min(max(x, left), right), min(max(y, bottom), top)
        if abs(near[0] - x) + abs(near[1] - y) > FAR:
            ends = axes.transData.inverted().transform([(x, y), near])
            axes.plot(*ends.T, color="0.6", lw=0.5, zorder=2.1)


def placed(anchors: Sequence[Place], sizes: Sequence[Place], frame: Box) -> list[Box]:
    """A box of its size for each anchor; where no place is free, the one that covers least."""
    points = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in anchors]
    found: dict[int, Box] = {}
    for i in sorted(range(len(anchors)), key=lambda i: anchors[i]):
        others = [*points, *found.values()]
        tried = ((_covered(box, others) + _outside(box, frame), box) for box in _around(anchors[i], sizes[i]))
        found[i] = _first_or_least(tried)
    return [found[i] for i in range(len(anchors))]


def spread(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Middles of labels above one another, none on the next, as near to those that are wanted as that goes.

    Those that would touch are a pile around the mean of what its labels want, by least squares; too many to stand
    between low and high overlap alike.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    room = min(1.0, (high - low) / sum(sizes)) if len(sizes) else 1.0
    below, offsets = 0.0, []
    for i in order:
        offsets.append(below + room * sizes[i] / 2)
        below += room * sizes[i]
    piles: list[list[float]] = []  # of each what its labels want of its foot
    for i, offset in zip(order, offsets, strict=True):
        piles.append([min(max(wanted[i] - offset, low), high - below)])
        while len(piles) > 1 and _mean(piles[-2]) >= _mean(piles[-1]):
            piles[-2:] = [piles[-2] + piles[-1]]
    feet = [_mean(pile) for pile in piles for _ in pile]
    found = dict(zip(order, map(sum, zip(feet, offsets, strict=True)), strict=True))
    return [found[i] for i in range(len(wanted))]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _around(anchor: Place, size: Place) -> Iterator[Box]:
    for reach in REACH:
        for across, up in AROUND:
            left = anchor[0] + across * reach + (across - 1) / 2 * size[0]
            bottom = anchor[1] + up * reach + (up - 1) / 2 * size[1]
            yield left, bottom, left + size[0], bottom + size[1]


def _first_or_least(tried: Iterator[tuple[float, Box]]) -> Box:
    """The first box that costs nothing, or the one that costs least."""
    least = next(tried)
    for one in tried:
        if not least[0]:
            break
        least = min(least, one, key=lambda pair: pair[0])
    return least[1]


def _covered(box: Box, others: Sequence[Box]) -> float:
    """The area that the box has in common with others."""
    return sum(_common(box, other) for other in others)


def _outside(box: Box, frame: Box) -> float:
    """The area of the box that is outside of the frame."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _common(box, frame)


def _common(a: Box, b: Box) -> float:
    across, up = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(across, 0.0) * max(up, 0.0)
