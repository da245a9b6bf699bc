"""`sipbench show`: a picture of a problem, or of what is stored of a cell."""

from __future__ import annotations

from pathlib import Path

from sipbench.cli.words import cell_of, problem_of
from sipbench.configs import Overrides
from sipbench.safety.text import file_word

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
    out, cell_words = Overrides(words).take("out", "")
    named = cell_words.keys
    if "method" in named:
        from sipbench.report.stored import file_name, show

        cell, first = cell_of(cell_words), None if "images" in named else 2
        path = show(cell, Path(out or Path(cell.results, f"show-{file_name(cell)}.png")), first)
    else:
        from sipbench.report.show import show as show_problem

        cell = problem_of(cell_words if "images" in named else cell_words + ["images=2"])
        path = show_problem(cell, Path(out or Path(cell.results, f"show-{file_word('-'.join(cell.names[:2]))}.png")))
    print(f"written: {path}")
    return 0
