"""A solver that alters what is not its own, or ends the process, becomes failed rows and disturbs nobody."""

import re
import subprocess
import sys

import pytest
import torch

from sipbench.bench import guard
from sipbench.bench.run import Bench, run
from tests.bench.solved import rows_of


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("problem.y.zero_()\nreturn problem.f.T(problem.y)", "problem.y"),
        ("next(problem.f.buffers()).zero_()\nreturn problem.y", "problem.f.mask"),
        ("torch.set_grad_enabled(not torch.is_grad_enabled())\nreturn problem.y", "is_grad_enabled"),
        ("torch.set_default_dtype(torch.float64)\nreturn problem.y", "default_dtype"),
        ("torch.set_num_threads(3)\nreturn problem.y", "num_threads"),
        ("torch.set_autocast_enabled('cpu', True)\nreturn problem.y", "is_autocast_enabled"),
        ("global on; on = torch.inference_mode(); on.__enter__()\nreturn problem.y", "is_inference_mode_enabled"),
        ("torch.use_deterministic_algorithms(True)\nreturn problem.y", "deterministic"),
        ("import os; os.chdir('/')\nreturn problem.y", "working directory"),
        ("import os; os.environ['A_WORD'] = '1'\nreturn problem.y", "environment"),
        ("torch.set_float32_matmul_precision('medium')\nreturn problem.y", "matmul_precision"),
        ("torch.backends.cudnn.enabled = False\nreturn problem.y", "cudnn.enabled"),
        ("import numpy; numpy.seterr(all='raise')\nreturn problem.y", "numpy"),
        ("return problem.y + torch.randn(1)", "global random state of torch"),
        ("import numpy, random; numpy.random.rand(); random.random()\nreturn problem.y", "of numpy.random and random"),
        ("import os; os.fork()\nreturn problem.y", "forked and came back twice"),
        ("import os; os.close(1)\nreturn problem.y", "closed or replaced stdout"),
        ("import sys; sys.stderr = None\nreturn problem.y", "closed or replaced sys.stderr"),
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(1,)).start()\nreturn problem.y",
            "1 thread",
        ),
    ],
)
def test_what_it_alters_is_a_failure_and_is_undone(solver, body, what):
    rows_of(solver("return problem.y", "seed=7"))  # what is imported late sets variables of its own
    before = guard.settings()
    rows = rows_of(solver(body))
    assert rows["status"].tolist() == ["failed"] * 3
    assert all("Trespass" in reason and what in reason for reason in rows["reason"])
    assert guard.settings() == before
    assert (2 * torch.ones(1, requires_grad=True)).requires_grad


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


def test_the_operator_that_a_solver_called_is_named_beside_it(solver):
    row = rows_of(solver("return problem.f(problem.y[..., :-1])")).iloc[0]
    assert re.search(r" \(mine.py:4, sampling.py:\d+\)$", row["reason"])
    assert [line.split(":")[0] for line in row["where"].splitlines()] == ["mine.py", "sampling.py"]


def test_what_the_cpu_cannot_hold_halves_the_batch(solver):
    rows = rows_of(solver("if len(problem.y) > 1: torch.empty(10**15)\nreturn problem.y"))
    assert rows["status"].tolist() == ["ok"] * 3 and rows["batch"].tolist() == [1] * 3


VANDALS = {
    "in place": "with torch.no_grad(): w.zero_()",
    "its data": "w.data.mul_(2)",
    "its order": "w.data.copy_(w.data.flip(0))",
    "a hook": "problem.prior.network.register_forward_hook(lambda *_: None)",
    "a mode": "problem.prior.network.train()",
    "and raises": "w.data.mul_(2); raise ValueError('boom')",
}


