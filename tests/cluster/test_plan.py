"""What was submitted is what runs: frozen, read again, and refused once it has changed."""

import json
import os
from dataclasses import replace

import pandas as pd
import pytest

from sipbench import cli, configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.run import run
from sipbench.cli.hydra import expand
from sipbench.cluster import labour, lease, telling
from sipbench.cluster import plan as plans
from sipbench.cluster.agenda import Agenda
from sipbench.cluster.asked import of_table, plan_of
from sipbench.cluster.labour import Labour
from sipbench.cluster.presence import Presence
from sipbench.cluster.status import status
from sipbench.errors import UserError

BAD = """\
from pathlib import Path

def solve(problem):
    Path("calls").write_text(Path("calls").read_text() + ".")
    raise ValueError("bad")
"""
DEADLY = """\
import os

def solve(problem):
    with open("calls", "a+") as file:
        file.write(f"{os.getpid()}\\n")
        file.seek(0)
        if len(file.readlines()) == 2:
            file.flush()
            os._exit(3)
    return problem.f.pinv(problem.y)
"""
AGAIN = "Submit it again: what is done of it stays"
MINE = "def solve(problem, *, scale=1.0):\n    return scale * problem.f.pinv(problem.y)\n"


@pytest.fixture(autouse=True)
def quiet(signals):
    """Tests keep their own signals."""


def test_it_is_read_as_it_was_written(plan):
    made = plan("-m", "degradation=sr4,inpaint70", "seed=0,1", "images=[3,5]", "batch_size=1")
    read = plans.load(made.results, made.name)
    assert read == made and len(read.cells) == 4
    assert [one.batches for one in read.cells] == [[(3,), (5,)]] * 4
    assert plan_of([made.name], expand) == made == plan_of([], expand)
    cell = read.cells[0].cell(read)
    assert cell.hash == made.cells[0].hash and cell.images == [3, 5] and not read.cells[0].change(cell)
    assert cell.wandb["group"] == made.name and made.name in cell.wandb["tags"]
    with pytest.raises(UserError, match="no further words"):
        plan_of([made.name, "seed=3"], expand)
    with pytest.raises(UserError, match="Did you mean table1"):
        plan_of(["tabel1"], expand)


def test_the_cells_of_a_table_are_composed_again_by_their_words(here):
    plan = of_table("table1", ["method=pinv,admm_tv", "images=2", "seed=0,1"])
    assert {one.seed for one in plan.cells[:4]} == {0} and len(plan.cells) == 8
    for one in plan.cells:
        assert not one.change(one.cell(plan))
        assert set(one.metrics) >= {"psnr", "ssim", "lpips_alex"}


def test_a_cell_that_changed_since_is_refused(here, plan, teller, capsys):
    (here / "mine.py").write_text(MINE)
    made = plan("-m", "method=mine.py:solve,pinv", "images=1")
    (here / "mine.py").write_text(MINE.replace("return", "return 2 *"))
    assert Labour(made, teller).all() == 0
    assert {path.parent.parent.name for path in here.glob("results/runs/**/rows-*")} == {"pinv"}
    assert "its method changed since it was submitted. Submit it again" in capsys.readouterr().err
    assert [note["kind"] for note in made.notes().values()] == ["changed"]
    assert cli.main(["status", made.name]) == 1


def test_rows_say_that_the_source_changed(here, plan, teller, capsys):
    """And so do those commands that look at them."""
    made = plan("-m", "method=pinv", "images=1")
    assert Labour(replace(made, source="older"), teller).all() == 0
    rows = store.read(made.results / made.cells[0].folder)
    assert rows["source_changed"][0].startswith("submitted older, ran ")
    capsys.readouterr()
    assert cli.main(["status", made.name, "--json"]) == 0 and json.loads(capsys.readouterr().out)["changed"] == 1
    assert cli.main(["status", made.name]) == 0
    assert "1 image was done by other code than was submitted" in capsys.readouterr().out
    assert cli.main(["show", "method=pinv", "images=1", "size=32"]) == 0
    assert "1 of its 1 image was done by other code than was submitted" in capsys.readouterr().err


