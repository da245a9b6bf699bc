"""The table of symmetry breaking: ordinary cells, beside the published numbers, with the two acceptance figures."""

import pandas as pd
import pytest

from sipbench import tables
from sipbench.bench import store
from sipbench.bench.run import run
from sipbench.tables.views import symmetry

SMALL = ("dataset.points=1500", "images=2")


@pytest.fixture
def done(tmp_path):
    def done(*words):
        spec = tables.load("symmetry", "demo", [f"results={tmp_path}", *SMALL, *words])
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
    assert (df["low"] < df["error"]).all() and (df["error"] < df["high"]).all()
    text = page.read_text()
    assert "a predictor of zero has 142.9; k-NN before, of ever more pairs, 64.3" in text
    assert "2 draws of A, each tried on 1 500 points" in text and "knn: k 5; the same before and after" in text
    assert "(published 68.26, ratio " in text and "20 000" in text
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert {row for entry in spec.planned for row in store.read(entry.cell.folder)["trained_on"]} == {"ball"}


def test_other_dimensions_have_no_published_numbers_here(done):
    _, (page, table, *_) = done("method=knn_before", "degradation=pairs2e4", "size=10")
    assert pd.read_csv(table)["published"].isna().all() and "a predictor of zero has 83.3" in page.read_text()


def test_the_published_file_is_the_slides():
    assert len(symmetry.published()) == 16
    assert symmetry.published()[5, 1_000_000, "before", "DNN"] == 122.71
    assert symmetry.zero(5) == pytest.approx(142.857, abs=1e-3)


def test_the_training_is_the_same_before_and_after():
    spec = tables.load("symmetry", "study", ["degradation=pairs1e6"])
    options = {entry.row.name: entry.cell.options for entry in spec.planned}
    for method in ("nn", "knn"):
        after, before = options[f"{method}_after"], options[f"{method}_before"]
        assert after | {"breaking": False} == before and after["points"] == 1_000_000
