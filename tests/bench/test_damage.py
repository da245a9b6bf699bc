"""Damaged results, and disks, clocks and folders that fail midway: said in a line, nothing lost, gone on after."""

import errno
import os
import random
import resource
import shutil
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from sipbench.bench import damage, index, protocol, sealed, store
from sipbench.bench.run import run
from sipbench.errors import UserError
from tests.bench.solved import spoil_pictures

HEAVY = store.HEAVY


def row(image, value=1.0):
    heavy = {"png": bytes([image, 7]) * 90, "estimate": bytes([image, 9]) * 90}
    lists = {"curve_psnr": [value, 2 * value], "reason": None, "stopped": image}
    return {
        "image": image,
        "status": "ok",
        "psnr": value,
        "ssim": value / 3,
        "metrics_version": protocol.versions()["metrics"],
        **lists,
        **heavy,
    }


def held(path):
    """All that a file says: its numbers, then its images."""
    return sealed.read(path, None, HEAVY).to_pydict(), sealed.read(path, list(HEAVY), HEAVY).to_pydict()


def stored(cell, *words):
    """A cell with three files of an image each."""
    c = cell("method=pinv", *words)
    store.prepare(c)
    for image in range(3):
        store.write(c, [row(image, 20.0 + image)])
    return c, store.files(c.folder)


def test_no_flipped_bit_passes_as_a_number(cell, tmp_path):
    """Of the data, of the metadata, or of the seal itself; the last bytes and the seal one by one."""
    _, (first, *_) = stored(cell)
    content, good, chance = first.read_bytes(), held(first), random.Random(0)
    at = content.index(sealed.NAME)
    places = [*chance.sample(range(len(content)), 300), *range(at, at + 160, 4), *range(len(content) - 8, len(content))]
    path, noticed = tmp_path / "flipped.parquet", 0
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        for columns, expected in zip((None, list(HEAVY)), good, strict=True):
            try:
                assert sealed.read(path, columns, HEAVY).to_pydict() == expected, place
            except sealed.Damaged:
                noticed += 1
    assert noticed > 300
    path.write_bytes(content)
    assert held(path) == good


def test_images_are_not_read_for_numbers(cell):
    """A flip in the images leaves the numbers, and is noticed where the images are wanted."""
    c, (first, *_) = stored(cell)
    spoil_pictures(first)
    assert store.read(c.folder)["psnr"].tolist() == [20.0, 21.0, 22.0]
    assert sorted(store.kept(c, [0, 1, 2])) == [1, 2]


def test_a_file_without_a_seal_is_not_ours(cell, capsys):
    """Somebody read one with pandas, changed a number and wrote it back."""
    c, (first, *_) = stored(cell)
    pd.read_parquet(first).assign(psnr=60.0).to_parquet(first, write_page_checksum=True)
    assert store.read(c.folder)["psnr"].tolist() == [21.0, 22.0] and list(store.kept(c, [0])) == []
    assert f"damaged results {first}: it has no seal: sipbench did not write it so" in capsys.readouterr().err
    store.prepare(c)
    assert store.missing(c) == [0] and first.with_name(f"{first.name}.damaged").exists()


def test_what_a_file_says_of_its_columns_moves_none(cell):
    """Pandas writes into a file which of its columns is an index; who damages that takes no column away."""
    c = cell("method=pinv")
    store.prepare(c)
    made = pa.Table.from_pandas(pd.DataFrame([row(0, 20.0)]).set_index("image"))
    (c.folder / "rows-000000-index.parquet").write_bytes(sealed.sealed(made, HEAVY))
    assert store.read(c.folder)["image"].tolist() == [0]
    assert store.read(c.folder, ["psnr"])["psnr"].tolist() == [20.0] and store.done(c) == {0}


