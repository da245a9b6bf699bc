"""Labels of points in a picture, put where they lie neither on one another nor on a point.

Each label is tried around its point, near before far, and stays where nothing is; all lengths are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

Place = tuple[float, float]
Box = tuple[float, float, float, float]  # left, bottom, right, top
AROUND = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))  # right above is where one looks first
REACH = (4, 9, 15, 22, 30, 40, 52, 66, 82, 100)
APART = 3.0  # between two labels side by side
POINT = 4.0  # half the side of the square that a point keeps free
FAR = 12.0  # from here on a line leads from the point to its label
LINE = 1.0  # what a pixel of a line on a label or a point costs, in those of a label on another
ROUNDS = 4
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
        if line := _line((x, y), (left, bottom, right, top)):
            axes.plot(*axes.transData.inverted().transform(line).T, color="0.6", lw=0.5, zorder=2.1)


def placed(anchors: Sequence[Place], sizes: Sequence[Place], frame: Box) -> list[Box]:
    """A box of its size for each anchor; where no place is free, the one that covers least.

    Each looks again where the others have come to lie, the first of which knew of none, and which lines cross which
    labels. Of all rounds the best counts: nothing covered first, then no line across.
    """
    layout, best = _Layout(anchors, frame), None
    for k in range(ROUNDS):
        for i in sorted(range(len(anchors)), key=lambda i: anchors[i]):
            layout.boxes[i] = _first_or_least(layout.tried(i, sizes[i], LINE * (k > 0)))
        found = layout.worth, [layout.boxes[i] for i in range(len(anchors))]
        best = min(best or found, found, key=lambda pair: pair[0])
        if not any(best[0]):
            break
    return best[1] if best else []


class _Layout:
    """Points, and the boxes of those that have their label already.

    Attributes:
        boxes: the place of each label, by the number of its point.
    """

    def __init__(self, anchors: Sequence[Place], frame: Box) -> None:
        self._anchors, self._frame = anchors, frame
        self._points = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in anchors]
        self.boxes: dict[int, Box] = {}

    @property
    def worth(self) -> tuple[float, float]:
        """What lies on one another or outside, in square pixels, and how far lines cross labels and points."""
        boxes = [self.boxes[i] for i in range(len(self._anchors))]
        lying = ([*self._points, *boxes[i + 1 :]] for i in range(len(boxes)))
        return (
            sum(_covered(box, there) + _outside(box, self._frame) for box, there in zip(boxes, lying, strict=True)),
            sum(self._crossing(i, box) for i, box in self.boxes.items()),
        )

    def tried(self, i: int, size: Place, line: float) -> Iterator[tuple[float, Box]]:
        """What each place for a label costs: what it covers, what is outside, and by that weight lines that cross."""
        there = [*self._points, *self._others(i).values()]
        for box in _around(self._anchors[i], size):
            crossing = line * self._crossing(i, box) if line else 0.0
            yield _covered(box, there) + _outside(box, self._frame) + crossing, box

    def _crossing(self, i: int, box: Box) -> float:
        """How much of a label's line lies on other labels and points, and of the others' lines on it, in pixels."""
        own, others = _line(self._anchors[i], box), self._others(i)
        lines = (_line(self._anchors[j], other) for j, other in others.items())
        on = [*others.values(), *(point for j, point in enumerate(self._points) if j != i)]
        crossed = sum(_within(own, one) for one in on) if own else 0.0
        return crossed + sum(_within(line, box) for line in lines if line)

    def _others(self, i: int) -> dict[int, Box]:
        return {j: box for j, box in self.boxes.items() if j != i}


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


def _line(anchor: Place, box: Box) -> tuple[Place, Place] | None:
    """From a point to its label, where that is far away."""
    near = min(max(anchor[0], box[0]), box[2]), min(max(anchor[1], box[1]), box[3])
    return (anchor, near) if abs(near[0] - anchor[0]) + abs(near[1] - anchor[1]) > FAR else None


def _within(line: tuple[Place, Place], box: Box) -> float:
    """The length of the part of a line that is in the box."""
    begin, end = 0.0, 1.0
    for axis in (0, 1):
        start, way = line[0][axis], line[1][axis] - line[0][axis]
        if way == 0:
            if not box[axis] < start < box[axis + 2]:
                return 0.0
            continue
        ends = sorted(((box[axis] - start) / way, (box[axis + 2] - start) / way))
        begin, end = max(begin, ends[0]), min(end, ends[1])
    return max(end - begin, 0.0) * math.dist(*line)


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
