"""Workers on a real SLURM: cancelled, preempted, past their limit, on a node whose clock is off; every row once."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sipbench import cli
from tests.cluster.watching import stored, until
from tests.sweeps import slurm

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(slurm.missing()), reason=f"no SLURM here: {', '.join(slurm.missing())} not found"),
]
SLOW = """\
import os, time

def solve(problem, *, scale=0.01):
    for _ in problem.steps(4):
        time.sleep(0.4 if "SLURM_JOB_ID" in os.environ else 0)
    return problem.f.pinv(problem.y) + scale * problem.rng.normal(*problem.shape[1:])
"""
HELD = """\
import pathlib, time

def solve(problem):
    while not pathlib.Path("free").exists():
        time.sleep(0.2)
    return problem.f.pinv(problem.y)
"""
AHEAD = "import time\n_time = time.time\ntime.time = lambda: _time() + 600.0\n"
CELLS, IMAGES = 12, 4
GRID = ("-m", "method=slow.py:solve", "degradation=sr4,inpaint70", f"seed={','.join(map(str, range(6)))}")
SMALL = ("size=32", "metrics=[psnr]", "batch_size=1")
OWN = {"seconds", "curve_seconds", "peak_memory_mib"}  # of a run, and no two runs alike


@pytest.fixture
def cluster(here, monkeypatch):
    """Ask the programs of a SLURM that is there for this test alone."""
    with slurm.running() as found:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, found[name])
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        yield lambda *words: subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def _send(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sipbench.cli", "submit", *words, *SMALL, "+launcher=slurm", "gpus=0", "mem_gb=1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _told(cluster, job: str) -> dict[str, str]:
    """What SLURM says of a job, or of a task of an array."""
    return dict(re.findall(r"(\w+)=(\S+)", cluster("scontrol", "--oneliner", "show", "job", job)))


def _sent(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return re.findall(r"scancel (\d+)", said)[0]


def _log(job: str) -> str:
    return "".join(path.read_text() for path in Path().glob(f"results/sweeps/*/logs/{job}_*.log"))


def _seen(cluster, job: str) -> str:
    """What there is to see of an array that does not go on."""
    queue, nodes = cluster("squeue", "--all"), cluster("scontrol", "show", "node")
    there = sorted(map(str, Path("results").rglob("*")))
    return "\n".join(["", queue, nodes, cluster("scontrol", "--oneliner", "show", "job", job), *there, _log(job)])


def test_nothing_is_lost_whatever_becomes_of_the_jobs(here, cluster, capsys):
    """Three sweeps at once on sixteen cores: what takes long is waiting for limits, which SLURM counts in minutes."""
    (here / "slow.py").write_text(SLOW)
    (here / "held.py").write_text(HELD)
    (here / "ahead").mkdir()
    (here / "ahead" / "sitecustomize.py").write_text(AHEAD)
    clock = f'[ "$SLURM_ARRAY_TASK_ID" != 0 ] || export PYTHONPATH={here}/ahead:$PYTHONPATH'
    submitter = _send(
        *GRID, f"images={IMAGES}", "workers=4", "threads=1", "cpus=3", "hours=0.2", f"setup={clock}"
    )  # on the node of the first worker it is ten minutes later
    held = ["-m", "method=held.py:solve", "images=1", "workers=1", "cpus=2", "partition=calm"]
    own = _send(*held, "seed=0", "hours=0.034", "slurm.signal=B:CONT@20")  # nobody warns it: its own deadline ends it
    blind = _send(*held, "seed=1", "slurm.time=1", "slurm.signal=B:CONT@20", "setup=export PATH=/nowhere")
    array = until(lambda: cluster("squeue", "--noheader", "--partition=main", "--format=%F").split())[0]
    submitter.send_signal(signal.SIGKILL)
    submitter.communicate()
    own, blind = _sent(own), _sent(blind)

    until(lambda: len(list(here.glob("results/runs/*/*/slow*/*/rows-*"))) > 3, told=lambda: _seen(cluster, array))
    until(lambda: all(_told(cluster, f"{array}_{n}")["JobState"] == "RUNNING" for n in range(4)))
    cluster("scancel", f"{array}_1")
    cluster("sbatch", "--partition=urgent", "--cpus-per-task=7", "--mem=1G", "--wrap=sleep 8", "--output=/dev/null")
    until(lambda: any(int(_told(cluster, f"{array}_{n}")["Restarts"]) for n in (0, 2, 3)))
    until(lambda: not cluster("squeue", "--noheader", "--partition=main,urgent"))
    states = [_told(cluster, f"{array}_{n}")["JobState"] for n in range(4)]
    assert states == ["COMPLETED", "CANCELLED", "COMPLETED", "COMPLETED"], _log(array)

    rows = stored("results", "slow*")
    assert len(rows) == CELLS * IMAGES and not rows.duplicated(["cell", "image"]).any()
    assert cli.main([*GRID, f"images={IMAGES}", *SMALL, "results=serial"]) == 0
    alone = stored("serial")
    names = [name for name in alone.columns if name not in OWN]
    assert set(rows.columns) - {"source_changed"} == set(alone.columns)  # where somebody edits the code meanwhile
    pd.testing.assert_frame_equal(rows[names], alone[names])
    assert cli.main(["status", *GRID, f"images={IMAGES}", *SMALL]) == 0

    until(lambda: "TIMEOUT" in _told(cluster, blind)["JobState"])
    until(lambda: int(_told(cluster, own)["Restarts"]))
    assert "stopping; what was finished is stored" in _log(own) and "back into the queue" in _log(own)
    assert "back into the queue" not in _log(blind)
    assert not list(here.glob("results/runs/*/*/held*/*/rows-*"))
    (here / "free").touch()
    until(lambda: _told(cluster, own)["JobState"] == "COMPLETED")
    (sweep,) = {path.parts[-3] for path in here.glob(f"results/sweeps/*/logs/{blind}_*")}
    assert cli.main(["status", sweep]) == 1
    worker = [sys.executable, "-m", "sipbench.cli", "work", sweep, "threads=1"]
    done = subprocess.run(worker, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0 and cli.main(["status", sweep]) == 0, done.stderr
    assert sorted(stored("results", "held*")["seed"]) == [0, 1]
    assert not list(here.glob("results/leases/*/*")) and not list(here.glob("results/workers/*.json"))
    assert "1 done" in capsys.readouterr().out
