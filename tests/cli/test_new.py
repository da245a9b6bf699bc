"""`sipbench new`: what it writes works at once, in a package of one's own and in a checkout."""

import os
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sipbench import cli, configs
from sipbench.scaffold.write import FAMILIES, KINDS

ROOT = Path(__file__).parents[2]
EVERY = [("method", "--family", family) for family in FAMILIES] + [(kind,) for kind in KINDS[1:]]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, whose packages are forgotten afterwards."""
    folder = tmp_path / "My ideas"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield folder
    sys.modules["sipbench.configs.find"]._plugged.clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "my_ideas"]:
        del sys.modules[name]


def test_what_it_writes_passes_its_own_test(here, capsys):
    for kind, *flags in EVERY:
        name = "_".join(["some", kind, *flags[1:]])
        assert cli.main(["new", kind, name, *flags]) == 0
        assert f"tests/test_{name}.py" in capsys.readouterr().out
    assert sorted(p.name for p in here.iterdir()) == ["my_ideas", "pyproject.toml", "tests"]
    runpy.run_path(str(here / "tests" / "conftest.py"))
    tests = sorted((here / "tests").glob("test_*.py"))
    assert len(tests) == len(EVERY)
    for test in tests:
        found = {name: item for name, item in runpy.run_path(str(test)).items() if name.startswith("test_")}
        assert found
        for run in found.values():
            run()


@pytest.mark.parametrize(
    "words, says",
    [
        ([], "new what? sipbench new method|degradation|dataset|metric|table NAME"),
        (["method"], "sipbench new method my_method"),
        (["methd", "x"], "Did you mean method?"),
        (["method", "../x"], "is no name for a method"),
        (["method", "class"], "is no name for a method"),
        (["method", "match"], "is no name for a method"),
        (["method", "MyIdea"], "is no name for a method"),
        (["method", "dps"], "there is a method 'dps' already"),
        (["metric", "psnr"], "there is a metric 'psnr' already"),
        (["method", "x", "--family", "difusion"], "Did you mean diffusion?"),
        (["method", "x", "--family"], "--family what?"),
        (["metric", "x", "--family=single"], "--family is a method's"),
        (["method", "x", "--famly=single"], "unknown flag --famly"),
        (["method", "my_ideas"], "is the package's own name"),
        (["method", "null"], "YAML reads it as None"),
        (["table", "no"], "YAML reads it as False"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(here, capsys, words, says):
    assert cli.main(["new", *words]) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("My ideas", "my_ideas"),
        ("ünï", "uni"),
        ("日本", "my_sipbench"),
        ("numpy", "my_numpy"),
        ("json", "my_json"),
        ("sipbench", "my_sipbench"),
        ("1x", "my_1x"),
        ("class", "my_class"),
    ],
)
def test_a_package_is_named_after_its_folder_and_hides_no_other(tmp_path, monkeypatch, folder, found):
    place = tmp_path / folder
    (place / found).mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    assert cli.main(["new", "table", "mine"]) == 0
    said = tomllib.loads((place / "pyproject.toml").read_text(encoding="utf-8"))
    assert said["project"]["entry-points"]["sipbench.plugins"] == {found: found}
    assert (place / found / "conf" / "table" / "mine.yaml").is_file()


def test_nothing_is_overwritten(here, capsys):
    assert cli.main(["new", "method", "first", "--package=mine"]) == 0
    assert cli.main(["new", "dataset", "first"]) == 2
    assert "first.py is there already, and nothing was written" in capsys.readouterr().err
    assert not (here / "mine" / "conf" / "dataset").exists()
    assert cli.main(["new", "method", "second", "--package=other"]) == 2
    assert "the package of this folder is mine" in capsys.readouterr().err
    for points in ("", "entry-points = 'x'", "[project.entry-points.'sipbench.plugins']\nq = 3"):
        (here / "pyproject.toml").write_text(f"[project]\nname = 'other'\n{points}")
        assert cli.main(["new", "method", "second"]) == 2
        assert '[project.entry-points."sipbench.plugins"]' in capsys.readouterr().err


@pytest.mark.slow
def test_in_a_checkout_it_writes_to_where_such_things_lie(tmp_path):
    """In a copy of the checkout: the tests that were written pass there, and the contracts of what conf/ lists."""
    for part in ("sipbench", "baselines", "conf", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tmp_path / part)
    env = os.environ | {"PYTHONPATH": str(tmp_path)}

    def run(*words):
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "sipbench.cli", "new", "method", "my_idea", "--family", "diffusion")
    for kind in KINDS[1:]:
        run("-m", "sipbench.cli", "new", kind, f"my_{kind}")
    run("-m", "sipbench.cli", "new", "metric", "my_range")
    yaml = tmp_path / "conf" / "metric" / "my_range.yaml"
    yaml.write_text(yaml.read_text().replace("higher_is_better: false", "higher_is_better: null"))
    assert (tmp_path / "baselines" / "diffusion" / "my_idea.py").is_file()
    assert (tmp_path / "sipbench" / "operators" / "my_degradation.py").is_file()
    own = sorted(str(path) for path in (tmp_path / "tests").rglob("test_*.py"))
    assert "9 passed" in run("-m", "pytest", "-q", *own)
    shutil.copytree(ROOT / "tests", tmp_path / "tests", dirs_exist_ok=True)
    mine = ("my_degradation", "my_dataset", "test_undefined", "test_better")
    files = [f"tests/{name}.py" for name in ("operators/test_contract", "test_datasets", "metrics/test_registry")]
    told = run("-m", "pytest", "-v", "-k", " or ".join(mine), *files)
    assert all(part in told for part in (*mine, *files)) and "skipped" not in told.lower()
    assert configs.root() == ROOT / "conf" and "my_idea" not in configs.names("method")
