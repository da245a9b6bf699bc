"""Averages over stored rows, and what is said where there are none."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sipbench import tables
from sipbench.bench import damage, store
from sipbench.bench import run as bench
from sipbench.cli.sweep import verdict
from sipbench.cluster.plan import Plan, Planned
from sipbench.cluster.status import status
from sipbench.errors import UserError
from sipbench.tables.collect import independent, wilson
from sipbench.tables.measures import Measure

from .fake import failure, fill, interval, load, one, put, row, whole

RESULTS = Path(__file__).parents[2] / "results"
FIRST = "dataset degradation method metric mean ci95 n failed oracle_mean published profile".split()


def pinv_cell(spec):
    return next(e.cell for e in spec.planned if e.row.method == "pinv")


def test_the_long_form_has_a_row_for_every_entry_and_metric(tmp_path):
    spec = load(tmp_path)
    df = tables.collect(spec)
    assert list(df.columns[:11]) == FIRST
    measured = df[df.dataset == "faces"]
    assert not measured.duplicated(["dataset", "degradation", "method", "metric"]).any()
    assert list(dict.fromkeys(measured.method)) == [r.method for r in spec.rows]
    metrics = ["LPIPS", "PSNR", "SSIM", "residual/sigma", "s/image", "evaluations"]
    assert measured.metric.tolist() == metrics * len(spec.rows)
    assert set(df.profile) == {"demo"}


def test_mean_and_interval_by_hand(tmp_path):
    spec = load(tmp_path)
    values = [20.0, 23.5, 21.0, 30.0]
    put(pinv_cell(spec), [row(i, psnr=v) for i, v in enumerate(values)])
    record = one(tables.collect(spec), "pinv")
    assert record["mean"] == pytest.approx(23.625)
    assert record["ci95"] == pytest.approx(interval(values))
    assert (record["n"], record["failed"], record["todo"], record["status"]) == (4, 0, 0, "ok")
    assert record["oracle_mean"] == pytest.approx(23.725)


def test_costs_are_averaged_without_an_interval(tmp_path):
    spec = load(tmp_path)
    put(pinv_cell(spec), [row(i, residual_ratio=1.0 + i, seconds=0.5) for i in range(4)])
    df = tables.collect(spec)
    assert one(df, "pinv", "s/image")["mean"] == 0.5 and math.isnan(one(df, "pinv", "s/image")["ci95"])
    assert one(df, "pinv", "evaluations")["mean"] == 10
    assert one(df, "pinv", "residual/sigma")["ci95"] == pytest.approx(interval([1, 2, 3, 4]))
    assert math.isnan(one(df, "pinv", "s/image")["oracle_mean"])


def test_failures_are_counted_and_kept_out_of_the_mean(tmp_path):
    spec = load(tmp_path)
    put(pinv_cell(spec), [row(0, 10.0), row(1, 20.0), failure(2), row(3, 30.0)])
    record = one(tables.collect(spec), "pinv")
    assert (record["mean"], record["n"], record["failed"]) == (20.0, 3, 1)
    assert record["reason"] == "out of memory"


def test_failures_that_tell_no_reason_are_told_of(tmp_path):
    """Of another program, or of a newer one."""
    spec = load(tmp_path)
    cell = pinv_cell(spec)
    put(cell, [{"image": i, "status": "failed", "device": "abacus"} for i in range(4)])
    record = one(tables.collect(spec), "pinv")
    assert (record["failed"], record["reason"]) == (4, "no reason is told")
    assert verdict(cell)[1].startswith("4 of 4 images failed: no reason is told")
    plan = Plan.of("sweep", [], [Planned.of(cell, [])], cell.results)
    (standing,) = status(plan).cells
    assert (standing.state, standing.reason) == ("failed", "no reason is told")


def test_nothing_but_failures_is_a_failed_cell(tmp_path):
    spec = load(tmp_path)
    put(pinv_cell(spec), [failure(i) for i in range(4)])
    record = one(tables.collect(spec), "pinv")
    assert (record["status"], record["n"], record["failed"]) == ("failed", 0, 4)
    assert math.isnan(record["mean"])


def test_one_image_has_no_interval(tmp_path):
    spec = load(tmp_path, "images=1")
    put(pinv_cell(spec), [row(0, 25.0)])
    record = one(tables.collect(spec), "pinv")
    assert record["mean"] == 25.0 and math.isnan(record["ci95"])


def test_an_exact_reproduction_makes_the_mean_infinite(tmp_path):
    spec = load(tmp_path)
    put(pinv_cell(spec), [row(i, psnr=math.inf if i == 1 else 30.0) for i in range(4)])
    df = tables.collect(spec)
    assert one(df, "pinv")["mean"] == math.inf and math.isnan(one(df, "pinv")["ci95"])
    assert "∞" in tables.render_markdown(spec, df)


def test_a_metric_that_no_row_has_is_empty(tmp_path):
    spec = load(tmp_path)
    rows = [row(i, lpips=math.nan) for i in range(4)]
    for r in rows:
        del r["ssim"], r["oracle_ssim"]
    put(pinv_cell(spec), rows)
    df = tables.collect(spec)
    for metric in ("LPIPS", "SSIM"):
        assert one(df, "pinv", metric)["n"] == 0 and math.isnan(one(df, "pinv", metric)["mean"])
    assert one(df, "pinv")["n"] == 4


def test_images_that_were_not_asked_for_do_not_count(tmp_path):
    spec = load(tmp_path)
    put(pinv_cell(spec), [row(i, psnr=20.0) for i in range(4)] + [row(9, psnr=1000.0)])
    assert one(tables.collect(spec), "pinv")["mean"] == 20.0


def test_seeds_are_averaged_within_each_image_first(tmp_path):
    spec = load(tmp_path, "seed=0,1", "images=3")
    first, second = next(e.cells for e in spec.planned if e.row.method == "pinv")
    put(first, [row(0, 10.0), row(1, 20.0), row(2, 30.0)])
    put(second, [row(0, 20.0), row(1, 30.0), failure(2)])
    record = one(tables.collect(spec), "pinv")
    assert record["mean"] == pytest.approx((15 + 25 + 30) / 3)
    assert record["ci95"] == pytest.approx(interval([15, 25, 30]))
    assert (record["n"], record["failed"]) == (5, 1)


def test_not_yet_na_and_incomplete_say_so(tmp_path):
    spec = load(tmp_path)
    put(pinv_cell(spec), [row(0), row(1)])
    df = tables.collect(spec)
    assert one(df, "admm_pnp")["status"] == "not yet"
    assert one(df, "unet")["status"] == "n/a" and "unet-faces-32-sr4" in one(df, "unet")["reason"]
    assert one(df, "dip")["status"] == "incomplete" and one(df, "dip")["todo"] == 4
    assert (one(df, "pinv")["n"], one(df, "pinv")["todo"]) == (2, 2)
    assert df[df.method.isin(["admm_pnp", "unet", "dip"])]["mean"].isna().all()


def test_what_has_not_converged_is_counted_and_said(tmp_path):
    """Two of four images were still moving; a method that says nothing of it, and one that converged, are not named."""
    spec = load(tmp_path, "method=pinv,dip,dps")
    for entry in spec.planned:
        said = {"pinv": [None] * 4, "dip": [True, False, False, True], "dps": [True] * 4}[entry.row.method]
        for cell in entry.cells:
            put(cell, [row(i, converged=said[i]) for i in cell.images])
    df = tables.collect(spec)
    assert [int(one(df, name)["unconverged"]) for name in ("pinv", "dip")] == [0, 2]
    text = tables.render_markdown(spec, df)
    assert "not converged when the iterations were spent: DIP (faces, sr4: 2 of 4)." in text


def test_what_other_code_has_done_than_was_submitted_is_counted_and_said(tmp_path):
    spec = load(tmp_path, "method=pinv,dip")
    fill(spec, {"pinv": 20, "dip": 30})
    assert "source_changed" not in tables.collect(spec)
    marks = ["submitted a, ran b", None, "submitted a, ran b", None]
    put(pinv_cell(spec), [row(i, source_changed=marks[i]) for i in range(4)])
    df = tables.collect(spec)
    assert [int(one(df, name)["source_changed"]) for name in ("pinv", "dip")] == [2, 0]
    said = "done by other code than was submitted: A⁺y (faces, sr4: 2 of 4); the column source_changed of their rows"
    assert said in tables.render_markdown(spec, df)


def test_rows_of_several_trainings_of_one_network_are_counted_and_said(tmp_path):
    """Where folders were copied together; each seed has a training of its own, and what tells of none is of none."""

    def told(made_of, weights):
        return json.dumps({"net": {"made_of": {"subset": made_of}, "sha256": weights}})

    spec = load(tmp_path, "method=pinv,dip")
    fill(spec, {"pinv": 20, "dip": 30})
    for texts, count in (
        ([told(0, "a"), told(1, "b"), "[]", None], 0),
        ([told(0, "a"), told(0, "a"), told(0, "b"), '{"net": {"sha256": "c"}}'], 1),
    ):
        shutil.rmtree(pinv_cell(spec).folder)
        put(pinv_cell(spec), [row(i, training=texts[i]) for i in range(4)])
        df = tables.collect(spec)
        assert ("other_weights" in df) == bool(count)
    assert [int(one(df, name)["other_weights"]) for name in ("pinv", "dip")] == [1, 0]
    said = "made with several trainings of one network: A⁺y (faces, sr4: 1 of 4); the column training of their rows"
    assert said in tables.render_markdown(spec, df)


@pytest.mark.parametrize(("column", "said"), [("image_id", "other images"), ("y_sha256", "other measurements")])
def test_rows_of_other_images_than_most_are_compared_with_nothing(tmp_path, column, said):
    """Where the images of a folder were overwritten between two runs; the index says as the files do."""
    spec = load(tmp_path, "method=pinv,dip,dps", "images=8")
    cells = {e.row.method: e.cell for e in spec.planned if e.cells}
    for number, (method, cell) in enumerate(cells.items()):
        own = [row(i, 20 + number + i, **{column: f"{'late' if method == 'dip' else ''}{i}"}) for i in range(8)]
        put(cell, own)
    df = tables.collect(spec)
    counts = {name: int(one(df, name)[said.replace(" ", "_")]) for name in cells}
    assert counts == {name: 8 * (name == "dip") for name in cells}
    lines = tables.render_markdown(spec, df).splitlines()
    assert [
        line.count("DIP (faces, sr4: 8 of 8)") for line in lines if f"of {said} than those of most rows" in line
    ] == [1]
    other = math.isnan(one(df, "dip")["difference"])
    assert other == (column == "image_id") and not math.isnan(one(df, "pinv")["difference"])
    put(cells["pinv"], [row(i, 20 + i) for i in range(8)])  # of which nothing is told: a file from before
    assert "y_sha256" not in tables.collect(spec)


def test_a_measure_that_names_a_column_of_text_is_refused(tmp_path):
    """Such as `columns: {where: {column: device}}` in a table."""
    spec = load(tmp_path, "method=pinv")
    put(pinv_cell(spec), [row(i) for i in range(4)])
    asked = replace(spec, measures=(*spec.measures, Measure("where", "device")))
    with pytest.raises(UserError, match="the stored column device holds no numbers"):
        tables.collect(asked)


def test_a_real_cell(tmp_path):
    spec = load(tmp_path, "images=2")
    cell = pinv_cell(spec)
    landed = [r for rows in bench.run(cell) for r in rows]
    df = tables.collect(tables.load("table1", "demo", (*spec.overrides, "degradation=sr4", "method=pinv")))
    record = one(df, "pinv")
    assert record["mean"] == pytest.approx(sum(r["psnr"] for r in landed) / 2)
    assert (record["n"], record["cell"]) == (2, cell.hash)
    assert one(df, "pinv", "residual/sigma")["mean"] < 1e-3


def test_published_numbers_stand_in_rows_of_their_own(tmp_path):
    spec = whole(tmp_path)
    fill(spec, {"pinv": 20, "dps": 30, "unet": 25, "dip": 25})
    df = tables.collect(spec)
    assert df[df.dataset == "faces"]["published"].isna().all()
    beside = df[df.status == "published"]
    assert set(beside.dataset) == {"CelebA-256", "FFHQ-256"}
    assert beside["mean"].isna().all() and beside["published"].notna().all() and len(beside) == 2 * 2 * 3
    assert one(df, "dps", dataset="CelebA-256")["published"] == 28.32
    assert one(df, "admm_pnp", "LPIPS", dataset="FFHQ-256")["published"] == 0.229


def test_published_numbers_of_the_same_data_stand_beside(tmp_path):
    df = tables.collect(whole(tmp_path, profile="paper"))
    assert set(df.dataset) == {"celeba", "ffhq"} and (df.status != "published").all()
    assert one(df, "dps", dataset="celeba")["published"] == 28.32
    assert one(df, "ddrm", "SSIM", dataset="ffhq")["published"] == 0.731
    assert math.isnan(one(df, "dip", dataset="celeba")["published"])


def test_a_row_that_lacks_a_value_on_an_image_does_not_shrink_the_comparison_of_the_others(tmp_path):
    """Its metric is not defined on some images: the others are compared over all of them, and it is not."""
    spec = whole(tmp_path, "method=pinv,dip,unet", "images=8")
    fill(spec, {"pinv": 20, "dip": 25})
    (entry,) = [e for e in spec.planned if e.row.method == "unet"]
    for cell in entry.cells:
        put(cell, [row(i, 30.0 + i if i < 2 else float("nan")) for i in cell.images])
    frame = tables.collect(spec)
    best, other, short = (one(frame, name) for name in ("dip", "pinv", "unet"))
    assert best.best_group and not other.best_group and other.losses == 8
    assert not short.best_group and short.difference != short.difference and short.n == 2


def test_methods_are_compared_over_the_same_runs_of_an_image(tmp_path):
    """Each of two lacks the number of one seed of an image, and not of the same one: these are other noises."""
    spec = whole(tmp_path, "method=pinv,dip,unet", "images=6", "seed=0,1")
    for entry in spec.planned:
        lacks = {"pinv": 0, "dip": 1}.get(entry.row.method)
        for cell in entry.cells:
            put(cell, [row(i, float("nan") if (i, cell.seed) == (2, lacks) else 20.0 + i) for i in cell.images])
    frame = tables.collect(spec)
    assert not frame[(frame.metric == "PSNR") & frame.difference.notna()].shape[0]
    assert frame[(frame.metric == "SSIM") & frame.difference.notna()].shape[0] == 3


@pytest.mark.parametrize(("successes", "n"), [(0, 8), (3, 8), (8, 8), (20, 32)])
def test_the_interval_of_a_share_is_wilsons(successes, n):
    from scipy.stats import binomtest

    other = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes / n, n) == pytest.approx((other.low, other.high))


def test_the_runs_of_an_image_are_one_cluster():
    """On simulated data: what covers a share in 95 of 100 cases, however much an image's runs have in common."""
    rng, k, seeds = np.random.default_rng(3), 40, 5
    for concentration, low, high in ((0.2, k, 1.7 * k), (1e6, 3.5 * k, k * seeds)):
        counted, inside = [], 0
        for _ in range(400):
            own = rng.beta(0.4 * concentration, 0.6 * concentration, k)
            shares = pd.Series(rng.binomial(seeds, own) / seeds)
            counted.append(independent(shares, k * seeds))
            ends = wilson(float(shares.mean()), counted[-1])
            inside += ends[0] <= 0.4 <= ends[1]
        assert low <= np.mean(counted) <= high and inside / 400 >= 0.92
    assert independent(pd.Series([1.0, 1.0, 1.0]), 15) == 3 and independent(pd.Series([0.5, 0.5]), 4) == 4
    assert independent(pd.Series([1.0, 0.0, 1.0]), 3) == 3


