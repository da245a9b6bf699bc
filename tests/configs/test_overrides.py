"""The words of a command line, asked in one place."""

import doctest

import pytest

from sipbench.configs import Overrides
from sipbench.errors import UserError


def test_the_examples_of_the_docstring():
    import sys

    module = sys.modules["sipbench.configs.overrides"]
    assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted > 4


def test_the_last_word_counts_and_marks_mean_nothing():
    words = Overrides(["a=1", "+a=2", "~b", "++c.d='x, y'", "e="])
    assert words.keys == ["a", "a", "b", "c.d", "e"]
    assert words.get("a") == "2" and words.get("b") is None and words.get("b", "0") == "0"
    assert words.get("c.d") == "x, y" and words.choices("c.d") == ["x, y"] and words.get("e") == ""
    assert words.choices("e") == words.choices("gone") == []


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("m=a,b", ["a", "b"]),
        ("m=a, b ,", ["a", "b"]),
        ("m=[1,2],[3]", ["[1,2]", "[3]"]),
        ("m={a: [1,2]},3", ["{a: [1,2]}", "3"]),
        ("m='a,b',c", ["a,b", "c"]),
        ("m=mine.py:solve,dip", ["mine.py:solve", "dip"]),
    ],
)
def test_values_are_parted_at_commas_outside_of_brackets_and_quotes(text, choices):
    assert Overrides([text]).choices("m") == choices


def test_words_are_left_out_by_key_or_by_what_they_are_below():
    words = Overrides(["method=dps", "method.solver.steps=3", "~method.x", "size=4"])
    assert words.without("method") == ["method.solver.steps=3", "~method.x", "size=4"]
    assert words.without("method.") == ["method=dps", "size=4"]
    assert words.without("method", "method.", "size") == []
    assert words.take("size", "9") == ("4", ["method=dps", "method.solver.steps=3", "~method.x"])
    assert words.below("method.solver.") == ["method.solver.steps"]


def test_a_mapping_is_opened():
    words = Overrides(["method.solver.stop={rule: emv, deep: {a: 1}}", "size=4", "x={}"])
    assert words.leaves == ["method.solver.stop.rule", "method.solver.stop.deep.a", "size", "x"]
    with pytest.raises(UserError, match="a=\\{b: cannot be read"):
        _ = Overrides(["a={b:"]).leaves


def test_it_is_a_sequence_of_words():
    words = Overrides(["a=1"]) + ["b=2"]
    assert [*words] == ["a=1", "b=2"] and words[1:] == ["b=2"] and words[0] == "a=1" and str(words) == "a=1 b=2"
    assert hash(words) == hash(Overrides(["a=1", "b=2"])) and words != ["a=1"]


def test_it_composes():
    assert Overrides(["method=pinv", "size=32"]).compose().size == 32
