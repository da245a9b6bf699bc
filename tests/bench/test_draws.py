"""Draws: a solver asked several times for each image, with streams of its own each time."""

import pytest
import torch

from sipbench import metrics
from sipbench.bench import packing, store
from sipbench.bench.cell import NotApplicable
from sipbench.bench.rescore import lacking, score_stored
from sipbench.bench.run import Bench
from sipbench.bench.score_draws import Draws
from sipbench.errors import UserError
from sipbench.metrics.posterior import LEVELS
from sipbench.operators.base import Operator
from sipbench.problem import Rng
from tests.bench.solved import rows_of

NOISY = "return problem.f.T(problem.y) + 0.3 * problem.rng.normal_like(problem.y)"


@pytest.fixture
def noisy(solver):
    """A solver whose draws lie round the measurement."""
    return lambda *words: solver(NOISY, "metrics=[psnr,ssim]", *words)


def test_a_cell_without_draws_keeps_its_name(noisy):
    one, many = noisy(), noisy("draws=4")
    assert "draws" not in one.identity and noisy("draws=1").hash == one.hash
    assert many.identity["draws"] == 4 and many.hash != noisy("draws=5").hash != one.hash


def test_the_first_draw_is_the_single_one_whatever_is_solved_at_once(noisy):
    one, many, few = noisy(), noisy("draws=4", "batch_size=6"), noisy("draws=4", "batch_size=1", "seed=0")
    single, drawn = rows_of(one), rows_of(many)
    assert drawn["psnr"].tolist() == single["psnr"].tolist() and drawn["batch"].tolist() == [6] * 3
    samples = {i: store.estimate(many, i).samples[0] for i in many.images}
    assert all(torch.equal(samples[i][0], store.estimate(one, i).x[0]) for i in samples)
    assert len(torch.cat(list(samples.values())).flatten(1).unique(dim=0)) == 12
    (many.folder).rename(many.folder.with_name("kept"))
    assert rows_of(few)["batch"].tolist() == [1] * 3
    assert all(torch.equal(store.estimate(few, i).samples[0], samples[i]) for i in samples)


def test_mean_spread_and_coverage(noisy):
    c = noisy("draws=30", "images=1", "degradation=denoise", "degradation.noise.sigma=0.3")
    row, bench = rows_of(c).iloc[0], Bench.of(c)
    x, samples = bench.truth([0], bench.pose([0])).x, store.estimate(c, 0).samples
    assert row["mean_psnr"] == pytest.approx(float(metrics.psnr(samples.mean(1), x)), rel=1e-6)
    assert row["mean_psnr"] > row["psnr"] + 2 and row["mean_ssim"] > row["ssim"]
    assert row["mean_residual"] == pytest.approx(0.3 / 30**0.5, rel=0.1)
    assert row["spread"] == pytest.approx(0.3, rel=0.02)
    for level in LEVELS:  # y and the draws lie round x and y with one width: an interval of the draws holds x as y does
        assert row[f"coverage{round(100 * level)}"] == pytest.approx(level * 29 / 31, abs=0.02)


def test_what_one_draw_and_all_of_them_take(cell):
    words = ("method=dps", "method.solver.steps=3", "prior=gaussian", "metrics=[psnr]")
    rows = rows_of(cell(*words, "draws=4", "batch_size=5"))
    assert rows["evaluations"].tolist() == [3] * 3 and rows["mean_evaluations"].tolist() == [12] * 3
    assert (rows["mean_seconds"] / rows["seconds"]).tolist() == pytest.approx([4] * 3)
    assert rows["curve_psnr"].map(len).tolist() == [3] * 3 and (rows["oracle_psnr"] >= rows["psnr"]).all()
    assert rows["draws"].tolist() == [4] * 3 and rows["batch"].tolist() == [3] * 3


def test_out_of_memory_hands_out_fewer_copies(solver):
    c = solver("if len(problem.y) > 2: raise torch.OutOfMemoryError('big')\n" + NOISY, "draws=5", "batch_size=16")
    rows = rows_of(c)
    assert rows["status"].tolist() == ["ok"] * 3 and rows["batch"].max() == 2
    assert store.estimate(c, 2).samples.shape == (1, 5, 3, 32, 32)
    never = rows_of(solver("raise torch.OutOfMemoryError('big')", "draws=3", "images=2"))
    assert all(reason.startswith("out of memory with one image") for reason in never["reason"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("x = problem.y.clone()\nx[2] = float('nan')\nreturn x", "1 of 2 draws are not finite"),
        ("return problem.y[:, :1]", "wrong shape: returned (4, 1, 32, 32)"),
        ("return problem.y + 0j", "wrong kind: returned complex"),
        ("raise ArithmeticError('no such root')", "ArithmeticError: no such root"),
    ],
)
def test_a_failure_is_a_row_with_its_reason(solver, body, reason):
    rows = rows_of(solver(body, "draws=2", "images=2"))
    assert rows["status"][0] == "failed" and rows["reason"][0].startswith(reason)


