"""Measurements on disk: made from a dataset, without its truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.datasets.measured import public, save
from sipbench.report.show import unsolved


def measure(cell: Cell, folder: str | Path) -> Iterator[Path]:
    """Write the measurement of each image of a cell; solve them with `dataset=measured` and the same degradation."""
    bench = Bench.of(unsolved(cell), check=False)
    about = {"degradation": cell.degradation["name"], "operator": public(cell.degradation)}
    about |= {"dataset": cell.cfg["dataset"]["name"], "seed": cell.cfg["seed"]}
    for image in cell.images:
        problem = bench.pose([image])
        path = Path(folder, f"{cell.degradation['name']}-{image:06d}.safetensors")
        with store.plainly(path.parent):
            save(path, problem.y[0], bench.streams([image]).keys[0], about | {"image": image})
        yield path
