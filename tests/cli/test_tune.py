"""`sipbench tune`: the best setting on validation images, never on test images, within one budget."""

import json
import math

import pandas as pd
import pytest

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.cli import main
from sipbench.cli.tune import _searched

SMALL = ["method=dps", "degradation=inpaint70", "prior=gaussian", "size=32", "images=2", "method.solver.steps=4"]


def tune(tmp_path, *words):
    return main(["tune", *SMALL, f"results={tmp_path}", *words])


def test_the_best_setting_comes_first_and_is_recorded(tmp_path, capsys):
    assert tune(tmp_path, "method.solver.zeta=0.5,1,2") == 0
    out = capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "tuning" / "faces-inpaint70-dps.csv")
    assert sorted(frame.zeta) == [0.5, 1, 2] and list(frame.psnr) == sorted(frame.psnr, reverse=True)
    assert f"inpaint70: {{zeta: {frame.zeta[0]}}}" in out
    assert "sipbench tune method=dps degradation=inpaint70" in out
    cells = [json.loads(p.read_text()) for p in tmp_path.glob("runs/*/*/*/*/cell.json")]
    assert len(cells) == 3 and all(c["identity"]["dataset"][2] == "validation" for c in cells)


def test_it_goes_on_where_it_stopped(tmp_path, capsys):
    tune(tmp_path, "method.solver.zeta=0.5,1")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/*/*/*/rows-*.parquet")}
    assert tune(tmp_path, "method.solver.zeta=0.5,1,3") == 0
    after = {p: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/*/*/*/rows-*.parquet")}
    assert len(after) == 3 and all(after[p] == t for p, t in before.items())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method.solver.zeta=1,2,3", "budget=2"], "3 settings; the budget is 2"),
        (["method.solver.zeta=1,2", "split=test"], "test images are for the table"),
        (["method.solver.zeta=1"], "nothing to tune"),
        (["method.solver.zeta=1,2", "by=beauty"], "no setting has a beauty"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, said):
    assert tune(tmp_path, *words) == 2
    err = capsys.readouterr().err
    assert said in err


def test_a_search_of_the_config_may_be_one_for_each_degradation(tmp_path, capsys):
    small = ["method=dps", "prior=gaussian", "size=32", "images=1", "method.solver=null", f"results={tmp_path}"]
    assert main(["tune", *small[:4], small[5]]) == 2
    assert "one for each of sr4, inpaint70" in capsys.readouterr().err
    search = configs.read("method", "dps")["search"]
    assert _searched(["method=dps", "degradation=sr4"], set()) == [
        f"method.solver.zeta={','.join(map(str, search['sr4']['zeta']))}"
    ]


def test_every_method_of_the_diffusion_table_has_the_same_budget():
    rows = configs.read("table", "diffusion")["rows"]["diffusion"]
    for task in ("sr4", "inpaint70"):
        words = {m: _searched([f"method={m}", f"degradation={task}"], set()) for m in rows}
        sizes = {m: math.prod(len(w.split(",")) for w in named) for m, named in words.items()}
        assert set(sizes.values()) == {4}, sizes


def test_the_demo_runs_what_was_searched():
    """No option that a method's search names has a value that the search did not try."""
    for name in configs.read("table", "diffusion")["rows"]["diffusion"]:
        for task in ("sr4", "inpaint70"):
            words = [f"method={name}", f"degradation={task}", "profile=demo"]
            options = Cell.of(configs.compose(words), words).options
            search = configs.read("method", name)["search"]
            for option, values in search.get(task, search).items():
                assert options[option] in values, f"{name} on {task}: {option}={options[option]}, of {values}"
