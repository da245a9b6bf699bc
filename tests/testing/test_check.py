"""`sipbench check`: a solver that keeps the contract passes, and each that breaks a clause fails that clause."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from sipbench import testing
from sipbench.errors import UserError
from sipbench.operators.blur import Blur
from sipbench.testing.stand_ins import remembering
from sipbench.testing.trial import Trial
from tests.testing import solvers

FILE = Path(solvers.__file__)
BROKEN = {
    "raises": "runs", "wrong_shape": "output", "double": "output", "no_tensor": "output", "wrong_samples": "output",
    "not_finite": "finite", "with_graph": "graph", "talks": "silence", "writes_y": "inputs", "writes_mask": "inputs",
    "moves_fields": "inputs", "asks_gradient": "inputs", "turns_gradient_off": "settings", "changes_dtype": "settings",
    "changes_threads": "settings", "torch_random": "global random state", "numpy_random": "global random state",
    "python_random": "global random state", "seeds": "global random state", "layers": "global random state",
    "clock": "deterministic", "remembers": "deterministic", "batch_norm": "batch independence",
    "loud": "loud neighbour", "first_is_special": "order independence", "own_generator": "order independence",
    "squeezes": "batch independence", "more_when_many": "evaluations", "ignores_the_end": "budget",
    "nothing_yet": "budget",
}  # fmt: skip
DOUBTFUL = {"unit_range": "range", "plain_loop": "budget", "on_the_cpu": "device"}


def check(name, degradation="inpaint70", **options):
    return testing.check(f"{FILE}:{name}", degradation=degradation, **options)


@pytest.mark.parametrize("target", [f"{FILE}:good", "tests.testing.solvers.good", f"{FILE}:with_prior"])
def test_a_good_solver_passes(target):
    findings = testing.check(target)
    assert [f.check for f in findings if f.status != "PASS"] == []
    assert len(findings) > 2 * 12


@pytest.mark.parametrize(("name", "clause"), BROKEN.items())
def test_a_broken_clause_is_seen(name, clause):
    (finding,) = (f for f in check(name) if f.check == clause)
    assert finding.status == "FAIL" and not finding.passed
    assert finding.seen and finding.expected and finding.advice


@pytest.mark.parametrize(("name", "clause"), DOUBTFUL.items())
def test_what_is_doubtful_is_a_warning(name, clause):
    findings = {f.check: f for f in check(name)}
    assert findings[clause].status == "WARN"
    assert all(f.passed for f in findings.values())


@pytest.mark.parametrize("name", ["turns_gradient_off", "changes_dtype", "changes_threads", "seeds", "numpy_random"])
def test_checking_leaves_no_trace(name):
    def state():
        threads = torch.get_num_threads()
        numbers = torch.get_rng_state().numpy().tobytes(), random.getstate(), np.random.get_state()[1].tobytes()
        return torch.is_grad_enabled(), torch.get_default_dtype(), threads, numbers

    before = state()
    check(name)
    assert state() == before


def test_the_report_says_what_to_do_and_where():
    text = testing.render(check("torch_random"))
    line = next(i for i, s in enumerate(FILE.read_text().splitlines(), 1) if "torch.randn_like(problem.y)" in s)
    assert f"solvers.py:{line}" in text
    assert "problem.rng" in text
    assert text.splitlines()[-1].count("failed") == 1


def test_an_error_names_the_line_of_the_solver():
    (finding,) = check("raises")
    assert f"{FILE}:" in finding.seen and "no_such_thing" in finding.seen


def test_without_a_name_two_problems_are_tried_and_named():
    """One whose measurement has another shape than the image: what fails there is seen."""
    findings = testing.check(f"{FILE}:takes_y_for_an_image")
    inpainting, upscaling = dict.fromkeys(f.problem for f in findings)
    assert inpainting == "inpaint70: two images of 3 x 32 x 32, each measured as 3 x 32 x 32"
    assert upscaling == "sr4: two images of 3 x 32 x 32, each measured as 3 x 8 x 8"
    assert [f.check for f in findings if f.status == "FAIL" and f.problem == inpainting] == []
    assert [f.check for f in findings if f.status == "FAIL" and f.problem == upscaling] == ["output"]
    text = testing.render(findings)
    assert f"on {inpainting}" in text and f"on {upscaling}" in text


@pytest.mark.parametrize(
    ("method", "problems"),
    [("hio_er", ["phase_fourier"]), ("blinddps", ["blind_motion"]), ("tv", ["inpaint70", "sr4"])],
)
def test_a_method_is_tried_on_problems_that_it_is_for(method, problems):
    assert list(dict.fromkeys(f.problem.partition(":")[0] for f in testing.check(method))) == problems


@pytest.mark.parametrize("name", ["batch_norm", "loud", "first_is_special"])
def test_images_are_compared_in_double_precision(name):
    clause = BROKEN[name]
    for solver in (name, "good"):
        (finding,) = (f for f in check(solver) if f.check == clause)
        assert finding.seen.endswith("in float64")
        assert finding.passed == (solver == "good")


def test_the_norm_over_the_batch_is_named_as_a_cause():
    (finding,) = (f for f in check("batch_norm") if f.check == "batch independence")
    assert "f.norm is of the whole batch" in finding.advice


def test_a_small_dependence_that_single_precision_hides_is_seen():
    (finding,) = (f for f in check("feels_a_little") if f.check == "batch independence")
    assert finding.status == "FAIL" and finding.seen == "differs by 5e-06 in float64"


def test_what_runs_in_single_precision_only_is_compared_there():
    seen = {f.check: f for f in check("single_precision")}["batch independence"]
    assert seen.status == "PASS" and seen.seen.endswith("in float32")


def test_a_pseudo_inverse_that_takes_long_is_worked_out_once(monkeypatch):
    """For each image by itself: a part of the map finds what the whole has asked for."""
    problem = Trial.of("pinv", "deblur_motion", 32, {}).problem
    f, y, memory = problem.f, problem.y.double(), {}
    x = remembering(f, memory).pinv(y)
    assert torch.equal(x, f.pinv(y))
    monkeypatch.setattr(Blur, "pinv", lambda *_: pytest.fail("once more"))
    assert torch.equal(remembering(f, memory).select(slice(1, 2)).pinv(y[1:]), x[1:])
    with pytest.raises(pytest.fail.Exception):
        remembering(f, memory).pinv(2 * y)


def test_a_missing_network_cannot_be_checked():
    (finding,) = check("needs_net")
    assert finding.status == "SKIP" and not finding.passed
    assert "net" in finding.seen


def test_an_option_with_an_exponent_is_a_number(capsys):
    from sipbench.cli import main

    assert main(["check", "pinv", "degradation=denoise", "cutoff=1e-3"]) == 0
    assert " passed" in capsys.readouterr().out


def test_options_reach_the_solver():
    findings = {f.check: f for f in check("good", options={"steps": 2})}
    assert "of 2 steps" in findings["budget"].seen
    with pytest.raises(UserError, match="steps"):
        check("good", options={"step": 2})


@pytest.mark.parametrize("target", ["dpps", "no_such_file.py:solve", f"{FILE}:no_such_solver"])
def test_a_target_that_is_not_there(target):
    with pytest.raises(UserError):
        testing.check(target)
