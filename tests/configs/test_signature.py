"""Options read from a signature: the same as Python's own, without importing the solver."""

import inspect
import json
import subprocess
import sys

import pytest

from sipbench import configs
from sipbench.configs import signature
from tests import listed

STOP = """\
from dataclasses import dataclass

@dataclass(frozen=True)
class Stop:
    rule: str = "fixed"
    window: int | None = None
    alpha: float = 1 / 10

class Plain:
    def __init__(self, a, b=2, *, c=-1):
        pass
"""
SOLVE = """\
import math
from stop import Stop as Halt, Plain

LEAST = 1e-4

def solve(problem, lam=0.5, *, sigma=1 / 30, channels=(128,) * 3, down=-1, top=math.inf, least=2 * LEAST,
          stop: Halt = Halt("wmv", alpha=0.2), plain=Plain(1), needed, how=print, made=len("abc")):
    raise NotImplementedError
"""


@pytest.fixture
def solve(tmp_path):
    (tmp_path / "stop.py").write_text(STOP)
    (tmp_path / "mine.py").write_text(SOLVE)
    return f"{tmp_path / 'mine.py'}:solve"


def test_defaults_are_evaluated_without_running_the_file(solve, tmp_path):
    found = signature.options(solve)
    nodes = {
        "stop": {"_target_": f"{tmp_path / 'stop.py'}:Stop", "rule": "wmv", "window": None, "alpha": 0.2},
        "plain": {"_target_": f"{tmp_path / 'stop.py'}:Plain", "a": 1, "b": 2, "c": -1},
    }
    plain = {"sigma": 1 / 30, "channels": [128] * 3, "down": -1, "top": float("inf"), "least": 2e-4}
    assert found.defaults == plain | nodes
    assert found.required == ("needed",) and found.positional == ("lam",)
    assert found.unreadable == {"how": "print", "made": "len('abc')"}


@pytest.mark.parametrize("name", listed.METHODS)
def test_it_agrees_with_python(name):
    """Each default of each solver, as the imported function has it."""
    target = configs.read("method", name)["solver"]["_target_"]
    parameters = inspect.signature(configs.locate(target)).parameters.values()
    own = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and "Prior" not in str(p.annotation)}
    found = signature.options(target)
    built = configs.built(found.defaults)
    assert not found.unreadable and not found.open
    assert set(found.required) == {k for k, v in own.items() if v is inspect.Parameter.empty}
    assert {k: _listed(v) for k, v in built.items()} == {k: _listed(v) for k, v in own.items() if k in built}
    assert set(built) | set(found.required) == set(own)


def _listed(value):
    return json.loads(json.dumps(value, default=repr))


def test_nothing_is_imported_for_it():
    code = (
        "import sys; from sipbench import configs\n"
        "[configs.read('method', name) for name in configs.names('method')]\n"
        "print([name for name in ('torch', 'baselines', 'hydra') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