def spoil(path, how):
    if how == "torn":
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "foreign":
        pd.DataFrame({"a": [1]}).to_parquet(path)
    elif how == "text":
        path.write_text("no Parquet at all")
    else:
        path.unlink()
        {"empty": path.touch, "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}[how]()


@pytest.mark.parametrize("how", ["torn", "foreign", "text", "empty", "folder", "pipe"])
def test_a_damaged_file_is_named_and_set_aside(cell, capsys, how):
    c, (first, *_) = stored(cell)
    spoil(first, how)
    assert store.read(c.folder)["image"].tolist() == [1, 2] and store.missing(c) == [0]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(first) in said and "run again" in said
    assert damage.summary(c.results) == "damaged results files: 1 left out"
    store.prepare(c)
    assert not first.exists() and first.with_name(f"{first.name}.damaged").exists()
    assert damage.summary(c.results) == "damaged results files: 1 set aside"
    store.write(c, [row(0)])
    assert store.missing(c) == []


def test_a_run_does_anew_what_was_damaged(cell):
    c = cell("method=pinv", "batch_size=1", "metrics=[psnr]")
    assert len(list(run(c))) == 3
    before = store.read(c.folder)["psnr"].tolist()
    for _ in range(2):  # a second one is set aside beside the first
        store.files(c.folder)[1].write_bytes(b"PAR1 torn PAR1")
        assert [rows[0]["image"] for rows in run(c)] == [1]
    assert store.read(c.folder)["psnr"].tolist() == before
    assert len(list(c.folder.glob("*.damaged"))) == 2


def test_a_disk_that_fills_up(cell):
    """The limit of a file's size stands for it; what is stored stays, and the run goes on after."""
    c = cell("method=pinv", "batch_size=1", "metrics=[psnr]")
    batches = run(c)
    next(batches)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        with pytest.raises(UserError, match=r"cannot be written to .*File too large.*results="):
            next(batches)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert store.missing(c) == [1, 2] and not list(c.folder.glob(".*"))
    assert len(list(run(c))) == 2 and store.missing(c) == []


def test_a_folder_made_read_only_midway(cell, monkeypatch):
    c = cell("method=pinv", "batch_size=1", "metrics=[psnr]")
    batches = run(c)
    next(batches)

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(UserError, match=r"cannot be written to .*Read-only file system.*results="):
            next(batches)
    assert store.missing(c) == [1, 2] and len(list(run(c))) == 2


def test_a_clock_that_jumps(cell, monkeypatch):
    """What is being written looks like what a killed writer left; it is written again."""
    c, flush, jumps = cell("method=pinv"), os.fsync, []
    store.prepare(c)

    def jump(file):
        flush(file)
        if not jumps:
            jumps.append(time.time())
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda: jumps[0] + 1e6)
                store.remove_leftovers(c.folder)

    monkeypatch.setattr(os, "fsync", jump)
    store.write(c, [row(0)])
    assert jumps and store.missing(c) == [1, 2]


def test_a_dataset_that_loses_a_file(cell, tmp_path):
    folder, lost = tmp_path / "photos", tmp_path / "photos" / "b.png"
    folder.mkdir()
    for name in "abc":
        Image.fromarray(np.full((32, 32, 3), ord(name), np.uint8)).save(folder / f"{name}.png")
    words = ["dataset=folder", f"dataset.root={folder}", "method=pinv", "batch_size=1", "metrics=[psnr]"]
    c = cell(*words)
    batches = run(c)
    next(batches)
    shutil.move(lost, tmp_path / "b.png")
    rows = [rows[0] for rows in batches]
    assert [row["status"] for row in rows] == ["failed", "ok"] and "b.png" in rows[0]["reason"]
    shutil.move(tmp_path / "b.png", lost)
    again = cell(*words, "retry_failed=true")
    assert again.hash == c.hash and [rows[0]["status"] for rows in run(again)] == ["ok"]


WICKED = {
    "an image without a number": {"image": pa.array([0, None, 2])},
    "an image twice": {"image": [0, 0, 2]},
    "a status that is a list": {"status": [["ok"]] * 3},
    "a score that is a word": {"psnr": ["best"] * 3},
    "a version that is a word": {"metrics_version": ["9"] * 3},
    "a reason that is no text": {"reason": [b"\xff"] * 3},
    "an estimate that is a word": {"estimate": ["x"] * 3},
    "another cell": {"cell": ["0123456789abcdef"] * 3},
}


