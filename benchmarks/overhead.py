"""What the harness adds to a demo run: all time that is not the solver's, start-up aside.

Run by hand: python benchmarks/overhead.py [method ...]
"""

import sys
import tempfile
import time

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.run import run

METHODS = sys.argv[1:] or ["pinv", "unet", "dip", "dps"]

total = solver = 0.0
with tempfile.TemporaryDirectory() as results:
    for degradation in ("sr4", "inpaint70"):
        for method in METHODS:
            words = [f"degradation={degradation}", f"method={method}"]
            # once outside the clock: imports and loading are start-up
            list(run(Cell.of(configs.compose([*words, "images=[99]", f"results={results}"]), words)))
            cell = Cell.of(configs.compose([*words, f"results={results}"]), words)
            began = time.perf_counter()
            rows = [row for batch in run(cell) for row in batch]
            took, own = time.perf_counter() - began, sum(row["seconds"] for row in rows)
            total, solver = total + took, solver + own
            print(f"{degradation:<10} {method:<6} {took:8.2f} s, of which the solver {own:8.2f} s", flush=True)
print(f"the harness adds {100 * (total - solver) / total:.1f} % of the run ({total - solver:.2f} s of {total:.2f} s)")
