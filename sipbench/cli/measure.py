"""`sipbench measure`: measurements on disk, made from a dataset, without its truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.cli.words import outlet, problem_of
from sipbench.configs import Overrides
from sipbench.errors import UserError
from sipbench.safety.text import file_word

if TYPE_CHECKING:
    from sipbench.bench.cell import Cell

HELP = """\
sipbench measure degradation=NAME out=FOLDER [key=value ...]     save measurements, a .safetensors file an image

  dataset= images= size= seed= degradation.noise.NAME=     the problem, as for a cell

A file holds y alone and the streams of its mask, kernel or matrix; never the truth.
Solve them with the same degradation: sipbench dataset=measured dataset.root=FOLDER degradation=NAME method=dip

Example:  sipbench measure degradation=mri images=4 out=scans
"""


def main(words: list[str]) -> int:
    """Write the measurements, and say where."""
    out, rest = Overrides(words).take("out", "")
    if not out:
        raise UserError("measure where to? sipbench measure degradation=sr4 images=4 out=FOLDER")
    for path in measure(problem_of(rest), outlet(out, folder=True)):
        print(f"written: {path}")
    return 0


def measure(cell: Cell, folder: str | Path) -> Iterator[Path]:
    """Write the measurement of each image of a cell; solve them with `dataset=measured` and the same degradation."""
    from sipbench import configs
    from sipbench.bench import store
    from sipbench.bench.rescore import unsolved
    from sipbench.bench.run import Bench
    from sipbench.datasets.measured import public, save

    with configs.in_a_line(f"the degradation {cell.names[1]}"):
        bench = Bench.of(unsolved(cell), check=False)
    about = {"degradation": cell.degradation["name"], "operator": public(cell.degradation)}
    about |= {"dataset": cell.names[0], "seed": cell.seed}
    for image in cell.images:
        with configs.in_a_line(f"the degradation {cell.names[1]}"):
            problem = bench.pose([image])
        path = Path(folder, f"{file_word(cell.degradation['name'])}-{image:06d}.safetensors")
        with store.writing(path.parent, "out"):
            save(path, problem.y[0], bench.streams([image]).keys[0], about | {"image": image})
        yield path
