"""Methods of others: an installed package's, and one in a file."""

import sys

import pytest

import sipbench
from sipbench import cli, configs
from sipbench.bench.run import run
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


def test_what_was_edited_since_is_composed_anew(theirs, here, tmp_path):
    """A config, the signature that fills it in, a file of one's own, and a choice that was not there before."""
    conf, code = tmp_path / "site/theirs/conf", tmp_path / "site/theirs/__init__.py"

    def method(name):
        return configs.compose([f"method={name}", "degradation=sr4"]).method.solver

    assert method("theirs").scale == 0.5
    (conf / "method/theirs.yaml").write_text("name: theirs\nsolver: {_target_: theirs.solve, scale: 0.6}\n")
    assert method("theirs").scale == 0.6
    (conf / "method/theirs.yaml").write_text("name: theirs\nsolver: {_target_: theirs.solve}\n")
    code.write_text("def solve(problem, *, scale=2.0):\n    return problem.y\n")
    assert method("theirs").scale == 2.0
    for scale in (0.1, 0.7):
        (here / "mine.py").write_text(HALF.replace("0.5", str(scale)))
        assert method("mine.py:solve").scale == scale
    noise = ["method=pinv", "degradation=sr4", "noise=theirs"]
    with pytest.raises(UserError, match="theirs"):
        configs.compose(noise)
    (conf / "noise").mkdir()
    for sigma in (0.3, 0.4):
        (conf / "noise/theirs.yaml").write_text(f"_target_: sipbench.noise.Gaussian\nsigma: {sigma}\n")
        assert configs.compose(noise).noise.sigma == sigma


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


def test_a_plugin_that_is_broken_is_passed_over_in_a_line(theirs, tmp_path, capsys):
    about = tmp_path / "site/theirs-1.0.dist-info/entry_points.txt"
    about.write_text("[sipbench.plugins]\ntheirs = theirs\ngone = not_there.at_all\n")
    configs.plugin_folders.cache_clear()
    assert "theirs" in configs.names("method")
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "'gone' is passed over" in err and "'not_there.at_all'" in err


@pytest.mark.parametrize(
    "text, says",
    [("import nothing_of_that_name", "nothing_of_that_name"), ("x = 1 /", "is not valid Python"), ("boom()", "line 1")],
)
def test_a_plugin_that_cannot_be_imported_is_one_line(theirs, tmp_path, capsys, text, says):
    (tmp_path / "site/theirs/__init__.py").write_text(text)
    sys.modules.pop("theirs", None)
    assert cli.main(["method=theirs", "size=32", "images=1"]) == 2
    err = capsys.readouterr().err
    assert says in err and "theirs" in err and err.count("\n") == 1


def test_two_plugins_of_one_name_are_told_apart_by_the_user(theirs, tmp_path, capsys):
    second = tmp_path / "site/second/conf/method"
    second.mkdir(parents=True)
    (second / "theirs.yaml").write_text("name: theirs\nsolver: {_target_: theirs.solve}\n")
    configs.plug_in(second.parents[1])
    assert cli.main(["method=theirs", "size=32", "images=1"]) == 2
    err = capsys.readouterr().err
    assert "two plugins have a method 'theirs'" in err and "Uninstall one" in err and err.count("\n") == 1


METRIC = "def worst(x_hat, x):\n    return (x_hat - x).abs().flatten(1).amax(1)\n"


def test_a_plugin_s_metric_is_listed_scored_and_told_from_others(theirs, cell, tmp_path, capsys):
    (tmp_path / "site/theirs/worst.py").write_text(METRIC)
    folder = tmp_path / "site/theirs/conf/metric"
    folder.mkdir()
    (folder / "worst.yaml").write_text(
        "{name: worst, title: worst, _target_: theirs.worst.worst, higher_is_better: no}"
    )
    (folder / "psnr.yaml").write_text("{name: psnr, title: theirs, _target_: theirs.worst.worst}")
    (folder / "mine.yaml").write_text("{name: mine, title: mine, _target_: theirs.worst.worst, unt: dB}")
    configs.plug_in(tmp_path / "site/theirs")
    from sipbench.metrics import METRICS

    METRICS._found.clear()
    assert {"worst", "psnr"} < set(METRICS) and "mine" not in METRICS
    err = capsys.readouterr().err
    assert err.count("\n") == 2 and "psnr.yaml" in err and "unknown option 'unt'" in err
    problem, truth = sipbench.pose(images=2, size=32)
    found = sipbench.score(estimate := sipbench.solve(problem), truth, problem, ["worst"])
    assert found["worst"].tolist() == pytest.approx((estimate.x - truth).abs().flatten(1).amax(1).tolist())
    (tmp_path / "site/theirs/worst.py").write_text(
        METRIC.replace("flatten(1)", "flatten()").replace("amax(1)", "max()")
    )
    sys.modules.pop("theirs.worst")
    with pytest.raises(UserError, match=r"the metric worst gives \(\); it is one value an image"):
        sipbench.score(estimate, truth, problem, ["worst"])
    sys.modules.pop("theirs.worst")
    (tmp_path / "site/theirs/worst.py").write_text(METRIC.replace("x_hat - x", "x_hat.no(x)"))
    with pytest.raises(UserError, match=r"the metric worst: AttributeError: .*'no' \(.*worst.py, line 2\)"):
        list(run(cell("method=pinv", "degradation=sr4", "metrics=[worst]")))  # no image of the solver has failed


def test_a_shadowed_choice_is_said_in_a_line(theirs, tmp_path, capsys):
    (tmp_path / "site/theirs/conf/noise").mkdir()
    (tmp_path / "site/theirs/conf/noise/shot.yaml").write_text("_target_: theirs.Shot\n")
    assert configs.find("noise", "shot") == configs.root() / "noise" / "shot.yaml"
    err = capsys.readouterr().err
    assert "site/theirs/conf/noise/shot.yaml is passed over" in err and "rename" in err and err.count("\n") == 1
