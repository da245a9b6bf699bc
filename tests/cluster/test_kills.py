"""Random kills of workers on one folder, a few of them: benchmarks/kills.py does two hundred."""

import subprocess
import sys

import pytest

from tests.cluster.conftest import ROOT


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_twice(here):
    words = ["--kills", "10", "--into", str(here / "kills")]
    done = subprocess.run([sys.executable, str(ROOT / "benchmarks/kills.py"), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills: 10\n" in done.stdout and "rows: 96\n" in done.stdout
