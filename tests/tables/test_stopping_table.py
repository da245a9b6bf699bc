"""`sipbench table early_stopping`: every rule looks on one run; the truth joins when it is over."""

import json

import pandas as pd
import pytest
import torch

from sipbench.bench.run import Bench
from sipbench.cli import main
from sipbench.tables import stopping, stopping_run

SMALL = [
    "problem=gaussian_medium,impulse_low", "images=2", "size=32", "iterations=30",
    "method.solver.channels=[8,8]", "method.solver.skip=[0,4]", "method.solver.input_channels=4",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = tmp_path_factory.mktemp("stopping")
    assert main(["table", "early_stopping", *SMALL, "rule=emv,fixed", f"results={results}"]) == 0
    return results


def load(folder, *words):
    return stopping.load("early_stopping", "demo", [*SMALL, "rule=emv,fixed", f"results={folder}", *words])


def test_every_rule_has_a_row_of_every_problem(folder):
    frame = pd.read_csv(folder / "partial" / "demo" / "early_stopping.csv")
    assert list(zip(frame.problem, frame.rule, strict=True)) == [
        (p, r) for p in ("gaussian_medium", "impulse_low") for r in ("emv", "fixed")
    ]
    assert (frame.n == 2).all() and (frame.gap >= 0).all() and (frame.oracle >= frame.psnr).all()
    assert {"early_stopping.md", "early_stopping.png", "early_stopping-curves.csv"} <= {
        p.name for p in (folder / "partial" / "demo").iterdir()
    }


def test_fixed_returns_the_last_iterate(folder):
    for run in load(folder).runs:
        for row in run.rows().values():
            assert row["rules"]["fixed"]["stopped"] == 29
            assert row["rules"]["fixed"]["psnr"] == pytest.approx(row["curve"][-1], abs=1e-2)
            assert row["oracle"]["psnr"] == pytest.approx(max(row["curve"]), abs=1e-2)


def test_it_does_nothing_twice(folder, capsys):
    before = {p: p.stat().st_mtime_ns for p in folder.glob("runs/**/image-*.json")}
    assert main(["table", "early_stopping", *SMALL, "rule=emv,fixed", f"results={folder}"]) == 0
    assert {p: p.stat().st_mtime_ns for p in folder.glob("runs/**/image-*.json")} == before
    assert "0 images" in capsys.readouterr().err


def test_a_batch_is_its_images_one_by_one(folder):
    run = load(folder, "method.solver.precision=float64").runs[0]
    bench = Bench.of(run.cell)
    both = stopping_run.batch(run, bench, [0, 1])
    one = stopping_run.batch(run, bench, [1])[0]
    torch.testing.assert_close(torch.tensor(both[1]["curve"]), torch.tensor(one["curve"]), rtol=0, atol=0.01)
    assert both[1]["rules"]["emv"]["stopped"] == one["rules"]["emv"]["stopped"]


def test_what_watches_holds_no_truth(folder):
    """A solver can reach its watch; the film has iterates and rules, which were made before the truth was loaded."""
    run = load(folder).runs[0]
    bench, seen = Bench.of(run.cell), []

    def solver(problem, **options):
        seen.append(problem._watch)
        problem.show(torch.zeros(problem.shape))
        seen.append([v for v in vars(problem._watch).values() if isinstance(v, torch.Tensor)])

    object.__setattr__(run.cell, "__dict__", run.cell.__dict__ | {"solver": solver})
    stopping_run.batch(run, bench, [0])
    film = seen[0]
    assert seen[1] == [] and len(film.frames) == 1 and not film.frames[0].any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rule=wvm"], "unknown rule of this table"),
        (["problem=gauss"], "unknown problem of this table"),
        (["method=unet"], "says by itself which method"),
        (["rule="], "names nothing"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, said):
    assert main(["table", "early_stopping", *words, f"results={tmp_path}"]) == 2
    assert said in capsys.readouterr().err


def test_rows_name_what_made_them(folder):
    identity = json.loads(next(folder.glob("runs/**/run.json")).read_text())
    assert identity["rules"]["emv"]["code"] and identity["cell"]["degradation"]["noise"]["level"]


def test_rows_say_what_it_takes_to_repeat_them(folder):
    row = next(iter(load(folder).runs[0].rows().values()))
    assert row["status"] == "ok" and len(row["y_sha256"]) == 16
    for name in ("device", "protocol", "version_torch", "python", "commit"):
        assert row[name] is not None, name


def test_a_failure_is_a_row_and_does_not_end_the_table(folder):
    run = load(folder).runs[0]
    bench = Bench.of(run.cell)

    def solver(problem, **options):
        raise ArithmeticError("no such root")

    object.__setattr__(run.cell, "__dict__", run.cell.__dict__ | {"solver": solver})
    rows = stopping_run.batch(run, bench, [0, 1])
    assert [row["status"] for row in rows] == ["failed"] * 2
    assert rows[0]["reason"] == "ArithmeticError: no such root" and "Traceback" in rows[0]["traceback"]
    assert rows[0]["device"]
