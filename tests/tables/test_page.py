"""What the report collects of tables: numbers, pictures, curves, and what it takes to repeat each cell."""

import math
import shlex
from pathlib import Path

import numpy as np
import pytest

from sipbench import configs, tables
from sipbench.bench import packing
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.errors import UserError
from sipbench.problem import Estimate
from sipbench.report.page.pictures import packed
from sipbench.tables.page import charts, find, listing, page
from sipbench.tables.page.galleries import _map, _span
from sipbench.tables.page.section import STORE, _entries, collected
from sipbench.tables.read import read_long

from .fake import failure, load, put, row


def section(spec, csv=None, beside=()):
    return collected(find.Found(spec.name, spec.profile, spec.title, csv, tuple(beside), spec))


def solved(spec, methods=("pinv", "dip"), off=0.1):
    """Rows with estimates: the truth and a constant; the second method is further off."""
    for k, entry in enumerate(e for e in spec.planned if e.row.method in methods):
        cell = entry.cells[0]
        bench = Bench.of(cell, check=False)
        rows = []
        for i in cell.images:
            x = bench.truth([i], bench.pose([i])).x + off * (k + 1)
            steps = np.array([1.0, 2.0, 4.0])
            along = {
                "curve_step": steps,
                "curve_seconds": steps,
                "curve_psnr": np.array([10.0, 22.0, 20.0]),
                "batch": 2,
            }
            kept = {"kept": True, "estimate": packing.packed(Estimate(x), 0), "y_sha256": f"y{i}"}
            rows.append(row(i, 20.0 - i + k) | along | kept | {"batch": 2})
        put(cell, rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two methods with pictures on three images, and its section."""
    folder = tmp_path_factory.mktemp("made")
    spec = load(folder, "images=3", "method=pinv,dip,unet")
    solved(spec)
    return spec, section(load(folder, "images=3", "method=pinv,dip,unet"))


def test_the_numbers_are_those_of_the_table(made):
    spec, own = made
    df = tables.collect(spec)
    entry = next(e for e in own.whole.entries if e.method == "dip")
    want = df[(df.method == "dip") & (df.metric == "PSNR")].iloc[0]
    assert own.whole.source == STORE
    assert (entry.scores["PSNR"].mean, entry.scores["PSNR"].oracle) == (want["mean"], want["oracle_mean"])
    assert (entry.n, entry.todo, entry.scores["PSNR"].best) == (3, 0, want["best_group"])
    assert [m.key for m in own.whole.measures if m.cost] == ["residual/sigma", "s/image", "evaluations"]
    method = next(m for m in own.whole.methods if m.key == "dip")
    assert (method.family, method.data, method.told) == ("single", "none", "told f")


def test_published_numbers_keep_the_name_of_their_images(tmp_path):
    df = read_long(Path(__file__).parents[2] / "results" / "demo" / "table1.csv")
    (dps,) = _entries(load(tmp_path, "method=dps"), df)
    assert set(dps.scores["PSNR"].published) == {"CelebA-256, other images", "FFHQ-256, other images"}


def test_pictures_are_the_truth_the_measurement_and_the_estimates(made):
    spec, own = made
    (drawn,) = own.drawn
    assert set(drawn.estimates) == {"pinv", "dip"} and drawn.truth[0].shape == (32, 32, 3)
    off = drawn.estimates["pinv"][0].astype(int) - drawn.truth[0]
    assert set(np.unique(off[drawn.truth[0] < 240])) <= {12, 13}
    assert drawn.measurement[0].shape == (8, 8, 3)
    assert drawn.gallery.unit == "σ" and drawn.gallery.values["PSNR"]["dip"] == (21.0, 20.0, 19.0)
    assert list(drawn.order) == [0, 1, 2]  # LPIPS is 0.3 for all, and a tie keeps the order
    assert packed([drawn], 10**6)[0].images == ("0", "1", "2")


def test_a_residual_of_four_noise_levels_has_the_last_colour(made):
    (drawn,) = made[1].drawn
    level = drawn.residuals["dip"][0]
    assert level.max() == 255  # 0.2 off, where the noise is 0.01
    assert level.shape == (8, 8)


def test_the_command_of_a_cell_makes_that_cell(made, tmp_path):
    spec, own = made
    for cell in own.cells:
        words = [*shlex.split(cell.command)[1:], *(f"{n}={tmp_path / n}" for n in ("results", "weights", "data"))]
        assert Cell.of(configs.compose(words), words).hash == cell.key
        assert not any(str(Path.cwd()) in word or "/tmp" in word for word in shlex.split(cell.command))
    dip = next(cell for cell in own.cells if cell.label.startswith("DIP"))
    assert {o.name: o.origin for o in dip.options}["iterations"] == "demo"
    assert [run.y for run in dip.runs] == ["y0", "y1", "y2"] and dip.note == ""


def test_failures_keep_their_reasons(tmp_path):
    spec = load(tmp_path, "images=2", "method=pinv,dip")
    put(spec.planned[0].cell, [row(0), failure(1, "it broke <b>")])
    own = section(load(tmp_path, "images=2", "method=pinv,dip"))
    (cell,) = [c for c in own.cells if c.label.startswith("A⁺y")]
    assert [(run.status, run.reason) for run in cell.runs] == [("ok", ""), ("failed", "it broke <b>")]
    assert own.whole.entries[0].failed == 1 and own.drawn == ()


def test_curves_have_what_was_returned_and_the_oracle(made):
    spec, own = made
    by_seconds = next(c for c in own.whole.charts if c.x == charts.SECONDS and c.y.startswith("PSNR"))
    assert [p[:2] for p in by_seconds.lines[0].points] == [(0.5, 10.0), (1.0, 22.0), (2.0, 20.0)]
    marks = {(m.title, m.kind): (m.x, m.y) for m in by_seconds.marks}
    assert marks["DIP", "oracle"] == (1.0, 22.0) and marks["DIP", "returned"] == (2.0, 20.0)


def test_pairs_are_minus_each_other(made):
    matrix = next(m for m in made[1].whole.matrices if m.measure == "PSNR")
    there, back = matrix.entries[0][1], matrix.entries[1][0]
    assert (there.mean, there.wins, there.losses) == (-back.mean, back.losses, back.wins) == (-1.0, 0, 3)


def test_a_csv_alone_gives_numbers_without_pictures(tmp_path, made):
    spec, _ = made
    csv = tmp_path / "table1.csv"
    tables.collect(spec).to_csv(csv, index=False)
    own = section(load(tmp_path, "images=3", "method=pinv,dip,unet"), csv)
    assert own.whole.source == "read from table1.csv" and own.drawn == () and own.whole.matrices == ()
    want = {e.method: e.scores["PSNR"].mean for e in made[1].whole.entries}
    have = {e.method: e.scores["PSNR"].mean for e in own.whole.entries}
    assert have.keys() == want.keys() and have["dip"] == want["dip"] and math.isnan(have["unet"])
    assert all("No rows of it are stored here" in cell.note for cell in own.cells)


def test_a_csv_that_does_not_know_a_row_leaves_it_open(tmp_path, made):
    df = tables.collect(made[0])
    csv = tmp_path / "table1.csv"
    df[df.method != "dip"].drop(columns=["best_group", "settings", "low"]).to_csv(csv, index=False)
    own = section(load(tmp_path, "images=3", "method=pinv,dip"), csv)
    assert [e.status for e in own.whole.entries] == ["ok", "not computed"]
    assert own.whole.entries[0].origins == "not recorded"


def test_numbers_of_other_cells_get_no_pictures(tmp_path):
    """What is stored is of one number of steps, and the CSV of another and of more rows."""
    spec = load(tmp_path, "images=2", "method=pinv,dip")
    solved(spec, methods=("pinv",))
    csv = tmp_path / "table1.csv"
    text = tables.collect(spec)
    text.loc[text.method == "dip", "mean"] = 1.0
    text.assign(cell="another").to_csv(csv, index=False)
    own = section(load(tmp_path, "images=2", "method=pinv,dip"), csv)
    assert own.whole.source == "read from table1.csv" and own.drawn == () and own.whole.charts == ()


def test_what_is_there_is_found_and_what_is_not_is_said(tmp_path):
    with pytest.raises(UserError, match="no table is there"):
        find.found([], [], tmp_path)
    (tmp_path / "partial" / "demo").mkdir(parents=True)
    with pytest.raises(UserError, match="no table is there .*; those in .*partial, .* are not shown"):
        find.found([], [], tmp_path)
    with pytest.raises(UserError, match="nothing is there of table1"):
        find.found(["table1"], ["demo"], tmp_path)
    with pytest.raises(UserError, match="tabel1"):
        find.found(["tabel1"], [], tmp_path)
    with pytest.raises(UserError, match="smoke"):
        find.found([], ["smoke"], tmp_path)


def test_the_committed_results_are_found():
    root = Path(__file__).parents[2] / "results"
    found = {(one.name, one.profile): one for one in find.found([], [], root)}
    assert {("table1", "demo"), ("table1", "study"), ("tradeoff", "study"), ("posterior", "demo")} <= found.keys()
    assert next(iter(found)) == ("table1", "demo")
    assert found["tradeoff", "study"].spec is None and found["table1", "demo"].spec is not None
    own = listing(found["tradeoff", "study"])
    curve = next(c for c in own.charts if c.x == "training images")
    levels = {line.title: line.level for line in curve.lines}
    assert levels["TV"] and levels["DIP"] and not levels["MoDL"]
    assert next(line.family for line in curve.lines if line.title == "DIP") == "single"


def test_a_damaged_csv_is_one_line(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "table1.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"table1\.csv cannot be read"):
        find.found(["table1"], ["demo"], tmp_path)


def test_a_damaged_csv_keeps_no_other_from_the_page(tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "table1.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "demo" / "elto.csv").write_text("dataset,problem\nfaces,low\n")
    told = []
    assert [one.name for one in page([], [], tmp_path, 1.0, told.append).sections] == ["elto"]
    assert "left out" in told[1] and "table1.csv cannot be read" in told[1]


def test_a_word_in_the_place_of_a_number_is_one_line(tmp_path):
    """As a merge of two versions leaves it, or a comma for a point."""
    head = "dataset,degradation,method,metric,mean,status\n"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "table1.csv").write_text(head + "faces,sr4,dip,psnr,<<<<<<<,ok\n")
    (tmp_path / "demo" / "elto.csv").write_text("dataset,problem\nfaces,low\n")
    told = []
    assert [one.name for one in page([], [], tmp_path, 1.0, told.append).sections] == ["elto"]
    assert "table1.csv cannot be read as a table: " in told[1] and "'<<<<<<<'" in told[1] and "'mean'" in told[1]


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("elto-curves", "dataset,problem,iteration,psnr,psnr_std\nfaces,low,1,20,x\n"),
        ("elto-curve", "problem,method,n,psnr,title,low,high\nsr4,unet,x,20,U,19,21\n"),
        ("early_stopping-curve", "dataset,degradation,method,metric,step,mean,low,high\nfaces,sr4,dip,psnr,x,2,1,3\n"),
    ],
)
def test_a_word_in_the_place_of_a_number_of_a_curve_is_one_line(tmp_path, name, curve):
    spec = tables.load("early_stopping", "demo", [f"results={tmp_path}"])
    path = tmp_path / f"{name}.csv"
    path.write_text(curve)
    with pytest.raises(UserError, match=f"{name}.csv cannot be read as a table: .*'x'"):
        list((*charts.beside(spec, [path]), *charts.by_iteration(path), *charts.by_images(path)))


def test_a_curve_without_its_spread_is_not_shown(tmp_path):
    spec = tables.load("early_stopping", "demo", [f"results={tmp_path}"])
    path = tmp_path / "early_stopping-curve.csv"
    path.write_text("dataset,degradation,method,metric,step,mean\nfaces,gaussian_low,dip,psnr,0,20\n")
    assert not list(charts.beside(spec, [path]))


def test_the_page_is_made_of_what_is_there(tmp_path, monkeypatch):
    """From CSVs alone: a listing and its curves."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "elto.csv").write_text("dataset,problem,rule,psnr\nfaces,low,wmv,26.5\nfaces,low,emv,\n")
    curve = "dataset,problem,iteration,psnr,psnr_std\n" + "".join(f"faces,low,{i},{10 + i},1\n" for i in range(400))
    (tmp_path / "demo" / "elto-curves.csv").write_text(curve)
    told = []
    own = page([], [], tmp_path, 1.0, told.append)
    (elto,) = own.sections
    assert told == ["elto, profile demo"] and elto.rows == (
        ("faces", "low", "wmv", 26.5),
        ("faces", "low", "emv", None),
    )
    points = elto.charts[0].lines[0].points
    assert len(points) <= charts.MOST + 1 and points[-1] == (399.0, 409.0, 408.0, 410.0)
    assert own.colours["single"] == "#009E73"


def test_a_table_that_cannot_be_posed_is_left_out_unless_it_is_named(tmp_path, monkeypatch):
    def refuse(found):
        raise UserError("no such views")

    monkeypatch.setattr("sipbench.tables.page.listing", refuse)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "elto.csv").write_text("dataset,problem\nfaces,low\n")
    told = []
    assert page([], [], tmp_path, 1.0, told.append).sections == () and told[-1] == "  left out: no such views"
    with pytest.raises(UserError, match="no such views"):
        page(["elto"], [], tmp_path, 1.0, told.append)