@pytest.mark.parametrize("name", WICKED)
def test_a_file_with_a_right_seal_and_wrong_columns_counts_as_damaged(cell, name, capsys):
    c, _ = stored(cell)
    columns = {"image": [0, 1, 2], "status": ["ok"] * 3, "metrics_version": [1] * 3} | WICKED[name]
    wicked = c.folder / store.file_of([0, 1, 2])
    wicked.write_bytes(sealed.sealed(pa.table(columns), HEAVY))
    for folder in index.read(c.results, [c.folder]).values(), [store.read(c.folder)]:
        assert [list(rows["psnr"]) for rows in folder] == [[20.0, 21.0, 22.0]]
    assert not store.missing(c) and len(store.kept(c, [0, 1, 2])) == 3
    assert capsys.readouterr().err.count("damaged results") == 1
    store.prepare(c)
    assert not wicked.exists() and len(store.files(c.folder)) == 3


@pytest.mark.parametrize("column", [{"status": ["failed"]}, {"psnr": [[1.0]]}, {"psnr": ["9"]}])
def test_later_scores_are_numbers(cell, column):
    c, _ = stored(cell)
    later = pa.table({"image": [0], "metrics_version": [99]} | column)
    (c.folder / "scores-00000000-00000000.parquet").write_bytes(sealed.sealed(later, HEAVY))
    assert store.read(c.folder)["psnr"][0] == 20.0 and store.read(c.folder)["status"][0] == "ok"


def test_who_was_taken_for_dead_and_comes_late_overwrites_no_success(cell):
    c, _ = stored(cell)
    store.write(c, [{"image": 1, "status": "failed", "reason": "its budget was spent", "metrics_version": 1}])
    assert list(store.read(c.folder)["psnr"]) == [20.0, 21.0, 22.0]
    store.write(c, [row(1, 5.0)])
    assert list(store.read(c.folder)["psnr"]) == [20.0, 5.0, 22.0]


def test_a_file_that_could_not_be_read_for_a_moment_is_not_set_aside(cell, monkeypatch):
    c, _ = stored(cell)
    read, failed = sealed.read, []

    def stale(path, *rest):
        if not failed:
            failed.append(path)
            raise sealed.Damaged("it cannot be read: Stale file handle")
        return read(path, *rest)

    monkeypatch.setattr(sealed, "read", stale)
    store._verified.clear()
    store.prepare(c)
    assert failed and len(store.files(c.folder)) == 3


def test_a_small_file_takes_no_large_memory(cell, capsys):
    """Of one row a million times over, in a few bytes."""
    c, _ = stored(cell)
    many = 2**20
    bomb = pa.table({"image": pa.repeat(0, many), "status": pa.repeat("ok", many), "where": pa.repeat("x" * 99, many)})
    path = c.folder / "rows-000009-00000000.parquet"
    path.write_bytes(sealed.sealed(bomb, HEAVY))
    assert path.stat().st_size < 2**17
    assert len(store.read(c.folder)) == 3
    assert "unpack to more than" in capsys.readouterr().err


def test_scores_that_were_copied_from_another_cell_are_not_believed(cell, capsys, monkeypatch):
    """Those of before files of scores named their cell are read as ever."""
    c, _ = stored(cell)
    other, _ = stored(cell, "seed=1")
    newer = protocol.versions() | {"metrics": protocol.versions()["metrics"] + 1}
    monkeypatch.setattr(protocol, "versions", lambda: newer)
    score = {"image": 0, "psnr": 99.0, "metrics_version": newer["metrics"]}
    store.write_scores(other, [score])
    (path,) = store.files(other.folder, "scores")
    assert store.read(other.folder)["psnr"].tolist() == [99.0, 21.0, 22.0] and "cell" not in store.read(other.folder)
    shutil.copy(path, c.folder)
    assert store.read(c.folder)["psnr"].tolist() == [20.0, 21.0, 22.0]
    assert f"it has rows of another cell, {other.hash}" in capsys.readouterr().err
    (c.folder / path.name).write_bytes(sealed.sealed(pa.Table.from_pylist([score])))
    assert store.read(c.folder)["psnr"].tolist() == [99.0, 21.0, 22.0]
