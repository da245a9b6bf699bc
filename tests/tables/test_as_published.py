"""`measured=none`: the published tables and nothing else, every cell of them, in every format."""

import csv
import re
from pathlib import Path

import pytest

from sipbench import cli
from sipbench.tables.as_published import problem_title
from sipbench.tables.published import folder

FILES = {"table1": "table1_linear.csv", "table3": "table3_blind_deblurring.csv"}


def published(name):
    """The source's numbers as they were printed: by method, degradation, dataset and metric."""
    with (folder() / FILES[name]).open(encoding="utf-8", newline="") as file:
        return {
            (r["method"], r["degradation"], r["dataset"], r["metric"]): (float(r["value"]), r["value"])
            for r in csv.DictReader(file)
        }


@pytest.fixture(params=FILES)
def shown(request, tmp_path, capsys, monkeypatch):
    """A table's name and its three files, from a folder that has neither weights nor results."""
    monkeypatch.chdir(tmp_path)
    words = ["table", request.param, "measured=none", "results=r", "weights=none", "data=none"]
    assert cli.main(words) == 0
    assert not (tmp_path / "r" / "runs").exists() and "as published" in capsys.readouterr().out
    place = Path("r") / "demo" / f"{request.param}-published"
    return request.param, {ending: place.with_suffix(f".{ending}").read_text() for ending in ("csv", "md", "tex")}


def cells(name, texts):
    """What each file shows: (method, degradation, dataset, metric) and its text."""
    of_csv = list(csv.reader(texts["csv"].splitlines()))
    heads = [tuple(head.split()) for head in of_csv[0][2:]]  # dataset, degradation, metric
    lines = [line for line in texts["md"].splitlines() if line.startswith("|")]
    of_md = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for at, (dataset, degradation, metric) in enumerate(heads):
        assert of_md[0][2 + at].startswith(f"{problem_title(degradation)}, {dataset}: {metric} ")
    of_tex = [re.split(r" & ", line.removesuffix(r" \\")) for line in texts["tex"].splitlines() if line[:1].isalpha()]
    of_tex = [line for line in of_tex if len(line) == len(heads) + 1][1:]
    for kind, rows in (
        ("csv", [(r[0], r[2:]) for r in of_csv[1:]]),
        ("md", [(r[0], r[2:]) for r in of_md[2:]]),
        ("tex", [(r[0], r[1:]) for r in of_tex]),
    ):
        found = {}
        for method, row in rows:
            for (dataset, degradation, metric), text in zip(heads, row, strict=True):
                found[method, degradation, dataset, metric] = text
        yield kind, found


def test_every_cell_is_the_published_one(shown):
    name, texts = shown
    source = published(name)
    for kind, found in cells(name, texts):
        assert {key for key, text in found.items() if text not in ("", "–", "--")} == set(source), kind
        for key, (value, _) in source.items():
            assert float(found[key]) == value, (kind, key)


def test_nothing_is_bold_and_the_source_is_named(shown):
    _, texts = shown
    assert "**" not in texts["md"] and r"\textbf" not in texts["tex"]
    assert all("Ju Sun" in texts[kind] for kind in ("md", "tex"))


def test_a_table_without_published_numbers_says_which_have_some(tmp_path, capsys):
    assert cli.main(["table", "posterior", "measured=none", f"results={tmp_path}"]) == 2
    assert "table1" in capsys.readouterr().err
    assert cli.main(["table", "table1", "measured=some", f"results={tmp_path}"]) == 2
    assert "measured is all or none" in capsys.readouterr().err
