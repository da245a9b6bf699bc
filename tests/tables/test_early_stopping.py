"""`sipbench table early_stopping`: the rules are rows, each a part of one cell on which all of them look."""

import io

import pandas as pd
import pytest
from PIL import Image

from sipbench import metrics, tables
from sipbench.bench import store
from sipbench.cli import main
from sipbench.tables.views import curve, strip

from .fake import put, row

SMALL = [
    "degradation=gaussian_medium,impulse_low", "images=2", "size=32", "method.solver.iterations=30",
    "method.solver.channels=[8,8]", "method.solver.skip=[0,4]", "method.solver.input_channels=4", "metrics=[psnr,ssim]",
    "probe.rules.wmv.window=8", "+probe.rules.emv.burn_in=5",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = tmp_path_factory.mktemp("stopping")
    assert main(["table", "early_stopping", *SMALL, f"results={results}"]) == 0
    return results


def load(folder, *words, name="early_stopping"):
    return tables.load(name, "demo", [*SMALL, f"results={folder}", *words])


def test_every_rule_has_a_row_of_every_problem(folder):
    frame = pd.read_csv(folder / "partial" / "demo" / "early_stopping.csv")
    table = frame.pivot_table("mean", ["degradation", "method"], "metric")
    assert len(table) == 8 and set(frame["n"]) == {2} and not frame["failed"].any()
    assert table.loc[("gaussian_medium", "fixed"), "iterate returned"] == 29
    assert (table["iterations run"] == 30).all() and (table["cost of the rule"] > 0).all()
    for problem in ("gaussian_medium", "impulse_low"):
        assert table.loc[problem, "iterate returned"].nunique() > 2 and table.loc[problem, "PSNR"].nunique() > 2
    psnr = frame[frame.metric == "PSNR"].set_index(["degradation", "method"]).sort_index()
    assert (psnr["oracle_mean"] - psnr["mean"]).to_numpy() == pytest.approx(table["gap, dB"].to_numpy(), abs=1e-3)
    assert {"early_stopping.md", "early_stopping.tex", "early_stopping-curve.csv", "early_stopping-curve.png"} <= {
        p.name for p in (folder / "partial" / "demo").iterdir()
    }


def test_at_a_glance_are_the_means_of_the_table(folder):
    text = (folder / "partial" / "demo" / "early_stopping-glance.md").read_text()
    gap = text.partition("## gap, dB")[2].partition("##")[0]
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in gap.splitlines() if line.startswith("|")]
    frame = pd.read_csv(folder / "partial" / "demo" / "early_stopping.csv")
    own = frame[(frame.metric == "gap, dB") & (frame.degradation == "impulse_low")].set_index("method")["mean"]
    assert lines[0] == ["Method", "Gaussian, medium (0.18)", "Impulse, low (0.30)"]
    assert [line[0] for line in lines[2:]] == ["ES-WMV", "ES-EMV", "SV-ES (cut down)", "the last iterate"]
    expected = [own[name] for name in ("wmv", "emv", "self_validation", "fixed")]
    assert [float(line[2].strip("*")) for line in lines[2:]] == pytest.approx(expected, abs=0.006)


def test_the_time_of_a_rule_is_until_it_ends_the_run(folder):
    frame = pd.read_csv(folder / "partial" / "demo" / "early_stopping.csv")
    cell = load(folder).planned[0].cell
    assert cell is not None
    rows = store.read(cell.folder)
    own = frame[(frame.metric == "s/image") & (frame.degradation == "gaussian_medium")].set_index("method")["mean"]
    assert own["emv"] == pytest.approx(rows["emv_seconds"].mean(), rel=1e-4) and own["emv"] != own["wmv"]


def test_all_rules_share_one_cell(folder):
    spec = load(folder)
    cells = {entry.degradation: set() for entry in spec.entries()}
    for entry in spec.entries():
        cells[entry.degradation] |= {cell.hash for cell in entry.cells}
    assert [len(found) for found in cells.values()] == [1, 1] and tables.pending(spec) == []
    assert len(list(store.cells(folder))) == 2


def test_it_does_nothing_twice(folder, capsys):
    assert main(["table", "early_stopping", *SMALL, f"results={folder}"]) == 0
    assert "everything is done already" in capsys.readouterr().err


def test_elto_has_the_cells_of_early_stopping(folder):
    whole = tables.load("elto", "demo", [f"results={folder}"])
    other = tables.load("early_stopping", "demo", [f"results={folder}", f"degradation={','.join(whole.tasks)}"])
    assert [e.cell.hash for e in whole.planned] == [e.cell.hash for e in other.planned]  # pyright: ignore
    assert len(whole.tasks) == 6 and "curve" in whole.views
    picked = ["degradation=gaussian_medium" if w.startswith("degradation") else w for w in SMALL]
    assert tables.pending(tables.load("elto", "demo", [*picked, f"results={folder}"])) == []


def test_the_profiles_differ_in_length(folder):
    demo, paper = (
        tables.load("early_stopping", p, [f"results={folder}", "dataset=faces", "degradation=shot_low"])
        for p in ("demo", "paper")
    )
    for spec, iterations, every in ((demo, 800, 1), (paper, 5000, 10)):
        cell = spec.planned[0].cell
        assert cell is not None and cell.probe is not None
        assert (cell.options["iterations"], cell.options["stop"]["rule"]) == (iterations, "fixed")
        assert (cell.options["ema"], cell.precision, cell.probe["every"]) == (0.0, "float32", every)


