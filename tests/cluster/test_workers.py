"""Workers as real processes on one folder: what is killed is taken over, what kills is told of, and no row is twice."""

import os
import signal
import time

import pandas as pd
import pytest

from sipbench import cli
from sipbench.bench import processes
from sipbench.cli.hydra import expand
from sipbench.cluster.asked import plan_of
from sipbench.cluster.status import status
from tests.cluster.watching import stored, until

pytestmark = pytest.mark.slow
SLOW = """\
import time

def solve(problem, *, pause=0.05):
    for _ in problem.steps(4):
        time.sleep(pause)
    return problem.f.pinv(problem.y)
"""
DEADLY = """\
import ctypes, os

def solve(problem):
    ctypes.string_at(0)
"""


def test_three_of_which_one_is_killed_do_what_one_process_does(here, start):
    (here / "slow.py").write_text(SLOW)
    words = ["-m", "method=slow.py:solve,pinv", "degradation=sr4,inpaint70", "images=12", "batch_size=1", "size=32"]
    words.append("metrics=[psnr]")
    workers = [start("work", *words, "results=many", "threads=1") for _ in range(3)]
    until(lambda: len(list(here.glob("many/runs/*/*/*/*/rows-*"))) > 4)
    until(lambda: any(p.name.startswith(_host(workers[0].pid)) for p in here.glob("many/workers/*.json")))
    workers[0].kill()
    for worker in workers[1:]:
        said, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, said
    assert cli.main([*words, "results=one"]) == 0
    many, one = stored(here / "many"), stored(here / "one")
    columns = ["cell", "image", "status", "psnr", "y_sha256"]
    assert len(many) == 48 and not many.duplicated(["cell", "image"]).any()
    pd.testing.assert_frame_equal(many[columns], one[columns])
    assert not list(here.glob("many/leases/*/*.lease"))
    assert status(plan_of([*words, "results=many"], expand)).code == 0


def _host(pid: int) -> str:
    import socket

    return f"{socket.gethostname().split('.')[0]}-{pid}-"


def test_a_solver_that_ends_its_process_fails_alone(here, start):
    (here / "deadly.py").write_text(DEADLY)
    words = ["-m", "method=deadly.py:solve,pinv", "images=1", "size=32", "metrics=[psnr]"]
    worker = start("work", *words)
    said, _ = worker.communicate(timeout=300)
    assert worker.returncode == 0, said
    rows = stored(here / "results")
    bad = rows[rows["status"] != "ok"]
    assert len(rows) == 2 and list(bad["method"]) == ["deadly:solve"]
    assert bad["reason"].str.contains("ended its process 3 times: it was ended by SIGSEGV").all()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_stops_when_told_and_gives_back_what_it_holds(here, start, number):
    (here / "slow.py").write_text(SLOW)
    words = ["-m", "method=slow.py:solve", "method.solver.pause=30", "images=2", "batch_size=1", "size=32"]
    worker = start("work", *words, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))  # nohup make test
    until(lambda: list(here.glob("results/leases/*/*.lease")))
    worker.send_signal(number)
    said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert not list(here.glob("results/leases/*/*")) and not list(here.glob("results/workers/*.json"))


def _deaf():
    """As the shell of a script starts what runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize("begin", [None, _deaf])
def test_a_sweep_that_is_ended_ends_its_jobs_on_this_machine(here, start, begin):
    """A queue or `kill` ends the driver alone, and submitit's processes hear no SIGTERM."""
    (here / "slow.py").write_text(SLOW)
    words = ["method=slow.py:solve", "method.solver.pause=30", "seed=0,1", "images=1", "size=32", "results=r"]
    sweep = start("-m", *words, "+launcher=local", preexec_fn=begin)
    until(lambda: len(list(here.glob("r/leases/*/*.lease"))) == 2)
    jobs = processes.children(sweep.pid)
    sweep.send_signal(signal.SIGTERM)
    said, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 130, said
    assert len(jobs) == 2
    until(lambda: not any(processes.find(pid) for pid in jobs), 20)
    assert not list(here.glob("r/leases/*/*")) and not list(here.glob("r/workers/*.json"))


def test_with_nohup_it_goes_on_when_the_terminal_is_closed(here, start):
    (here / "slow.py").write_text(SLOW)
    words = ["-m", "method=slow.py:solve", "method.solver.pause=0.5", "images=1", "size=32", "metrics=[psnr]"]
    worker = start("work", *words, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    until(lambda: list(here.glob("results/leases/*/*.lease")))
    worker.send_signal(signal.SIGHUP)
    said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0 and "1 landed" in said, said


def test_who_reads_along_may_go(here, start):
    """As `| tee log` does at Ctrl-C, before the worker has said its last words: what it holds is given back even so."""
    (here / "slow.py").write_text(SLOW)
    words = ["-m", "method=slow.py:solve", "method.solver.pause=30", "images=2", "batch_size=1", "size=32"]
    worker = start("work", *words)
    until(lambda: list(here.glob("results/leases/*/*.lease")))
    worker.stdout.close()
    worker.send_signal(signal.SIGINT)
    assert worker.wait(timeout=60) == 0
    assert not list(here.glob("results/leases/*/*")) and not list(here.glob("results/workers/*.json"))


def test_a_step_that_never_ends_is_ended(here, start):
    (here / "slow.py").write_text(SLOW)
    words = [
        "-m",
        "method=slow.py:solve,pinv",
        "method.solver.pause=10000",
        "images=1",
        "size=32",
        "budget_seconds=0.1",
    ]
    worker = start(
        "work", words[0], words[1].replace(",pinv", ""), *words[2:], env={**os.environ, "SIPBENCH_HANG": "2"}
    )
    said, _ = worker.communicate(timeout=300)
    assert worker.returncode == 0, said
    assert stored(here / "results")["reason"].str.contains("hung").all()


def test_a_time_to_stop_is_kept(here, start):
    (here / "slow.py").write_text(SLOW)
    began = time.monotonic()
    worker = start("work", "-m", "method=slow.py:solve", "method.solver.pause=30", "images=1", "size=32", "until=8")
    said, _ = worker.communicate(timeout=100)
    assert worker.returncode == 0 and "stopping" in said
    assert 6 < time.monotonic() - began < 60
