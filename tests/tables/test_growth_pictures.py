"""Pictures of what a training image is worth: every curve can be told from the others, and every name be read."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sipbench import tables
from sipbench.report import figures
from sipbench.tables import growth_pictures, learning
from tests import drawn

PROBLEMS = ["ct_sparse", "sr4", "inpaint70", "phase_cdp"]


def made(problems, subsets, spec):
    """All rows, most of them within two dB of one another at the largest n."""
    rng, found = np.random.default_rng(0), {}
    for name in PROBLEMS[:problems]:
        grown = []
        for k, row in enumerate(spec.rows):
            several = [0] if row.family == "no data" else [4, 16, 64, 256, 1024, 4096]
            points = [
                learning.Point(
                    ("faces", name),
                    row,
                    n,
                    subset,
                    pd.Series(28 + k / 6 - 4 / (n + 1) ** 0.5 + rng.normal(size=16)),
                    {"seconds": 0.1 * (k + 1), "training_seconds": 10.0 + n * k if n else None},
                )
                for n in several
                for subset in range(subsets)
            ]
            grown.append(learning.Growth(row, tuple(points)))
        found["faces", name] = grown
    return found


@pytest.mark.parametrize(("problems", "subsets"), [(1, 1), (2, 3), (3, 1), (4, 3)])
def test_curves_have_their_names_beside_them(problems, subsets, tmp_path, written):
    spec = tables.load("tradeoff", "study", [f"results={tmp_path}"])
    growth_pictures.by_images(spec, made(problems, subsets, spec), tmp_path / "a")
    (figure,) = written
    names = [text for axes in figure.axes for text in axes.texts]
    assert len(figure.axes) == problems and len(names) == problems * len(spec.rows)
    boxes = [text.get_window_extent() for text in names] + [axes.bbox for axes in figure.axes]
    boxes += [one.get_window_extent() for one in (*figure.legends, *(axes.title for axes in figure.axes))]
    assert not drawn.meeting(boxes) and not drawn.leaving(boxes, figure.bbox)
    assert min(axes.bbox.width for axes in figure.axes) > 1.4 * figures.DPI
    for axes in figure.axes:
        ends = [text.xy[1] for text in axes.texts]
        heights = [text.get_window_extent().y0 for text in axes.texts]
        assert np.argsort(ends).tolist() == np.argsort(heights).tolist()


@pytest.mark.parametrize(("problems", "subsets"), [(1, 3), (2, 1), (3, 1), (4, 1)])
def test_costs_have_a_column_a_problem_and_one_scale_of_quality(problems, subsets, tmp_path, written):
    spec = tables.load("tradeoff", "study", [f"results={tmp_path}"])
    growth_pictures.by_cost(spec, made(problems, subsets, spec), tmp_path / "a")
    (figure,) = written
    assert len(figure.axes) == 2 * problems
    for above, below in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        assert above.get_ylim() == below.get_ylim() and abs(above.bbox.x0 - below.bbox.x0) < 1
        assert (above.get_xlabel(), below.get_xlabel()) == ("seconds of training", "seconds an image")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *(row.title for row in spec.rows),
        "filled: the largest n",
    ]
    boxes = [axes.get_tightbbox() for axes in figure.axes] + [legend.get_window_extent()]
    assert not drawn.meeting(boxes) and not drawn.leaving(boxes, figure.bbox)


def test_a_family_has_one_colour_and_its_methods_differ_in_line_and_marker(tmp_path, written):
    spec = tables.load("tradeoff", "study", [f"results={tmp_path}"])
    growth_pictures.by_cost(spec, made(1, 1, spec), tmp_path / "a")
    handles = written[0].legends[0].legend_handles[: len(spec.rows)]
    seen = [(to_hex(h.get_color()), h.get_linestyle(), h.get_marker()) for h in handles]
    assert len(set(seen)) == len(seen)
    families = {
        row.family: {colour for (colour, *_), r in zip(seen, spec.rows, strict=True) if r.family == row.family}
        for row in spec.rows
    }
    assert all(len(own) == 1 for own in families.values()) and len(set.union(*families.values())) == len(families)
