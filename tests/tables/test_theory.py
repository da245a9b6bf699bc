"""The table of exact posteriors: ordinary cells that draw, and what theory says of them in a view of its own."""

from dataclasses import replace

import pytest

from sipbench import configs, tables
from sipbench.bench import store
from sipbench.bench.run import run
from sipbench.cli import main
from sipbench.errors import UserError
from sipbench.tables.views import theory

SMALL = ("draws=32", "images=2", "batch_size=32")


@pytest.fixture
def load(tmp_path):
    return lambda *words: tables.load("posterior", "demo", [f"results={tmp_path}", *SMALL, *words])


def done(spec):
    for cell, _ in tables.pending(spec):
        for _ in run(cell):
            pass
    return tables.collect(spec)


def test_it_is_a_table_like_any_other(load):
    spec = load("method=pigdm,blinddps", "degradation=isotropic,inpainting", "method.solver.steps=40")
    df = done(spec)
    assert not tables.pending(spec)
    table = df[df["method"] == "pigdm"].pivot(index="degradation", columns="metric", values="mean")
    assert table.loc["isotropic", "W/floor"] < 1.3 < table.loc["inpainting", "W/floor"]
    assert (table["NFE"] == 40).all() and (table["s"] > 0).all()
    blind = df[df["method"] == "blinddps"]
    assert (blind["status"] == "n/a").all() and blind["reason"].str.contains("leave a part open").all()

    text = theory.render(spec, df)
    glance = [line for line in text.splitlines() if line.startswith("| PiGDM")][0]
    assert glance.count("**") == 2 and glance.index("**") < glance.index("±")
    assert "32 draws of each of 2 measurements" in text
    assert "PiGDM: samples the posterior (isotropic), elsewhere samples something else. Takes p(x | x_t)" in text
    assert "n/a: BlindDPS (field_white, isotropic), BlindDPS (field_smooth, inpainting)" in text
    sheet = text.partition("## The same field")[2]
    assert "| PiGDM | samples something else | " in sheet and "| BlindDPS | samples something else | n/a |" in sheet


def test_a_row_has_words_of_its_own_on_a_problem(load):
    (blur, isotropic) = load("method=mmps", "degradation=isotropic,blur").planned
    assert (isotropic.degradation, blur.degradation) == ("blur", "isotropic")
    assert isotropic.cell.options["iterations"] == 8 and blur.cell.options["iterations"] == 2
    assert isotropic.cell.options["steps"] == blur.cell.options["steps"] == 300


def test_the_noise_level_is_the_problems(load):
    tolerances = {e.degradation: e.cell.options["tolerance"] for e in load("method=resample").planned}
    assert tolerances == {"isotropic": 0.1, "blur": 0.05, "inpainting": 0.05, "mixture": 0.1}


def test_every_diffusion_method_is_in_it_and_theory_has_a_reason(load):
    spec = load()
    diffusion = {n for n in configs.names("method") if configs.read("method", n)["family"] == "diffusion"}
    variants = {n for n in diffusion if n.rpartition("_")[0] in {row.name for row in spec.rows}}
    beyond = {"inversebench"}  # runs what is typed
    assert diffusion - variants - beyond <= {row.name for row in spec.rows}
    assert all(row.theory and row.theory.why for row in spec.rows)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"theory": {"does": "sample"}}, "samples"),
        ({"theory": {"does": "other", "exact_on": ["blurr"]}}, "Did you mean blur"),
        ({"per_problem": {"blurr": []}}, "Did you mean blur"),
        ({"theory": {"why": "because"}}, "theory.does is missing"),
    ],
)
def test_a_mistake_in_a_row_is_said(row, said):
    node = configs.read("table", "posterior")
    node = node | {"rows": {"diffusion": node["rows"]["diffusion"] | {"dps": row}}}
    with pytest.raises(UserError, match=said):
        configs.schema.check_file("table", node, "mine.yaml")


def test_the_command_runs(tmp_path, capsys):
    words = ["method=dps", "method.solver.steps=20", "degradation=isotropic,mixture", *SMALL, f"results={tmp_path}"]
    assert main(["table", "posterior", *words]) == 0
    assert "W/floor" in capsys.readouterr().out
    assert (tmp_path / "partial" / "demo" / "posterior.csv").is_file()
    assert "## At a glance: W/floor" in (tmp_path / "partial" / "demo" / "posterior.md").read_text()


def test_the_mean_of_the_draws_stands_beside_a_draw(tmp_path, monkeypatch):
    """On images: one cell of draws, of which one row shows the first and one the mean."""
    node = configs.read("table", "table1")
    shared = {"method": "dps", "words": ["draws=4", "method.solver.steps=3", "prior=gaussian"]}
    rows = {"dps_draw": shared | {"title": "a draw"}, "dps_mean": shared | {"part": "mean"}}
    node = node | {"rows": {"diffusion": rows}, "published": None, "metrics": ["PSNR"], "headings": "sipbench"}
    node |= {"columns": {"spread": {"column": "spread"}}}
    read = configs.read
    monkeypatch.setattr(configs, "read", lambda group, name: node if group == "table" else read(group, name))
    words = [f"results={tmp_path}", "degradation=sr4", "images=2", "size=32", "metrics=[psnr]"]
    spec = tables.load("table1", "demo", words)
    df = done(spec).set_index(["method", "metric"])
    (cell,) = {entry.cell.hash: entry.cell for entry in spec.planned}.values()
    stored = store.read(cell.folder)
    assert df.loc[("dps_draw", "PSNR"), "mean"] == pytest.approx(stored["psnr"].mean())
    assert df.loc[("dps_mean", "PSNR"), "mean"] == pytest.approx(stored["mean_psnr"].mean())
    assert df.loc[("dps_draw", "evaluations"), "mean"] == 3 and df.loc[("dps_mean", "evaluations"), "mean"] == 12
    seconds = df["mean"].xs("s/image", level="metric")
    assert seconds["dps_mean"] == pytest.approx(4 * seconds["dps_draw"])


def test_a_problem_on_several_datasets_has_a_column_and_a_sheet_of_each(tmp_path):
    spec = replace(tables.load("posterior", "demo", [f"results={tmp_path}", *SMALL, "method=pinv,pigdm"]))
    task = next(iter(spec.tasks.values()))
    spec = replace(spec, tasks={task.name: replace(task, dataset=None)}, datasets=("field_white", "field_smooth"))
    spec.__dict__.pop("pairs", None)
    records = [
        {"dataset": d, "degradation": task.name, "method": row.name, "metric": m.heading, "mean": mean, "n": 2}
        | {"ci95": 0.1, "status": "ok", "reason": "", "failed": 0, "todo": 0, "unconverged": 0}
        for d, mean in (("field_white", 1.25), ("field_smooth", 7.5))
        for row in spec.rows
        for m in spec.measures
    ]
    lines = {}
    for r in records:
        lines.setdefault((r["dataset"], r["degradation"], r["method"]), {})[r["metric"]] = r
    glance = theory._glance(spec, lines)
    assert f"{task.name}, field_white | {task.name}, field_smooth" in glance and "1.25" in glance and "7.5" in glance
    assert "7.5" in theory._sheet(spec, ("field_smooth", task.name), lines)
