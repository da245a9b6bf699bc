"""One cell: failures become rows, memory is halved, the truth stays out, the clock is the solver's."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch

from sipbench.bench import record, store, watch
from sipbench.bench.cell import NotApplicable
from sipbench.bench.run import Bench, run
from sipbench.datasets.faces import Faces
from sipbench.errors import UserError
from tests.bench.clock import CLOCK
from tests.bench.solved import rows_of


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return problem.y * float('nan')", "non-finite output"),
        ("return problem.y[:, :, :5]", "wrong shape: returned"),
        ("return 'nothing'", "wrong shape: returned str"),
        ("return problem.f.pinv(problem.y) * (1 + 1j)", "wrong kind: returned complex"),
        ("raise ArithmeticError('no such root')", "ArithmeticError: no such root"),
        ("raise torch.OutOfMemoryError('too big')", "out of memory with one image"),
    ],
)
def test_a_failure_is_a_row_with_its_reason(solver, body, reason):
    rows = rows_of(solver(body))
    assert rows["status"].tolist() == ["failed"] * 3
    assert all(r.startswith(reason) for r in rows["reason"])


def test_a_network_for_other_channels_is_said(cell):
    """torch said that groups=1 and that a weight has a size."""
    grey = ["dataset=photos", "dataset.grey=true", "size=64", "images=1"]
    row = rows_of(cell("method=unet", "degradation=sr4", "trained_on=faces", *grey)).iloc[0]
    assert row["reason"].startswith("unet cannot do this: its network net is for images of 3 channels")


def test_a_prior_that_was_not_asked_for_and_is_of_other_images_is_not_even_loaded(cell, tmp_path, monkeypatch):
    """To load the one of the drawn faces takes seconds of a process, and it was set aside."""

    def load(cell, device):
        raise AssertionError("it was loaded")

    monkeypatch.setattr("sipbench.bench.run.load_prior", load)
    (tmp_path / "mine.py").write_text("def solve(problem):\n    return problem.f.pinv(problem.y)\n")
    mine = f"method={tmp_path / 'mine.py'}:solve"
    assert set(rows_of(cell(mine))["status"]) == {"ok"}
    with pytest.raises(AssertionError, match="it was loaded"):
        Bench.of(cell(mine, "size=64"))


def test_a_run_of_some_images_leaves_the_others(cell):
    whole = cell("method=pinv", "degradation=sr4", "images=5", "batch_size=2")
    done = [row["image"] for rows in run(whole, images=[2, 4]) for row in rows]
    assert done == [2, 4] and store.missing(whole) == [0, 1, 3]


def test_one_bad_image_does_not_spoil_its_batch(solver):
    rows = rows_of(solver("x = problem.y.clone()\nx[1] = float('inf')\nreturn x"))
    assert rows["status"].tolist() == ["ok", "failed", "ok"]
    assert rows["psnr"].notna().tolist() == [True, False, True]


def test_out_of_memory_halves_the_batch(solver):
    rows = rows_of(solver("if len(problem.y) > 1: raise torch.OutOfMemoryError('big')\nreturn problem.y"))
    assert rows["status"].tolist() == ["ok"] * 3 and rows["batch"].tolist() == [1] * 3


def test_an_image_that_cannot_be_read_is_named_and_the_others_go_on(cell, tmp_path):
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        Image.effect_noise((40, 40), 50 + i).convert("RGB").save(folder / f"{i}.png")
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:300])
    rows = rows_of(cell("dataset=folder", f"dataset.root={folder}", "method=pinv", "profile=demo", "size=32"))
    assert rows["status"].tolist() == ["ok", "failed", "ok"]
    assert "1.png" in rows["reason"][1]
    assert rows["image_id"][0].startswith("sha256:")


def test_a_launcher_that_puts_its_job_back_is_not_a_failure(solver):
    with pytest.raises(SystemExit):
        rows_of(solver("exec('raise SystemExit(-1)', {'__name__': 'submitit.core.job_environment'})"))


def test_an_interrupt_is_not_a_failure(solver):
    with pytest.raises(KeyboardInterrupt):
        rows_of(solver("raise KeyboardInterrupt"))


def test_what_a_method_shows_gives_curves_and_the_oracle(solver):
    rows = rows_of(
        solver("""
            for k in problem.steps(40):
                problem.show(problem.f.T(problem.y) * (1 if k == 3 else 0), loss=torch.ones(len(problem.y)) * k)
            return problem.y * 0
            """)
    )
    row = rows.iloc[0]
    steps = row["curve_step"].tolist()
    assert steps[:6] == [1, 2, 3, 4, 5, 7] and steps[-1] <= 40 and len(steps) < 20
    assert row["oracle_psnr"] == pytest.approx(max(row["curve_psnr"])) and row["oracle_psnr"] > row["psnr"]
    assert row["curve_loss"].tolist() == [s - 1 for s in steps]


def test_a_metric_without_a_better_side_has_no_best_along_the_way(monkeypatch):
    from sipbench import metrics
    from sipbench.bench.score import oracle

    own = {"psnr": metrics.METRICS["psnr"], "level": metrics.Metric(metrics.psnr, None, "level")}
    monkeypatch.setattr(metrics, "METRICS", own)
    best = oracle(["psnr", "level"], {"psnr": 3.0, "level": 3.0}, {"psnr": [[5.0]], "level": [[1.0]]}, 0)
    assert best["oracle_psnr"] == 5.0 and math.isnan(best["oracle_level"])


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(watch, "time", CLOCK)
    return CLOCK


def test_what_is_done_with_a_shown_image_is_not_on_the_clock(clock):
    class Dear:
        device = torch.device("cpu")

        def detach(self):
            clock.tick(5)
            return torch.zeros(1)

    follow = watch.Follow()
    follow.start()
    clock.tick(1)
    follow.show(Dear(), None)  # pyright: ignore
    clock.tick(2)
    assert follow.seconds == 3
    assert follow.snapshots[0].seconds == 1


def test_the_budget_ends_the_loop(solver, clock):
    rows = rows_of(
        solver(
            """
            from tests.bench.clock import CLOCK
            n = 0
            for k in problem.steps(10_000):
                CLOCK.tick(0.25); n += 1
            return problem.y * 0 + n / 10_000
            """,
            "budget_seconds=2",
            "images=1",
        )  # fmt: skip
    )
    assert rows["status"][0] == "ok" and rows["seconds"][0] == 2


def test_a_row_says_what_it_takes_to_repeat_it(cell):
    row = rows_of(cell("method=pinv", "images=1")).iloc[0]
    for name in ("cell", "seed", "protocol", "device", "version_torch", "python", "options", "weights", "y_sha256"):
        assert row[name] is not None and row[name] == row[name], name
    assert row["image_id"] == "faces-2/test/0" and row["evaluations"] == 0
    assert row["residual_ratio"] == pytest.approx(row["residual"] / 0.01)


def test_network_evaluations_are_counted(cell, tiny_prior):
    row = rows_of(cell("method=dps", "method.solver.steps=4", "images=2", *tiny_prior)).iloc[0]
    assert row["evaluations"] == 4 and math.isfinite(row["psnr"])


def test_methods_face_the_same_measurement(cell, tmp_path, tiny_prior):
    hashes = []
    for words in (
        ["method=pinv"],
        ["method=dps", "method.solver.steps=2", *tiny_prior],
        ["method=pinv", "batch_size=1"],
    ):
        hashes.append(rows_of(cell(*words, f"results={tmp_path / str(len(hashes))}"))["y_sha256"].tolist())
    assert hashes[0] == hashes[1] == hashes[2] and len(set(hashes[0])) == 3


def test_an_impossible_combination_says_why(cell, tiny_prior):
    with pytest.raises(NotApplicable, match="dps needs a prior"):
        Bench.of(cell("method=dps", "prior=none"))
    with pytest.raises(NotApplicable, match="is for \\(3, 32, 32\\)"):
        Bench.of(cell("method=dps", "size=64", *tiny_prior))
    with pytest.raises(UserError, match="missing checkpoint 'unet-faces-32-sr4'.*sipbench train net"):
        Bench.of(cell("method=unet"))
    with pytest.raises(UserError, match="needs a size divisible by 4"):
        Bench.of(cell("method=pinv", "size=34"))


def test_corrupt_and_misfitting_checkpoints(cell, tiny_prior, tmp_path):
    import shutil
    from pathlib import Path

    folder = tmp_path / "copy"
    shutil.copytree(Path(tiny_prior[1].partition("=")[2]), folder)
    words = ["method=dps", "prior=diffusers", f"prior.path={folder}"]
    file = folder / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="corrupt checkpoint"):
        Bench.of(cell(*words))
    file.write_bytes(whole)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"in_channels": 3', '"in_channels": 4'))
    with pytest.raises(UserError, match="does not fit|corrupt"):
        Bench.of(cell(*words))


def test_a_target_that_makes_no_prior_is_said(cell):
    with pytest.raises(UserError, match=r"sipbench.api.pose makes a tuple, and no prior: .*prior=NAME"):
        Bench.of(cell("method=dps", "prior=none", "prior._target_=sipbench.api.pose"))


def test_nothing_draws_from_the_global_streams(cell, tiny_prior):
    before = torch.random.get_rng_state()
    rows_of(cell("method=dps", "method.solver.steps=2", *tiny_prior))
    assert torch.equal(before, torch.random.get_rng_state())


def test_code_that_was_edited_after_its_cell_was_named_is_refused(solver):
    """The row would bear the hash of the code before, and the result of the code after."""
    c = solver("return problem.f.pinv(problem.y)")
    assert c.hash
    solver("return 2 * problem.f.pinv(problem.y)")
    with pytest.raises(UserError, match="faces / inpaint70 / mine: its code was changed while this ran: run it again"):
        run(c)
    assert not list(c.folder.glob("rows-*"))


def test_so_is_that_of_another_part(cell, tmp_path):
    path = tmp_path / "mine.py"
    text = "from sipbench.operators.colour import Denoise\n\nclass Op(Denoise):\n    factor = 1\n"
    path.write_text(text)
    c = cell("method=pinv", "degradation=denoise", f"degradation.operator._target_={path}:Op")
    assert list(c.identity["code"]) == ["mine.py:Op"]
    path.write_text(text.replace("1", "2"))
    with pytest.raises(UserError, match="its code was changed while this ran"):
        run(c)


def test_memory_that_cannot_be_told_is_no_number(monkeypatch):
    monkeypatch.setattr(watch, "_status", lambda key: float("nan"))  # a machine without /proc
    assert math.isnan(watch.PeakMemory(torch.device("cpu")).read())


def test_a_prior_that_is_counted_can_be_copied():
    """A solver may adapt a copy of what it was lent, and what it asks of that counts."""
    lent = watch.Counted(SimpleNamespace(denoise=lambda x, t: x, shape=(1, 2, 2)))
    for copied in (copy.deepcopy(lent), copy.copy(lent)):
        assert copied.shape == (1, 2, 2)
        copied.denoise(torch.zeros(3, 1), torch.zeros(1))
    assert lent.evaluations == 6


def test_a_machine_without_git_runs_a_checkout(solver, monkeypatch):
    """As a container does that has the repository mounted; its rows say no commit."""
    monkeypatch.setenv("PATH", "/nonexistent")
    record.versions.cache_clear()
    rows = rows_of(solver("return problem.y"))
    record.versions.cache_clear()
    assert rows["status"].tolist() == ["ok"] * 3 and set(rows["commit"]) == {""}


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda x: (x + 1) * 127.5, "values from"),
        (lambda x: (x * 100).byte(), "torch.uint8 numbers"),
        (lambda x: x[..., :30, :], r"a tensor of \(3, 3, 30, 32\)"),
        (lambda x: x[:, :1], r"a tensor of \(3, 1, 32, 32\)"),
        (lambda x: x / 0, "values that are not finite"),
        (lambda x: x.numpy(), "a ndarray"),
    ],
    ids=["0 to 255", "bytes", "height", "channels", "infinite", "numpy"],
)
def test_images_that_are_not_what_a_dataset_gives_are_refused(cell, monkeypatch, spoilt, said):
    load = Faces.load
    monkeypatch.setattr(Faces, "load", lambda self, indices: spoilt(load(self, indices)))
    with pytest.raises(UserError, match=f"the dataset faces: load gives {said}.*in .-1, 1."):
        list(run(cell("method=pinv", "metrics=[psnr]")))


def test_steps_below_nothing_are_no_steps(cell):
    rows = [row for rows in run(cell("method=tv", "method.solver.iterations=-5", "images=1")) for row in rows]
    assert rows[0]["status"] == "failed" and "-5 steps cannot be taken" in rows[0]["reason"]


def test_a_forward_map_that_mixes_images_is_refused(cell, tmp_path):
    """One by one it makes the y of each image, of a batch one for all of them."""
    (tmp_path / "mixer.py").write_text(
        "from sipbench.operators.base import LinearOperator\n\n\n"
        "class Mixer(LinearOperator):\n"
        "    def __init__(self, shape, rng):\n        super().__init__(shape, rng.device)\n\n"
        "    def forward(self, x):\n        return x.mean(0, keepdim=True)\n\n"
        "    def T(self, y):\n        return y.expand(self.shape) / self.shape[0]\n"
    )
    c = cell("method=pinv", f"degradation.operator._target_={tmp_path}/mixer.py:Mixer", "~degradation.operator.factor")
    with pytest.raises(UserError, match="its forward map makes .1, 3, 32, 32. of 3 images, one by one .3, 3, 32, 32."):
        list(run(c))