@pytest.mark.slow
def test_code_that_is_edited_under_a_worker_is_noted(here, plan, teller, monkeypatch, capsys):
    """A solver's: its cell is left from there on, and the others are done. The harness's: later rows say so."""
    (here / "mine.py").write_text(MINE)
    made = plan("-m", "method=mine.py:solve,pinv", "images=2", "batch_size=1")
    work, solved = Labour(made, teller), Labour._solved

    def edited(self, cell, job):
        rows = list(solved(self, cell, job))
        if cell.names[2].startswith("mine"):
            (here / "mine.py").write_text(MINE.replace("return", "return 2 *"))
        monkeypatch.setattr(labour, "source", lambda: "newer")
        return rows

    monkeypatch.setattr(Labour, "_solved", edited)
    assert work.all() == 0
    [note] = made.notes().values()
    assert note == {"kind": "changed", "reason": "its code changed since it was submitted. " + AGAIN}
    rows = pd.concat(store.read(here / "results" / one.folder) for one in made.cells)
    assert sorted(rows["method"]) == ["mine:solve", "pinv", "pinv"] and rows["source_changed"].isna().sum() == 1
    assert rows["source_changed"].dropna().str.endswith(", changed to newer meanwhile").all()
    assert "mine:solve, seed 0, image 1: its code changed" in capsys.readouterr().err


def test_what_ended_a_process_is_forgotten_once_all_has_landed(here, plan, teller):
    """A process may be ended between the landing of its batch and its forgetting."""
    made = plan("-m", "method=pinv", "images=1")
    assert Labour(made, teller).all() == 0
    lease.died(here / "results" / "leases" / made.cells[0].hash, "000000-1a2b3c4d", "was ended by SIGKILL")
    assert Labour(made, teller).all() == 0 and os.listdir(here / "results" / "leases") == []


def test_solvers_have_a_process_of_their_own_where_the_worker_is_told_so(here, plan, teller, monkeypatch):
    """One for all batches of a cell, until one is ended; its rows say that the source changed, as others do."""
    from sipbench.bench import store

    (here / "mine.py").write_text(DEADLY)
    made = plan("-m", "method=mine.py:solve", "images=4", "batch_size=1")
    monkeypatch.setenv(telling.ISOLATE, "1")
    assert Labour(replace(made, source="older"), teller).all() == 0
    rows = store.read(made.results / made.cells[0].folder)
    assert rows["status"].tolist() == ["ok", "failed", "ok", "ok"] and "os._exit(3)" in rows["reason"][1]
    assert rows["source_changed"].str.startswith("submitted older, ran ").all()
    pids = (here / "calls").read_text().split()
    assert len(pids) == 4 and [pids.index(pid) for pid in pids] == [0, 0, 2, 2] and str(os.getpid()) not in pids


def test_what_a_method_cannot_do_is_noted_once_for_all(here, plan, teller, monkeypatch):
    made = plan("-m", "degradation=hdr,sr4", "method=pinv", "images=1")
    assert Labour(made, teller).all() == 0
    assert [note["kind"] for note in made.notes().values()] == ["n/a"]
    monkeypatch.setattr(Labour, "_cell", lambda *_: pytest.fail("it was tried again"))
    assert Labour(made, teller).all() == 0
    assert cli.main(["status", made.name]) == 0


def test_failed_images_are_tried_again_once(here, plan, teller):
    (here / "bad.py").write_text(BAD)
    (here / "calls").touch()
    made = plan("-m", "method=bad.py:solve", "images=2", "retry_failed=true")
    for _ in range(2):
        assert Labour(made, teller).all() == 0
    assert (here / "calls").read_text() == "."
    made.begin_anew()
    assert Labour(made, teller).all() == 0
    assert (here / "calls").read_text() == ".."
    assert cli.main(["status", made.name]) == 1


def test_a_training_is_done_once_before_the_cells_that_need_it(here, plan, teller, monkeypatch):
    from sipbench.training import learned

    trained, train = [], learned.train
    monkeypatch.setattr(learned, "train", lambda lesson, *rest: trained.append(lesson.name) or train(lesson, *rest))
    words = "recipe.schedule.steps=1", "recipe.schedule.validate_every=0", "recipe.validation=1", "recipe.widths=[8]"
    made = plan(
        "-m", "method=dncnn", "seed=0,1", "images=1", "recipe=tradeoff", "recipe.images=2", "recipe.subset=0", *words
    )
    [lesson] = made.cells[0].lessons
    lease.died(here / "results" / "leases" / lesson, "training", "was ended by SIGKILL")
    assert Labour(made, teller).all() == 0, teller.said
    assert trained == [lesson] and os.listdir(here / "results" / "leases") == []
    assert cli.main(["status", made.name]) == 0


def test_a_cell_whose_checkpoint_is_absent_is_a_mistake_and_stops_no_other(here, plan, teller, capsys):
    nowhere = "weights=nowhere", "prior=diffusers", "prior.path=no-such-prior"
    made = plan("-m", "method=dps,pinv", "images=1", *nowhere)
    assert Labour(made, teller).all() == 0
    assert cli.main(["status", made.name]) == 2
    said = capsys.readouterr().out
    assert "1 done" in said and "faces / sr4 / dps, seed 0: missing checkpoint 'no-such-prior'" in said


