"""`sipbench show`: a picture of any degradation."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from sipbench import cli
from sipbench.report.show import draw
from tests import drawn, listed


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


def test_titles_do_not_overlap_however_long(monkeypatch):
    """What is stored is shown under the method's title, which may be a file of one's own."""
    made, plain = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: made.append(self) or plain(self, *a, **k))
    titles = ["a_solver_in_a_file_of_ones_own.py:with_a_long_name", "Double DIP with a total variation prior", "truth"]
    draw([(title, [torch.rand(3, 8, 8)] * 2) for title in titles])
    boxes = [box for axes in made[0].axes for box in (axes.title.get_window_extent(), axes.bbox)]
    assert len(boxes) == 12 and not drawn.meeting(boxes) and not drawn.leaving(boxes, made[0].bbox)
