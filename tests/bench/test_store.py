"""The store: atomic, resumable, mergeable."""

import errno
import os
import random
import shutil

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipbench.bench import protocol, sealed, store
from sipbench.bench.run import run
from sipbench.errors import UserError


def row(image, status="ok", value=1.0):
    return {"image": image, "status": status, "reason": "", "psnr": value}


def test_a_batch_is_all_or_nothing(cell, monkeypatch):
    c = cell("method=pinv")
    store.prepare(c)

    def refuse(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match="results="):
        store.write(c, [row(0), row(1)])
    assert store.missing(c) == [0, 1, 2]
    assert not list(c.folder.glob("*.tmp")) and not list(c.folder.glob(".*tmp"))


def test_a_full_disk_is_said_plainly(cell, monkeypatch):
    c = cell("method=pinv")
    store.prepare(c)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        store.write(c, [row(0)])


def test_a_folder_that_cannot_be_written(cell, tmp_path):
    (tmp_path / "results").write_text("a file, not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        store.prepare(cell("method=pinv"))


def test_leftovers_of_a_killed_writer_are_ignored(cell):
    c = cell("method=pinv")
    store.prepare(c)
    store.write(c, [row(0)])
    (c.folder / ".rows-000001-abc.parquet.77.tmp").write_bytes(b"half a file")
    assert store.missing(c) == [1, 2]
    assert len(store.read(c.folder)) == 1


def test_a_success_stands_before_a_failure(cell):
    c = cell("method=pinv")
    store.prepare(c)
    store.write(c, [row(0, "failed"), row(1, "failed"), row(2)])
    assert store.missing(c) == []
    assert store.missing(c, retry_failed=True) == [0, 1]
    store.write(c, [row(0, "ok", 2.0)])
    rows = store.read(c.folder)
    assert rows[["image", "status"]].values.tolist() == [[0, "ok"], [1, "failed"], [2, "ok"]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), max_size=6), cut=st.data())
def test_merging_is_copying(cell, tmp_path, batches, cut):
    """Two machines' folders copied together hold each image once, whoever did what."""
    c = cell("method=pinv", "images=10")
    shutil.rmtree(c.folder, ignore_errors=True)
    other = tmp_path / "elsewhere"
    shutil.rmtree(other, ignore_errors=True)
    store.prepare(c)
    for batch in batches:
        store.write(c, [row(i) for i in batch])
        if cut.draw(st.booleans()):
            shutil.copytree(c.folder, other, dirs_exist_ok=True)
            shutil.rmtree(c.folder)
            store.prepare(c)
    if other.exists():
        shutil.copytree(other, c.folder, dirs_exist_ok=True)
    expected = sorted({i for batch in batches for i in batch})
    assert sorted(store.read(c.folder)["image"]) == expected
    assert store.missing(c) == [i for i in range(10) if i not in expected]


def test_a_row_of_an_unknown_cell_reads_empty(tmp_path):
    assert isinstance(store.read(tmp_path), pd.DataFrame) and store.read(tmp_path).empty


def test_what_was_returned_is_of_the_row_that_counts(cell):
    """Two machines did the same images in batches of other sizes: the estimate is that of the row that is read."""
    c = cell("method=pinv")
    store.prepare(c)
    for images in ([0], [0, 1], [0, 1, 2], [1, 0], [2, 0]):  # names of files are hashes: either may come first
        kept = {"estimate": ",".join(map(str, images)).encode(), "kept": True}
        store.write(c, [row(i, value=float(len(images) + 10 * images[0])) | kept for i in images])
    rows = store.read(c.folder, ["image", "estimate"]).set_index("image")["estimate"]
    assert store.kept(c, [0, 1, 2]) == rows.to_dict()


def test_of_a_batch_that_two_have_done_no_success_is_lost(cell):
    """One was taken for dead; what failed for it, for want of time say, succeeded for the other, and the other way."""
    c = cell("method=pinv")
    store.prepare(c)
    store.write(c, [row(0, value=1.0), row(1, "failed"), row(2, "failed")])
    store.write(c, [row(0, "failed"), row(1, value=2.0), row(2, "failed")])
    rows = store.read(c.folder)
    assert (rows["status"].tolist(), rows["psnr"].tolist()[:2]) == (["ok", "ok", "failed"], [1.0, 2.0])


def test_what_needs_no_more_work_is_what_the_rows_say_whatever_lies_in_the_files(cell, monkeypatch):
    """It is told by file, and asked for after each that lands."""
    monkeypatch.setattr(protocol, "versions", lambda: {"metrics": 2})
    c, draw = cell("method=pinv", "images=8"), random.Random(0)
    folder = c.folder
    for _ in range(60):
        images = draw.sample(range(8), draw.randint(1, 4))
        status, version, kept = draw.choice(["ok", "failed"]), draw.choice([1, 2, 2]), draw.choice([True, None])
        rows = [{"image": i, "status": status, "metrics_version": version, "kept": kept} for i in images]
        store._land(c, rows, store.file_of(images))
        rows = store.read(folder, [*store.SETTLES])
        for again in (False, True):
            assert store.done(c, retry_failed=again) == store.settled(rows, retry_failed=again)
        if draw.random() < 0.3:
            draw.choice(store.files(folder)).unlink()


def test_of_a_long_cell_a_file_is_read_once(cell, monkeypatch):
    """Not with each batch that lands: of 100,000 images that took longer than any solver."""
    c = cell("method=pinv", "images=9", "batch_size=1", "metrics=[psnr]")
    list(run(c, images=range(8)))
    read, own = [], sealed.read
    store.prepare(c)  # each is looked at once for damage
    assert store.missing(c) == [8]
    monkeypatch.setattr(sealed, "read", lambda path, *rest: read.append(path) or own(path, *rest))
    list(run(c, images=[8]))
    assert store.missing(c) == [] and set(read) == {store.files(c.folder)[-1]}


def test_a_row_by_older_metrics_that_cannot_be_scored_anew_stands_behind_one_that_was_done_again(cell, monkeypatch):
    c = cell("method=pinv")
    store.prepare(c)
    batches = sorted(([0], [0, 1]), key=store.file_of)
    old, new = ({"metrics_version": version} for version in (1, 2))
    monkeypatch.setattr(store.protocol, "versions", lambda: {"metrics": 2})
    store.write(c, [row(i) | old for i in batches[0]])
    assert store.missing(c) == [0, 1, 2]
    store.write(c, [row(i, value=2.0) | new for i in batches[1]])
    assert 0 not in store.missing(c) and store.read(c.folder)["psnr"][0] == 2.0
