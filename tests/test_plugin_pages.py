"""docs/plugins.md and docs/neighbours.md: their commands run, in their order, and their code does."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from sipbench import cli, configs

DOCS = Path(__file__).parents[1] / "docs"
SMALL = ["size=32", "images=1", "metrics=[psnr]"]
CHEAP = {"deepinv_prior": ["size=64"], "inversebench": ["size=64", "+method.solver.algo.of.steps=2"]}  # as the prior is


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def commands(text):
    bare = re.sub(r"```.*?```", "", text, flags=re.S)
    return [shlex.split(line)[1:] for line in re.findall(r"^    (sipbench .*)$", bare, re.M)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "my_ideas"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SIPBENCH_RESULTS", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield folder
    sys.modules["sipbench.configs.find"]._plugged.clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "my_ideas"]:
        del sys.modules[name]


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


@pytest.mark.slow
def test_the_five_minutes(here, capsys):
    """Every command of the page in its order; in the place of pip, the package is plugged in."""
    text = page("plugins.md")
    for words in commands(text):
        kind = words[0]
        more = SMALL if "=" in kind else ["size=32", "images=1"] if kind in ("table", "tune") else []
        assert cli.main([*words, *(w for w in more if w.split("=")[0] not in " ".join(words))]) == 0, words
        if kind == "new" and words[2] == "my_idea":
            runpy.run_path(str(here / "tests" / "conftest.py"))
        assert kind != "list" or "my_idea" in capsys.readouterr().out
    (code,) = blocks(text, "python")
    exec(code, {})
    assert len(list((here / "tests").glob("test_*.py"))) == 6


NEIGHBOURS = commands(page("neighbours.md"))


@pytest.mark.slow
@pytest.mark.parametrize("words", NEIGHBOURS, ids=lambda words: words[-1][-40:])
def test_a_command_about_neighbours_runs(here, words):
    method = next(word for word in words if word.startswith("method=")).partition("=")[2]
    typed = {word.split("=")[0].lstrip("+") for word in words}
    more = [*CHEAP.get(method, ["size=32"]), *SMALL[1:]]
    assert cli.main([*words, *(word for word in more if word.split("=")[0].lstrip("+") not in typed)]) == 0
    import pandas as pd

    (file,) = Path("results", "runs").rglob("rows-*.parquet")
    assert set(pd.read_parquet(file)["status"]) == {"ok"}


def test_the_method_and_the_code_of_the_page_run(here):
    text = page("neighbours.md")
    (method,), (code,) = blocks(text, "yaml"), blocks(text, "python")
    folder = here / "my_ideas" / "conf" / "method"
    folder.mkdir(parents=True)
    (folder / "red_deepinv.yaml").write_text(method)
    configs.plug_in(here / "my_ideas")
    from sipbench import testing

    findings = testing.check("red_deepinv", degradation="inpaint70")
    assert findings[0].status == "PASS" and all(f.passed for f in findings), testing.render(findings)
    found = {}
    exec(code, found)
    assert found["scores"]["psnr"].notna().all()
