"""Pictures of a table: truth and estimates drawn alike."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sipbench.bench import packing
from sipbench.bench.run import Bench
from sipbench.bench.score import Truth
from sipbench.cli import main
from sipbench.problem import Estimate
from sipbench.report import figures
from sipbench.tables.views import errors, strip, zoom
from tests import drawn

from .fake import load, put, row


def test_grey_is_grey_and_the_phase_is_a_hue():
    grey = strip.pixels(torch.linspace(-1, 1, 16).view(1, 4, 4))
    assert grey.shape == (4, 4, 3) and (grey[..., 0] == grey[..., 2]).all() and grey.max() == 255
    z = torch.tensor([[1.0, 0.0, -1.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0, 0.5]])
    colours = strip.pixels(torch.stack(z)).reshape(4, 3).tolist()
    assert colours[:3] == [[255, 0, 0], [0, 0, 0], [0, 255, 255]] and max(colours[3]) in (127, 128)


def test_an_estimate_is_aligned_as_it_is_for_the_score(tmp_path):
    """Phase retrieval cannot tell an image from its mirror image: what is drawn is the truth."""
    spec = load(tmp_path, "images=1", "method=pinv,dip")
    cell = spec.planned[0].cell
    bench = Bench.of(cell, check=False)
    problem = bench.pose([0])
    x = bench.truth([0], problem).x
    put(cell, [row(0) | {"kept": True, "estimate": packing.packed(Estimate(x.flip(-1, -2)), 0)}])

    class Far:
        symmetries, margin = ("flip",), (0, 0)

    picture = strip._picture(spec.planned[0], 0, (Truth(x), Far()))
    assert picture.error.max() == 0 and picture.family == "classical"
    picture = picture.pixels
    assert (picture == strip.pixels(x[0])).all()
    plain = strip._picture(spec.planned[0], 0, (Truth(x), problem.f)).pixels
    assert (plain != picture).any()
    assert strip._picture(spec.planned[1], 0, (Truth(x), problem.f)) is None


def test_a_problem_is_named_as_the_table_heads_it(tmp_path):
    spec = load(tmp_path, "images=1", "method=pinv")
    x = torch.zeros(1, 3, 32, 32)
    put(spec.planned[0].cell, [row(0) | {"kept": True, "estimate": packing.packed(Estimate(x), 0)}])
    assert strip.rows(spec)[0][0].title == "truth\nsr4"
    titled = replace(spec, tasks={"sr4": replace(spec.tasks["sr4"], title="told a noise of 0.03 for 0.01")})
    assert strip.rows(titled)[0][0].title == "truth\ntold a noise of 0.03 for 0.01"


def test_of_several_truths_the_one_of_the_score_is_what_a_picture_is_held_against(tmp_path):
    """A camera that shakes has many; and the border of the truth that is not known is not what moves an estimate."""
    spec = load(tmp_path, "images=1", "method=pinv")
    x = torch.rand(1, 3, 32, 32)
    other = x.flip(-1)
    put(spec.planned[0].cell, [row(0) | {"kept": True, "estimate": packing.packed(Estimate(other), 0)}])

    class Shifting:
        symmetries, margin = ("bounded_shift",), (0, 0)

    truth = Truth(x, near=lambda x_hat: other.to(x_hat), margin=(4, 4))
    assert strip._picture(spec.planned[0], 0, (truth, Shifting())).error.max() == 0
    moved, like = strip.as_scored(x.roll((2, -3), (-2, -1)), Truth(x, margin=(4, 4)), Shifting())
    assert (moved - like)[..., 4:-4, 4:-4].abs().max() < 1e-6


def test_the_mean_of_draws_is_a_part(tmp_path):
    spec = load(tmp_path, "images=1", "method=pinv")
    cell = spec.planned[0].cell
    samples = torch.randn(1, 4, 3, 32, 32)
    put(cell, [row(0) | {"kept": True, "estimate": packing.packed(Estimate(samples[:, 0], samples=samples), 0)}])
    assert torch.equal(strip.returned(cell, 0, "mean"), samples.mean(1))
    assert not torch.equal(strip.returned(cell, 0, ""), samples.mean(1))


def picture(tall=20, wide=20, error=None, **spots):
    """Grey, with a bright square at each spot."""
    pixels = np.full((tall, wide, 3), 100, np.uint8)
    for top, left in spots.values():
        pixels[top : top + 4, left : left + 4] = 255
    return strip.Picture("a\nb", pixels, "diffusion", error)


def test_the_inset_is_where_the_methods_disagree_most():
    row = [picture(), picture(5, 5), picture(a=(3, 12), b=(14, 2)), picture(b=(14, 2)), picture(b=(14, 2))]
    assert zoom.box(row) == (3, 12, 4)
    assert zoom.box(row[:2]) == (0, 0, 4)  # nothing to disagree


def test_errors_have_one_scale_and_all_come_as_png_and_pdf(tmp_path, monkeypatch):
    flat = np.zeros((20, 20))
    row = [picture(), picture(5, 5), picture(error=flat + 0.1), picture(error=flat + 0.4)]
    spec = load(tmp_path, "images=1", "method=pinv")
    seen = []
    for view in (errors, zoom):
        monkeypatch.setattr(view, "rows", lambda _: [row])
        paths = view.write(spec, None)
        assert [path.suffix for path in paths] == [".png", ".pdf"] and paths[1].read_bytes().startswith(b"%PDF")
        seen.append(paths[0].read_bytes())
        assert view.write(spec, None)[0].read_bytes() == seen[-1]
    with Image.open(io.BytesIO(seen[0])) as page:
        assert page.width == round(figures.PAGE * figures.DPI)
        dark, light = (np.asarray(page.convert("L"))[: page.height // 2, int(page.width * k)] for k in (0.625, 0.875))
        assert dark.min() + 40 < light.min()  # 0.4 is a lighter colour than 0.1 of the same scale


def test_views_are_chosen_by_a_word(tmp_path, capsys):
    words = ["size=32", "images=1", "method=pinv", "degradation=sr4", "metrics=[psnr]", f"results={tmp_path}"]
    assert main(["table", "table1", *words, "views=zoom,errors"]) == 0
    written = {path.name for path in (tmp_path / "partial" / "demo").iterdir()}
    assert written == {f"table1-{view}.{kind}" for view in ("zoom", "errors") for kind in ("png", "pdf")}
    assert main(["table", "table1", *words, "views=zom"]) == 2 and "zoom" in capsys.readouterr().err


LONG = (
    "TV, augmented Lagrangian",
    "Double DIP with a total variation prior, early stopped",
    "a_file_of_ones_own_with_a_very_long_name_and_no_space.py:solve",
    "Restoration prior (DRP), own DRUNet, trained for 6000 steps, noise level of the measurement, ten restarts",
    "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
)


@pytest.mark.parametrize("pictures", [3, 5, 8, 11])
def test_titles_of_neighbours_do_not_overlap_however_long(pictures, tmp_path, written):
    """As they are drawn: nor do they lie on a picture, leave the page or become too small to read."""
    row = [picture() for _ in range(pictures)]
    row = [replace(one, title=f"{LONG[k % len(LONG)]}\n28.3 dB") for k, one in enumerate(row)]
    row[0] = replace(row[0], title="truth\n" + LONG[2])
    strip._draw([row, row], tmp_path / "strip")
    (figure,) = written
    titles = [axes.title for axes in figure.axes if axes.title.get_text()]
    assert [letters(title.get_text()) for title in titles] == 2 * [letters(one.title) for one in row]
    boxes = [title.get_window_extent() for title in titles] + [axes.bbox for axes in figure.axes if axes.images]
    assert not drawn.meeting(boxes) and not drawn.leaving(boxes, figure.bbox)
    assert min(title.get_fontsize() for title in titles) >= figures.LEAST
    assert min(axes.bbox.height for axes in figure.axes if axes.images) > 0.95 * figures.DPI * figures.PAGE / pictures


def letters(text):
    return "".join(text.split())
