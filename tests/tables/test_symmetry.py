"""The table of symmetry breaking: ordinary cells, beside the published numbers, with the two acceptance figures."""

import pandas as pd
import pytest
import torch

from sipbench import tables
from sipbench.bench import store
from sipbench.bench.run import run
from sipbench.problem import Rng
from sipbench.tables.views import symmetry
from sipbench.tables.views.symmetry import Point, Space
from tests import drawn

SMALL = ("dataset.points=1500", "images=2")
DEMO = ["nn_after", "knn_after", "nn_before", "knn_before"]


@pytest.fixture
def done(tmp_path):
    def done(*words, profile="demo"):
        spec = tables.load("symmetry", profile, [f"results={tmp_path}", *SMALL, *words])
        for cell, _ in tables.pending(spec):
            for _ in run(cell):
                pass
        return spec, symmetry.write(spec, tables.collect(spec))

    return done


def test_neighbours_stand_beside_the_published_ones_with_ratios(done):
    spec, (page, table, picture, _) = done("method=knn", "degradation=pairs2e4,square")
    df = pd.read_csv(table).set_index("breaking")
    assert list(df["published"]) == [11.82, 68.26] and (df["draws"] == 2).all() and (df["pairs"] == 20_000).all()
    assert abs(df.loc["before", "error"] - 68) < 3 and 0.7 < df.loc["after", "ratio"] < 1.5
    assert df.loc["after", "paper"] == 9.0 and pd.isna(df.loc["before", "paper"])
    assert (df["low"] < df["error"]).all() and (df["error"] < df["high"]).all()
    text = page.read_text()
    assert "a predictor of zero has 142.9; k-NN before, of ever more pairs, 64.3" in text
    assert "2 draws of A, each tried on 1 500 points" in text and "knn: k 5; the same before and after" in text
    assert "(published 68.26, ratio " in text and "20 000" in text
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert {row for entry in spec.planned for row in store.read(entry.cell.folder)["trained_on"]} == {"ball"}


def test_other_dimensions_stand_beside_the_paper_alone(done):
    _, (page, table, *_) = done("method=knn", "degradation=pairs2e4", "size=10", "dataset.points=300")
    df = pd.read_csv(table).set_index("breaking")
    assert df["published"].isna().all() and df.loc["after", "paper"] == 21 and 0.5 < df.loc["after", "paper_ratio"] < 2
    assert "R^10: a predictor of zero has 83.3" in page.read_text()


def test_complex_points_have_a_table_of_their_own(done):
    _, (page, table, picture, _) = done(
        "method=knn", "degradation=pairs2e4,complex2e4", "dataset.points=300", profile="study"
    )
    df = pd.read_csv(table).set_index(["field", "breaking"])
    assert set(df.index) == {(field, way) for field in "RC" for way in ("before", "after")}
    assert df.loc[("C", "after"), "error"] < df.loc[("C", "before"), "error"] < Space(5, "C").zero
    assert df.loc["C", ["published", "paper"]].isna().to_numpy().all()
    text = page.read_text()
    assert "\n## R^5\n" in text and "\n## C^5\n" in text and "C^5: a predictor of zero has 166.7" in text
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_what_is_learnt_of_ever_more_pairs():
    """The mean of five signs or phases, by drawing them."""
    angle = 2 * torch.pi * Rng.of(0, "five", [0]).uniform(200_000, 5, dtype=torch.float64)[0]
    means = {"R": angle.sub(torch.pi).sign().mean(1), "C": torch.polar(torch.ones_like(angle), angle).mean(1)}
    for field, mean in means.items():
        expected = float((1 - mean.abs()).square().mean())
        assert Space(5, field).blind / Space(5, field).zero == pytest.approx(expected, abs=3e-3)


def test_the_published_files_are_the_slides_and_the_paper():
    assert len(symmetry.published()) == 16 and len(symmetry.published(symmetry.PAPER)) == 108
    assert symmetry.published()[5, 1_000_000, "before", "DNN"] == 122.71
    assert Space(5).zero == pytest.approx(142.857, abs=1e-3)
    for n in (5, 10, 15):  # before breaking its networks are predictors of zero, which tells its unit
        for kind in ("NN", "WNN", "DNN"):
            assert symmetry.in_paper(n, 1_000_000, "before", kind) == pytest.approx(Space(n).zero, rel=0.05)
    assert symmetry.in_paper(15, 20_000, "after", "DNN") == pytest.approx(13.5)
    assert symmetry.in_paper(7, 20_000, "after", "DNN") is None


def test_the_training_is_the_same_before_and_after():
    spec = tables.load("symmetry", "study", ["degradation=pairs1e6,complex1e6"])
    for problem in spec.degradations:
        options = {e.row.name: e.cell.options for e in spec.planned if e.degradation == problem}
        for method in ("nn", "wide", "deep", "knn"):
            after, before = options[f"{method}_after"], options[f"{method}_before"]
            assert after | {"breaking": False} == before and after["points"] == 1_000_000


def test_the_study_is_all_that_was_published_and_complex_points():
    spec = tables.load("symmetry", "study")
    asked = {
        (cell.size, entry.cell.options["points"], symmetry._kind(entry))
        for entry in spec.planned
        if (cell := entry.cell).size > 1 and Space.of(cell).field == "R"
    }
    paper = {(n, pairs, kind) for n, pairs, _, kind in symmetry.published(symmetry.PAPER) if "(" not in kind}
    assert asked == paper | {(n, pairs, "K-NN") for n, pairs, _ in paper}
    fields = {Space.of(cell) for cell in spec.settings()}
    assert fields == {Space(1), Space(5), Space(10), Space(15), Space(5, "C")}
    assert [row.name for row in tables.load("symmetry", "demo").rows] == DEMO


@pytest.mark.parametrize("spaces", [[], [Space(5)], [Space(5), Space(10), Space(15), Space(5, "C")]])
def test_the_legend_lies_on_no_panel(spaces, tmp_path, written):
    """One below all, however many panels there are, with what the lines are that are no method."""
    spec = tables.load("symmetry", "study", [f"results={tmp_path}", "degradation=square", "dataset.points=20"])
    points = [
        Point(f"{kind} {k}, {way}", space, pairs, kind, way == "after", (10.0 + k, 12.0), 3.0, 5.0)
        for space in spaces
        for k, kind in enumerate(("NN", "WNN", "DNN", "K-NN"))
        for way in ("after", "before")
        for pairs in (20_000, 50_000, 100_000, 1_000_000)
    ]
    symmetry._draw(spec, points, tmp_path / "symmetry")
    (figure,) = written
    assert len(figure.axes) == 1 + len(spaces) and not any(axes.get_legend() for axes in figure.axes)
    (legend,) = figure.legends
    said = [text.get_text() for text in legend.get_texts()]
    assert said[0] == "truth" and len(said) == len(set(said))
    assert not spaces or {"NN 0, after", "K-NN 3, before", "published", "a predictor of zero"} < set(said)
    boxes = [legend.get_window_extent(), *(axes.get_tightbbox() for axes in figure.axes)]
    assert not drawn.meeting(boxes) and not drawn.leaving(boxes, figure.bbox)
    if spaces:
        axes = figure.axes[1]
        ticks = [tick.get_text() for tick in axes.get_xticklabels() + axes.get_xticklabels(minor=True)]
        assert [tick for tick in ticks if tick] == ["20 000", "50 000", "100 000", "1 000 000"]
