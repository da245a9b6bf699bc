"""`sipbench tune`: the best setting on validation images, never on test images, within one budget."""

import json
import math

import pandas as pd
import pytest
import yaml

from baselines.datarich.denoisers import LEAST_LEARNED, of_255
from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.cli import main
from sipbench.cli.tune import _searched, beyond
from sipbench.configs.schema import check_file

SMALL = ["method=dps", "degradation=inpaint70", "prior=gaussian", "size=32", "images=2", "method.solver.steps=4"]


def tune(tmp_path, *words):
    return main(["tune", *SMALL, f"results={tmp_path}", "widen=false", *words])


def test_the_best_setting_comes_first_and_is_recorded(tmp_path, capsys):
    assert tune(tmp_path, "method.solver.zeta=0.5,1,2") == 0
    out = capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "tuning" / "faces-inpaint70-dps.csv")
    assert sorted(frame.zeta) == [0.5, 1, 2] and list(frame.psnr) == sorted(frame.psnr, reverse=True)
    entry = yaml.safe_load(out.partition("dps.yaml:\n")[2].partition("written:")[0])
    assert entry["demo"] == {"inpaint70": {"zeta": frame.zeta[0]}}
    (chosen,) = entry["chosen"]
    assert chosen["command"].startswith("sipbench tune method=dps degradation=inpaint70")
    assert chosen["images"] == "validation 0 to 1" and chosen["options"] == ["zeta"]
    node = {"name": "dps", "solver": {"_target_": configs.read("method", "dps")["solver"]["_target_"]}}
    check_file("method", node | entry, "the entry")
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
        (["method.solver.zeta=1,1"], "nothing to tune"),
        (["method.solver.zeta=1,2", "metrics=[ssim]"], "by=psnr is not among metrics=[ssim]"),
        (["method.solver.zeta=1,2", "by=beauty"], "no setting has a beauty"),
        (["method.solver.zeta=1,2", "budget=abc"], "budget is the number of settings, from 1 on, not 'abc'"),
        (["method.solver.zeta=1,2", "budget=0"], "budget is the number of settings"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, said):
    assert tune(tmp_path, *words) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_the_search_goes_on_while_the_best_lies_at_the_edge_and_the_budget_lasts(tmp_path, capsys):
    """The best gain is 1: tried are .25 and .5, then 1, then 2, which is worse. Four settings are the most."""
    (tmp_path / "mine.py").write_text(MINE)
    words = [f"method={tmp_path}/mine.py:solve", "degradation=sr4", "size=32", "images=1", f"results={tmp_path}"]
    for more, tried in (
        (["budget=8"], [0.25, 0.5, 1, 2]),
        (["budget=3"], [0.25, 0.5, 1]),
        (["widen=false"], [0.25, 0.5]),
    ):
        assert main(["tune", *words, "method.solver.good=0.25,0.5", *more]) == 0
        (path,) = (tmp_path / "tuning").iterdir()
        assert sorted(pd.read_csv(path).good) == tried
    assert main(["tune", *words, "method.solver.good=0.25,0.5", "widen=perhaps"]) == 2


@pytest.mark.parametrize(
    ("settings", "scores", "further"),
    [
        ([{"a": 1.0}, {"a": 2.0}, {"a": 4.0}], [1, 3, 2], None),
        ([{"a": 1.0}, {"a": 2.0}], [3, 1], {"a": 0.5}),
        ([{"a": 0}, {"a": 20}], [1, 2], {"a": 40}),
        ([{"a": 1.0, "steps": 50}, {"a": 1.0, "steps": 100}], [1, 2], None),
        (
            [{"a": 1.0, "kind": "l1"}, {"a": 3.0, "kind": "l1"}, {"a": 3.0, "kind": "l2"}],
            [1, 2, 1],
            {"a": 9.0, "kind": "l1"},
        ),
        ([{"a": 1.0}, {"a": 2.0}], [math.nan, math.nan], None),
        ([{"a": 1}, {"a": 2}], [2, 1], None),
        ([{"a": 2}, {"a": 3}], [2, 1], {"a": 1}),
        ([{"a": 1.001}, {"a": 1.002}], [1, 2], {"a": 1.003}),
    ],
)
def test_what_lies_beyond_the_edge(settings, scores, further):
    assert beyond(settings, scores, higher=True) == further
    assert beyond(settings, [-s for s in scores], higher=False) == further


MINE = """\
def solve(problem, *, good=1.0):
    return good * problem.f.pinv(problem.y)
"""


@pytest.mark.parametrize("by", ["psnr_aligned", "ssim_gaussian", "relative_error", "residual_ratio", "success"])
def test_the_best_by_any_metric_comes_first(tmp_path, capsys, by):
    """More of a PSNR is better, less of an error is."""
    (tmp_path / "mine.py").write_text(MINE)
    words = [f"method={tmp_path}/mine.py:solve", "degradation=sr4", "size=32", "images=1", f"by={by}", "widen=false"]
    assert main(["tune", *words, "method.solver.good=0.1,1,0.5", f"results={tmp_path}"]) == 0
    (path,) = (tmp_path / "tuning").iterdir()
    frame = pd.read_csv(path)
    values = list(frame[by])
    falling = sorted(values, reverse=True)
    assert values == (falling[::-1] if by in ("relative_error", "residual_ratio") else falling)
    assert by == "success" or frame.good[0] == 1
    assert f"best by {by}" in capsys.readouterr().out and f"by={by}" not in path.name


def test_by_success_ranks_what_succeeds_first():
    from sipbench.cli import tune

    assert tune._higher("success") and tune._higher("kernel_similarity") and not tune._higher("lpips_alex")
    assert not tune._higher("seconds")


