"""Cells of a table side by side."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sipbench import tables
from sipbench.bench import run as bench
from sipbench.bench import store
from sipbench.errors import UserError
from sipbench.tables import workers

from .fake import load


def test_how_many(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    assert [workers.chosen("auto", "cpu", cells) for cells in (0, 1, 3, 20)] == [1, 1, 3, 4]
    assert [workers.chosen("6", "cpu", cells) for cells in (2, 20)] == [2, 6]
    for wrong in ("0", "two", "-1"):
        with pytest.raises(UserError, match="jobs is auto or a number from 1 on"):
            workers.chosen(wrong, "cpu", 3)


def test_two_processes_store_what_one_does(tmp_path, capfd):
    """Each cell once, with a thread each; what is typed beside the table reaches the processes."""
    words = ["method=pinv,tv", "images=1", "method.solver.precision=float64"]
    spec = load(tmp_path, *words)
    todo = tables.pending(spec)
    assert len(todo) == 2
    typed = [f"{name}={tmp_path / name}" for name in ("results", "weights", "data")]
    workers.compute(("table1", "demo", [*typed, "images=4", "degradation=sr4", "size=32", *words]), todo, 2)
    assert not tables.pending(spec)
    told = capfd.readouterr().err
    assert "[2/2] faces / sr4 / " in told and ": 1 image, " in told
    for cell, _ in todo:
        [row] = store.read(cell.folder).to_dict("records")
        assert row["device"].endswith("x1")
        [again] = bench.Bench.of(cell).rows([0], None)
        assert row["psnr"] == pytest.approx(again["psnr"], abs=1e-6)


PARENT = """\
import sys, time
from concurrent.futures import ProcessPoolExecutor
import multiprocessing, os
from sipbench.tables import workers

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), workers.end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 60)
    time.sleep(60)
"""


def test_a_process_whose_parent_was_killed_ends_too(tmp_path):
    """By a signal that nobody can answer; what it was at work on is not stored."""
    (tmp_path / "parent.py").write_text(PARENT)
    with subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    until = time.monotonic() + 10
    while _alive(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _alive(child)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
