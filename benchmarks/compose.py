"""What it takes to know the cells of a sweep before its first job: one by one, and all at once.

    python benchmarks/compose.py [CELLS]

Prints seconds for 10,000 cells: 20 methods on 5 problems with 100 seeds. Each alone is measured on a few.
"""

import sys
import time

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.cells import Cells
from sipbench.cli.hydra import expand

METHODS = """admm_tv bm3d conv_decoder deep_decoder dip dip_sure double_dip double_dip_tv dop fourier_features hash_grid
    mlp pinv richardson_lucy siren spectral_dip tgv tikhonov tv wavelet""".split()
PROBLEMS = "sr4 inpaint70 deblur_gaussian denoise deblur_motion".split()


def main(count: int) -> None:
    words = [f"method={','.join(METHODS)}", f"degradation={','.join(PROBLEMS)}", "size=64", "images=4"]
    began = time.process_time()
    jobs = expand([*words, f"seed={','.join(map(str, range(count // 100)))}"])
    print(f"{len(jobs)} cells; their words: {time.process_time() - began:.2f} s")
    few = jobs[:: max(1, len(jobs) // 10)]
    began = time.process_time()
    alone = [Cell.of(configs.compose(job), job).hash for job in few]
    one = (time.process_time() - began) / len(few)
    print(f"each alone: {one * 1000:.0f} ms, {one * len(jobs):.0f} s for all")
    began = time.process_time()
    cells = Cells().all(jobs)
    made = time.process_time() - began
    names = [cell.hash for cell in cells]
    named = time.process_time() - began - made
    assert alone == names[:: max(1, len(jobs) // 10)]
    ratio = one * len(jobs) / (made + named)
    print(f"all at once: {made:.1f} s composed, {named:.1f} s named: {ratio:.0f} times less")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
