"""Settings that papers and public codes publish by task: none of their tasks runs on a default that is not theirs."""

import pytest

from sipbench.configs.read import read

DPS = ("sr4", "inpaint70", "inpaint_box", "deblur_gaussian", "deblur_motion", "deblur_nonlinear", "phase_fourier")
DAPS = (*DPS, "hdr")
TASKS = {  # by method, the tasks of its public code
    "dps": dict(zip(DPS, (0.3, 0.5, 0.5, 0.3, 0.3, 0.3, 1.0), strict=True)),
    "psld": dict.fromkeys(("sr4", "inpaint70", "inpaint_box", "deblur_gaussian", "deblur_motion"), 0.1),
    "daps": dict(zip(DAPS, (1e-4, 1e-4, 5e-5, 1e-4, 5e-5, 1e-5, 5e-5, 2e-5), strict=True)),
    "diffpir": {"sr4": 0.25, "inpaint70": 1.0, "inpaint_box": 1.0, "deblur_gaussian": 0.3, "deblur_motion": 0.3},
    "dip": dict.fromkeys(("sr4", "sr8", "inpaint70", "inpaint92", "inpaint_box", "jpeg", "denoise"), None),
}
OPTION = {"dps": "zeta", "psld": "gamma", "daps": "lr", "diffpir": "zeta", "dip": "iterations"}


@pytest.mark.parametrize(("method", "task"), [(m, task) for m, tasks in TASKS.items() for task in tasks])
def test_each_task_has_the_published_value(method, task):
    settings = read("method", method)["paper"]
    assert task in settings, f"{method} has no published setting for {task}"
    value = settings[task].get(OPTION[method])
    assert value is not None and TASKS[method][task] in (None, value)


def test_deblurring_by_diffpir_has_the_weight_that_its_code_runs():
    settings = read("method", "diffpir")["paper"]
    assert {settings[task]["lam"] for task in ("deblur_gaussian", "deblur_motion")} == {7.0}
