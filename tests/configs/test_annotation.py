"""What an annotation allows, and the words that say so."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass
from typing import Any, Literal, get_args

import pytest

from sipbench import configs
from sipbench.configs.annotation import hint, refusal
from sipbench.errors import UserError

Boundary = Literal["circular", "zero"]


def look_up(name):
    return {"Boundary": Boundary}.get(name, Any)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("int", [3], [3.0, True, "3", None]),
        ("float", [3, 3.0, math.inf], [True, "3", None, math.nan]),
        ("float | None", [None], [math.nan]),
        ("bool", [True], [1, "true", None]),
        ("str | None", ["a", None], [1]),
        ("Literal['a', 'b']", ["a"], ["c", 1, None]),
        ("typing.Literal['a'] | None", ["a", None], ["c"]),
        ("Literal[0, 1]", [0], [False, "0"]),
        ("Boundary", ["zero"], ["zer"]),
        ("list[int] | int", [[1, 2], 3, (1, 2)], [["1"], "1", [1.5]]),
        ("tuple[int, ...]", [[1, 2], []], [["a"], 1]),
        ("tuple[float, float]", [[1, 2.0]], [["a", 1]]),
        ("dict[str, float]", [{"a": 1}], [{"a": "b"}, 1, {"a": math.nan}]),
        ("InitVar[int]", [1], ["a"]),
        ("Stop", [1, "a", None, {}], [math.nan]),
        ("Stop | int", ["a"], []),
        ("list[Stop]", [["a", 1]], ["a", 1]),
        ("Literal['a'] | Tensor", ["a", 1, [2.0]], ["b"]),
        ("Literal['a'] | list[str] | None", ["a", ["b"], None], ["b", 1]),
        ("not python(", [1], []),
    ],
)
def test_what_is_allowed(text, good, bad):
    allowed = hint(text, look_up)
    assert [refusal("x", value, allowed) for value in good] == [None] * len(good)
    assert all(refusal("x", value, allowed) for value in bad)


def test_the_words_say_what_is_allowed_and_what_is_near():
    assert refusal("rule", "wvm", hint("Literal['fixed', 'wmv'] | None")) == (
        "unknown rule 'wvm'. Did you mean wmv? Known: fixed, wmv."
    )
    assert refusal("n", 1.5, hint("int | Literal['all']")) == "n is a whole number or all, not 1.5"
    assert refusal("n", [1, "b"], hint("list[int]")) == "n[1] is a whole number, not 'b'"
    assert refusal("n", True, hint("float")) == "n is a number, not True"
    assert refusal("n", math.nan, hint("float | None")) == "n is a number or null, not nan"
    assert refusal("n", math.nan, Any) == refusal("n", math.nan, hint("Stop")) == "n is a number, not nan"
    assert refusal("n", [1.0, math.nan], hint("list[float]")) == "n[1] is a number, not nan"


@dataclass
class Node:
    boundary: Boundary = "zero"
    sizes: tuple[int, ...] = ()
    start: InitVar[int] = 0
    other: Any = None


def solve(problem, *, boundary: Boundary = "zero", loss: Literal["mse", "l1"] | None = "mse"):
    pass


@pytest.mark.parametrize(
    ("target", "options", "says"),
    [
        (Node, {"boundary": "circle"}, "unknown boundary 'circle'. Did you mean circular"),
        (Node, {"sizes": ["a"]}, "sizes\\[0\\] is a whole number"),
        (Node, {"start": 1.5}, "start is a whole number"),
        (solve, {"loss": "msee"}, "unknown loss 'msee'. Did you mean mse"),
        (solve, {"boundary": 3}, "boundary is circular or zero, not 3"),
    ],
)
def test_options_are_checked_where_a_target_is_called(target, options, says):
    with pytest.raises(ValueError, match=says):
        configs.typed(target, options)


def test_null_stands_for_the_default_where_none_is_not_taken():
    assert configs.typed(solve, {"boundary": None, "loss": None}) == {"loss": None}


def test_an_unknown_word_of_a_solver_is_refused_before_anything_runs(cell):
    with pytest.raises(UserError, match="dmplug: unknown optimizer 'adamm'. Did you mean adam"):
        _ = cell("method=dmplug", "method.solver.optimizer=adamm").solver
    assert set(get_args(Boundary)) == {"circular", "zero"}