def test_a_full_disk_ends_the_worker(here, plan, teller, monkeypatch):
    made = plan("-m", "method=pinv", "images=1")

    def full(*_):
        with store.writing(here):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(UserError, match="the disk is full"):
        Labour(made, teller).all()
    assert not list(here.glob("results/leases/*/*.lease"))


def test_status_tells_what_is_done_and_what_is_not(here, plan, teller, capsys):
    made = plan("-m", "method=pinv", "degradation=sr4,inpaint70", "images=3", "batch_size=1")
    words = ["method=pinv", "size=32", "images=3", "batch_size=1", "metrics=[psnr]"]
    list(run(Cell.of(configs.compose(words), words), images=[0]))
    assert cli.main(["status", made.name, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["done"], said["failed"], said["running"], said["missing"]) == (1, 0, 0, 5)
    assert said["seconds_left"] > 0
    assert Labour(made, teller).all() == 0
    assert cli.main(["status"]) == 0
    assert "2 cells, 6 images: 6 done, 0 failed, 0 running, 0 missing" in capsys.readouterr().out
    assert os.listdir(here / "results/leases") == []


def test_the_time_left_is_that_of_all_draws_for_those_who_are_at_work(here, plan, capsys):
    """A row's seconds are of one draw; who has not been heard of for long does nothing any more."""
    made = plan("-m", "method=pinv", "images=3", "batch_size=1")
    cell = made.cells[0].cell(made)
    row = {"image": 0, "status": "ok", "reason": "", "metrics_version": 9, "kept": True, "seconds": 5.0, "draws": 4}
    store.write(cell, [row])
    for name in ("here", "lost"):
        Presence(name, place="elsewhere", doing=[{"label": "a batch", "began": 0.0}]).beat(made.results)
    path = made.results / "workers" / "lost.json"
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 1000))
    assert status(made).seconds_left == 40.0
    assert cli.main(["status", made.name]) == 1
    said = capsys.readouterr().out
    assert "about 0:00:40 of solving for the 1 at work" in said and "silent for 0:16:40" in said


def test_who_joins_by_the_same_words_hears_of_the_source_that_it_was_submitted_with(here, plan, teller, monkeypatch):
    words = "-m", "method=pinv", "images=1"
    monkeypatch.setattr(plans, "source", lambda: "older")
    made = plan(*words)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    monkeypatch.setattr(labour, "Teller", lambda: teller)
    monkeypatch.setenv(telling.WORKER, "tester")
    monkeypatch.setattr(labour.signal, "signal", lambda *_: None)
    assert labour.labour(plan(*words), asked_anew=True) == 0
    rows = store.read(here / "results" / made.cells[0].folder)
    assert rows["source_changed"][0].startswith("submitted older, ran ")


def test_a_training_is_under_no_budget_of_a_solver(here, plan, teller, monkeypatch):
    monkeypatch.setattr(Labour, "_train", lambda *_: None)
    words = "method=dncnn", "images=1", "recipe=tradeoff", "recipe.images=2", "recipe.subset=0", "budget_seconds=9"
    work = Labour(plan("-m", *words), teller)
    job = work.agenda.next()
    assert job is not None and job.lesson
    work._do(job)
    assert {"limit": None} in teller.said


def test_workers_of_two_batch_sizes_take_no_image_twice(here, plan):
    agendas = []
    for size in (2, 3):
        made = plan("-m", "method=pinv", "images=6", f"batch_size={size}")
        Presence(f"w{size}").beat(made.results)
        agendas.append(Agenda(made, f"w{size}"))
    taken = [job for _ in range(3) for agenda in agendas if (job := agenda.next()) is not None]
    images = [image for job in taken for image in job.images]
    assert len(images) == len(set(images)) and all(agenda.left() for agenda in agendas)
    assert [status(agenda.plan).total("running") for agenda in agendas] == [len(images)] * 2


def test_a_sweep_that_is_not_shown_yet_is_waited_for(here, plan, monkeypatch):
    """A task of an array may begin before its node's NFS shows what was frozen on another one."""
    made = plan("-m", "method=pinv", "images=1")
    hidden = made.folder.rename(here / "hidden")
    monkeypatch.setattr(plans.time, "sleep", lambda _: hidden.rename(made.folder))
    plans.wait_for(made.results, made.name)
    monkeypatch.setattr(plans, "names", lambda results: [])  # a listing may be a minute old
    assert plan_of([made.name], expand) == plans.load(made.results, made.name)


