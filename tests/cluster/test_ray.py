"""Workers on a real Ray, started for the test: one is killed, begins anew in its actor, and every row is there once."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sipbench import cli
from sipbench.cluster import presence
from tests.cluster.watching import stored, until

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="Ray is not installed: make raytest installs it"
    ),
]
SLOW = """\
import os, time

def solve(problem):
    for _ in problem.steps(4):
        time.sleep(0.1 if "SIPBENCH_WORKER" in os.environ else 0)
    return problem.f.pinv(problem.y)
"""
RAY = "from ray.scripts.scripts import main; main()"
WORDS = ("-m", "method=slow.py:solve", "degradation=sr4,inpaint70", "images=16", "batch_size=1", "size=32")
MORE = ("metrics=[psnr]",)


@pytest.fixture
def ray(here, monkeypatch):
    """The address of a Ray of this machine alone, with two places for workers; all of it is ended with the test."""
    home = Path("/tmp") / f"ray-{os.getpid()}"  # its sockets have long names
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    for name, value in {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    where = ("--port=0", "--num-cpus=2", "--include-dashboard=false", f"--temp-dir={home}", "--block")
    memory = ("--object-store-memory=100000000", "--node-ip-address=127.0.0.1")
    command = [sys.executable, "-c", RAY, "start", "--head", *where, *memory]
    with open(here / "ray.log", "w") as log:
        head = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield until(lambda: re.findall(r"address='([\d.:]+)'", (here / "ray.log").read_text()))[0]
    finally:
        for process in _of(head.pid, home):
            _end(process)
        head.wait()
        subprocess.run(["rm", "-rf", str(home)], check=False)


def _of(leader: int, home: Path) -> list[int]:
    """All processes of its session, and those that were told of its folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            if session == leader or str(home).encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _end(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def test_a_worker_that_is_killed_begins_anew_in_its_actor(here, ray, capfd):
    (here / "slow.py").write_text(SLOW)
    sent = ["submit", *WORDS, *MORE, "+launcher=ray", "workers=2", "cpus=1", f"address={ray}"]
    done = subprocess.run([sys.executable, "-m", "sipbench.cli", *sent], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    until(lambda: len(list(here.glob("results/runs/*/*/*/*/rows-*"))) > 2)
    workers = until(lambda: len(found := presence.everybody(Path("results"))) == 2 and found)
    os.kill(workers[0]["pid"], signal.SIGKILL)
    after = until(
        lambda: {one["worker"] for one in presence.everybody(Path("results"))} - {one["worker"] for one in workers}
    )
    assert len(after) == 1
    until(lambda: cli.main(["status", *WORDS, *MORE]) == 0)
    until(lambda: not list(here.glob("results/workers/*.json")) and not list(here.glob("results/leases/*/*")))
    assert cli.main([*WORDS, *MORE, "results=serial"]) == 0
    rows, alone = stored("results"), stored("serial")
    columns = ["cell", "image", "status", "psnr", "y_sha256"]
    assert len(rows) == 32 and not rows.duplicated(["cell", "image"]).any()
    pd.testing.assert_frame_equal(rows[columns], alone[columns])
