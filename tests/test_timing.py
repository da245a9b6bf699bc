"""The list of slow tests: how it is made, and that it names what there is."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests import conftest, timing

ROOT = Path(__file__).parents[1]


@cache
def parsed(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8")).body


def test_a_file_of_slow_tests_alone_is_named_as_a_whole():
    measured = {"a.py::one": 9.0, "a.py::two": 8.0, "b.py::one": 7.0, "b.py::two": 0.0, "c.py::one": 0.1}
    assert timing.slow(measured) == ["a.py", "b.py::one"]


@pytest.mark.parametrize("entry", sorted(conftest.SLOW))
def test_the_list_names_what_there_is(entry):
    path, *names = entry.split("::")
    body = parsed(path)
    for name in names:
        (found,) = (node for node in body if getattr(node, "name", None) == name)
        body = getattr(found, "body", [])
