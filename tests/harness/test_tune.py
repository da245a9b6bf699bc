"""`sipbench tune`: the best setting on validation images, never on test images, within one budget."""

import json

import pandas as pd
import pytest

from sipbench.cli import main

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
