"""Solving and scoring are two things: a score that is asked for later comes of what the solver returned."""

import pytest
import torch

from sipbench import cli, metrics
from sipbench.bench import packing, protocol, store
from sipbench.bench.rescore import lacking, score_stored
from sipbench.bench.run import Bench, run
from sipbench.errors import UserError
from tests.bench.solved import spoil_pictures

WORDS = ["method=pinv", "metrics=[psnr,ssim]", "batch_size=1", "size=32", "images=3"]


def done(c):
    for _ in run(c):
        pass
    return c


def test_what_a_solver_returned_is_kept_to_the_bit(cell):
    c = done(cell("method=pinv"))
    bench = Bench.of(c)
    x_hat = bench.solve(bench.pose([1]), None).estimate.x
    assert torch.equal(store.estimate(c, 1).x, x_hat)
    assert store.estimate(cell("method=pinv", "keep_images=false", "seed=3"), 1) is None


def test_theta_and_small_samples_are_kept(cell):
    from sipbench.problem import Estimate

    x, k = torch.rand(2, 3, 8, 8), torch.rand(2, 1, 5, 5)
    kept = packing.unpacked(packing.packed(Estimate(x, theta={"kernel": k}, samples=torch.rand(2, 4, 3, 8, 8)), 1))
    assert torch.equal(kept.x, x[1:]) and torch.equal(kept.theta["kernel"], k[1:]) and kept.samples.shape[:2] == (1, 4)


def test_a_metric_that_is_asked_for_later_is_computed_without_solving(cell, monkeypatch):
    first = done(cell("method=pinv", "metrics=[psnr]"))
    more = cell("method=pinv", "metrics=[psnr,ssim]")
    assert lacking(more) == {0: ["ssim"], 1: ["ssim"], 2: ["ssim"]} and lacking(first) == {}
    monkeypatch.setattr(Bench, "solve", lambda *_: pytest.fail("solved again"))
    assert score_stored(more) == 3 and score_stored(more) == 0
    monkeypatch.undo()
    both = done(cell("method=pinv", "metrics=[psnr,ssim]", f"results={more.results}-other"))
    assert store.read(more.folder)["ssim"].tolist() == store.read(both.folder)["ssim"].tolist()
    assert store.read(more.folder, ["image", "ssim"])["ssim"].notna().all()


def test_lpips_comes_when_its_weights_do(cell, monkeypatch):
    """The backbone is absent when the cell runs and there afterwards."""
    words = ("method=pinv", "metrics=[psnr,lpips_alex]", "size=64")
    monkeypatch.setattr(metrics.backbones, "missing", lambda *_, **__: "absent")
    c = done(cell(*words))
    assert store.read(c.folder)["lpips_alex"].isna().all() and lacking(c) == {}
    monkeypatch.setattr(metrics.backbones, "missing", lambda *_, **__: None)
    fake = metrics.METRICS["lpips_alex"].__class__(
        lambda a, b: (a - b).abs().flatten(1).mean(1), False, "LPIPS", backbone="alex"
    )
    monkeypatch.setitem(metrics.OWN, "lpips_alex", fake)
    assert score_stored(c) == 3
    assert store.read(c.folder)["lpips_alex"].gt(0).all()


def test_a_score_by_an_older_version_of_the_metrics_is_made_anew(cell, monkeypatch):
    c = done(cell("method=pinv", "metrics=[psnr]"))
    before = store.read(c.folder)["psnr"]
    newer = protocol.versions()["metrics"] + 1
    monkeypatch.setattr(protocol, "versions", lambda: {**dict.fromkeys(protocol.PARTS, 1), "metrics": newer})
    kept = metrics.METRICS["psnr"]
    monkeypatch.setitem(metrics.OWN, "psnr", kept.__class__(lambda a, b: kept.function(a, b) + 1, True, "PSNR"))
    assert set(lacking(c)) == {0, 1, 2} and score_stored(c) == 3 and lacking(c) == {}
    rows = store.read(c.folder)
    assert rows["psnr"].tolist() == pytest.approx((before + 1).tolist())
    assert rows["oracle_psnr"].isna().all()  # of snapshots that were not kept: it would lie below what was returned
    assert not len([one for one in rows["curve_psnr"] if one is not None])
    monkeypatch.undo()
    assert store.read(c.folder)["psnr"].tolist() == before.tolist()  # code of the older version has its own


def test_a_result_whose_images_are_damaged_is_not_scored_but_done_again(cell, capsys):
    c = done(cell("method=pinv", "metrics=[psnr]", "batch_size=1"))
    path = min(c.folder.glob("rows-*"))
    spoil_pictures(path)
    more = cell("method=pinv", "metrics=[psnr,ssim]", "batch_size=1")
    assert score_stored(more) == 2 and store.missing(more) == [0] and path.with_name(f"{path.name}.damaged").exists()
    assert cli.main([*WORDS, f"results={c.results}"]) == 0
    assert "1 image done" in capsys.readouterr().out and store.missing(more) == []


def test_what_cannot_be_scored_is_said_by_the_command(cell, capsys):
    c = done(cell("method=pinv", "metrics=[psnr]", "batch_size=1"))
    path = min(c.folder.glob("rows-*"))
    spoil_pictures(path)
    assert cli.main(["score", *WORDS, f"results={c.results}"]) == 1
    assert "2 of 3 stored results scored, 1 to be run again" in capsys.readouterr().out


def test_a_result_of_another_measurement_is_not_scored(cell, monkeypatch):
    done(cell("method=pinv", "metrics=[psnr]"))
    more = cell("method=pinv", "metrics=[psnr,ssim]")
    pose = Bench.pose
    monkeypatch.setattr(Bench, "pose", lambda self, images: pose(self, [i + 1 for i in images]))
    with pytest.raises(UserError, match="of another measurement"):
        score_stored(more)


def test_nothing_is_claimed_where_nothing_was_kept(cell):
    done(cell("method=pinv", "metrics=[psnr]", "keep_images=false"))
    assert lacking(cell("method=pinv", "metrics=[psnr,ssim]")) == {}


@pytest.mark.parametrize("column", ["psnr", "estimate", "options"])
def test_a_bit_flipped_in_a_page_is_seen(cell, column, capsys):
    from pyarrow import parquet

    c = done(cell("method=pinv", "metrics=[psnr]", "images=1"))
    path = next(c.folder.glob("rows-*"))
    pages = parquet.ParquetFile(path).metadata.row_group(0)
    at = next(pages.column(i) for i in range(pages.num_columns) if pages.column(i).path_in_schema == column)
    content = bytearray(path.read_bytes())
    begin = at.dictionary_page_offset or at.data_page_offset
    content[begin + at.total_compressed_size - 2] ^= 4
    path.write_bytes(bytes(content))
    assert not len(store.read(c.folder, [column])) and f"damaged results {path}" in capsys.readouterr().err
