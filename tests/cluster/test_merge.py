"""Joined is what is sound; what is not is named; what nothing asks for is shown before it is removed."""

import json
import os
import shutil
import threading

import pyarrow as pa
import pytest
from safetensors.torch import load_file, save_file

from sipbench import checkpoints, cli, configs
from sipbench.bench import sealed, store
from sipbench.bench.cell import Cell
from sipbench.bench.run import run
from sipbench.cluster import clean, lease, merge
from sipbench.cluster.presence import Presence, Watch
from sipbench.tables.spec import TableSpec
from sipbench.training.learned import prepare

MOODY = """\
from pathlib import Path

def solve(problem):
    if Path("bad").exists():
        raise ValueError("bad")
    return problem.f.pinv(problem.y)
"""


@pytest.fixture
def cell(here):
    """Run images of a cell into a results folder."""

    def make(results, *words, images=None):
        full = ["method=pinv", "size=32", "images=4", "batch_size=1", "metrics=[psnr]", f"results={results}", *words]
        made = Cell.of(configs.compose(full), full)
        list(run(made, images=images))
        return made

    return make


def test_two_machines_are_joined(here, cell, capsys):
    cell("a", images=[0, 1])
    b = cell("b", images=[1, 2, 3])
    cell("b", "degradation=inpaint70", images=[0])
    assert cli.main(["merge", "a", "b", "into=c"]) == 0
    joined = here / "c" / b.folder.relative_to(b.results)
    assert sorted(store.read(joined)["image"]) == [0, 1, 2, 3] and len(list(store.cells(here / "c"))) == 2
    assert "5 files of" in capsys.readouterr().out
    assert cli.main(["merge", "c", "b"]) == 0
    assert "0 files of 0 cells joined, 4 were there already" in capsys.readouterr().out


def test_where_nothing_can_be_written_the_word_that_names_the_folder_is_said(here, cell, capsys):
    cell("a", images=[0])
    (here / "file").touch()
    assert cli.main(["merge", "a", "into=file/c"]) == 2
    assert "Not a directory. Choose another with into=..." in capsys.readouterr().err


