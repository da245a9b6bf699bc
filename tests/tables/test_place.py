"""A table of which something was changed never overwrites the whole one."""

import hashlib

import pytest

from sipbench import tables
from sipbench.cli import main
from sipbench.tables.place import is_partial

CHANGES = ["method=pinv", "images=1", "degradation=sr4", "seed=0,1", "size=32", "tuned=false", "method.solver.steps=3",
           "dataset=folder", "budget_seconds=1", "metrics=[psnr]", "~noise", "+prior.precision=bfloat16"]  # fmt: skip
SAME = ["results=elsewhere", "device=cpu", "batch_size=2", "wandb.mode=offline", "retry_failed=true", "data=there"]


@pytest.mark.parametrize("word", CHANGES)
def test_9_what_changes_the_table_makes_it_partial(word):
    assert is_partial(["results=r", word])


def test_9_what_leaves_it_the_same_does_not():
    assert not is_partial(SAME)


@pytest.mark.parametrize(
    ("name", "words"),
    [("table1", ["method=pinv", "images=1"]), ("posterior", ["method=dps", "images=1"])],
)
def test_9_the_whole_table_stays(tmp_path, capsys, name, words):
    whole = tmp_path / "demo" / f"{name}.csv"
    whole.parent.mkdir()
    whole.write_text("the whole table")
    before = hashlib.sha256(whole.read_bytes()).hexdigest()
    small = ["size=32"] if name == "table1" else ["draws=2", "degradation=blur"]
    assert main(["table", name, *words, *small, f"results={tmp_path}"]) in (0, 1)
    assert hashlib.sha256(whole.read_bytes()).hexdigest() == before
    assert (tmp_path / "partial" / "demo" / f"{name}.csv").is_file()


def test_9_a_whole_one_goes_where_it_went():
    assert tables.load("table1", "demo", ["results=r"]).folder.as_posix() == "r/demo"
    assert tables.load("table1", "demo", ["results=r", "method=pinv"]).folder.as_posix() == "r/partial/demo"
