"""A folder as the tutorial's reader has it: `mine.py`, and `conf/method/mine.yaml` beside the suite's own configs."""

import re
from importlib import import_module

import pytest

from tests.docs.commands import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("SIPBENCH_RESULTS", "SIPBENCH_DATA", "SIPBENCH_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "mine.py").write_text(*re.findall(r"^```python\n(# mine.py\n.*?)^```", TUTORIAL, re.S | re.M))
    method = tmp_path / "conf" / "method" / "mine.yaml"
    method.parent.mkdir(parents=True)
    method.write_text(*re.findall(r"^```yaml\n(name: mine\n.*?)^```", TUTORIAL, re.S | re.M))
    monkeypatch.setattr(import_module("sipbench.configs.find"), "plugin_folders", lambda: (tmp_path / "conf",))
    return tmp_path
