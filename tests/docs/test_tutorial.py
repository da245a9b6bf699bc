"""The tutorial, as its reader goes through it: every command in its order, on the first step of each solver."""

import re
import shlex

import pytest

from sipbench import cli
from tests.docs import commands
from tests.docs.conftest import TUTORIAL

PYTHON = re.compile(r"^```python\n(.*?)^```", re.S | re.M)
PHOTOGRAPH = re.findall(r"^```python\n(from pathlib.*?)^```", TUTORIAL, re.S | re.M)
COMMANDS = [c for c in commands.of(commands.ROOT / "docs" / "tutorial.md") if c.startswith("sipbench")]
AS_THEY_ARE = ("doctor", "list", "check", "compare")
QUICK = ["budget_seconds=0.001"]  # iterative solvers end at their first step

pytestmark = pytest.mark.slow


def test_every_command_runs_in_its_order(here):
    for code in PHOTOGRAPH:
        exec(code, {})
    for command in COMMANDS:
        words = shlex.split(command)[1:]
        assert cli.main(words if words[0] in AS_THEY_ARE else [*words, *QUICK]) == 0, command
    table = (here / "results" / "partial" / "demo" / "table1.md").read_text(encoding="utf-8")
    assert "| Gradient descent | classical |" in table
    for page in ("reading.md", "reference/api.md"):
        for code in PYTHON.findall((commands.ROOT / "docs" / page).read_text(encoding="utf-8")):
            exec(code, {})
    assert len(list((here / "pictures").glob("*.png"))) == 2 and len(list((here / "deblurred").glob("*.png"))) == 2


def test_there_is_something_to_run():
    assert len(COMMANDS) >= 15 and len(PHOTOGRAPH) == 1
