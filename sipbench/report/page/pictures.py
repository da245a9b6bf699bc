"""Pictures as a browser draws them: lossless, those of one method side by side, and all within so many bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sipbench.report.page.model import Gallery, Sprite

Pixels = Any
"""An array (h, w, 3) or (h, w) of bytes, or None where there is no picture."""
Encoded = tuple[int, int, str] | None
"""Width, height and data URI, or None where there is no picture."""
Sheets = dict[str, list[Encoded]]
FEWEST = 3  # images of a problem: an easy one, one in the middle, a hard one


@dataclass(frozen=True)
class Drawn:
    """The pictures of a problem before they are packed; lists have one an image, in the gallery's order.

    Attributes:
        gallery: the rest of it, with empty sprites.
        order: the images from the easiest to the hardest, by their places.
    """

    gallery: Gallery
    order: Sequence[int]
    truth: list[Pixels]
    measurement: list[Pixels]
    estimates: Mapping[str, list[Pixels]]
    residuals: Mapping[str, list[Pixels]]
    kernels: Mapping[str, list[Pixels]]


def packed(drawn: Sequence[Drawn], limit: int) -> list[Gallery]:
    """Galleries that take at most `limit` bytes: of too many images fewer are shown, then smaller ones."""
    side = 0
    while True:
        sheets = [{name: [encoded(p, side) for p in pictures] for name, pictures in _lists(one)} for one in drawn]
        chosen = _chosen(drawn, sheets, limit)
        galleries = [_gallery(*one, side) for one in zip(drawn, sheets, chosen, strict=True)]
        size = sum(map(weight, galleries))
        if size <= limit or side == 1:
            return galleries
        side = max(1, int((side or max(map(_side, drawn))) * min(0.9, (limit / size) ** 0.5)))


def weight(gallery: Gallery) -> int:
    """The bytes of its pictures."""
    several = (gallery.estimates, gallery.residuals, gallery.kernels)
    sprites = [
        *(one for one in (gallery.truth, gallery.measurement) if one),
        *(s for own in several for s in own.values()),
    ]
    return sum(len(source) for one in sprites for source in one.sources)


def spread(order: Sequence[int], count: int) -> list[int]:
    """So many of them, evenly along the order with both ends, in the order of their own numbers."""
    if count >= len(order):
        return sorted(order)
    return sorted({order[round(k * (len(order) - 1) / max(1, count - 1))] for k in range(count)})


def encoded(picture: Pixels, side: int = 0) -> Encoded:
    """A picture, lossless, as a data URI with its size; made smaller where it is larger than `side`."""
    from PIL import Image

    if picture is None:
        return None
    image, buffer = Image.fromarray(picture), io.BytesIO()
    if 0 < side < max(image.size):
        w, h = (max(1, round(n * side / max(image.size))) for n in image.size)
        image = image.resize((w, h), Image.Resampling.BOX)
    image.save(buffer, "webp", lossless=True, quality=30, method=2)
    return *image.size, f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _chosen(drawn: Sequence[Drawn], sheets: Sequence[Sheets], limit: int) -> list[list[int]]:
    """Of each problem the images that are shown: as many as fit, the same number of all, and not below the fewest."""
    count = max((len(one.order) for one in drawn), default=0)
    while True:
        chosen = [spread(one.order, count) for one in drawn]
        lists = [(pictures, own) for sheet, own in zip(sheets, chosen, strict=True) for pictures in sheet.values()]
        size = sum(len(found[2]) for pictures, own in lists for i in own if (found := pictures[i]) is not None)
        if size <= limit or count <= FEWEST:
            return chosen
        count -= 1


def _lists(one: Drawn) -> list[tuple[str, list[Pixels]]]:
    """Every list of pictures by a name of its own."""
    several = {"estimates": one.estimates, "residuals": one.residuals, "kernels": one.kernels}
    named = [(f"{kind}/{name}", own) for kind, lists in several.items() for name, own in lists.items()]
    return [("truth", one.truth), ("measurement", one.measurement), *named]


def _side(one: Drawn) -> int:
    return max(max(p.shape[:2]) for _, pictures in _lists(one) for p in pictures if p is not None)


def _gallery(one: Drawn, sheets: Sheets, chosen: list[int], side: int) -> Gallery:
    whole, own = one.gallery, _side(one)

    def sprite(name: str) -> Sprite | None:
        found = [sheets[name][i] for i in chosen]
        there = [picture for picture in found if picture is not None]
        if not there:
            return None
        return Sprite(there[0][0], there[0][1], tuple("" if picture is None else picture[2] for picture in found))

    def every(kind: str, methods: Mapping[str, list[Pixels]]) -> dict[str, Sprite]:
        return {name: found for name in methods if (found := sprite(f"{kind}/{name}"))}

    return replace(
        whole,
        images=tuple(whole.images[i] for i in chosen),
        values={m: {k: tuple(v[i] for i in chosen) for k, v in own.items()} for m, own in whole.values.items()},
        truth=sprite("truth"),
        measurement=sprite("measurement"),
        estimates=every("estimates", one.estimates),
        residuals=every("residuals", one.residuals),
        kernels=every("kernels", one.kernels),
        reduced=f"made smaller, to {side} of {own} pixels: values are those of the smaller" if 0 < side < own else "",
    )