def successes(tmp_path, count):
    """Eight crystals, of which HIO+ER finds so many and RAAR none."""
    places = [f"{name}={tmp_path / name}" for name in ("results", "weights", "data")]
    words = [*places, "degradation=bragg_1e4", "method=hio_er,raar", "images=8", "size=32"]
    spec = tables.load("phase", "demo", words)
    for entry in spec.planned:
        found = count if entry.row.name == "hio_er" else 0
        put(entry.cell, [row(i, success=float(i < found), relative_error=0.5) for i in range(8)])
    return spec


def test_a_share_is_shown_with_its_own_interval(tmp_path):
    spec = successes(tmp_path, 3)
    df = tables.collect(spec)
    assert (one(df, "hio_er", "success", "crystals")["low"], one(df, "raar", "success", "crystals")["low"]) == (
        pytest.approx(0.1368, abs=1e-4),
        0,
    )
    text = tables.render_markdown(spec, df)
    assert "0.375 (0.14 to 0.69)" in text and "0.000 (0.00 to 0.32)" in text and "Wilson" in text
    assert not df[df.metric == "success"].best_group.any()


def test_a_damaged_file_stops_no_table(tmp_path, capsys):
    """It is named, and its images count as not done; the others are collected."""
    spec = load(tmp_path)
    fill(spec, {"pinv": 20.0, "dip": 25.0})
    broken = next(entry.cell for entry in spec.planned if entry.row.name == "dip")
    path = store.files(broken.folder)[0]
    path.write_bytes(b"PAR1 torn PAR1")
    df = tables.collect(load(tmp_path))
    assert one(df, "pinv")["n"] == 4 and one(df, "dip")["status"] == "incomplete" and one(df, "dip")["todo"] == 4
    assert str(path) in capsys.readouterr().err
    assert damage.summary(broken.results) == "damaged results files: 1 left out"


