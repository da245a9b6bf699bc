"""What a kernel's size is worth: blind solvers told it, and given a box twice too large. PSNR and kernel similarity.

    python -m benchmarks.overspecified [images=4] [more settings of `sipbench`, such as method.solver.iterations=500]

Validation faces, motion kernels of half the side of the box that `blind_unknown` gives.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sipbench import configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.run import run
from sipbench.operators.blind import half_of_measurement

METHODS = ("double_dip", "selfdeblur")
PROBLEM = ("split=validation", "degradation=blind_unknown", "degradation.operator.support=[0.5,0.5]")


def figures(method: str, told: bool, words: list[str], results: Path) -> tuple[float, float]:
    """The means over the images of the PSNR in dB and of the kernel similarity."""
    size = int(configs.compose([f"method={method}", *PROBLEM, *words])["size"])
    box = half_of_measurement(size)
    knowledge = f"method.solver.kernel_size={box // 2 + 1 - box // 2 % 2 if told else 'null'}"
    words = [f"method={method}", *PROBLEM, "images=4", *words, knowledge, f"results={results}"]
    cell = Cell.of(configs.compose(words), words)
    for _ in run(cell):
        pass
    rows = store.read(cell.folder)
    return float(rows["psnr"].mean()), float(rows["kernel_similarity"].mean())


def main(words: list[str]) -> None:
    print(f"{'method':12}{'size told':>16}{'twice too large':>18}{'loss':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for method in METHODS:
            (known, like), (unknown, unlike) = (figures(method, told, words, Path(folder)) for told in (True, False))
            print(f"{method:12}{known:8.2f} dB {like:.2f}{unknown:10.2f} dB {unlike:.2f}{known - unknown:7.2f} dB")


if __name__ == "__main__":
    main(sys.argv[1:])