@pytest.mark.parametrize("line", VANDALS.values(), ids=VANDALS)
def test_a_network_that_was_altered_is_loaded_anew(cell, tmp_path, tiny_prior, line):
    """For the next batch of the same cell, and for the next cell."""
    path = tmp_path / "vandal.py"
    body = f"    w = next(problem.prior.network.parameters())\n    if problem.rng.keys[0] == FIRST:\n        {line}\n"
    words = ["degradation=inpaint70", "images=2", "batch_size=1", *tiny_prior]
    clean = cell("method=dps", "method.solver.steps=2", *words)
    before = rows_of(clean)["psnr"].tolist()
    first = Bench.of(clean).pose([0]).rng.child("solver").keys[0]
    steps = "    return dps(problem, steps=2)\n"
    head = f"import torch\nfrom baselines.diffusion.dps import dps\nFIRST = {first!r}\n\n"
    path.write_text(f"{head}def solve(problem):\n{body}{steps}")
    rows = rows_of(cell(f"method={path}:solve", *words))
    assert rows["status"].tolist() == ["failed", "ok"]
    again = rows_of(cell("method=dps", "method.solver.steps=2", f"results={tmp_path / 'again'}", *words))
    assert again["psnr"].tolist() == before


CHEATS = {
    "a subclass that hears the truth": """
        class Ear(torch.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None):
                with torch._C.DisableTorchFunctionSubclass():
                    heard = [a for a in args if isinstance(a, torch.Tensor) and type(a) is torch.Tensor]
                    for a in heard:
                        if a.shape == problem.y.shape: KEPT.copy_(a)
                    return func(*args, **(kwargs or {}))
        KEPT = problem.f.T(problem.y).clone()
        return KEPT.as_subclass(Ear)
    """,
    "the margin of its forward map": "problem.f.margin = (15, 15)\nreturn problem.f.T(problem.y)",
    "a forward map that agrees": "x = problem.f.T(problem.y)\nproblem.f.forward = lambda _: problem.y\nreturn x",
    "the noise": "object.__setattr__(problem.noise, 'sigma', 0.0)\nreturn problem.f.T(problem.y)",
}


@pytest.mark.parametrize("body", CHEATS.values(), ids=CHEATS)
def test_nothing_that_it_had_in_its_hands_takes_part_in_its_score(solver, tmp_path, body):
    honest = rows_of(solver("return problem.f.T(problem.y)", f"results={tmp_path / 'honest'}", "batch_size=1"))
    rows = rows_of(solver(body, "batch_size=1"))
    for name in ("psnr", "ssim", "residual", "residual_ratio", "y_sha256"):
        assert rows[name].tolist() == honest[name].tolist(), name


def test_the_clock_is_not_its_to_set(solver):
    rows = rows_of(solver("problem._watch.overhead += 1e6\nreturn problem.y"))
    assert all("it set the clock" in reason for reason in rows["reason"])


def test_inference_mode_is_no_trespass(solver):
    body = "with torch.inference_mode():\n    x = problem.f.pinv(problem.y)\nreturn x.clone()"
    assert rows_of(solver(body, "degradation=cs_gaussian"))["status"].tolist() == ["ok"] * 3


def test_a_solver_that_behaves_is_not_touched(solver):
    rows = rows_of(solver("with torch.no_grad():\n    y = problem.y.clone()\n    y += 0\nreturn y"))
    assert rows["status"].tolist() == ["ok"] * 3
    assert torch.is_grad_enabled()


def test_the_first_optimiser_of_a_process_is_no_trespass(tmp_path):
    """It imports parts of torch that set a variable of the environment."""
    words = ["method=dip", "degradation=denoise", "size=32", "images=1", "metrics=[psnr]", "budget_seconds=0.01"]
    program = "import sys; from sipbench.cli import main; sys.exit(main(sys.argv[1:]))"
    argv = [sys.executable, "-c", program, *words, f"results={tmp_path}"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_working_folder_that_somebody_removed_fails_no_image(solver, tmp_path, monkeypatch):
    """While it runs: its results are elsewhere."""
    made = solver("return problem.y", "batch_size=1", f"results={tmp_path / 'results'}")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    batches = run(made)
    next(batches)
    (tmp_path / "gone").rmdir()
    assert [row["status"] for rows in batches for row in rows] == ["ok", "ok"]


def test_a_solver_that_removes_the_working_folder_is_told_of(solver, tmp_path, monkeypatch):
    made = solver("import os\nos.rmdir(os.getcwd())\nreturn problem.y", f"results={tmp_path / 'results'}")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    assert rows_of(made)["reason"].str.contains("the working directory").all()