ENSEMBLE = """
import torch
from sipbench.problem import Estimate

def many(problem, *, particles: int = 7):
    for k in range(particles):
        problem.prior.denoise(torch.zeros(problem.shape), torch.tensor(0.5))
    x = problem.rng.normal(particles, *problem.shape[1:])
    return Estimate(x.mean(1), samples=x)
"""


def test_an_ensemble_is_asked_once_for_all_draws(cell, tmp_path):
    (tmp_path / "many.py").write_text(ENSEMBLE)
    words = (f"method={tmp_path / 'many.py'}:many", "prior=gaussian", "metrics=[psnr]", "+method.ensemble=particles")
    c = cell(*words, "draws=4")
    rows = rows_of(c)
    assert c.options == {"particles": 4} and cell(*words).options == {"particles": 7}
    assert rows["status"].tolist() == ["ok"] * 3 and rows["evaluations"].tolist() == [1] * 3
    kept = store.estimate(c, 1)
    assert kept.samples.shape[1] == 4 and torch.allclose(kept.x, kept.samples.mean(1))
    assert rows["mean_psnr"].tolist() == pytest.approx(rows["psnr"].tolist())
    wrong = rows_of(cell(*words, "draws=4", "method.solver.particles=3"))
    assert wrong["reason"].str.contains("an ensemble of 4 draws was asked for: it returned 3").all()


def test_what_is_done_is_not_drawn_again(noisy, monkeypatch):
    rows_of(noisy("draws=3", "images=[0,2]"))
    posed = []
    pose = Bench.pose
    monkeypatch.setattr(Bench, "pose", lambda self, images: posed.extend(images) or pose(self, images))
    assert len(rows_of(noisy("draws=3"))) == 3 and set(posed) == {1}


def test_a_metric_of_the_mean_is_computed_later_without_solving(noisy, monkeypatch):
    first = noisy("draws=4", "metrics=[psnr]")
    before = rows_of(first)
    both = rows_of(noisy("draws=4", f"results={first.results}-other"))
    more = noisy("draws=4")
    assert set(lacking(more)) == {0, 1, 2}
    monkeypatch.setattr(Bench, "solve", lambda *_: pytest.fail("solved again"))
    assert score_stored(more) == 3 and lacking(more) == {}
    after = store.read(more.folder)
    assert after["mean_ssim"].tolist() == pytest.approx(both["mean_ssim"].tolist(), rel=1e-6)
    assert after["coverage50"].tolist() == before["coverage50"].tolist()


def test_of_draws_that_are_not_small_mean_and_deviation_are_kept(noisy, monkeypatch):
    monkeypatch.setattr(packing, "SMALL", 1000)
    first, more = noisy("draws=4", "metrics=[psnr]"), noisy("draws=4")
    before = rows_of(first)
    assert store.estimate(first, 0).samples is None and score_stored(more) == 3
    after = store.read(more.folder)
    assert (after["mean_ssim"] > after["ssim"]).all()
    for name in ("mean_psnr", "spread", "coverage90"):
        assert after[name].tolist() == pytest.approx(before[name].tolist())


def test_draws_are_of_one_thing_before_they_are_averaged():
    """Where a measurement cannot tell an image from its flip, the mean of both would be neither."""
    x = Rng.of(0, "flips", range(2)).normal(2, 8, 8)
    samples = torch.stack([x, -x.flip(-2, -1)], 1)
    f = Operator((2, 2, 8, 8))
    assert Draws.of(samples, f).std.mean() > 0.5
    f.symmetries = ("sign", "flip")
    draws = Draws.of(samples, f)
    assert (draws.mean - x).abs().max() < 1e-6 and draws.std.max() < 1e-6


@pytest.mark.parametrize("word", ["draws=0", "draws=few", "draws=1.5"])
def test_draws_are_a_whole_number(noisy, word):
    with pytest.raises(UserError, match="draws is a whole number from 1 on"):
        noisy(word)


def test_a_figure_of_a_posterior_needs_one(cell):
    with pytest.raises(NotApplicable, match="posterior_ratio compares draws .*: faces is no density"):
        Bench.of(cell("method=pinv", "draws=2", "metrics=[posterior_ratio]"))
    with pytest.raises(NotApplicable, match="ask for some, as in draws=512"):
        Bench.of(cell("method=pinv", "metrics=[posterior_ratio]"))
    with pytest.raises(NotApplicable, match="phase_fourier is not linear"):
        words = ("dataset=field_smooth", "size=8", "degradation=phase_fourier", "metrics=[posterior_ratio]")
        Bench.of(cell("method=hio_er", "draws=2", *words))


def test_a_posterior_is_kept_for_the_size_that_it_is_of(noisy):
    """A density of somebody else's may take its size from the cell alone."""
    judges = []
    for size in (16, 32):
        words = "dataset=field_smooth", "~dataset.size", f"size={size}", "degradation=denoise", "draws=2", "images=1"
        bench = Bench.of(noisy(*words))
        judges += bench.posteriors([0], bench.pose([0]))(2)
    assert judges[0] is not judges[1]
