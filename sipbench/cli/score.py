"""`sipbench score`: scores that stored results lack, computed from what the solvers returned."""

from __future__ import annotations

import sys

HELP = """\
sipbench score [key=value ...] [metrics=[psnr,ssim,lpips_alex,...]]     score stored results; nothing is solved again

  the words that ran the cells     several values, separated by commas, name several cells
  metrics=[...]                    the metrics that are wanted; those that are there already are not computed again

A metric whose weights are absent is asked for once from the network. A stored result whose images are damaged is set
aside: run its cell again. Exit code 0 where every stored result has every metric, 1 where one cannot be computed here.

Example:  sipbench score degradation=sr4,inpaint70 method=dip,dps metrics=[psnr,lpips_alex]
"""


def main(words: list[str]) -> int:
    """Score each cell, and say what of it was lacking."""
    from sipbench import metrics
    from sipbench.bench import store
    from sipbench.bench.cells import Cells
    from sipbench.bench.rescore import score_stored
    from sipbench.cli.cell import scores
    from sipbench.cli.hydra import expand

    cells = Cells().all(expand(words))
    lacking = {name: metrics.available(name, download=True) for cell in cells for name in cell.metrics}
    lost = 0
    for cell in cells:
        stored = len(store.done(cell))
        count = score_stored(cell) if stored else 0
        lost += (aside := stored - len(store.done(cell)))
        said = f"{count} of {stored} stored results scored" if stored else "nothing is stored; run it first"
        again = f", {aside} to be run again" if aside else ""
        print(f"{cell.label}: {said}{again}{scores(cell)}")
    for name, reason in lacking.items():
        if reason:
            print(f"sipbench: {name} cannot be computed here: {reason}", file=sys.stderr)
    return int(lost > 0 or any(lacking.values()))
