"""Disks, clocks, datasets and results that fail under workers: said in a line, nothing lost, gone on after."""

import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from sipbench import cli
from sipbench.bench import store
from sipbench.cluster.labour import Labour

FILLS = """\
import os, subprocess

def solve(problem):
    with open("calls", "a+") as file:
        file.write(".")
        file.flush()
        if file.tell() == 3:
            spoil()
    return problem.f.pinv(problem.y)

def spoil():
    if HOW == "full":
        try:
            with open("disk/filler", "wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        except OSError:
            return
    subprocess.run(["mount", "-o", "remount,ro", "disk"], check=True)
"""
LOSES = """\
import os

def solve(problem):
    if not os.path.exists("b.png"):
        os.rename("photos/b.png", "b.png")
    return problem.f.pinv(problem.y)
"""


@pytest.fixture
def disk(here):
    """A file system of its own, of two megabytes."""
    folder = here / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("how, says", [("full", "the disk is full"), ("read-only", "Read-only file system")])
def test_a_worker_ends_in_a_line_and_another_goes_on_once_it_is_mended(here, disk, start, how, says, capsys):
    (here / "mine.py").write_text(FILLS.replace("HOW", repr(how)))
    words = ["-m", "method=mine.py:solve", "images=5", "batch_size=1", "size=32", "metrics=[psnr]", "results=disk/r"]
    worker = start("work", *words, "threads=1")
    said, _ = worker.communicate(timeout=300)
    assert worker.returncode == 2 and says in said and "Traceback" not in said, said
    before = [path.read_bytes() for path in sorted(disk.rglob("rows-*"))]
    assert len(before) == 2
    assert cli.main(["status", *words]) == 1 and "2 done, 0 failed, 0 running, 3 missing" in capsys.readouterr().out
    if how == "full":
        (disk / "filler").unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    worker = start("work", *words, "threads=1")
    said, _ = worker.communicate(timeout=300)
    assert worker.returncode == 0, said
    assert cli.main(["status", *words]) == 0
    assert [path.read_bytes() for path in sorted(disk.rglob("rows-*"))][:2] == before
    assert not [*disk.rglob("*.tmp"), *disk.rglob("*.lease"), *disk.glob("r/workers/*.json")]


def test_a_clock_that_jumps(here, plan, teller, signals, monkeypatch):
    """Between any two looks at it by days, to and fro."""
    made, right, jumps = plan("-m", "method=pinv", "images=3", "batch_size=1"), time.time, [0]

    def jumping():
        jumps[0] += 1
        return right() + 86400 * (-1) ** jumps[0] * jumps[0]

    monkeypatch.setattr(time, "time", jumping)
    assert Labour(made, teller).all() == 0
    assert jumps[0] > 1 and store.read(made.results / made.cells[0].folder)["image"].tolist() == [0, 1, 2]
    assert cli.main(["status", made.name]) == 0


def test_a_dataset_that_loses_a_file(here, plan, teller, signals, capsys):
    (here / "photos").mkdir()
    for name in "abc":
        Image.fromarray(np.full((32, 32, 3), ord(name), np.uint8)).save(here / "photos" / f"{name}.png")
    (here / "mine.py").write_text(LOSES)
    words = ["method=mine.py:solve", "dataset=folder", "dataset.root=photos", "images=3", "batch_size=1"]
    made = plan("-m", *words)
    assert Labour(made, teller).all() == 0
    assert cli.main(["status", made.name]) == 1
    said = capsys.readouterr().out
    assert "2 done, 1 failed" in said and "b.png" in said
    shutil.copy("b.png", "photos/b.png")
    again = plan("-m", *words, "retry_failed=true")
    assert Labour(again, teller).all() == 0 and cli.main(["status", made.name]) == 0


def test_a_damaged_file_is_done_anew(here, plan, teller, signals, capsys):
    made = plan("-m", "method=pinv", "degradation=sr4,inpaint70", "images=2", "batch_size=1")
    assert Labour(made, teller).all() == 0
    path = sorted(made.results.rglob("rows-*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:-9])
    assert cli.main(["status", made.name]) == 1
    said = capsys.readouterr()
    assert "3 done, 0 failed, 0 running, 1 missing" in said.out and str(path) in said.err
    assert Labour(made, teller).all() == 0 and cli.main(["status", made.name]) == 0
    assert path.with_name(f"{path.name}.damaged").exists()
