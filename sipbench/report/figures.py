"""Figures of a paper's size: one column or the whole page wide, written as PNG to look at and as PDF to print.

Text is 6 to 8 points where the figure is included as it is, a long title of a picture 5; colours are of `palette`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import Any

from sipbench.bench import store

COLUMN, PAGE = 3.25, 6.75  # inches
SMALL, PLAIN, TITLE = 6, 7, 8  # points
LEAST = 5  # the smallest letters that are read on paper
LINE = 0.13  # inches of a line of a legend
ROOM = 0.97  # of a picture's width is its title's
DPI = 220
STYLE: dict[Any, Any] = {
    "font.size": PLAIN,
    "axes.labelsize": PLAIN,
    "axes.titlesize": TITLE,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.markersize": 3,
    "pdf.fonttype": 42,  # TrueType: a publisher asks for it
}
SAYS = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}  # no time, no machine


@contextmanager
def figure(width: float, height: float, layout: str = "constrained") -> Iterator[Any]:
    """A figure of so many inches in the style of all of them, to be drawn and written within."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        made = Figure(figsize=(width, height), layout=layout, dpi=DPI)  # pyright: ignore
        FigureCanvasAgg(made)
        yield made


def write(made: Any, path: Path) -> list[Path]:
    """PATH.png and PATH.pdf, each whole; the same figure gives the same bytes."""
    return [store.write_whole(path.with_name(f"{path.name}.{kind}"), content(made, kind)) for kind in SAYS]


def content(made: Any, kind: str = "png") -> bytes:
    """A figure as a file's content."""
    buffer = io.BytesIO()
    made.savefig(buffer, format=kind, dpi=DPI, metadata=SAYS[kind])
    return buffer.getvalue()


def across(panels: int) -> tuple[int, float]:
    """How many panels stand side by side, and the width of all: a column for one, the page for more."""
    return (1, COLUMN) if panels == 1 else (min(3, panels) if panels != 4 else 2, PAGE)


def heading(title: str, wide: int) -> str:
    """A title in lines that fit above one of so many panels side by side."""
    return fill(title, 90 // max(wide, 2))


def fit(title: Any, figure: Any, inches: float) -> int:
    """Letters of a text no wider than so many inches: smaller ones down to LEAST, then more lines; how many lines."""
    said, size = title.get_text(), title.get_fontsize()
    room, renderer = ROOM * inches * figure.dpi, figure.canvas.get_renderer()

    def wide() -> float:
        return title.get_window_extent(renderer).width

    if said and wide() > room:
        title.set_fontsize(max(LEAST, size * room / wide()))
        letters = max(map(len, said.split("\n")))
        while wide() > room and letters > 1:
            letters -= 1
            title.set_text("\n".join(fill(line, letters) for line in said.split("\n")))
    return title.get_text().count("\n") + 1


def legend(figure: Any, named: Mapping[str, Any], length: float = 2.0, pad: float = 0.8) -> None:
    """What the lines of all panels are, below them in as few lines as fit; each after the first makes room for itself.

    Args:
        named: a handle for each label.
        length, pad: of a handle, and between it and its label, in the size of the letters.
    """
    renderer = figure.canvas.get_renderer()
    for lines in range(1, len(named) + 1):
        made = figure.legend(
            named.values(),
            named.keys(),
            loc="outside lower center",
            ncols=-(-len(named) // lines),
            frameon=False,
            handlelength=length,
            handletextpad=pad,
        )
        if made.get_window_extent(renderer).width <= figure.bbox.width or lines == len(named):
            figure.set_figheight(figure.get_figheight() + LINE * (lines - 1))
            return
        made.remove()