def test_an_oracle_is_of_all_images_or_not_there(tmp_path):
    """LPIPS came when half of the images were solved: their best along the way is of that half alone."""
    spec = load(tmp_path, "images=4")
    rows = [row(i, lpips=0.5 if i < 2 else 0.1) for i in range(4)]
    for half in rows[:2]:
        del half["oracle_lpips_alex"]
    put(pinv_cell(spec), rows)
    df = tables.collect(spec)
    assert one(df, "pinv", "LPIPS")["mean"] == pytest.approx(0.3)
    assert math.isnan(one(df, "pinv", "LPIPS")["oracle_mean"]) and one(df, "pinv")["oracle_mean"] == 20.1


def test_a_row_of_other_measurements_is_not_compared(tmp_path):
    """Its own words change the noise: the images are the same, and what was measured of them is not."""
    spec = whole(tmp_path, "method=pinv,dip,unet", "images=8")
    words = {"unet": ("degradation.noise.sigma=0.2",), "dip": ("+degradation.told.noise.sigma=0.2",)}
    spec = replace(spec, rows=tuple(replace(row, words=words.get(row.name, ())) for row in spec.rows))
    fill(spec, {"pinv": 20, "dip": 25, "unet": 30})
    df = tables.collect(spec)
    assert one(df, "dip").best_group and one(df, "pinv").losses == 8
    assert one(df, "unet")["mean"] == 33.5 and math.isnan(one(df, "unet").difference) and not one(df, "unet").best_group


def test_a_difference_of_shares_lies_between_minus_one_and_one(tmp_path):
    """Student's interval of 7 losses and a tie goes beyond."""
    spec = successes(tmp_path, 7)
    record = one(tables.collect(spec), "raar", "success", "crystals")
    assert (record.difference, record.difference_low) == (-0.875, -1) and -0.875 < record.difference_high < 0


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/*.csv")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_committed_intervals_hold_what_they_are_of(path):
    """A difference that varies lies inside of its interval, and one of shares between -1 and 1."""
    frame = pd.read_csv(path)
    if "resolvable" not in frame:
        return
    varies = frame[frame["resolvable"].notna()]
    assert (varies["resolvable"] > 0).all()
    assert (varies["difference_low"] < varies["difference"]).all() and (
        varies["difference"] < varies["difference_high"]
    ).all()
    shares = frame[frame["metric"].isin(["success", "ratio < 2", "ratio < 3"])]
    assert not (shares["difference_low"] < -1).any() and not (shares["difference_high"] > 1).any()
