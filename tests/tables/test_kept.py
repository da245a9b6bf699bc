"""The scores image by image beside a table, and the table drawn from them where its store is not."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from sipbench import configs, tables
from sipbench.errors import UserError
from sipbench.tables import kept
from sipbench.tables.measures import COSTS
from sipbench.tables.run import run_table
from sipbench.tables.views import show

from .fake import failure, fill, put, row, whole

LEVELS = {"pinv": 20.0, "tv": 21 + 1 / 3, "dip": 22.0}  # a third is kept to the last bit


def small(tmp_path, *words):
    return whole(tmp_path, "method=pinv,tv,dip", *words)


def written(tmp_path, *words):
    """A table with rows of three methods, written; and the same without its store."""
    spec = small(tmp_path, *words)
    fill(spec, LEVELS)
    spec = small(tmp_path, *words)
    show(replace(spec, partial=False), tables.collect(spec))
    shutil.rmtree(tmp_path / "results" / "runs")
    return replace(small(tmp_path, *words), keeps=True)


def test_without_its_store_it_is_the_same_table(tmp_path):
    spec = small(tmp_path)
    fill(spec, LEVELS)
    before = tables.collect(small(tmp_path))
    kept = written(tmp_path)
    pd.testing.assert_frame_equal(tables.collect(kept), before)
    assert tables.pending(kept) == [] and len(tables.pending(replace(small(tmp_path)))) == 3


def test_a_line_is_an_image_with_all_that_is_shown_of_it(tmp_path):
    kept = written(tmp_path)
    lines = pd.read_csv(tmp_path / "results" / "demo" / "table1-images.csv")
    assert len(lines) == 3 * 4 and not lines.duplicated(["method", "image"]).any()
    assert {"psnr", "oracle_psnr", "ssim", "lpips_alex", "residual_ratio", "seconds", "evaluations"} <= set(lines)
    assert lines[lines.method == "tv"].psnr.tolist() == [21 + 1 / 3 + i for i in range(4)]
    assert set(lines.cell) == {cell.hash for entry in kept.planned for cell in entry.cells}


def test_other_code_is_told_of_and_another_question_is_not_answered(tmp_path, monkeypatch):
    written(tmp_path)
    known = configs.code_hash
    monkeypatch.setattr(configs, "code_hash", lambda target: f"{known(target)}x")
    spec = replace(small(tmp_path), keeps=True)
    df = tables.collect(spec)
    assert df[df.method == "tv"]["mean"].notna().all() and not tables.pending(spec)
    assert "kept: 3 of 3 cells" in tables.render_markdown(spec, df)
    assert set(df[df.method == "tv"].cell) & set(pd.read_csv(tmp_path / "results/demo/table1-images.csv").cell)
    other = replace(small(tmp_path, "degradation.noise.sigma=0.02"), keeps=True)
    assert len(tables.pending(other)) == 3 and tables.collect(other)["mean"].isna().all()


def test_what_is_stored_comes_first(tmp_path):
    spec = written(tmp_path)
    fill(spec, {"pinv": 30.0})
    df = tables.collect(replace(small(tmp_path), keeps=True))
    means = df[df.metric == "PSNR"].set_index("method")["mean"]
    assert means["pinv"] == 31.5 and means["dip"] == 23.5


def test_failures_are_kept_too(tmp_path):
    spec = small(tmp_path)
    pinv = next(e.cell for e in spec.planned if e.row.method == "pinv")
    put(pinv, [row(0), failure(1), row(2), failure(3, "diverged")])
    before = tables.collect(small(tmp_path))
    show(replace(spec, partial=False), before)
    shutil.rmtree(tmp_path / "results" / "runs")
    pd.testing.assert_frame_equal(tables.collect(replace(small(tmp_path), keeps=True)), before)


def test_lines_that_somebody_edited(tmp_path):
    """An image that is none is told of; what a cell asks says its seed; a device or a hash of digits is a text."""
    spec = written(tmp_path)
    before = tables.collect(spec)
    path = tmp_path / "results" / "demo" / "table1-images.csv"
    lines = pd.read_csv(path, dtype=str)
    for changed in (lines.assign(seed=""), lines.assign(seed=lines.seed.where(lines.index != 0, "7"))):
        changed.to_csv(path, index=False)
        pd.testing.assert_frame_equal(tables.collect(replace(small(tmp_path), keeps=True)), before)
    lines.assign(device="1", cell=lines.cell.where(lines.index != 3, "")).to_csv(path, index=False)
    assert "1" in set(tables.collect(replace(small(tmp_path), keeps=True)).device)
    for image in ("0.5", "", "inf"):
        lines.assign(image=lines.image.where(lines.index != 2, image)).to_csv(path, index=False)
        with pytest.raises(UserError, match="line 4 has no whole number for its image"):
            tables.collect(replace(small(tmp_path), keeps=True))


def test_what_cannot_be_read_is_a_line(tmp_path):
    spec = replace(small(tmp_path), keeps=True)
    with pytest.raises(UserError, match="there is no .*table1-images.csv"):
        tables.collect(spec)
    path = tmp_path / "results" / "demo" / "table1-images.csv"
    path.parent.mkdir(parents=True)
    path.write_text("image,method\n0,dps\n")
    with pytest.raises(UserError, match="has no column dataset"):
        tables.collect(replace(small(tmp_path), keeps=True))
    with pytest.raises(UserError, match="kept is true or false"):
        run_table("table1", ["kept=maybe"])


RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/*-images.csv")), ids=lambda path: path.stem)
def test_each_committed_mean_is_that_of_its_lines(path):
    """Of every table that has means in long form."""
    name, profile = path.stem.removesuffix("-images"), path.parent.name
    table, lines, spec = pd.read_csv(path.with_name(f"{name}.csv")), pd.read_csv(path), tables.load(name, profile)
    if "metric" not in table:
        pytest.skip("its means are by subset")
    rows, headings = {row.name: row for row in spec.rows}, {m.heading: m for m in (*spec.measures, *COSTS)}
    for _, said in table[table["mean"].notna() & (table["metric"] != "s/image")].iterrows():
        own = lines[
            (lines[["dataset", "degradation", "method"]] == said[["dataset", "degradation", "method"]]).all(axis=1)
        ]
        column = rows[said["method"]].column(headings[said["metric"]], lines)
        found = own[own["status"] == "ok"].groupby("image")[column].mean()
        assert found.mean() == pytest.approx(said["mean"], rel=1e-5), f"{said['degradation']}/{said['method']}"


def test_what_rows_say_of_several_trainings_is_kept_of_each():
    """Else a table that is drawn without its store would not tell of them."""
    for said, stays in (("aaa", ["a", None, None]), ("aab", ["a", "a", "b"])):
        rows = pd.DataFrame({"image": [0, 1, 2], "training": list(said)})
        assert [one or None for one in kept.laid(rows, []).training.fillna("")] == stays