def test_what_is_not_right_is_refused_and_named(here, cell, capsys):
    b = cell("b")
    files = sorted(b.folder.glob("rows-*"))
    content = bytearray(files[0].read_bytes())
    content[len(content) // 3] ^= 1
    files[0].write_bytes(content)
    files[1].rename(files[1].with_name("rows-000009-00000000.parquet"))
    assert cli.main(["merge", "a", "b", "into=a"]) == 2  # a is not there: no results folder
    (here / "a" / "runs").mkdir(parents=True)
    assert cli.main(["merge", "a", "b"]) == 1
    said = capsys.readouterr().err
    assert files[0].name in said and "rows-000009-00000000.parquet: its rows are of other images" in said
    assert sorted(store.read(here / "a" / b.folder.relative_to(b.results))["image"]) == [2, 3]
    about = json.loads((b.folder / "cell.json").read_text())
    about["identity"]["seed"] = 5
    (b.folder / "cell.json").write_text(json.dumps(about))
    shutil.rmtree(here / "a" / "runs")
    (here / "a" / "runs").mkdir()
    assert cli.main(["merge", "a", "b"]) == 1
    assert "is not the cell that the folder is named after" in capsys.readouterr().err


def test_a_better_row_is_never_overwritten(here, cell):
    (here / "moody.py").write_text(MOODY)
    good = cell("a", "method=moody.py:solve", "images=1")
    (here / "bad").touch()
    cell("b", "method=moody.py:solve", "images=1")
    assert cli.main(["merge", "a", "b"]) == 0
    assert list(store.read(good.folder)["status"]) == ["ok"]
    assert cli.main(["merge", "b", "a"]) == 0
    assert list(store.read(here / "b" / good.folder.relative_to(good.results))["status"]) == ["ok"]


SHORT = ("recipe=tradeoff", "recipe.images=2", "recipe.schedule.steps=2", "recipe.schedule.validate_every=0",
         "recipe.widths=[4]", "recipe.validation=1", "method=unet", "images=2")  # fmt: skip


@pytest.fixture
def twice(here, cell):
    """One lesson, learned on two machines, and an image that each has solved with its own weights."""
    made = Cell.of(configs.compose(words := [*SHORT, "size=32", "results=a"]), words)
    prepare(made, lambda said: None)
    shutil.copytree("a/trained", "b/trained")
    (file,) = (here / "b").glob("trained/*/*.safetensors")
    save_file({name: part + 1 for name, part in load_file(file).items()}, file)
    facts = file.parent / "facts.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"sha256": checkpoints.sha256(file)}))
    return cell("a", *SHORT, images=[0]), cell("b", *SHORT, images=[1])


def test_of_two_trainings_of_one_lesson_one_is_kept_and_the_other_named(here, twice, capsys):
    a, b = twice
    for order in (("a", "b"), ("b", "a"), ("a", "b", "into=c")):
        assert cli.main(["merge", *order]) == 1
        trained, rows = capsys.readouterr().err.splitlines()
        assert "is another training" in trained and "to keep this one, remove" in trained
        assert "other weights of net" in rows and str(a.hash) in rows
    (one,) = (here / "c").glob("runs/*/*/*/*")
    assert a.hash == b.hash and list(store.read(one)["image"]) == [0]
    shutil.rmtree("a/trained")
    shutil.rmtree(a.folder)
    assert cli.main(["merge", "a", "b"]) == 0 and list(store.read(a.folder)["image"]) == [1]


def test_rows_without_their_training_are_held_against_those_that_are_there(here, twice, capsys):
    shutil.rmtree("a/trained")
    shutil.rmtree("b/trained")
    assert cli.main(["merge", "a", "b"]) == 1
    assert "other weights of net" in capsys.readouterr().err


def test_the_same_weights_of_two_machines_are_joined(here, cell, capsys):
    made = Cell.of(configs.compose(words := [*SHORT, "size=32", "results=a"]), words)
    prepare(made, lambda said: None)
    shutil.copytree("a/trained", "c/trained")
    cell("a", *SHORT, images=[0])
    cell("c", *SHORT, images=[1])
    assert cli.main(["merge", "a", "c"]) == 0
    assert sorted(store.read(made.folder)["image"]) == [0, 1]


def test_what_nothing_asks_for_is_shown_and_then_removed(here, cell, plan, capsys, monkeypatch):
    every = configs.names
    monkeypatch.setattr(clean.configs, "names", lambda group: ["table1"] if group == "table" else every(group))
    words = ["method=pinv", "seed=7", "images=2"]
    plan("-m", *words)
    of_sweep, of_table = cell("results", *words), cell("results", "size=64", "images=1")
    alone = cell("results", "seed=9", images=[0])
    (here / "results" / "demo").mkdir()
    (here / "results" / "leases" / "old").mkdir(parents=True)
    composed, entry = [], TableSpec.entry
    monkeypatch.setattr(TableSpec, "entry", lambda *words: composed.append(words[1:]) or entry(*words))
    assert cli.main(["clean", "--cells"]) == 0
    said = capsys.readouterr().out
    assert str(alone.hash) in said and of_sweep.hash not in said and of_table.hash not in said and "2 found" in said
    assert "run one by one are among them" in said and alone.folder.is_dir()
    assert {(degradation, row.method) for _, degradation, row in composed} == {
        ("sr4", "pinv")
    }  # what may be here alone
    assert cli.main(["clean", "--yes"]) == 0
    assert alone.folder.is_dir() and not (here / "results" / "leases" / "old").exists()
    assert cli.main(["clean", "--cells", "--yes"]) == 0
    assert not alone.folder.exists() and of_sweep.folder.is_dir() and of_table.folder.is_dir()
    assert (here / "results" / "demo").is_dir() and (here / "results" / "sweeps").is_dir()


def test_a_cell_that_somebody_is_at_work_on_is_not_removed(here, cell):
    """A run by itself is asked for by nobody: its batches would be gone under it."""
    made = cell("results", "images=1")
    Presence("w").beat(made.results)
    held = lease.claim(made.results / "leases" / made.hash, "000001-a", "w", Watch(made.results))
    assert not list(clean.unasked(made.results, set()))
    held.release()
    assert [one.path for one in clean.unasked(made.results, set())] == [made.folder]


def test_a_folder_of_leases_that_fills_meanwhile_is_not_removed(here):
    """While every table is composed to see what it asks for, a worker may begin."""
    (here / "leases" / "cell").mkdir(parents=True)
    (here / "leases" / "foreign").touch()
    [empty] = clean.leftovers(here)
    held = lease.claim(here / "leases" / "cell", "000000-a", "w", Watch(here))
    empty.remove()
    assert held.held()
    held.release()
    (here / "leases" / "cell").mkdir()
    empty.remove()
    assert os.listdir(here / "leases") == ["foreign"]


@pytest.mark.parametrize("content", [None, "{"])
def test_where_it_is_not_known_what_a_sweep_asks_for_no_cell_is_removed(here, plan, capsys, content):
    """As of one of which half was copied."""
    made = plan("-m", "method=pinv", "images=1")
    path = made.folder / "plan.json"
    path.unlink() if content is None else path.write_text(content)
    assert cli.main(["clean", "--cells", "--yes"]) == 2
    assert f"damaged sweep {made.folder}" in capsys.readouterr().err


def test_what_succeeded_in_either_of_two_files_is_kept(here, cell):
    """Of a batch that failed in part on both machines."""
    made = cell("a", "images=3", "batch_size=3")
    other = here / "b" / made.folder.relative_to(made.results)
    shutil.copytree(made.folder, other)
    (whole,) = store.files(made.folder)
    rows = sealed.read(whole, [*sealed.read(whole, None, store.HEAVY).column_names, *store.HEAVY], store.HEAVY)
    for folder, failed in ((made.folder, {1, 2}), (other, {0})):
        status = ["failed" if i in failed else "ok" for i in range(3)]
        half = rows.set_column(rows.column_names.index("status"), "status", pa.array(status))
        (folder / whole.name).write_bytes(sealed.sealed(half, store.HEAVY))
    assert cli.main(["merge", "a", "b"]) == 0
    assert list(store.read(made.folder)["status"]) == ["ok"] * 3
    assert sorted(store.kept(made, [0, 1, 2])) == [0, 1, 2]
    assert merge.merge([here / "a", here / "b"], here / "a").files == 0


def test_what_is_there_is_read_once_a_cell_and_not_once_a_file(here, cell, monkeypatch):
    """A thousand images in batches of one, joined a second time, would be a million files to read."""
    cell("a", images=[0, 1, 2])
    shutil.copytree("a", "b")
    cell("b", images=[3])
    read, asked = store.read, []
    monkeypatch.setattr(store, "read", lambda *words: asked.append(words) or read(*words))
    joined = merge.merge([here / "a", here / "b"], here / "a")
    assert (joined.files, joined.kept, len(asked)) == (1, 3, 1)


def test_what_was_copied_a_moment_ago_is_not_copied_again_in_part(here, cell):
    """Of batches of two sizes on one machine, of which the other has one that failed."""
    made = cell("a", "images=2", "batch_size=2")
    cell("b", images=[1])
    other = here / "b" / made.folder.relative_to(made.results)
    (alone,) = store.files(other)
    (made.folder / alone.name).write_bytes(alone.read_bytes())
    rows = sealed.read(alone, [*sealed.read(alone, None, store.HEAVY).column_names, *store.HEAVY], store.HEAVY)
    failed = rows.set_column(rows.column_names.index("status"), "status", pa.array(["failed"]))
    alone.write_bytes(sealed.sealed(failed, store.HEAVY))
    assert merge.merge([here / "a", here / "b"], here / "b").files == 1
    assert sorted(store.read(other)["image"]) == [0, 1] and set(store.read(other)["status"]) == {"ok"}


def test_nothing_is_removed_that_a_link_leads_to(here, cell):
    elsewhere = cell("elsewhere", images=[0])
    (here / "results" / "runs").mkdir(parents=True)
    (here / "results" / "runs" / "faces").symlink_to(here / "elsewhere" / "runs" / "faces")
    assert not list(clean.unasked(here / "results", set())) and elsewhere.folder.is_dir()


def test_a_cell_that_is_nested_without_end_is_refused_as_any_other(here, cell, capsys):
    made = cell("b", images=[0])
    (made.folder / "cell.json").write_text('{"identity": ' + "[" * 10**5 + "]" * 10**5 + "}")
    assert cli.main(["merge", "b", "into=a"]) == 1
    assert "its cell.json cannot be read" in capsys.readouterr().err


def test_a_pipe_in_the_place_of_a_file_is_refused_at_once(tmp_path):
    """In what a stranger packed a name may stand for anything: reading a pipe would never end."""
    (tmp_path / "cell").mkdir()
    os.mkfifo(tmp_path / "cell" / "cell.json")
    said = []
    asked = threading.Thread(target=lambda: said.append(merge.told(tmp_path / "cell")), daemon=True)
    asked.start()
    asked.join(2)
    assert said == [({}, "its cell.json cannot be read")]
