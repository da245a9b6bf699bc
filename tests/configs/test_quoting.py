"""A path may be typed as it is: with an umlaut, brackets, a second equals sign."""

import pytest

from sipbench import configs
from sipbench.configs.quoting import quoted

TYPED = ["ergebnisseü", "my results", "photos (1)", "a=b", "it's", "c:\\x\\ü", "ü\\", "a#b&c", "結果", "ü\\'x"]


@pytest.mark.parametrize("path", TYPED)
def test_a_path_arrives_as_it_was_typed(path):
    assert configs.compose([f"results={path}"]).results == path


@pytest.mark.parametrize(
    "word", ["images=[0,1]", "seed=range(0,3)", "results='ü'", "x={a: 1}", "~noise.p", "x=1e-3,-2", "x="]
)
def test_what_the_grammar_reads_is_left_alone(word):
    assert quoted(word) == word


def test_a_comma_parts_the_values_of_a_sweep():
    assert quoted("method=ü.py:solve,dip") == "method='ü.py:solve',dip"
