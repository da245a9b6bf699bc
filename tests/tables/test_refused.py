"""Mistakes in a table's YAML: one plain line when the table is loaded, before anything is written."""

import pytest
import yaml

from sipbench import configs, tables
from sipbench.cli import main
from sipbench.errors import UserError

SOUND = {
    "title": "Mine",
    "headings": "sipbench",
    "metrics": ["PSNR"],
    "degradations": ["denoise"],
    "seeds": [0],
    "profiles": {"demo": {"datasets": ["faces"], "words": ["size=16", "images=1"]}},
    "rows": {"classical": {"pinv": None}},
}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load a table of a plugin: a sound one with what is changed of it."""
    find = __import__("sys").modules["sipbench.configs.find"]
    monkeypatch.setattr(find, "plugin_folders", lambda: (tmp_path / "conf",))
    (tmp_path / "conf" / "table").mkdir(parents=True)

    def write(**changes):
        (tmp_path / "conf/table/mine.yaml").write_text(yaml.safe_dump(SOUND | changes))
        return tables.load("mine", "demo", [f"results={tmp_path / 'results'}"])

    return write


PUBLISHED = configs.read("table", "table1")["published"]
PROBLEM = {"words": ["degradation=denoise"]}
BAD = [
    ({"rows": {"classical": {"pinv": None, "x": {"method": "pinvv"}}}}, "unknown method 'pinvv'. Did you mean pinv?"),
    ({"rows": {"classical": {"pinvv": None}}}, "unknown method 'pinvv'. Did you mean pinv?"),
    ({"rows": {"diffusion": {"dpss": "DPS"}}, "published": PUBLISHED}, "unknown method 'dpss'. Did you mean dps?"),
    ({"rows": {}}, "rows"),
    ({"rows": {"classical": {}}}, "names no rows"),
    ({"rows": {"classical": None}}, "names no rows"),
    ({"profiles": {"demo": {"datasets": ["faces"], "only": []}}}, "names no rows"),
    ({"rows": {"clasical": {"pinv": None}}}, "unknown family 'clasical'. Did you mean classical?"),
    ({"rows": {"classical": {"pinv": None}, "mine": {"dip": None}}}, "unknown family 'mine'"),
    ({"profiles": {"demo": {"datasets": []}}}, "profile demo names no datasets"),
    ({"profiles": {"demo": {}}}, "profile demo names no datasets"),
    ({"profiles": {"demo": None}}, "profile demo names no datasets"),
    ({"sweep": {"degradation.noise.sigma": []}}, "sweep names no values of degradation.noise.sigma"),
    ({"problems": {"mask": None}}, "problems.mask holds nothing"),
    ({"problems": {"a": PROBLEM}, "profiles": {"demo": {"datasets": ["faces"], "problems": {}}}}, "no problems"),
    ({"columns": {"PSNR": {"column": "ssim"}}}, "two columns headed 'PSNR'"),
    ({"columns": {"s/image": {"column": "stopped"}}}, "two columns headed 's/image'"),
    ({"metrics": ["PSNR", "SSIM", "PSNR"]}, "two columns headed 'PSNR'"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), BAD, ids=[says for _, says in BAD])
def test_it_is_said_in_one_line_and_nothing_is_written(load, tmp_path, capsys, changes, says):
    with pytest.raises(UserError, match=says.replace("?", r"\?")) as error:
        load(**changes)
    assert "mine.yaml" in str(error.value) and "\n" not in str(error.value)
    assert main(["table", "mine", f"results={tmp_path / 'results'}"]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "results").exists()


def test_a_published_method_without_a_solver_is_not_there_yet(load):
    """Its published numbers stand beside what is measured; a row that has neither is a mistake."""
    spec = load(rows={"classical": {"pinv": None}, "single": {"zygote": "MCG"}}, published=PUBLISHED)
    assert [entry.status for entry in spec.planned] == ["ok", "not yet"]
    with pytest.raises(UserError, match="unknown method 'zygote'"):
        load(rows={"single": {"zygote": None}})


def test_rows_may_stand_under_headings_of_their_own(load):
    """As those of the trade-off, which go by what a method knows."""
    rows = {"f unknown": {"pinv": None}, "no data": {"dip": None}}
    assert [row.family for row in load(rows=rows).rows] == ["f unknown", "no data"]
