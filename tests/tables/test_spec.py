"""What conf/table declares, and what may be typed beside it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from sipbench import configs, tables
from sipbench.bench import run as bench
from sipbench.bench.cell import Cell
from sipbench.configs.table_schema import Table
from sipbench.degradation import Degradation
from sipbench.errors import UserError
from sipbench.operators.unknowns import CHANNELS
from sipbench.problem import Rng
from sipbench.tables import Published, published, read, release
from sipbench.tables.collect import settings
from sipbench.tables.declared import _swept
from sipbench.tables.spec import Task

from .fake import load

ROOT = Path(__file__).parents[2]
HEAD = "table,dataset,degradation,noise_sigma,method,metric,value\n"


def test_two_rows_of_one_name_are_refused(monkeypatch):
    """The second would stand in the place of the first."""
    node = configs.read("table", "table1")
    read = configs.read
    twice = node | {"rows": {**node["rows"], "again": {"dip": {"words": ["method.solver.lr=0.1"]}}}}
    monkeypatch.setattr(configs, "read", lambda *names: twice if names == ("table", "table1") else read(*names))
    with pytest.raises(UserError, match="two rows dip"):
        tables.load("table1", "demo")


@pytest.mark.parametrize("name", tables.names())
def test_every_table_loads_under_every_profile(name):
    """A profile changes the problems, which can all be posed; the methods are put into them as under any other."""
    posed_already, rows = [], set()
    for profile in configs.read("table", name)["profiles"]:
        spec = tables.load(name, profile)
        for cell in (cell for cell in spec.settings() if cell.degradation not in posed_already):
            posed_already.append(cell.degradation)
            posed(cell)
        assert len(spec.settings()) == len(spec.pairs)
        assert {row.published for row in spec.rows} - {None} <= set(spec.published.methods)
        dataset, problem = spec.pairs[0]
        for row in set(spec.rows) - rows:
            entries = [spec.entry(dataset, name, row) for name in {problem, *row.per_problem} & set(spec.tasks)]
            assert {entry.status for entry in entries} <= {"ok", "not yet"}
        rows |= set(spec.rows)


FROZEN = [ROOT / "results" / name for name in release.frozen(ROOT / "results")["files"]]
COMMITTED = [path for path in FROZEN if set(read.columns(path)) > {"settings", "method"}]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_committed_table_says_where_today_s_settings_come_from(path):
    lines = read.read_csv(path)[["dataset", "degradation", "method", "settings"]].fillna("").drop_duplicates()
    said = {tuple(line[:3]): line[3] for line in lines.itertuples(index=False)}
    entries = [entry for entry in tables.load(path.stem, path.parent.name).entries() if entry.cells]
    own = {(entry.dataset, entry.degradation, entry.row.name): settings(entry.cells[0]) for entry in entries}
    assert {key: said.get(key) for key in own} == own


ELSEWHERE = {"deblur_nonlinear"}  # needs a checkpoint that is not shipped


def posed(cell):
    """Its forward maps, as they are and as they are told: an operator may refuse what its YAML may say."""
    try:
        shape = Degradation.of(cell.degradation).x_shape(cell.dataset)
    except UserError:  # its files are not here
        shape = (CHANNELS[cell.degradation.get("unknown", "image")] or 3, cell.size, cell.size)
    made = Degradation.of(cell.degradation)
    for one in filter(None, (made, made.told) if cell.names[1] not in ELSEWHERE else ()):
        one.build((1, *shape), Rng.of(0, "posed", [0]))


def test_a_problem_that_cannot_be_posed_is_seen():
    words = ["degradation=ct_sparse", "degradation.operator.span=184", "size=16", "method=pinv"]
    with pytest.raises(UserError, match="not 184"):
        posed(Cell.of(configs.compose(words), words))


@pytest.mark.parametrize("words", [[], ["method.solver.precision=float64"], ["seed=3"]])
def test_a_cell_is_that_of_its_words(words):
    """However it was put together; the file of unet is made of others."""
    spec = tables.load("table1", "demo", ["degradation=sr4", "method=unet,dps,dip", *words])
    for entry in spec.planned:
        typed = ["profile=demo", "dataset=faces", "degradation=sr4", f"method={entry.row.method}", "seed=0", *words]
        made = Cell.of(configs.compose(typed), typed)
        assert entry.cell == replace(made, metrics=tuple(dict.fromkeys([*made.metrics, *spec.metrics.values()])))


def test_rows_stand_by_family_with_what_is_not_there_yet():
    spec = tables.load("table1", "demo")
    families = [row.family for row in spec.rows]
    assert (
        list(dict.fromkeys(families)) == ["classical", "datarich", "diffusion", "single"]
        and sorted(families) == families
    )
    for row in spec.rows:
        assert not row.exists or configs.read("method", row.method)["family"] == row.family
    assert {"pinv", "unet", "dps", "dip"} <= {row.method for row in spec.rows if row.exists}


def test_published_numbers_are_found_by_the_names_in_the_configs():
    spec = tables.load("table1", "paper")
    dps = next(row for row in spec.rows if row.method == "dps")
    for dataset, degradation, metric, value in (
        ("celeba", "sr4", "LPIPS", 0.087),
        ("ffhq", "inpaint70", "PSNR", 30.95),
        ("ffhq", "sr4", "SSIM", 0.814),
    ):
        name = spec.published_as(dataset, degradation)
        assert spec.published_value(name, degradation, dps, metric) == value


@pytest.mark.parametrize("word", ["degradation.noise.sigma=0.05", "degradation.operator.factor=2"])
def test_a_changed_problem_has_no_published_number(word):
    spec = tables.load("table1", "paper", ["degradation=sr4", word])
    dps = next(row for row in spec.rows if row.method == "dps")
    assert math.isnan(spec.published_value("CelebA-256", "sr4", dps, "PSNR"))


def test_another_size_is_not_the_published_one():
    assert tables.load("table1", "paper").published_as("celeba", "sr4") == "CelebA-256"
    assert tables.load("table1", "paper", ["size=128"]).published_as("celeba", "sr4") is None
    assert tables.load("table1", "demo").published_as("faces", "sr4") is None


def test_typed_choices_take_the_place_of_the_tables_own(tmp_path):
    spec = load(tmp_path, "dataset=celeba", "method=dip,pinv,dps", "seed=3,4")
    assert (spec.datasets, spec.degradations, spec.seeds) == (("celeba",), ("sr4",), (3, 4))
    assert [row.method for row in spec.rows] == ["pinv", "dps", "dip"]
    assert [cell.seed for cell in spec.planned[0].cells] == [3, 4]


@pytest.mark.parametrize(
    ("name", "profile", "words", "says"),
    [
        ("tabel1", "demo", [], "Did you mean table1"),
        ("table1", "dmo", [], "Did you mean demo"),
        ("table1", "demo", ["method=dpss"], "Did you mean dps"),
        ("table1", "demo", ["dataset=face"], "Did you mean faces"),
        ("table1", "demo", ["degradation=inpaint7"], "Did you mean inpaint70"),
        ("table1", "demo", ["seed=one"], "whole number"),
        ("table1", "demo", ["method="], "names nothing"),
        ("table1", "demo", ["profile=paper"], "by itself"),
    ],
)
def test_what_is_not_known_is_said(name, profile, words, says):
    with pytest.raises(UserError, match=says):
        tables.load(name, profile, words)


def test_a_misspelt_option_is_an_error_not_a_gap(tmp_path):
    with pytest.raises(UserError, match="imges"):
        load(tmp_path, "imges=3").entries()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "t,A,sr,0.01,DPS,PSNR,many\n", "line 2.*numbers"),
        (HEAD + "t,A,sr,0.01,DPS\n", "line 2.*no metric, value"),
        ("a,b\n1,2\n", "line 2.*no dataset"),
    ],
)
def test_a_broken_published_file_is_named_by_its_line(tmp_path, monkeypatch, text, says):
    monkeypatch.setattr(published, "folder", lambda: tmp_path)
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(UserError, match=says):
        Published.read("p.csv", "slides", 256)
    with pytest.raises(UserError, match="cannot read"):
        Published.read("absent.csv", "slides", 256)


def declare(tmp_path, monkeypatch, **more):
    """A table of one's own: problems with titles and overrides, one of them for one dataset alone."""
    node = {
        "title": "Two problems", "headings": "sipbench", "metrics": ["PSNR"], "seeds": [0],
        "profiles": {"demo": {"datasets": ["faces"], "words": ["size=32"]}},
        "words": ["images=2"],
        "columns": {"stopped at": {"column": "stopped", "places": 0}},
        "problems": {
            "loud": {"title": "Loud", "words": ["degradation=denoise", "noise=gaussian", "noise.sigma=0.3"]},
            "bragg": {"words": ["degradation=phase_bragg"], "dataset": "crystals"},
        },
        "rows": {"classical": {"pinv": None}},
    } | more  # fmt: skip
    monkeypatch.setattr(
        configs, "read", lambda group, name, read=configs.read: node if group == "table" else read(group, name)
    )
    return tables.load("mine", "demo", [f"results={tmp_path}", "metrics=[psnr]"])


