"""A solver that alters what is not its own, or ends the process, becomes failed rows and disturbs nobody."""

import pytest
import torch

from sipbench.bench import guard
from sipbench.bench.run import Bench
from tests.bench.solved import rows_of


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("problem.y.zero_()\nreturn problem.f.T(problem.y)", "problem.y"),
        ("next(problem.f.buffers()).zero_()\nreturn problem.y", "problem.f.mask"),
        ("torch.set_grad_enabled(not torch.is_grad_enabled())\nreturn problem.y", "is_grad_enabled"),
        ("torch.set_default_dtype(torch.float64)\nreturn problem.y", "default_dtype"),
        ("torch.set_num_threads(3)\nreturn problem.y", "num_threads"),
        ("torch.use_deterministic_algorithms(True)\nreturn problem.y", "deterministic"),
        ("import os; os.chdir('/')\nreturn problem.y", "working directory"),
    ],
)
def test_what_it_alters_is_a_failure_and_is_undone(solver, body, what):
    before = guard.settings()
    rows = rows_of(solver(body))
    assert rows["status"].tolist() == ["failed"] * 3
    assert all("Trespass" in reason and what in reason for reason in rows["reason"])
    assert guard.settings() == before


def test_settings_are_put_back_when_it_raises(solver):
    before = guard.settings()
    rows = rows_of(solver("torch.set_default_dtype(torch.float64)\nraise ValueError('no')"))
    assert rows["reason"][0].startswith("ValueError: no") and guard.settings() == before


def test_the_end_of_the_process_is_a_failure(solver):
    rows = rows_of(solver("import sys; sys.exit(0)"))
    assert rows["reason"].tolist() == [rows["reason"][0]] * 3 and rows["reason"][0].startswith("SystemExit: 0")


def test_the_hash_of_y_is_of_what_was_measured(solver):
    honest = rows_of(solver("return problem.f.T(problem.y)", "method.name=honest"))
    problem = Bench.of(solver("return problem.y")).pose([0, 1, 2])
    from sipbench.bench.record import y_hash

    assert honest["y_sha256"].tolist() == [y_hash(y) for y in problem.y]


def test_where_it_went_wrong_is_said_and_the_whole_story_kept(solver):
    row = rows_of(solver("x = problem.y\nx = x / nothing\nreturn x")).iloc[0]
    assert row["reason"].startswith("NameError: name 'nothing' is not defined (mine.py:5)")
    assert row["where"] == "mine.py:5 in solve: x = x / nothing"
    assert row["traceback"].startswith("Traceback") and "sipbench" in row["traceback"]


def test_what_the_cpu_cannot_hold_halves_the_batch(solver):
    rows = rows_of(solver("if len(problem.y) > 1: torch.empty(10**15)\nreturn problem.y"))
    assert rows["status"].tolist() == ["ok"] * 3 and rows["batch"].tolist() == [1] * 3


def test_a_network_that_was_written_into_is_loaded_anew(cell, tmp_path, tiny_prior):
    path = tmp_path / "vandal.py"
    path.write_text(
        "import torch\n\ndef solve(problem):\n    with torch.no_grad():\n"
        "        next(problem.prior.network.parameters()).zero_()\n    return problem.f.T(problem.y)\n"
    )
    words = ["degradation=inpaint70", "images=1", *tiny_prior]
    before = rows_of(cell("method=dps", "method.solver.steps=2", *words))["psnr"][0]
    row = rows_of(cell(f"method={path}:solve", *words)).iloc[0]
    assert row["status"] == "failed" and "problem.prior" in row["reason"]
    again = cell("method=dps", "method.solver.steps=2", f"results={tmp_path / 'again'}", *words)
    assert rows_of(again)["psnr"][0] == before


def test_a_solver_that_behaves_is_not_touched(solver):
    rows = rows_of(solver("with torch.no_grad():\n    y = problem.y.clone()\n    y += 0\nreturn y"))
    assert rows["status"].tolist() == ["ok"] * 3
    assert torch.is_grad_enabled()
