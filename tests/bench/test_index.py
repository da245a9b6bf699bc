"""The index of a store says what the files say, whatever happens to either."""

import shutil

import pytest

from sipbench.bench import index, protocol, sealed, store

VERSION = protocol.versions()["metrics"]


def row(image, value, **more):
    own = {"image": image, "status": "ok", "reason": "", "psnr": value, "stopped": image, "curve_psnr": [value, 2.0]}
    return own | {"device": "abacus", "options": "{}", "metrics_version": VERSION, "kept": True, "png": b"x"} | more


@pytest.fixture
def filled(cell, monkeypatch):
    """Cells of different columns: plain ones, one that failed, one scored later, one done twice, one not begun."""
    monkeypatch.setattr(index, "WORTH", 1)
    cells = [cell("method=pinv", f"seed={seed}") for seed in range(6)]
    for c in cells[:5]:
        store.prepare(c)
        store.write(c, [row(i, c.seed + i / 3, converged=[True, None, False][i]) for i in (2, 0)])
    failed = {"image": 1, "status": "failed", "reason": "no memory", "metrics_version": VERSION, "stopped": None}
    store.write(cells[1], [failed])
    store.write_scores(cells[2], [{"image": 0, "ssim": 0.5, "metrics_version": VERSION}])
    store.write(cells[3], [failed])
    store.write(cells[3], [row(1, 7.0), row(2, 8.0)])
    store.write(cells[4], [row(1, float("inf"), oracle_psnr=3.0)])
    return cells


def told(frame):
    """What a frame says of each image, but for what an index leaves out."""
    left_out = ("curve_psnr", "options", "image")
    rows = {r["image"]: {k: v for k, v in r.items() if k not in left_out} for r in frame.to_dict("records")}
    return {i: {k: v for k, v in r.items() if v == v and v is not None} for i, r in rows.items()}


def agrees(cells):
    found = index.stored(cells)
    for c in cells:
        assert told(found[c.folder]) == told(store.read(c.folder)), c.seed
        assert list(found[c.folder]["image"]) == list(store.read(c.folder)["image"])
    return found


def unread(patch):
    """From here on no file of a cell may be read."""
    patch.setattr(store, "table", lambda *_: pytest.fail("a file was read"))


def parts(cells):
    return sorted((cells[0].results / "runs" / ".index").glob("*"))


def test_it_says_what_the_files_say_without_reading_them(filled, monkeypatch):
    first = agrees(filled)
    assert len(parts(filled)) == 1
    with monkeypatch.context() as patch:
        unread(patch)
        again = index.stored(filled)
    for folder, frame in first.items():
        assert told(frame) == told(again[folder])
    assert "oracle_psnr" in again[filled[4].folder] and "oracle_psnr" not in again[filled[0].folder]
    assert store.missing(filled[0], rows=again[filled[0].folder]) == [1]


def test_new_changed_and_removed_files_are_noticed(filled):
    agrees(filled)
    store.write(filled[0], [row(1, 30.0)])  # new
    store.write(filled[1], [row(2, 31.0), row(0, 32.0)])  # under the same name
    store.files(filled[3].folder, "rows")[0].unlink()
    shutil.rmtree(filled[4].folder)
    store.write(filled[5], [row(0, 33.0)])
    agrees(filled)
    assert len(index.stored(filled)[filled[4].folder]) == 0
    agrees(filled)


@pytest.mark.parametrize("content", [b"", b"PAR1 torn PAR1", None])
def test_a_damaged_index_is_made_anew(filled, content, capsys):
    agrees(filled)
    (path,) = parts(filled)
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 3] ^= 4
    path.write_bytes(flipped if content is None else content)
    agrees(filled)
    assert len(parts(filled)) == 1 and parts(filled) != [path]
    assert not capsys.readouterr().err


def test_one_of_another_folder_is_not_believed(filled, cell, tmp_path):
    """Copied along with results of the same names."""
    agrees(filled)
    other = cell("method=pinv", "seed=0", f"results={tmp_path / 'other'}")
    store.prepare(other)
    store.write(other, [row(2, 90.0), row(0, 91.0)])
    shutil.copytree(filled[0].results / "runs" / ".index", other.results / "runs" / ".index")
    agrees([other])


def test_a_folder_that_takes_no_index_is_read_without(filled):
    (filled[0].results / "runs" / ".index").write_text("a file in its place")
    agrees(filled)


def test_parts_are_made_one(filled, monkeypatch):
    monkeypatch.setattr(index, "MOST", 2)
    for c in filled[:5]:
        agrees([c])
    assert len(parts(filled)) <= 3
    with monkeypatch.context() as patch:
        unread(patch)
        index.stored(filled)


def test_a_damaged_file_is_told_of_and_not_indexed(filled, capsys):
    path = store.files(filled[4].folder)[0]
    path.write_bytes(b"PAR1 torn PAR1")
    found = agrees(filled)
    assert len(found[filled[4].folder]) < 3 and str(path) in capsys.readouterr().err
    assert sum(len(part.cells) for part in index._parts(parts(filled)[0].parent)) == 4


def test_a_column_of_many_kinds_is_left_out_and_the_others_are_read(cell):
    import pyarrow as pa

    c = cell("method=pinv")
    store.prepare(c)
    for image, value in ((0, pa.array([2**64 - 1], pa.uint64())), (1, pa.array(["x"]))):
        own = {"image": [image], "status": ["ok"], "metrics_version": [VERSION], "cell": [c.hash], "psnr": [2.0]}
        path = c.folder / store.file_of([image])
        path.write_bytes(sealed.sealed(pa.table(own | {"probe_thing": value})))
    assert list(index.stored([c])[c.folder]["psnr"]) == [2.0, 2.0]
