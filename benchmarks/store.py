"""What it takes to open, filter and render a store of 10,000 cells with 1,000,000 rows; all times are of one core.

    python benchmarks/store.py [CELLS] [FOLDER]

The rows are made up: 100 images a cell in one file, 47 columns. Beside the index stands pandas with one big file of the
same rows. A folder that is named is kept, and found filled the next time. Where DuckDB is installed, it is asked too.
"""

import hashlib
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy: threads that wait for each other are counted as work

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from sipbench import tables
from sipbench.bench import index, protocol, sealed, store
from sipbench.tables.views import grid

METHODS = """admm_tv bm3d conv_decoder deep_decoder dip dip_sure double_dip double_dip_tv dop fourier_features hash_grid
    mlp pinv richardson_lucy siren spectral_dip tgv tikhonov tv wavelet""".split()
PROBLEMS = "sr4 inpaint70 deblur_gaussian denoise deblur_motion".split()
IMAGES = 100


@contextmanager
def told(what):
    began = time.process_time()
    yield
    print(f"{what:64s} {time.process_time() - began:7.2f} s", flush=True)


def rows(cell, chance):
    """The table of a cell: numbers that differ, texts that do not."""
    names = ["psnr", "ssim", "lpips_alex", "lpips_vgg", "seconds", "evaluations", "residual_ratio", "peak_memory_mib"]
    names += [f"oracle_{name}" for name in names[:4]] + [f"extra_{i}" for i in range(8)]
    columns = {name: chance.normal(size=IMAGES) for name in names}
    columns |= {"image": np.arange(IMAGES), "seed": np.full(IMAGES, cell.seed), "kept": np.ones(IMAGES, bool)}
    columns |= {"metrics_version": np.full(IMAGES, protocol.versions()["metrics"])}
    task = f"{cell.names[1]}/{cell.seed}"
    columns |= {"image_id": [f"faces-2/test/{i}" for i in range(IMAGES)]}
    columns |= {"y_sha256": [hashlib.sha256(f"{task}/{i}".encode()).hexdigest()[:16] for i in range(IMAGES)]}
    same = {
        "status": "ok",
        "reason": "",
        "device": "one core",
        "cell": cell.hash,
        **{f"text_{i}": "x" * 40 for i in range(16)},
    }
    return pa.table(columns | {name: [text] * IMAGES for name, text in same.items()})


def fill(cells):
    """One file a cell, and one with the rows of all."""
    chance, every = np.random.default_rng(0), []
    for cell in cells:
        table = rows(cell, chance)
        cell.folder.mkdir(parents=True, exist_ok=True)
        (cell.folder / "cell.json").write_text("{}")
        (cell.folder / "rows-000000-benchmark.parquet").write_bytes(sealed.sealed(table, store.HEAVY))
        every.append(table)
    parquet.write_table(pa.concat_tables(every), cells[0].results / "all.parquet")


def duck(results):
    try:
        import duckdb
    except ImportError:
        return
    query = "select cell, avg(psnr) from read_parquet('{}') group by cell"
    for name, where in (
        ("one big file", results / "all.parquet"),
        ("all files", results / "runs/*/*/*/*/rows-*.parquet"),
    ):
        with told(f"DuckDB, a mean of every cell, {name}"):
            duckdb.sql("set threads=1")
            duckdb.sql(query.format(where)).fetchall()


def main(count, results):
    seeds = ",".join(map(str, range(max(1, count // (len(METHODS) * len(PROBLEMS))))))
    words = [f"method={','.join(METHODS)}", f"degradation={','.join(PROBLEMS)}", f"seed={seeds}", f"images={IMAGES}"]
    spec = tables.load("table1", "demo", [*words, f"results={results}"])
    with told("cells composed"):
        cells = [cell for entry in spec.planned for cell in entry.cells]
    with told("cells named"):
        folders = [cell.folder for cell in cells]
    if not (results / "all.parquet").exists():
        with told("made up and written"):
            fill(cells)
    print(f"{len(cells)} cells, {len(cells) * IMAGES} rows")
    for path in (results / "runs" / ".index").glob("*"):
        path.unlink()
    with told("rebuilt: every file read, the index written"):
        index.read(results, folders)
    with told("opened: every cell looked at, all rows of all"):
        found = index.read(results, folders)
    with told("filtered: images of one method below a value"):
        own = pd.concat([found[cell.folder] for cell in cells if cell.method["name"] == "dip"])
        print(len(own[own["psnr"] < -1]), end=" rows; ")
    with told("opened: 40 cells"):
        index.read(results, folders[:: max(1, len(folders) // 40)])
    few = tables.load("table1", "demo", [*words[:2], "seed=0", words[3], f"results={results}"])
    for name, one in (("a table of 100 cells", few), (f"a table of all {len(cells)} cells", spec)):
        with told(f"{name}: what it lacks"):
            one.entries()
        with told(f"{name}: collected"):
            frame = tables.collect(one)
        with told(f"{name}: rendered"):
            grid.write(one, frame, results / "page")
    with told("pandas, one big file: opened"):
        big = pd.read_parquet(results / "all.parquet")
    with told("pandas, one big file: means of every cell"):
        big.groupby("cell")[["psnr", "ssim", "lpips_alex"]].mean()
    with told("pandas, the files of 100 cells"):
        pd.concat([pd.read_parquet(store.files(folder)[0]) for folder in folders[:100]])
    duck(results)


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    if len(sys.argv) > 2:
        main(wanted, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as place:
            main(wanted, Path(place))
