"""A solver's file may import what lies beside it; two folders with files of one name do not mix."""

import sys

import pytest

from sipbench import configs
from sipbench.configs.own_module import module_from_file
from sipbench.errors import UserError

MINE = """\
from __future__ import annotations

from dataclasses import dataclass

from helper import gain

@dataclass(frozen=True)
class Rule:
    gain: float = gain

def solve(problem, *, rule: Rule = Rule()):
    return rule.gain * problem.f.pinv(problem.y)
"""


def folder(tmp_path, name, gain):
    place = tmp_path / name
    place.mkdir()
    (place / "mine.py").write_text(MINE)
    (place / "other.py").write_text("import helper\n")
    (place / "helper.py").write_text(f"gain = {gain}\n")
    return place


def test_neighbours_are_imported_and_do_not_mix(tmp_path):
    places = [folder(tmp_path, name, gain) for name, gain in (("a", 2.0), ("b", 3.0))]
    found = [configs.locate(f"{place}/mine.py:Rule") for place in places]
    assert [rule().gain for rule in found] == [2.0, 3.0]
    assert "helper" not in sys.modules and not any(str(place) in sys.path for place in places)
    assert module_from_file(places[0] / "other.py").helper.gain == 2.0


def test_a_module_of_elsewhere_with_that_name_stays(tmp_path, monkeypatch):
    elsewhere = type(sys)("helper")
    monkeypatch.setitem(sys.modules, "helper", elsewhere)
    assert module_from_file(folder(tmp_path, "c", 4.0) / "mine.py").gain == 4.0
    assert sys.modules["helper"] is elsewhere


def test_the_project_itself_is_never_hidden(tmp_path):
    (tmp_path / "sipbench").mkdir()
    (tmp_path / "sipbench" / "__init__.py").write_text("raise RuntimeError\n")
    (tmp_path / "mine.py").write_text("import sipbench.problem\nProblem = sipbench.problem.Problem\n")
    from sipbench.problem import Problem

    assert configs.locate(f"{tmp_path}/mine.py:Problem") is Problem


def test_what_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "mine.py").write_text("import helper\nraise ValueError('no')\n")
    (tmp_path / "helper.py").write_text("")
    before = set(sys.modules)
    with pytest.raises(UserError, match=r"mine.py cannot be imported: ValueError: no \(.*mine.py, line 2\)"):
        configs.locate(f"{tmp_path}/mine.py:solve")
    assert set(sys.modules) == before and str(tmp_path) not in sys.path


@pytest.mark.parametrize("code", ["0", "5", "'bye'"])
def test_a_file_that_ends_the_process_is_one_line(tmp_path, code):
    (tmp_path / "mine.py").write_text(f"import sys\nsys.exit({code})\n")
    with pytest.raises(UserError, match=r"mine.py cannot be imported: SystemExit.*line 2"):
        configs.locate(f"{tmp_path}/mine.py:solve")


def test_an_error_inside_a_package_names_the_line_that_called_it(tmp_path):
    (tmp_path / "mine.py").write_text("import numpy\nnumpy.linalg.inv(3)\n")
    with pytest.raises(UserError, match=r"mine.py cannot be imported: LinAlgError.*mine.py, line 2\)"):
        configs.locate(f"{tmp_path}/mine.py:solve")


@pytest.mark.parametrize("target", ["{place}/mine.py:solve", "math.pi"])
def test_what_cannot_be_called_is_refused(tmp_path, target):
    (tmp_path / "mine.py").write_text("solve = 3\n")
    with pytest.raises(UserError, match="neither a function nor a class"):
        configs.locate(target.format(place=tmp_path))


@pytest.mark.parametrize("target", ["solve", ".solve", ""])
def test_a_target_without_a_module_says_how_one_is_named(target):
    with pytest.raises(UserError, match="package.module.name"):
        configs.locate(target)


def test_a_node_of_a_class_beside_it_is_built(tmp_path):
    place = folder(tmp_path, "d", 5.0)
    (place / "mine.py").write_text(MINE.replace("gain: float = gain", "gain: float = 6.0"))
    node = configs.compose([f"method={place}/mine.py:solve", "method.solver.rule.gain=7"]).method.solver
    rule = configs.built({"rule": dict(node.rule)})["rule"]
    assert rule.gain == 7 and rule.__class__.__name__ == "Rule"