def test_30_the_table_of_a_method_in_a_file_has_a_name_that_every_system_takes(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    words = [f"method={tmp_path}/mine.py:solve", "degradation=sr4", "size=32", "images=1"]
    assert main(["tune", *words, "method.solver.good=0.1,1", f"results={tmp_path}"]) == 0
    assert [path.name for path in (tmp_path / "tuning").iterdir()] == ["faces-sr4-mine_solve.csv"]


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


@pytest.mark.parametrize("word", ["degradation.noise.sigma=0.01,0.2", "seed=0,1"])
def test_settings_of_several_problems_are_not_ranked_together(tmp_path, capsys, word):
    """The easier problem would win, not the better setting; two degradations are ranked each by itself."""
    assert tune(tmp_path, "method.solver.zeta=1,2", word) == 2
    err = capsys.readouterr().err
    assert f"one problem at a time: {word.partition('=')[0]}" in err and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_setting_that_failed_on_an_image_does_not_win(tmp_path, capsys):
    """It is best on the one image that it solved."""
    (tmp_path / "mine.py").write_text(FAILING)
    words = [f"method={tmp_path}/mine.py:solve", "degradation=sr4", "size=32", "images=2", f"results={tmp_path}"]
    assert main(["tune", *words, "batch_size=1", "method.solver.good=0.5,1", "widen=false"]) == 1
    out = capsys.readouterr().out
    assert "sr4: {good: 0.5}" in out
    frame = pd.read_csv(next((tmp_path / "tuning").iterdir()))
    assert frame.good.tolist() == [0.5, 1] and frame.images.tolist() == [2, 1]


def test_a_setting_without_a_value_on_an_image_does_not_win(tmp_path, capsys, monkeypatch):
    """A metric that is not defined on the hard image would leave the easy one."""
    from sipbench.bench import store

    def read(folder, columns=None):
        rows = whole(folder, columns)
        if "psnr" not in rows or json.loads((folder / "cell.json").read_text())["identity"]["method"][3]["zeta"] != 1:
            return rows
        return rows.assign(psnr=rows["psnr"].where(rows["image"] != 1))

    whole = store.read
    monkeypatch.setattr(store, "read", read)
    assert tune(tmp_path, "method.solver.zeta=0.5,1") == 0
    frame = pd.read_csv(tmp_path / "tuning" / "faces-inpaint70-dps.csv")
    assert frame.zeta.tolist() == [0.5, 1] and frame.psnr.isna().tolist() == [False, True]


def test_a_problem_on_which_nothing_came_out_hides_no_other(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(FITTING)
    words = [f"method={tmp_path}/mine.py:solve", "degradation=sr4,denoise", "size=32", "images=1"]
    assert main(["tune", *words, f"results={tmp_path}", "method.solver.good=0.5,1", "widen=false"]) == 2
    said = capsys.readouterr()
    assert "faces / sr4 / mine:solve: no setting has a psnr" in said.err and "denoise: {good: " in said.out


FITTING = """\
def solve(problem, *, good=1.0):
    if problem.y.shape != problem.shape:
        raise RuntimeError("no")
    return good * problem.y
"""
FAILING = """\
calls = []

def solve(problem, *, good=1.0):
    calls.append(good)
    if good == 1 and calls.count(1) == 2:
        raise RuntimeError("no")
    return good * problem.f.pinv(problem.y)
"""


def test_settings_are_ranked_over_the_images_that_were_asked_for(tmp_path, capsys):
    """More of them lie in the store from an earlier search."""
    assert tune(tmp_path, "method.solver.zeta=0.5,1", "images=3") == 0
    assert tune(tmp_path, "method.solver.zeta=0.5,1,2", "images=1") == 0
    frame = pd.read_csv(tmp_path / "tuning" / "faces-inpaint70-dps.csv")
    assert frame.images.tolist() == [1, 1, 1]


def test_null_is_a_value_like_others(tmp_path, capsys):
    words = ["method=tv", "degradation=inpaint70", "size=32", "images=1", "method.solver.c=null,5.0"]
    assert main(["tune", *words, f"results={tmp_path}", "widen=false"]) == 0
    assert "options: [c]" in capsys.readouterr().out
    assert "method.solver.sigma_1=null,128.0" in _searched(["method=pgd_pnp"], set())


def test_how_a_method_is_trained_is_not_chosen(tmp_path, capsys):
    words = ["method=modl", "recipe=tradeoff", "recipe.images=16,64", f"results={tmp_path}"]
    assert main(["tune", *words]) == 2
    assert "one recipe is for all methods: give recipe.images one value" in capsys.readouterr().err


PLUGGED = [n for n in configs.names("method") if configs.read("method", n)["solver"].get("denoiser") == "network"]


@pytest.mark.parametrize("name", PLUGGED)
def test_what_plugs_in_a_network_searches_eight_settings_that_it_knows(tmp_path, capsys, name):
    """Among them the one that runs now; no denoiser is asked for noise that it was not shown."""
    words = [f"method={name}", "degradation=sr4", "profile=demo"]
    options, search = Cell.of(configs.compose(words), words).options, configs.read("method", name)["search"]
    assert all(options[option] in values for option, values in search.items())
    levels = [v for option, values in search.items() if option.startswith("sigma") for v in values]
    most = 49.0 if name == "dpir_official" else 128.0
    assert all(LEAST_LEARNED <= of_255(level) <= of_255(most) for level in levels)
    assert main(["tune", *words, f"results={tmp_path}", "budget=7"]) == 2
    assert "8 settings; the budget is 7" in capsys.readouterr().err and not (tmp_path / "runs").exists()
