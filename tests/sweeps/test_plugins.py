"""Methods of others: an installed package's, and one in a file."""

import sys

import pytest

import sipbench
from sipbench import cli, configs
from sipbench.errors import UserError

MINE = """\
raise_if_imported = not_defined_anywhere

def helper(x):
    return x

def solve(problem, *, steps: int = 3, zeta=-1.5, names=("a", "b"), needed, how=helper):
    return problem.f.pinv(problem.y)
"""
HALF = "def solve(problem, *, scale=0.5):\n    return scale * problem.f.pinv(problem.y)\n"


def test_a_package_is_listed_without_importing_it(theirs, capsys):
    assert cli.main(["list", "methods"]) == 0
    assert "theirs" in capsys.readouterr().out
    assert configs.compose(["method=theirs"]).method.solver.scale == 0.5
    assert "theirs" not in sys.modules


@pytest.mark.parametrize("text", ["name: [unclosed", "", "- a list"])
def test_19_a_file_that_cannot_be_read_is_one_line_where_it_is_asked_for(theirs, tmp_path, capsys, text):
    (tmp_path / "site/theirs/conf/method/bad.yaml").write_text(text)
    assert cli.main(["method=bad", "size=32", "images=1"]) == 2
    err = capsys.readouterr().err
    assert "bad.yaml" in err and err.count("\n") == 1


def test_a_package_cannot_replace_a_method_of_the_project(theirs, tmp_path):
    (tmp_path / "site/theirs/conf/method/pinv.yaml").write_text("name: pinv\nsolver: {_target_: theirs.solve}\n")
    assert configs.compose(["method=pinv"]).method.solver._target_ == "baselines.classical.pinv.pinv"


def test_a_package_s_method_gets_the_options_of_its_signature(theirs, tmp_path):
    (tmp_path / "site/theirs/conf/method/theirs.yaml").write_text("name: theirs\nsolver: {_target_: theirs.solve}\n")
    solver = {"_target_": "theirs.solve", "scale": 1.0, "precision": "float32"}
    assert configs.compose(["method=theirs"]).method.solver == configs.read("method", "theirs")["solver"] == solver
    assert configs.compose(["method=theirs", "method.solver.scale=2"]).method.solver.scale == 2


def test_other_hydra_applications_are_left_alone(theirs, tmp_path):
    from hydra import compose, initialize_config_dir

    configs.compose([])
    (tmp_path / "app.yaml").write_text("defaults: [_self_, {optional method: theirs}]\na: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert compose("app") == {"a": 1}


def test_a_file_is_read_and_not_imported(here):
    (here / "mine.py").write_text(MINE)
    method = configs.compose(["method=mine.py:solve"]).method
    assert method.name == "mine:solve"
    assert "needs" not in method
    options = {"steps": 3, "zeta": -1.5, "names": ["a", "b"], "precision": "float32"}
    assert method.solver == {"_target_": f"{here}/mine.py:solve", **options}


@pytest.mark.parametrize("path", ["mine.py", "./mine.py", "below/../mine.py", "{here}/mine.py"])
def test_a_file_is_found_however_its_path_is_written(here, path):
    (here / "mine.py").write_text(HALF)
    (here / "below").mkdir()
    method = configs.compose([f"method={path.format(here=here)}:solve", "method.solver.scale=2"]).method
    assert method.solver == {"_target_": f"{here}/mine.py:solve", "scale": 2, "precision": "float32"}


@pytest.mark.parametrize(
    "name, text, says",
    [
        ("none.py:solve", "", "no file"),
        ("mine.py:solv", HALF, "no function 'solv'; it defines solve"),
        ("mine.py:solve", "def solve(problem:\n", "not valid Python"),
        ("mine.py:solve", "\0", "not valid Python"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(here, capsys, name, text, says):
    (here / "mine.py").write_text(text)
    assert cli.main([f"method={name}", "size=32"]) == 2
    said = capsys.readouterr().err
    assert says in said and str(here) in said and said.count("\n") == 1


def test_a_misspelt_option_of_a_file_is_named(here):
    (here / "mine.py").write_text(HALF)
    with pytest.raises(UserError, match="scale"):
        configs.compose(["method=mine.py:solve", "method.solver.scal=1"])


def test_a_file_solves_from_python(here):
    (here / "mine.py").write_text(HALF)
    problem, _ = sipbench.pose(degradation="inpaint70", images=1, size=32)
    full = sipbench.solve(problem, method="pinv")
    half = sipbench.solve(problem, method="mine.py:solve")
    assert half.x.equal(0.5 * full.x)
    assert sipbench.solve(problem, method="mine.py:solve", scale=1.0).x.equal(full.x)


def test_both_run_in_processes_of_their_own(here, theirs, sipbench, rows):
    (here / "mine.py").write_text(HALF)
    assert sipbench("-m", "+launcher=local", "method=mine.py:solve,theirs", "images=1") == 0
    assert rows() == {("sr4", "mine:solve"): [0], ("sr4", "theirs"): [0]}