def test_a_table_may_declare_problems_of_its_own(tmp_path, monkeypatch):
    spec = declare(tmp_path, monkeypatch)
    assert spec.pairs == (("faces", "loud"), ("crystals", "bragg"))
    cell = spec.setting("faces", "loud")
    assert cell.images == [0, 1] and cell.size == 32 and cell.degradation["noise"]["sigma"] == 0.3
    for cell, _ in tables.pending(spec):
        list(bench.run(cell))
    text = tables.render_markdown(spec, tables.collect(spec))
    assert "## Loud, faces" in text and "stopped at" in text and "published" not in text
    assert "## Phase retrieval, Bragg" in text


def test_a_problem_that_is_not_the_tables_own_is_named(tmp_path, monkeypatch):
    declare(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="unknown problem of this table"):
        tables.load("mine", "demo", ["degradation=quiet"])


def test_problems_of_one_dataset_stand_in_the_order_of_the_table():
    pairs = tables.load("early_stopping", "demo").pairs
    assert list(dict.fromkeys(dataset for dataset, _ in pairs)) == ["faces", "photos"]


def declared(monkeypatch, **more):
    """Table 1 with other entries in its YAML."""
    node = configs.read("table", "table1") | more
    monkeypatch.setattr(
        configs, "read", lambda group, name, read=configs.read: node if group == "table" else read(group, name)
    )
    return tables.load("table1", "demo", ["images=2"])


