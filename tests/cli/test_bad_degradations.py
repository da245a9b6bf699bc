"""Impossible degradations: one clear line each, before any work. See also tests/operators/test_mistakes.py."""

import numpy as np
import pytest
from PIL import Image

from sipbench import cli

MISTAKES = [
    ("deblur_gaussian", ["size=32"], "61"),
    ("deblur_gaussian", ["degradation.operator.boundary=mirror"], "circular"),
    ("inpaint_file", ["degradation.operator.path=nowhere.png"], "nowhere.png"),
    ("sr4", ["size=33"], "33"),
    ("cs_gaussian", ["size=256"], "cs_hadamard"),
    ("blind_motion", ["size=32"], "64"),
    ("deblur_nonlinear", [], "GOPRO_wVAE.pth"),
    ("sr4", ["degradation.noise.sigma=-0.1"], "-0.1"),
    ("sr4", ["++degradation.unknown=purple"], "grey"),
    ("inpaint70", ["degradation.operator.removed=abc"], "removed is a number, not 'abc'"),
    ("inpaint70", ["degradation.operator.removed=[0.5]"], "removed is a number"),
    ("ct_sparse", ["degradation.operator.views=2.5"], "views is a whole number, not 2.5"),
    ("sr4", ["degradation.operator.factor=nan"], "factor is a whole number"),
    ("sr4", ["degradation.noise.sigma=abc"], "sigma is a number, not 'abc'"),
    ("sr4", ["degradation.noise.sigma=nan"], "sigma is a number, not nan"),
    ("inpaint70", ["degradation.operator.removed=nan"], "removed is a number, not nan"),
    ("inpaint70", ["degradation.operator.removed=NaN"], "removed is a number, not nan"),
    ("sr4", ["degradation.noise.sigma=null"], "give sigma, or level"),
    ("sr4", ["+degradation.operator.foo=2"], "unknown option 'foo'"),
    ("sr4", ["+degradation.noise.clip=foo"], "clip is true or false"),
    ("sr4", ["degradation.noise._target_=sipbench.noise.Shot"], "unknown option 'sigma'"),
    ("sr4", ["degradation.noise=null"], "noise is missing"),
    ("sr4", ["noise=shot"], "give rate, or level"),
    ("sr4", ["noise=mixture", "noise.noises=[1,2]"], "list of nodes"),
    ("sr4", ["noise=mixture", "noise.noises=[{p: 0.2},{p: 0.3}]"], "_target_"),
    ("sr4", ["degradation.reveal_noise=maybe"], "reveal_noise is true or false"),
    ("sr4", ["size=abc"], "size is a whole number"),
    ("sr4", ["seed=abc"], "seed is a whole number"),
    ("sr4", ["batch_size=0"], "batch_size is a whole number"),
    ("sr4", ["budget_seconds=abc"], "budget_seconds is a number"),
    ("sr4", ["images=[99999999999]"], "outside"),
    ("sr4", ["images=1.5"], "images is all"),
    ("sr4", ["images=all"], "faces: split 'test' has 10,000,000 images, and images=all asks for each: say how many"),
    ("phase_bragg", ["dataset=crystals", "size=32", "images=all"], "crystals: split 'test' has 10,000,000 images"),
    ("blind_motion", ["degradation.operator.intensity=3"], "intensity"),
    ("blind_motion", ["degradation.operator.size=0"], "at least one pixel"),
    ("sr4", ["--cfg"], "unknown word '--cfg'"),
]


@pytest.mark.parametrize(("name", "words", "said"), MISTAKES)
def test_a_mistake_is_one_line(name, words, said, tmp_path, capsys):
    setting = [f"degradation={name}", "images=1", f"results={tmp_path}", *words]
    assert cli.main(["show", *setting, f"out={tmp_path / 'a.png'}"]) == 2
    text = capsys.readouterr().err.strip()
    assert said in text and text.startswith("sipbench: ") and "\n" not in text
    assert not list(tmp_path.iterdir())


def test_a_mask_of_the_wrong_size(tmp_path, capsys):
    Image.fromarray(np.full((20, 24), 255, np.uint8)).save(tmp_path / "mask.png")
    words = ["degradation=inpaint_file", f"degradation.operator.path={tmp_path / 'mask.png'}"]
    assert cli.main(["show", *words, "images=1", f"out={tmp_path / 'a.png'}"]) == 2
    text = capsys.readouterr().err
    assert "20" in text and "24" in text and "64" in text


def test_a_changed_mask_is_another_cell(tmp_path):
    from sipbench import configs
    from sipbench.bench.cell import Cell

    words = ["degradation=inpaint_file", f"degradation.operator.path={tmp_path / 'mask.png'}", "size=32", "prior=none"]
    found = []
    for level in (255, 254):
        Image.fromarray(np.full((32, 32), level, np.uint8)).save(tmp_path / "mask.png")
        found.append(Cell.of(configs.compose(words), words).hash)
    assert found[0] != found[1]
