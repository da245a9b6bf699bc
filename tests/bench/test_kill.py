"""SIGKILL at random moments, then go on: no row lost, none twice, the same bits as an undisturbed run."""

import os
import random
import signal
import time

import pandas as pd
import pytest

from sipbench.bench import store
from sipbench.bench.run import run

SOLVER = """
import time
from sipbench.problem import Problem

def solve(problem: Problem, *, steps: int = 4):
    x = problem.f.pinv(problem.y)
    for _ in problem.steps(steps):
        time.sleep(0.03)
        x = x + 0.01 * problem.rng.normal_like(x)
        problem.show(x)
    return x
"""
TIMED = {"seconds", "peak_memory_mib", "curve_seconds", "batch"}


@pytest.fixture
def slow(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOLVER)
    return [f"method.solver._target_={path}:solve", "method.name=slow", "degradation=inpaint70", "images=12"]


def results(c):
    rows = store.read(c.folder)
    return [[repr(v) for v in rows[n]] for n in sorted(rows.columns) if n not in TIMED]


def test_killed_again_and_again(cell, slow, tmp_path):
    undisturbed = cell(*slow, "batch_size=2", f"results={tmp_path / 'undisturbed'}")
    assert len([row for batch in run(undisturbed) for row in batch]) == 12
    c, moments, kills = cell(*slow, "batch_size=2"), random.Random(0), 0
    while store.missing(c):
        child = os.fork()
        if child == 0:
            for _ in run(c):
                pass
            os._exit(0)
        time.sleep(moments.uniform(0.02, 0.4) * (1 + kills / 10))  # a busy machine gets there too
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        assert kills < 200
    assert kills >= 3
    assert results(c) == results(undisturbed)
    counts = [len(pd.read_parquet(p)) for p in sorted(c.folder.glob("rows-*.parquet"))]
    assert sum(counts) == 12
    assert not list(run(c))


def test_another_batch_size_and_order_give_the_same(cell, slow, tmp_path):
    """The same bits here, where nothing is summed over a batch."""
    one = cell(*slow, "batch_size=5", f"results={tmp_path / 'a'}")
    other = cell(*slow[:-1], "images=[11,3,0,1,2,4,5,6,7,8,9,10]", "batch_size=1", f"results={tmp_path / 'b'}")
    for c in (one, other):
        assert len([row for batch in run(c) for row in batch]) == 12
    assert results(one) == results(other)
