"""`sipbench show`: a picture of a problem, or of what is stored of a cell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.cli.words import cell_of, outlet, problem_of
from sipbench.configs import Overrides
from sipbench.safety.text import counted, file_word

if TYPE_CHECKING:
    from sipbench.bench.cell import Cell

HELP = """\
sipbench show [key=value ...] [out=FILE.png]     draw a problem, or stored results

  degradation=NAME dataset=NAME images=[0,5]     the problem: truth, measurement, and A⁺y where the map is linear
  method=NAME                                    with the words that ran it: what is stored of that cell, beside truth
                                                 and measurement; of a blind problem the kernels too
  out=FILE.png                                   else results/show-....png

Of a real measurement (dataset=measured) there is no truth to draw. The first two images, unless images= says which.

Examples: sipbench show degradation=deblur_motion
          sipbench show method=dps degradation=sr4 images=[0,3]
"""


def main(words: list[str]) -> int:
    """Draw, and say where."""
    out, cell_words = Overrides(words).take("out")
    named, note = cell_words.keys, ""
    place, word = (None, "results") if out is None else (outlet(out, ending=".png"), "out")
    if "method" in named:
        from sipbench.report.stored import file_name, show

        cell, first = cell_of(cell_words), None if "images" in named else 2
        path = show(cell, place or Path(cell.results, f"show-{file_name(cell)}.png"), first, word)
        note = _changed(cell)
    else:
        from sipbench.report.show import show as show_problem

        cell = problem_of(cell_words if "images" in named else cell_words + ["images=2"])
        own = Path(cell.results, f"show-{file_word('-'.join(cell.names[:2]))}.png")
        path = show_problem(cell, place or own, word)
    print(f"written: {path}")
    if note:
        print(note, file=sys.stderr)
    return 0


def _changed(cell: Cell) -> str:
    """That rows of the cell come of other code than was submitted, where some do."""
    from sipbench.bench import store

    rows = store.read(cell.folder, ["image", "source_changed"])
    count = store.changed(rows)
    said = "done by other code than was submitted: see their column source_changed"
    return f"{count} of its {counted(len(rows), 'image')} {'was' if len(rows) == 1 else 'were'} {said}" if count else ""
