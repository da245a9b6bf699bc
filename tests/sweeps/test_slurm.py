"""A sweep through a real SLURM: a job is killed, another one preempted, and nothing is lost or done twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.watching import until
from tests.sweeps import slurm

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(slurm.missing()), reason=f"no SLURM here: {', '.join(slurm.missing())} not found"),
]
HELD = """\
import pathlib, time

solved = []

def solve(problem):
    while solved and not pathlib.Path({free!r}).exists():  # from its second image on
        time.sleep(0.1)
    solved.append(1)
    return problem.f.pinv(problem.y)
"""
WORDS = (
    "-m", "+launcher=slurm", "method=held.py:solve", "degradation=sr4,inpaint70", "seed=0,1", "size=32",
    "images=4", "batch_size=1", "metrics=[psnr]", "hydra.launcher.mem_gb=1",
)  # fmt: skip
CELLS = 4
IMAGES = [0, 1, 2, 3]


@pytest.fixture
def environment():
    with slurm.running() as found:
        yield {**found, "OMP_NUM_THREADS": "1"}


def _send(here: Path, environment: dict[str, str]) -> subprocess.Popen:
    command = [sys.executable, "-m", "sipbench.cli", *WORDS]
    return subprocess.Popen(command, cwd=here, env=environment, stderr=subprocess.PIPE, text=True)


def _ask(environment: dict[str, str], *words: str) -> str:
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=30).stdout


def _files(here: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in here.glob("results/runs/*/*/*/*/rows-*.parquet")}


def _begun(here: Path) -> bool:
    """Every job has stored its first image."""
    counts = [len(list(cell.glob("rows-*"))) for cell in here.glob("results/runs/*/*/*/*")]
    return counts == [1] * CELLS


def test_a_killed_sweep_is_finished_by_sending_it_again(here, environment):
    """Jobs are held at their second image until one of them was killed, however slow the machine."""
    import pandas as pd

    (here / "held.py").write_text(HELD.format(free=str(here / "free")))
    driver = _send(here, environment)
    until(lambda: _begun(here))
    array = _ask(environment, "squeue", "--noheader", "--format=%F").split()[0]
    _ask(environment, "scancel", "--signal=USR2", f"{array}_2")
    _ask(environment, "scancel", f"{array}_1")
    until(lambda: f"{array}_1" not in _ask(environment, "squeue", "--noheader", "--array", "--format=%i").split())
    (here / "free").touch()
    _, said = driver.communicate(timeout=180)
    assert driver.returncode == 1, said
    assert "images are missing" in said
    until(lambda: not _ask(environment, "squeue", "--noheader"))
    before = _files(here)
    assert len(before) < CELLS * len(IMAGES)
    restarts = _ask(environment, "scontrol", "--oneliner", "show", "job", f"{array}_2")
    assert "Restarts=1" in restarts and "JobState=COMPLETED" in restarts

    again = _send(here, environment)
    _, said = again.communicate(timeout=180)
    assert again.returncode == 0, said
    assert {path: time for path, time in _files(here).items() if path in before} == before
    for cell in {path.parent for path in _files(here)}:
        rows = pd.concat([pd.read_parquet(path) for path in cell.glob("rows-*.parquet")])
        assert sorted(rows["image"]) == IMAGES and set(rows["status"]) == {"ok"}, os.fspath(cell)
    assert len({path.parent for path in _files(here)}) == CELLS
