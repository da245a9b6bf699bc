"""Of a figure what lies where, as it is drawn."""

from itertools import combinations


def meeting(boxes):
    """The pairs of boxes that have more than an edge in common."""
    pairs = combinations(boxes, 2)
    return [(a, b) for a, b in pairs if a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1]


def leaving(boxes, page):
    """Those that leave the page by more than a pixel, which nobody sees."""
    page = page.padded(1)
    return [b for b in boxes if b.x0 < page.x0 or b.y0 < page.y0 or b.x1 > page.x1 or b.y1 > page.y1]
