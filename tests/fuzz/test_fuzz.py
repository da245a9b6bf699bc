"""Some of the mutated inputs, and that the watch sees what it is there for."""

import subprocess
import sys

import pytest

from sipbench.errors import UserError
from tests.fuzz import run, targets
from tests.fuzz.targets import Target


@pytest.fixture
def small(monkeypatch):
    """Hydra's part takes most of the time: `make fuzz` has it, and one that is enough here."""
    known = targets.targets()
    for name in ("words of a cell", "settings of a prior"):
        known[name].share = 1
    monkeypatch.setattr(run, "targets", lambda: known)


def test_every_reader_refuses_with_a_message(tmp_path, small):
    outcome = run.fuzz(tmp_path, 400, seed=1)
    assert not outcome.wrong, outcome.wrong[0]
    assert len(outcome.inputs) == len(targets.targets()) and sum(outcome.inputs.values()) > 300
    assert 0 < sum(outcome.refused.values()) < sum(outcome.inputs.values())


BROKEN = {
    "Traceback": lambda given, folder: [][0],
    "without a word": lambda given, folder: raised(UserError("")),
    "open /": lambda given, folder: open("/tmp/fuzz-outside", "w").close(),
    "os.mkdir": lambda given, folder: (folder.parents[1] / "beside").mkdir(),
    "subprocess.Popen": lambda given, folder: subprocess.run([sys.executable, "--version"], capture_output=True),
    "code was imported": lambda given, folder: __import__("planted_by_data"),
    "it hangs": lambda given, folder: spin(),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_reader_that_is_broken_is_seen(tmp_path, monkeypatch, what):
    monkeypatch.setattr("tests.fuzz.watch.LONGEST", 0.2)
    monkeypatch.setattr(run, "targets", lambda: {"broken": Target(1000, lambda rng: b"", BROKEN[what])})
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own").mkdir()
    outcome = run.fuzz(tmp_path / "own", 1, seed=0)
    sys.modules.pop("planted_by_data", None)
    assert len(outcome.wrong) == 1 and what in outcome.wrong[0], outcome.wrong


def raised(error):
    raise error


def spin():
    while True:
        pass
