"""A table or a sweep beside others: what they hold is left to them, waited for, and taken over where they are gone."""

import threading
import time
from types import SimpleNamespace

import pytest

from sipbench import cli, tables
from sipbench.bench import store
from sipbench.bench.run import Bench, run
from sipbench.cluster import files, lease, turn
from sipbench.cluster.agenda import key_of
from sipbench.cluster.presence import Presence, Watch, everybody, file_of
from sipbench.cluster.turn import Turn
from sipbench.tables import workers

SMALL = "method=pinv", "degradation=sr4", "size=32", "images=3", "batch_size=1", "metrics=[psnr]"
TABLE = "table", "table1", "method=pinv", "degradation=sr4", "images=2", "size=32", "batch_size=1", "jobs=1"


def held(results, cell, batch, worker="node7-99-abc"):
    """A lease of a worker that is alive: it says that it is this process."""
    Presence(worker).beat(results)
    return lease.claim(results / "leases" / cell.hash, key_of(batch), worker, Watch(results), batch)


@pytest.fixture
def meanwhile(monkeypatch):
    """What the other one does as soon as it is waited for: this, and giving back what it held."""

    def does(own, act):
        def sleep(_):
            act()
            own.release()

        monkeypatch.setattr(turn, "time", SimpleNamespace(sleep=sleep, time=time.time))

    return does


def images_of(batches):
    return [row["image"] for rows in batches for row in rows]


def test_what_another_has_is_left_to_it_and_then_waited_for(cell, meanwhile, capsys):
    c = cell(*SMALL)
    own, mine = held(c.results, c, [1]), Turn.of(c.results)
    assert images_of(run(c, turn=mine)) == [0, 2] and mine.left == {c.hash: [1]}
    meanwhile(own, lambda: list(run(c, images=[1])))
    assert images_of(run(c, images=[1], turn=mine.patient())) == []
    said = capsys.readouterr().err
    assert "faces / sr4 / pinv, seed 0, image 1: node7-99-abc is at work on it; waiting for that" in said
    assert not store.missing(c) and not files.listed(c.results / "leases")


def test_another_batch_size_is_waited_for_too(cell, meanwhile, capsys):
    c = cell(*SMALL, "images=4", "batch_size=2")
    own, mine = held(c.results, c, [1, 2, 3]), Turn.of(c.results)
    assert images_of(run(c, turn=mine)) == [] and mine.left == {c.hash: [0, 1, 2, 3]}
    meanwhile(own, lambda: list(run(c, images=[1, 2])))
    assert images_of(run(c, turn=mine.patient())) == [0, 3]
    assert "images 0 to 1: node7-99-abc is at work on it" in capsys.readouterr().err


def test_what_the_dead_held_is_taken_over(cell):
    c = cell(*SMALL)
    assert held(c.results, c, [1])
    files.write(file_of(c.results, "node7-99-abc"), {"worker": "node7-99-abc", "ended": True})
    mine = Turn.of(c.results)
    with mine.seen("a test"):
        assert images_of(run(c, turn=mine)) == [0, 1, 2] and not mine.left
    assert not files.listed(c.results / "leases") and not files.listed(c.results / "workers")


def test_what_landed_just_before_is_not_done_again(cell):
    """Failed or not: another one tries again what failed, too, and once is enough."""
    words = (*SMALL[:3], "images=2", "batch_size=1", "metrics=[psnr]", "retry_failed=true")
    c = cell(*words)
    store.write(c, [{"image": 1, "status": "failed", "reason": "first", "metrics_version": 1}])
    rows = run(c, turn=Turn.of(c.results))
    assert images_of([next(rows)]) == [0]
    time.sleep(0.01)  # so that its file bears another time
    store.write(c, [{"image": 1, "status": "failed", "reason": "again", "metrics_version": 1}])
    assert images_of(rows) == []


def test_who_is_at_work_is_seen_and_holds_nothing_at_its_end(cell, monkeypatch):
    c = cell(*SMALL)
    mine, seen = Turn.of(c.results), []
    monkeypatch.setattr(Bench, "rows", lambda *_: seen.append(everybody(c.results)) or [][0])
    with pytest.raises(IndexError), mine.seen("table table1", 2):
        list(run(c, turn=mine))
    [[one]] = seen
    assert [doing["label"] for doing in one["doing"]] == ["table table1"] * 2
    assert not files.listed(c.results / "leases") and not files.listed(c.results / "workers")


def test_where_no_lease_can_be_made_it_goes_on_without(cell):
    c = cell(*SMALL)
    c.results.mkdir()
    for name in ("leases", "workers"):
        (c.results / name).touch()
    mine = Turn.of(c.results)
    with mine.seen("a test"):
        assert images_of(run(c, turn=mine)) == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("words", [TABLE, ("-m", *SMALL, "seed=0,1")])
def test_a_table_and_a_sweep_wait_for_what_others_are_at_work_on(here, meanwhile, monkeypatch, capsys, words):
    """Each batch is solved once, and the exit code is that of all of them."""
    cells, solved = [], []
    own_rows = Bench.rows

    def rows(self, images, *rest):
        solved.append((self.cell.seed, *images))
        return own_rows(self, images, *rest)

    def first(c, *rest, **more):
        if not cells:
            cells.append(c)
            own = held(here / "results", c, [0])
            meanwhile(own, lambda: list(run(c, images=[0])))
        return run(c, *rest, **more)

    monkeypatch.setattr(Bench, "rows", rows)
    monkeypatch.setattr("sipbench.tables.run.run", first)
    monkeypatch.setattr("sipbench.bench.run.run", first)
    assert cli.main([*words]) == 0
    assert len(solved) == len(set(solved)) == (2 if words is TABLE else 6)
    assert "is at work on it; waiting for that" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_of_a_table_leave_to_others_what_they_have(here, capfd):
    words = ["method=pinv,tv", "degradation=sr4", "images=2", "size=32", "batch_size=1"]
    spec = tables.load("table1", "demo", words)
    todo = tables.pending(spec)
    results, first = todo[0][0].results, todo[0][0]
    own = held(results, first, [0])

    def other():
        while any(store.missing(cell) for cell, _ in todo[1:]) or len(store.missing(first)) > 1:
            time.sleep(0.1)
        time.sleep(2)  # by then the table has come to wait
        list(run(first, images=[0]))
        own.release()

    beside = threading.Thread(target=other)
    beside.start()
    mine = Turn.of(results)
    with mine.seen("table table1", 2):
        workers.compute(("table1", "demo", words), todo, 2, mine)
    beside.join()
    said = capfd.readouterr().err
    assert not tables.pending(spec) and mine.presence.images == 3
    assert "image 0: node7-99-abc is at work on it" in said and "[2/2] faces / sr4 / pinv: 1 image, " in said