def test_curves_are_means_with_the_middle_half_of_the_images(folder):
    spec = load(folder)
    frame = pd.read_csv(folder / "partial" / "demo" / "early_stopping-curve.csv")
    assert len(frame) == 60 and set(frame["images"]) == {2} and set(frame["method"]) == {"dip"}
    cell = spec.planned[0].cell
    assert cell is not None
    along = pd.DataFrame(store.read(cell.folder)["along_psnr"].tolist())
    own = frame[frame.degradation == "gaussian_medium"]
    assert own["mean"].tolist() == pytest.approx(along.mean().tolist(), rel=1e-5)
    assert own["low"].tolist() == pytest.approx(along.quantile(0.25).tolist(), rel=1e-5)
    assert own["loss"].notna().all() and own["step"].tolist() == list(range(30))


def test_a_table_without_probes_has_the_curves_that_every_cell_stores(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics.backbones, "missing", lambda *_, **__: "absent")
    words = ["degradation=inpaint70", "method=tv,dip", "images=2", "size=32", "method.solver.iterations=12"]
    words = [*words, "metrics=[psnr]", f"results={tmp_path}"]
    assert main(["table", "table1", *words]) in (0, 1)
    spec = tables.load("table1", "demo", words)
    (csv, png, _) = curve.write(spec, tables.collect(spec))
    frame = pd.read_csv(csv)
    assert frame["method"].unique().tolist() == ["dip", "tv"] and png.is_file()
    assert set(frame["metric"]) == {"psnr"} and frame["mean"].notna().all()


def test_pictures_of_a_row_are_of_what_its_rule_chose(folder):
    spec = load(folder)
    (path, _) = strip.write(spec, tables.collect(spec))
    assert Image.open(io.BytesIO(path.read_bytes())).width > 500
    cell = spec.planned[0].cell
    assert cell is not None
    whole, early, last = (strip.returned(cell, 0, part) for part in ("", "emv", "fixed"))
    assert (whole == last).all() and (whole != early).any() and strip.returned(cell, 0, "none") is None


def test_a_curve_is_drawn_as_far_as_all_images_go(folder):
    """One stops early, at a low value: the mean of the other alone is no gain of the method."""
    entry = load(folder).planned[0]
    values = pd.DataFrame({0: [10.0, 12.0, None], 1: [20.0, 22.0, 24.0]}, index=[1, 2, 3])
    drawn = curve.Curve((entry,), None, "psnr", values, pd.DataFrame())
    assert drawn.whole.mean(axis=1).to_dict() == {1: 15.0, 2: 17.0}
    assert curve._table(drawn)["images"].tolist() == [2, 2, 1]


def test_the_curves_of_a_problem_are_of_one_metric(tmp_path):
    """The weights of LPIPS came between the two: its axis is not the PSNR's."""
    words = ["degradation=sr4", "method=tv,dip", "images=2", "size=32", f"results={tmp_path}"]
    spec = tables.load("table1", "demo", words)
    for k, entry in enumerate(spec.planned):
        along = {"curve_step": [1.0, 2.0], "curve_seconds": [1.0, 2.0], "curve_psnr": [20.0, 21.0]}
        along["curve_lpips_alex"] = [0.5, 0.4] if k else [float("nan")] * 2
        put(entry.cell, [row(i, **along) for i in range(2)])
    assert [c.metric for c in curve._curves(spec)] == ["psnr", "psnr"]


def test_runs_that_differ_by_the_words_of_their_rows_have_a_name_each():
    """Three losses of one method, of each run a part: their curves are not one, nor do they bear one name."""
    spec = tables.load("real_noise", "paper", ["dataset=faces", "images=1"])
    curves = [curve.Curve((e,), None, "psnr", pd.DataFrame({0: [1.0]}), pd.DataFrame()) for e in spec.planned]
    assert [(c.name, c.title) for c in curves] == [
        ("mse", "DIP, MSE"),
        ("l1", "DIP, l1"),
        ("huber", "DIP, Huber"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=wvm"], "unknown method 'wvm'. Did you mean wmv"),
        (["method=mine.py:solve"], "mine.py:solve has no name to stand in a table"),
        (["degradation=gauss"], "unknown problem of this table 'gauss'"),
        (["rule=wmv"], "unknown option 'rule'"),
        (["method="], "names nothing"),
        (["probe.every=0"], "every is a whole number from 1 on"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, said):
    assert main(["table", "early_stopping", *words, f"results={tmp_path}"]) == 2
    assert said in capsys.readouterr().err


def test_a_failed_run_is_counted_and_does_not_end_the_table(folder, tmp_path, monkeypatch, capsys):
    from baselines.common import stopping

    def broken(self, x, loss=None):
        raise ArithmeticError("no such root")

    monkeypatch.setattr(stopping.EMV, "__call__", broken)
    assert main(["table", "early_stopping", *SMALL, "images=1", f"results={tmp_path}"]) == 1
    text = (tmp_path / "partial" / "demo" / "early_stopping.md").read_text()
    assert "ArithmeticError: no such root" in text and "failed" in text
