"""No step of a solver makes the host wait for a GPU: the queue never runs empty."""

import json
import os
import subprocess
import sys

import pytest
import torch
from torch.utils import backend_registration

from sipbench import configs
from tests.listed import METHODS

LEFT_OUT = (
    "admm_bm3d",  # BM3D filters on the CPU
    "dpir_official",  # the code of dpir_drunet with 33 million weights
    *("pan_dcp", "pan_l0"),  # a step is some thousand launches, and waits some ten times
)


def own_loop(name):
    """A solver with a loop of its own, whose `check` says how many steps; not one that hands over to foreign code."""
    check = configs.read("method", name).get("check", {})
    return name not in LEFT_OUT and any(isinstance(check.get(count), int) for count in ("steps", "iterations"))


SOLVERS = [name for name in METHODS if own_loop(name)]
PRETENDS = hasattr(backend_registration, "_setup_privateuseone_for_python_backend")
OFTEN = 4  # log 2 / log 1.25: how many more snapshots twice as many steps have
LOOKS = {  # who waits more often in more steps, and why
    "watch.py": "the curve of a run: as many snapshots as the logarithm of its steps, off the solver's clock",
    "cdim.py": "the network is asked for those images alone that are not plausible yet, until all are",
    "qp.py": "the certificate, after the loop: it ends where nothing changes to the bit",
}
# Besides, untrained networks, DMPlug and SQP ask each 20th iteration whether all images are done, ReSample in its fits.


def waits(device, *methods):
    """Of each method the lines that wait, with how often for some steps and for twice as many."""
    here = os.getcwd()
    command = [sys.executable, "-m", "tests.waiting", device, *methods]
    done = subprocess.run(command, cwd=here, env={**os.environ, "PYTHONPATH": here}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(map(json.loads, done.stdout.splitlines()))


def grown(lines):
    """The lines that wait more often in more steps, but for those that have a reason."""
    return {line: counts for line, counts in lines.items() if counts[1] > counts[0] and line.split(":")[0] not in LOOKS}


@pytest.mark.skipif(not PRETENDS, reason="this torch has no devices made in Python")
@pytest.mark.parametrize("part", range(2))
def test_no_step_waits(part):
    found = waits("card", *SOLVERS[part::2], "tests.waiting.hasty")
    seen = [line.partition(" ")[2] for line, (few, many) in found.pop("tests.waiting.hasty").items() if many == 2 * few]
    assert sorted(seen) == ["a copy"] * 3 + [
        "a value (_local_scalar_dense)",
        "where a mask is set",
    ]  # who waits is seen
    assert len(found) == len(SOLVERS[part::2])
    assert {name: grown(lines) for name, lines in found.items() if grown(lines)} == {}
    snapshots = [b - a for lines in found.values() for line, (a, b) in lines.items() if line.startswith("watch.py")]
    assert snapshots and max(snapshots) <= OFTEN


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("part", range(3))
def test_a_gpu_says_the_same(part):
    found = waits("cuda", *SOLVERS[part::3])
    assert {name: grown(lines) for name, lines in found.items() if grown(lines)} == {}
