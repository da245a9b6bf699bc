"""Arrays in dictionaries are read from a pickle, and nothing else is."""

import io
import os
import pickle

import numpy as np
import pytest

from sipbench.fetch import arrays

TREE = {"a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "b": np.zeros(3)}


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_are_read(protocol):
    found = arrays.read(io.BytesIO(pickle.dumps(TREE, protocol)))
    np.testing.assert_array_equal(found["a"]["kernel"], TREE["a"]["kernel"])


def test_nothing_else_is_run(tmp_path):
    for tree in (Trap(tmp_path / "sprung"), {"a": Trap(tmp_path / "sprung")}):
        with pytest.raises(pickle.UnpicklingError, match="mkdir"):
            arrays.read(io.BytesIO(pickle.dumps(tree)))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "tree",
    [[1], {"a": 1}, {1: np.zeros(1)}, {"a": np.array([None])}, {"a": "word"}, {"a": print}, {"a": np.array("s")}],
)
def test_other_content_is_refused(tree):
    with pytest.raises(pickle.UnpicklingError):
        arrays.read(io.BytesIO(pickle.dumps(tree)))


def test_a_damaged_pickle_is_refused():
    whole = pickle.dumps(TREE)
    for content in (b"", whole[:-20], whole[20:], b"\x80\x04."):
        with pytest.raises(pickle.UnpicklingError):
            arrays.read(io.BytesIO(content))
