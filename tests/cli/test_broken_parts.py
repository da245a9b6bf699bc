"""A degradation or a dataset of one's own that breaks: a line that names it, what is wrong and where, or a row."""

import re

import pytest
import torch

from sipbench import cli
from sipbench.bench import store
from sipbench.bench.run import run
from sipbench.operators import sampling

DEGRADATION = """\
from sipbench.operators.base import LinearOperator


class Mine(LinearOperator):
    def __init__(self, shape, rng):
        {init}
        super().__init__(shape, rng.device)

    def forward(self, x):
        {forward}
        return x

    def {adjoint}(self, y):
        {back}
        return y
"""
DATASET = """\
import torch
from sipbench.datasets.base import Dataset


class Mine(Dataset):
    name, version = "mine", "mine-1"

    def __init__(self, split="test", size=64):
        {init}
        self.shape = (3, size, size)

    def __len__(self):
        return 9

    def load(self, indices):
        {load}
        return torch.zeros(len(indices), *self.shape)

    def fingerprint(self, index):
        {fingerprint}
        return str(index)
"""
NOISE = """\
class Mine:
    sigma = 0.1

    def __init__(self):
        raise KeyError("level")
"""
PLAIN = {"init": "pass", "forward": "pass", "back": "pass", "adjoint": "T"}
OPERATORS = {
    "init": ("raise KeyError('shift')", "KeyError: 'shift'", 6),
    "init without a file": ("raise OSError('no answer')", "OSError: no answer", 6),
    "forward": ("raise RuntimeError('no such side')", "RuntimeError: no such side", 10),
    "back": ("raise RuntimeError('no way back')", "RuntimeError: no way back", 14),
}
IMAGES = {
    "init": ("raise KeyError('root')", "KeyError: 'root'", 9),
    "load": ("raise RuntimeError('no such image')", "RuntimeError: no such image", 16),
    "load as numpy": ("return torch.zeros(len(indices), *self.shape).numpy()", "load gives a ndarray", 0),
}


@pytest.fixture
def degradation(tmp_path):
    def words(**parts):
        path = tmp_path / "mine.py"
        path.write_text(DEGRADATION.format(**PLAIN | parts))
        return ["degradation=denoise", f"degradation.operator._target_={path}:Mine", "degradation.name=mine"]

    return words


@pytest.fixture
def dataset(tmp_path):
    def words(**parts):
        path = tmp_path / "mine.py"
        path.write_text(DATASET.format(**{"init": "pass", "load": "pass", "fingerprint": "pass"} | parts))
        return ["degradation=denoise", f"dataset._target_={path}:Mine", "dataset.name=mine"]

    return words


def told(words, tmp_path, capsys):
    """The one line that the command ends in, after those that say how far a cell is."""
    assert cli.main([*words, "images=1", "size=32"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("sipbench: ") and all(line.startswith("[1/1]") for line in lines[:-1])
    return lines[-1]


@pytest.mark.parametrize("part", OPERATORS)
@pytest.mark.parametrize("command", ["show", "measure"])
def test_of_a_degradation(degradation, tmp_path, capsys, command, part):
    body, says, line = OPERATORS[part]
    if (command, part) == ("measure", "back"):
        return
    words = [command, *degradation(**{part.split(" ")[0]: body}), f"out={tmp_path / 'out.png'}"]
    assert f"mine: {says} ({tmp_path / 'mine.py'}, line {line})" in told(words, tmp_path, capsys)


@pytest.mark.parametrize("part", IMAGES)
@pytest.mark.parametrize("command", ["show", "measure"])
def test_of_a_dataset(dataset, tmp_path, capsys, command, part):
    body, says, line = IMAGES[part]
    words = [command, *dataset(**{part.split(" ")[0]: body}), f"out={tmp_path / 'out.png'}"]
    said = told(words, tmp_path, capsys)
    assert f"the dataset mine: {says}" in said and (not line or f"({tmp_path / 'mine.py'}, line {line})" in said)


@pytest.mark.parametrize("part", ["init", "init without a file"])
def test_a_cell_of_what_cannot_be_built_is_not_begun(degradation, tmp_path, capsys, part):
    body, says, line = OPERATORS[part]
    words = [*degradation(init=body), "method=pinv", f"results={tmp_path}"]
    assert f"the degradation mine: {says} ({tmp_path / 'mine.py'}, line {line})" in told(words, tmp_path, capsys)


def test_a_cell_of_a_dataset_that_cannot_be_built_is_not_begun(dataset, tmp_path, capsys):
    words = [*dataset(init="raise KeyError('root')"), "method=pinv", f"results={tmp_path}"]
    assert f"the dataset mine: KeyError: 'root' ({tmp_path / 'mine.py'}, line 9)" in told(words, tmp_path, capsys)


def test_a_noise_that_cannot_be_built_is_told(tmp_path, capsys):
    (tmp_path / "hiss.py").write_text(NOISE)
    words = ["degradation=denoise", f"degradation.noise._target_={tmp_path}/hiss.py:Mine", "~degradation.noise.sigma"]
    said = told([*words, "method=pinv", f"results={tmp_path}"], tmp_path, capsys)
    assert f"the noise of denoise: KeyError: 'level' ({tmp_path / 'hiss.py'}, line 5)" in said


def test_a_dataset_that_cannot_name_an_image_is_told(dataset, tmp_path, capsys):
    words = [*dataset(fingerprint="raise KeyError(index)"), "method=pinv", f"results={tmp_path}"]
    assert f"the dataset mine: KeyError: 0 ({tmp_path / 'mine.py'}, line 20)" in told(words, tmp_path, capsys)


def reason(cell, *words):
    one = cell(*words, "method=pinv", "images=1", "size=32")
    list(run(one))
    (row,) = store.read(one.folder).to_dict("records")
    assert row["status"] == "failed"
    return row["reason"]


def test_a_row_names_the_part_that_broke(cell, degradation, dataset):
    said = reason(cell, *degradation(forward="raise RuntimeError('no such side')"))
    assert said == "the degradation mine: RuntimeError: no such side (mine.py:10)"
    said = reason(cell, *dataset(load="raise RuntimeError('no such image')"))
    assert said == "the dataset mine: RuntimeError: no such image (mine.py:16)"
    said = reason(cell, *degradation(back="raise RuntimeError('no way back')"))
    assert said == "RuntimeError: no way back (mine.py:14)"


def test_of_a_part_of_a_checkout_the_line_of_its_own_file_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sampling.Inpainting, "cast", lambda *_: torch.zeros(7))
    words = ["show", "degradation=inpaint70", f"out={tmp_path / 'a.png'}"]
    assert re.search(r"inpaint70: RuntimeError: .* \(\S+sampling.py, line \d+\)", told(words, tmp_path, capsys))


def test_a_map_without_its_adjoint_is_told_what_it_lacks(cell, degradation, tmp_path, capsys):
    lacks = "Mine has no T: a linear map gives its adjoint, def T(self, y)"
    assert lacks in reason(cell, *degradation(adjoint="adjoint"))
    assert lacks in told(["show", *degradation(adjoint="adjoint"), f"out={tmp_path / 'a.png'}"], tmp_path, capsys)