def test_a_row_may_be_a_method_with_words_of_its_own_or_a_part_of_its_cells(monkeypatch):
    rows = {
        "diffusion": {
            "dps": None,
            "quick": {"method": "dps", "title": "DPS, quick", "words": ["method.solver.steps=9"]},
            "mean": {"method": "dps", "title": "DPS, mean", "part": "mean"},
        }
    }
    spec = declared(monkeypatch, rows=rows, degradations=["sr4"])
    plain, quick, mean = spec.planned
    assert [entry.row.title for entry in spec.planned] == ["DPS", "DPS, quick", "DPS, mean"]
    assert quick.cell.options["steps"] == 9 and quick.cell.hash != plain.cell.hash == mean.cell.hash
    psnr = next(m for m in spec.measures if m.heading == "PSNR")
    assert [row.column(psnr) for row in spec.rows] == ["psnr", "psnr", "mean_psnr"]
    assert [entry.row.column(tables.measures.SECONDS) for entry in spec.planned] == ["seconds"] * 3


def test_a_sweep_makes_a_problem_of_each_value_and_the_value_stays_a_number(monkeypatch):
    sweep = {"degradation.noise.sigma": [0.01, 0.1]}
    spec = declared(monkeypatch, sweep=sweep, degradations=["sr4", "inpaint70"], rows={"classical": {"pinv": None}})
    assert spec.degradations == ("sr4-sigma0.01", "sr4-sigma0.1", "inpaint70-sigma0.01", "inpaint70-sigma0.1")
    assert [e.cell.degradation["noise"]["sigma"] for e in spec.planned] == [0.01, 0.1] * 2
    assert spec.tasks["sr4-sigma0.1"].title == "Super-resolution ×4, sigma 0.1"
    df = tables.collect(spec)
    assert sorted(set(df["sigma"])) == [0.01, 0.1]
    for typed in ("sr4", "sr4-sigma0.01,sr4-sigma0.1"):  # the name before the sweep stands for all of its values
        some = tables.load("table1", "demo", [f"degradation={typed}"])
        assert some.degradations == ("sr4-sigma0.01", "sr4-sigma0.1")
    with pytest.raises(UserError, match="problem of this table"):
        tables.load("table1", "demo", ["degradation=sr8"])


