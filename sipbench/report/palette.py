"""One colour a family, the same on every picture and page, told apart by colour-blind eyes (after Okabe and Ito)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

FAMILIES = {"classical": "#767676", "datarich": "#0072B2", "diffusion": "#D55E00", "single": "#009E73"}
SPARE = ("#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#882255", "#999933")  # of families that somebody adds, in order
DISTINCT = (*SPARE, "#332288", "#000000")  # of what is no family, such as rules of stopping
MARKERS = "osD^vPX*"
LINES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (3, 1)))  # of a family's curves that have no markers
LIGHTEST = 0.55  # how far the last of a family goes towards white


def colours(families: Iterable[str]) -> dict[str, str]:
    """The colour of each family; those that are not known take the spare ones in turn."""
    found, spare = {}, 0
    for family in dict.fromkeys(families):
        found[family] = FAMILIES.get(family) or SPARE[spare % len(SPARE)]
        spare += family not in FAMILIES
    return found


def styles(members: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name of (name, family): its family's colour, paler from one to the next."""
    members = list(members)
    own = colours(family for _, family in members)
    found = {}
    for family, colour in own.items():
        names = [name for name, of in members if of == family]
        for k, name in enumerate(names):
            found[name] = paler(colour, LIGHTEST * k / max(1, len(names) - 1)), MARKERS[k % len(MARKERS)]
    return found


def marks(members: Iterable[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """How matplotlib draws each name of (name, family): its family's colour, a line and a marker of its own in it."""
    members, seen, found = list(members), dict[str, int](), {}
    own = colours(family for _, family in members)
    for name, family in members:
        k = seen[family] = seen.get(family, -1) + 1
        found[name] = {"color": own[family], "ls": LINES[k % len(LINES)], "marker": MARKERS[k % len(MARKERS)]}
    return found


def paler(colour: str, share: float) -> str:
    """A colour on its way to white: 0 leaves it, 1 is white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02X}" for part in parts)
