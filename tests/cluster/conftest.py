"""A folder to work in, small plans, and workers as processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from sipbench.cli.hydra import expand
from sipbench.cluster import labour, telling
from sipbench.cluster.asked import plan_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder, with nothing of the surroundings."""
    for name in ("SIPBENCH_DATA", "SIPBENCH_WEIGHTS", "SIPBENCH_RESULTS", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plan(here):
    """A frozen plan of the words of a sweep."""

    def make(*words):
        made = plan_of([*words, "size=32", "metrics=[psnr]"], expand)
        made.freeze()
        return made

    return make


@pytest.fixture
def start(here):
    """Start `sipbench ...` as a process of its own; those that are left at the end are ended."""
    started = []

    def begin(*words, **more):
        command = [sys.executable, "-m", "sipbench.cli", *words]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        if process.stdout and not process.stdout.closed:
            process.communicate()


@pytest.fixture
def teller(monkeypatch):
    """What a worker's process would tell its supervisor."""
    said = []
    monkeypatch.setenv(telling.WORKER, "tester")

    class Told:
        def tell(self, **words):
            said.append(words)

        def step(self, step, of):
            pass

    told = Told()
    told.said = said
    return told


@pytest.fixture
def signals(monkeypatch):
    """Tests keep their own."""
    monkeypatch.setattr(labour.signal, "signal", lambda *_: None)