def test_a_word_that_names_no_sweep_is_not_waited_for(here, monkeypatch):
    monkeypatch.setattr(plans.time, "sleep", lambda _: pytest.fail("waited"))
    for name in ("tabel1", "-m", "results=x", "../table1-demo-1a2b3c4d"):
        plans.wait_for(here / "results", name)


def test_what_is_asked_for_again_was_submitted_last(here, plan):
    first, second = plan("-m", "method=pinv", "images=1"), plan("-m", "method=pinv", "images=2")
    for made, at in ((first, 10), (second, 20)):
        os.utime(made.folder / "plan.json", (at, at))
    assert plans.names(here / "results")[-1] == second.name
    first.begin_anew()
    assert plans.names(here / "results")[-1] == first.name


def test_a_reason_of_a_stranger_is_text_in_a_status(here, plan, capsys):
    made = plan("-m", "method=pinv", "images=1")
    cell = made.cells[0].cell(made)
    store.write(cell, [{"image": 0, "status": "failed", "reason": "\x1b]0;mine\x07", "metrics_version": 1}])
    assert cli.main(["status", made.name]) == 1
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"hash": "../../x"}, "leads out"),
        ({"lessons": ["../x"]}, "leads out"),
        ({"folder": "a/../../x"}, "leads out"),
        ({"images": 10**13}, "claims 10,000,000,000,000 images"),
    ],
)
def test_a_sweep_of_a_stranger_leads_to_no_other_folder_and_takes_no_memory(here, plan, part, says):
    made = plan("-m", "method=pinv", "images=1")
    path = made.folder / "cells.jsonl"
    path.write_text(json.dumps(json.loads(path.read_text()) | part))
    with pytest.raises(UserError, match=f"damaged sweep .* {says}"):
        plans.load(made.results, made.name)


@pytest.mark.parametrize("name", ["cells.jsonl", "plan.json"])
def test_a_damaged_sweep_that_is_submitted_again_is_whole(here, plan, name):
    """As it is told to be where it cannot be read: after half a copy, or by another version."""
    words = "-m", "method=pinv", "images=1"
    made = plan(*words)
    (made.folder / name).write_text('{"half": ')
    with pytest.raises(UserError):
        plans.load(made.results, made.name)
    again = plan(*words)
    assert plans.load(made.results, made.name) == again


def test_a_damaged_sweep_keeps_no_other_from_the_status(here, plan, capsys):
    made, other = (plan("-m", "method=pinv", f"images={n}") for n in (1, 2))
    (made.folder / "cells.jsonl").write_text("{")
    assert cli.main(["status"]) == 2
    said = capsys.readouterr()
    assert f"{other.name}: 1 cell, 2 images" in said.out and f"damaged sweep {made.folder}" in said.err


def test_a_cell_that_is_asked_for_in_parts_has_all_of_them(here, plan):
    """Images and scores are no part of a cell's name."""
    from sipbench.cli.sweep import _freeze

    words = ["-m", "method=pinv", "size=32", "images=[0],[2,0]"]
    made = plan_of([*words, "metrics=[psnr],[ssim]"], expand)
    [one] = made.cells
    assert (one.images, one.metrics) == ((0, 2), ("psnr", "ssim"))
    jobs = expand([*words[1:], "metrics=[psnr],[ssim]"])
    _freeze([*words[1:], "metrics=[psnr],[ssim]"], jobs, [Cell.of(configs.compose(job), job) for job in jobs])
    assert plans.names(made.results) == [made.name]


def test_a_training_whose_name_is_no_file_s_is_found_where_it_was_laid_down(here, plan, teller, monkeypatch):
    from sipbench.training import learned

    trained, train = [], learned.train
    monkeypatch.setattr(learned, "train", lambda lesson, *rest: trained.append(lesson.name) or train(lesson, *rest))
    words = "recipe.schedule.steps=1", "recipe.schedule.validate_every=0", "recipe.validation=1", "recipe.widths=[8]"
    own = "method=dncnn", "method.name=my own/network", "images=1", "recipe=tradeoff", "recipe.images=2"
    made = plan("-m", *own, "recipe.subset=0", *words)
    work = Labour(plans.load(made.results, made.name), teller)
    for _ in range(3):
        if (job := work.agenda.next()) is not None:
            work._do(job)
    assert len(trained) == 1 and cli.main(["status", made.name]) == 0
    assert os.listdir(made.results / "training") == []