def test_further_columns_may_have_a_better_side(monkeypatch):
    columns = {
        "gap": {"column": "gap", "places": 1, "better": "lower"},
        "stopped": {"column": "stopped", "shared": True},
    }
    spec = declared(monkeypatch, columns=columns)
    gap, stopped = spec.measures[-2:]
    assert (gap.title, gap.places, gap.metric) == ("gap ↓", 1, None)
    assert (stopped.higher_is_better, stopped.shared) == (None, True)


def test_two_swept_words_with_the_same_last_part_are_told_apart():
    """The true noise and the told one are both a sigma: four problems, each with both numbers."""
    sweep = {"degradation.noise.sigma": [0.01, 0.1], "+degradation.told.noise.sigma": [0.01, 0.1]}
    found = list(_swept(Task("sr4"), sweep))
    assert len({task.name for task in found}) == 4
    assert found[1].swept == {"degradation.noise.sigma": 0.01, "told.noise.sigma": 0.1}
    (one, _) = _swept(Task("sr4"), {"degradation.noise.sigma": [0.01, 0.1]})
    assert one.name == "sr4-sigma0.01" and one.swept == {"sigma": 0.01}


def test_a_misspelt_view_is_refused_before_anything_is_computed(monkeypatch):
    with pytest.raises(UserError, match="unknown view in conf/table/table1.yaml 'gird'. Did you mean grid"):
        declared(monkeypatch, views=["grid", "gird"])


def test_a_misspelt_problem_to_be_held_against_is_refused():
    node = configs.read("table", "robustness")
    node["problems"]["mask"]["against"] = "rigth"
    with pytest.raises(UserError, match="problem 'rigth'. Did you mean right"):
        Table.refuse(node, "mine.yaml")


def test_the_table_of_the_docs_is_one(monkeypatch, tmp_path):
    import re
    from pathlib import Path

    import yaml

    from sipbench.configs.schema import check_file

    page = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    node = yaml.safe_load(re.findall("```yaml\n(.*?)```", page, re.S)[0])
    check_file("table", node, "docs/tables.md")
    read = configs.read
    monkeypatch.setattr(configs, "read", lambda group, name: node if group == "table" else read(group, name))
    spec = tables.load("table1", "demo", [f"results={tmp_path}"])
    assert len(spec.planned) == 3 * 4 and {entry.status for entry in spec.planned} == {"ok"}
    mean = next(entry for entry in spec.planned if entry.row.name == "dps_mean")
    assert mean.cell.draws == 8 and mean.row.column(spec.measures[0]) == "mean_psnr"
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(tables.views.names())


def test_a_seed_that_is_typed_twice_counts_once():
    assert tables.load("table1", overrides=["seed=1,0,1"]).seeds == (1, 0)


@pytest.mark.parametrize("name", configs.names("table"))
def test_a_title_claims_no_more_methods_than_the_table_has(name):
    spec = tables.load(name, next(iter(configs.read("table", name)["profiles"])))
    if "every method" in spec.title.lower():
        assert {row.method for row in spec.rows} >= set(configs.names("method"))


def test_the_title_of_early_stopping_lists_what_is_in_it():
    spec = tables.load("early_stopping", "demo")
    assert {dataset for dataset, _ in spec.pairs} == {"faces", "photos"}
    assert "four noises at three levels, and photographs" in spec.title


def test_a_title_names_its_dataset_once():
    spec = tables.load("early_stopping", "demo")
    assert spec.problem_title("photos", "photos_shot") == "Photographs: shot, medium (12)"
    assert spec.problem_title("faces", "shot_low") == "Shot, low (25), faces (drawn)"
