"""The truth of pairs: it joins at the score alone, is laid where the metrics look, and is used again from the store."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

import sipbench
from sipbench import configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.rescore import lacking, score_stored
from sipbench.bench.run import Bench
from sipbench.datasets.pairs import Pairs
from sipbench.errors import UserError
from sipbench.metrics import psnr
from tests import made_pairs as pairs

from .solved import rows_of

METRICS = "metrics=[psnr,ssim,psnr_aligned]"
BLIND = ["degradation=blind_unknown", "degradation.operator.size=9"]


def cell(root, *words):
    words = ["dataset=pairs", f"dataset.root={root}", f"results={root}-results", "prior=none", "method=pinv", *words]
    return Cell.of(configs.compose(words), words)


def blind(root, *words):
    return Bench.of(cell(root, *BLIND, *words), check=False)


@pytest.fixture
def mine(tmp_path):
    return pairs.folder(tmp_path / "mine")


def test_a_score_is_against_x_and_a_solver_gets_y(mine):
    rows = rows_of(cell(mine, "degradation=denoise", METRICS))
    data = Pairs(str(mine))
    y, x = data.load([0, 1]), torch.stack([data.references(i)[0] for i in (0, 1)])
    assert rows["psnr"].tolist() == pytest.approx(psnr(y, x).tolist(), abs=1e-3)
    assert (rows["status"] == "ok").all() and rows["ssim"].between(0, 1).all()
    assert rows["residual"].tolist() == pytest.approx([0, 0], abs=1e-6)  # x_hat is y itself
    problem = Bench.of(cell(mine, "degradation=denoise"), check=False).pose([0, 1])
    assert torch.equal(problem.y, y)


def test_another_truth_changes_the_score_and_nothing_that_a_solver_sees(mine):
    """Also the names of the files, which a solver could look for, are not in the problem."""
    words = ["degradation=denoise", "method=tv", "method.solver.iterations=5", METRICS]
    first, c = rows_of(cell(mine, *words)), cell(mine, *words)
    kept = [store.estimate(c, i).x for i in (0, 1)]
    seen = Bench.of(cell(mine, *words), check=False).pose([0])
    for path in (mine / "x").iterdir():
        pairs.save(path, pairs.eight(1 - pairs.sharp()))
    second, c = rows_of(cell(mine, *words, f"results={mine}-other")), cell(mine, *words, f"results={mine}-other")
    again = Bench.of(cell(mine, *words), check=False).pose([0])
    assert all(torch.equal(kept[i], store.estimate(c, i).x) for i in (0, 1))
    assert first["y_sha256"].tolist() == second["y_sha256"].tolist()
    assert not set(first["psnr"]) & set(second["psnr"])
    assert torch.equal(seen.y, again.y) and seen.rng.keys == again.rng.keys
    for name, value in seen.setting.items():
        assert str(mine) not in f"{name} {value}"
    assert {f.name for f in dataclasses.fields(seen)} & {"x", "truth"} == set()


def test_neither_the_kernel_nor_its_size_is_in_what_is_told(mine):
    """The box is that of the degradation, and f cannot draw."""
    problem = blind(mine).pose([0])
    assert problem.f.theta_shapes == {"kernel": (1, 9, 9)}
    with pytest.raises(RuntimeError, match="not told"):
        problem.f.draw(problem.rng)
    for value in vars(problem.f).values():
        assert not isinstance(value, torch.Tensor) or value.shape[-2:] != (7, 7)


def test_a_perfect_blind_estimate_is_perfect(mine):
    """y is the valid part: beyond it nobody knows x, and an estimate may be what it likes there."""
    bench = blind(mine)
    problem, data = bench.pose([0, 1]), Pairs(str(mine))
    assert problem.y.shape[-1] == 72 and problem.shape[-1] == 80
    x = torch.stack([data.references(i)[0] for i in (0, 1)])
    k = F.pad(torch.stack([data.kernel(i) for i in (0, 1)]), (1, 1, 1, 1))
    estimate = sipbench.Estimate(F.pad(x, (4, 4, 4, 4), value=0.3), theta={"kernel": k})
    words = [f"dataset.root={mine}", "degradation.operator.size=9", "metrics=[psnr,error_ratio]"]
    posed, truth = sipbench.pose("pairs", "blind_unknown", images=2, overrides=words)
    rows = sipbench.score(estimate, truth, posed)
    assert (rows["psnr"] > 60).all() and rows["kernel_similarity"].tolist() == pytest.approx([1, 1])
    assert (rows["error_ratio"] < 0.01).all()
    moved = sipbench.Estimate(estimate.x.roll(1, -1), theta={"kernel": k.roll(-1, -1)})
    assert (sipbench.score(moved, truth, posed)["psnr"] > 40).all()  # a shift is a symmetry
    turned = sipbench.Estimate(estimate.x, theta={"kernel": k.flip(-2, -1)})
    assert (sipbench.score(turned, truth, posed)["kernel_similarity"] < 0.9).all()


def test_what_is_known_of_x_is_compared_where_f_is_told_too(mine):
    """A known kernel and the valid part: x reaches beyond y, its truth does not."""
    words = ["degradation=deblur_file", f"degradation.operator.path={mine}/kernel/p0.npy"]
    bench = Bench.of(cell(mine, *words), check=False)
    problem = bench.pose([0])
    truth = bench.truth([0], problem)
    assert problem.shape[-1] == 78 and truth.x.shape == problem.shape and truth.within(problem.f) == (3, 3)
    estimate = F.pad(Pairs(str(mine)).references(0)[0][None], (3, 3, 3, 3), value=-1.0)
    rows = sipbench.bench.score.score_images(["psnr"], sipbench.Estimate(estimate), truth, problem)
    assert rows["psnr"][0] > 60


def test_an_x_of_the_size_that_f_looks_for_is_taken_whole(mine):
    for i in range(2):
        pairs.save(mine / "y" / f"p{i}.png", pairs.eight(pairs.sharp(i)[::4, ::4]))
    bench = Bench.of(cell(mine, "degradation=sr4"), check=False)
    problem = bench.pose([0])
    assert torch.equal(bench.truth([0], problem).x[0], Pairs(str(mine)).references(0)[0])
    assert problem.y.shape[-1] == 18


def test_an_x_of_the_size_of_y_is_no_truth_where_f_makes_smaller_images(mine):
    rows = rows_of(cell(mine, "degradation=sr4", "images=1", METRICS))
    assert rows["status"].tolist() == ["failed"]
    assert "x is (3, 72, 72), y is (3, 72, 72), and the degradation looks for (3, 288, 288)" in rows["reason"][0]


def test_a_box_that_is_larger_than_y_is_said_before_anything_is_solved(mine):
    with pytest.raises(UserError, match="box of 73 pixels .* 72 x 72: degradation.operator.size=72 or less"):
        Bench.of(cell(mine, "degradation=blind_unknown", "degradation.operator.size=73", "method=pan_l0"))


def test_a_kernel_that_the_box_does_not_hold_is_said_before_anything_is_solved(mine, monkeypatch):
    monkeypatch.setattr(Bench, "solve", lambda *_: pytest.fail("solved"))
    with pytest.raises(UserError, match=r"7 x 7.*box of 5 x 5.*size=7") as error:
        rows_of(cell(mine, "degradation=blind_unknown", "degradation.operator.size=5", "method=selfdeblur"))
    assert "\n" not in str(error.value)


def test_a_truth_of_another_size_is_a_failure_of_its_image(mine):
    pairs.save(mine / "x" / "p1.png", pairs.eight(pairs.sharp(1, 40)))
    rows = rows_of(cell(mine, "degradation=denoise", METRICS))
    assert rows["status"].tolist() == ["ok", "failed"]
    assert "x is (3, 40, 40), y is (3, 72, 72)" in rows["reason"][1]


def test_an_unreadable_truth_is_a_failure_of_its_image(mine):
    (mine / "x" / "p1.png").write_bytes(b"no picture")
    rows = rows_of(cell(mine, "degradation=denoise", METRICS))
    assert rows["status"].tolist() == ["ok", "failed"] and "p1.png: not an image" in rows["reason"][1]


def test_measurements_of_two_sizes_are_taken_one_by_one(mine):
    for place in ("x", "y"):
        pairs.save(mine / place / "p1.png", pairs.eight(pairs.sharp(1, 40)))
    rows = rows_of(cell(mine, "degradation=denoise", METRICS))
    assert rows["status"].tolist() == ["ok", "ok"] and rows["psnr"][1] == float("inf")


def test_a_noise_level_counts_as_known_where_it_was_typed(mine):
    assert rows_of(cell(mine, "degradation=denoise", METRICS))["residual_ratio"].isna().all()
    typed = cell(mine, "degradation=denoise", "degradation.noise.sigma=0.2", METRICS)
    assert rows_of(typed)["residual_ratio"].notna().all()


def test_a_score_comes_of_the_store(mine, monkeypatch):
    first = cell(mine, "degradation=denoise", "metrics=[psnr]")
    rows_of(first)
    more = cell(mine, "degradation=denoise", "metrics=[psnr,ssim]")
    assert lacking(first) == {} and lacking(more) == {0: ["ssim"], 1: ["ssim"]}
    monkeypatch.setattr(Bench, "solve", lambda *_: pytest.fail("solved again"))
    assert score_stored(more) == 2 and lacking(more) == {}
    assert store.read(more.folder, ["image", "ssim"])["ssim"].notna().all()


@pytest.mark.parametrize("kernel", [True, False])
def test_a_score_that_needs_a_kernel_is_lacking_only_where_there_is_one(kernel, tmp_path):
    root = pairs.folder(tmp_path / "mine", 1, kernel)
    words = [*BLIND, "method=pan_l0", "++method.solver.iterations=1", "batch_size=1"]
    rows = rows_of(cell(root, *words, "metrics=[psnr]"))
    assert (rows["status"] == "ok").all(), rows["reason"].tolist()
    assert ("kernel_similarity" in rows) == kernel
    more = cell(root, *words, "metrics=[psnr,error_ratio]")
    assert lacking(more) == ({0: ["error_ratio"]} if kernel else {})
    score_stored(more)
    assert lacking(more) == {} and (not kernel or store.read(more.folder)["error_ratio"].gt(0).all())


def test_of_several_truths_the_nearest_counts(tmp_path):
    root = pairs.koehler(tmp_path / "k")
    bench = Bench.of(cell(root, "degradation=denoise", "dataset.layout=koehler"), check=False)
    problem = bench.pose([0])
    truth, frames = bench.truth([0], problem), Pairs(str(root), layout="koehler").references(0)
    assert torch.equal(truth.x[0], frames[2])
    for frame in frames:
        rows = sipbench.bench.score.score_images(["psnr"], sipbench.Estimate(frame[None]), truth, problem)
        assert rows["psnr"] == [float("inf")]


def test_a_shifted_estimate_finds_its_truth_too(tmp_path):
    """Where f tells no shift from another: each frame is turned a little further, and the third is asked for."""
    root = pairs.koehler(tmp_path / "k", turn=4.0)
    bench = blind(root, "dataset.layout=koehler")
    problem = bench.pose([0])
    truth, frames = bench.truth([0], problem), Pairs(str(root), layout="koehler").references(0)
    estimate = F.pad(frames[3][None], (4, 4, 4, 4), mode="replicate").roll((2, -1), (-2, -1))
    assert torch.equal(truth.like(estimate)[..., 4:-4, 4:-4], frames[3][None])
    values = sipbench.bench.score.score_images(["psnr"], sipbench.Estimate(estimate), truth, problem)
    assert values["psnr"][0] > 50


def test_a_pattern_is_scored_against_its_object(tmp_path):
    root = pairs.bragg(tmp_path / "b")
    bench = Bench.of(cell(root, "degradation=phase_bragg", "dataset.layout=bragg"), check=False)
    problem = bench.pose([0])
    truth = bench.truth([0], problem)
    assert truth.x.shape == problem.shape == (1, 2, 16, 16)
    assert torch.allclose(problem.f(truth.x), problem.y, atol=1e-5)  # x explains y as it lies
    turned = torch.view_as_real(torch.view_as_complex(truth.x[0].permute(1, 2, 0).contiguous()) * 1j).permute(2, 0, 1)
    found = sipbench.bench.score.score_images(["success"], sipbench.Estimate(turned[None].roll(3, -1)), truth, problem)
    assert found["success"] == [1.0]


def test_draws_are_held_against_the_truth(mine):
    words = [f"dataset.root={mine}", "images=1", "metrics=[psnr]"]
    problem, truth = sipbench.pose("pairs", "denoise", images=1, overrides=words[:1])
    samples = truth[:, None] + torch.linspace(-0.1, 0.1, 9).view(1, 9, 1, 1, 1)
    rows = sipbench.score(sipbench.Estimate(samples[:, 0], samples=samples), truth, problem, metrics=["psnr"])
    assert rows["mean_psnr"][0] > 60 and rows["coverage90"][0] == 1.0


def test_it_is_drawn(mine):
    from sipbench import cli

    words = ["dataset=pairs", f"dataset.root={mine}", *BLIND, "images=[0]", "prior=none"]
    assert cli.main(["show", *words, f"out={mine}/a.png"]) == 0 and (mine / "a.png").stat().st_size > 1000
