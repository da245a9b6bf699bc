"""`sipbench show`: a picture of any degradation."""

import numpy as np
import pytest
from PIL import Image

from sipbench import cli
from tests import listed


@pytest.mark.parametrize("name", [n for n in listed.DEGRADATIONS if n != "deblur_nonlinear"])
def test_every_degradation_has_a_picture(name, tmp_path):
    out = tmp_path / "new" / "a.png"
    assert cli.main(["show", f"degradation={name}", *listed.check(name), "size=32", "images=1", f"out={out}"]) == 0
    picture = np.asarray(Image.open(out))
    assert picture.shape[1] > picture.shape[0] > 100
    assert picture.std() > 5


def test_a_crystal(tmp_path):
    out = tmp_path / "a.png"
    assert cli.main(["show", "dataset=crystals", "degradation=phase_bragg", "size=32", "images=1", f"out={out}"]) == 0


def test_mistakes_are_one_line(capsys):
    assert cli.main(["show", "degradation=deblur_gausian"]) == 2
    assert "deblur_gaussian" in capsys.readouterr().err
    assert cli.main(["measure", "degradation=sr4"]) == 2
    assert "out=FOLDER" in capsys.readouterr().err