def test_residuals_have_a_scale_also_where_no_noise_is_told():
    assert _map(None, 1.0) is None and _map(np.array([[0.0, 2.0, np.nan]]), 1.0).tolist() == [[0, 255, 255]]
    assert _span({"a": [None]}) == 0.0 and _span({"a": [np.full((2, 2), 3.0)]}) == 3.0


def test_what_cannot_run_is_that_in_a_file_too(tmp_path):
    """`n/a` is a status, and no word for nothing."""
    spec = load(tmp_path)
    put(next(e.cell for e in spec.planned if e.row.method == "pinv"), [row(i) for i in range(4)])
    df = tables.collect(spec)
    [path] = [p for p in tables.write(spec, df, tmp_path) if p.suffix == ".csv"]
    again = read_long(path)
    assert "n/a" in set(df["status"]) and again["status"].tolist() == df["status"].tolist()
    assert again["mean"].isna().tolist() == df["mean"].isna().tolist() and again["n"].isna().any()


def test_a_curve_of_a_file_bears_the_name_of_its_method_and_not_of_a_part(tmp_path):
    spec = tables.load("early_stopping", "demo", [f"results={tmp_path}", "degradation=gaussian_low"])
    path = tmp_path / "early_stopping-curve.csv"
    head = "dataset,degradation,method,metric,step,mean,low,high"
    path.write_text(f"{head}\nfaces,gaussian_low,dip,psnr,0,20,19,21\n")
    [chart] = charts.beside(spec, [path])
    assert [line.title for line in chart.lines] == ["DIP"]
