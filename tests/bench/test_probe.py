"""A probe watches a solve and adds columns; in all else its cell is a cell like any other."""

import textwrap
from dataclasses import replace

import pytest

from sipbench import configs, metrics
from sipbench.bench import identity, protocol, store, watch
from sipbench.bench.cell import Cell
from sipbench.bench.rescore import lacking, score_stored
from sipbench.bench.run import Bench, run
from sipbench.errors import UserError
from sipbench.report import wandb
from tests import seeker
from tests.bench.clock import CLOCK
from tests.bench.solved import rows_of
from tests.test_truth import IMAGES, likeness

WALK = """
    for k in problem.steps(12):
        problem.show(problem.f.T(problem.y) * (1.2 - abs(k - 5) / 10), loss=torch.full((len(problem.y),), float(k)))
    return problem.f.T(problem.y)
    """
RULES = ["probe=early_stopping", "~probe.rules.self_validation", "probe.rules.wmv.window=4", "metrics=[psnr]"]
OWN = """
import torch
from sipbench.bench.probe import Seen

class Own:
    def __init__(self, problem):
        self.last, self.moves = None, []

    def show(self, k, x_hat, loss):
        {show}
        if self.last is not None:
            self.moves.append((x_hat - self.last).flatten(1).norm(dim=1))
        self.last = x_hat

    def seen(self, seconds):
        {seen}
        return Seen({{"farthest": torch.stack(self.moves).amax(0).tolist()}}, chosen={{"newest": self.last}})
"""


@pytest.fixture
def watched(solver):
    """A cell with a solver of these lines and rules that look on."""
    return lambda body=WALK, *words: solver(body, *RULES, *words)


@pytest.fixture
def own(solver, tmp_path):
    """A cell with a probe in a file of one's own, in which something is put in the place of a line."""

    def make(body=WALK, show="pass", seen="pass", words=()):
        (tmp_path / "probe.py").write_text(OWN.format(show=show, seen=seen))
        return solver(body, "+probe.name=own", f"+probe._target_={tmp_path / 'probe.py'}:Own", "metrics=[psnr]", *words)

    return make


def test_a_cell_without_a_probe_is_named_as_ever(cell):
    plain, probed = cell("method=pinv"), cell("method=pinv", "probe=early_stopping")
    assert plain.probe is None and "probe" not in plain.identity
    assert replace(probed, probe=None).hash == plain.hash != probed.hash
    assert {k: v for k, v in probed.identity.items() if k not in ("probe", "code")} == plain.identity


def test_all_that_a_probe_does_names_its_cell(cell, monkeypatch):
    before = cell("method=pinv", "probe=early_stopping")
    for word in ("probe.every=2", "probe.rules.wmv.window=7", "~probe.rules.emv"):
        assert cell("method=pinv", "probe=early_stopping", word).hash != before.hash
    assert cell("method=pinv", "probe=early_stopping", "probe.title=another").hash == before.hash
    real = configs.code_hash
    monkeypatch.setattr(
        identity.configs, "code_hash", lambda t: real(t) + "!" * t.startswith("baselines.common.stopping")
    )
    assert cell("method=pinv", "probe=early_stopping").hash != before.hash


def test_rows_have_what_each_rule_chose_and_the_best_of_all(watched):
    c = watched()
    rows = rows_of(c)
    assert rows["status"].tolist() == ["ok"] * 3 and rows["probe"].tolist() == ["early_stopping"] * 3
    for row in rows.to_dict("records"):
        along = list(row["along_psnr"])
        assert list(row["along_step"]) == list(range(12)) and list(row["along_loss"]) == list(range(12))
        assert row["best_stopped"] == max(range(12), key=along.__getitem__)
        assert row["best_psnr"] == pytest.approx(max(along), abs=1e-9)
        for name in ("wmv", "emv", "fixed"):
            assert row[f"{name}_psnr"] == pytest.approx(along[row[f"{name}_stopped"]], abs=0.01)
            assert row[f"oracle_{name}_psnr"] == row["best_psnr"]
            assert row[f"{name}_gap"] == row["best_psnr"] - row[f"{name}_psnr"] and row[f"{name}_share"] > 0
            assert row[f"{name}_residual_ratio"] > 0 and row[f"{name}_until"] == 12
        assert row["fixed_stopped"] == 11 and row["wmv_stopped"] == 6  # of the window 3 to 6
        assert row["fixed_seconds"] == pytest.approx(row["seconds"] * (1 + row["fixed_share"]))


def test_every_so_many_iterates_are_kept(watched):
    row = rows_of(watched(WALK, "probe.every=5", "images=1")).iloc[0]
    assert list(row["along_step"]) == [0, 5, 10] and row["best_stopped"] in (0, 5, 10) and row["fixed_stopped"] == 11


def test_a_probe_of_ones_own(own):
    rows = rows_of(own())
    assert rows["farthest"].gt(0).all() and rows["newest_psnr"].notna().all() and "newest_gap" not in rows


def test_what_a_probe_does_is_not_on_the_clock(own, monkeypatch):
    monkeypatch.setattr(watch, "time", CLOCK)
    body = """
        from tests.bench.clock import CLOCK
        for k in range(4):
            CLOCK.tick(1)
            problem.show(problem.y)
        return problem.y
        """
    rows = rows_of(own(body, show="from tests.bench.clock import CLOCK; CLOCK.tick(50)"))
    assert rows["status"].tolist() == ["ok"] * 3 and rows["seconds"].sum() == 4


def test_a_probe_cannot_alter_what_the_solver_works_on(own):
    body = "x = problem.f.T(problem.y)\nfor k in range(3):\n    problem.show(x)\nreturn x"
    spoiling = rows_of(own(body, show="x_hat.zero_()"))["psnr"].tolist()
    assert spoiling == rows_of(own(body, words=["method.name=again"]))["psnr"].tolist()


def test_the_truth_is_not_where_the_probe_is(monkeypatch):
    monkeypatch.setattr(seeker, "FOUND", [])
    words = ["dataset=faces", "degradation=inpaint70", "size=32", "prior=none", "metrics=[psnr]", f"images={IMAGES}"]
    words += ["probe=early_stopping"]
    bench = Bench.of(replace(Cell.of(configs.compose(words), words), method=SEEKER))
    bench.rows(IMAGES, None)
    assert len(seeker.FOUND) > 1
    assert max(likeness(x) for x in bench.cell.dataset.load(IMAGES)) < 0.999


SEEKER = {"name": "seeker", "solver": {"_target_": "tests.seeker.seek"}}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"body": "raise ArithmeticError('no such root')"}, "ArithmeticError: no such root"),
        ({"show": "raise ArithmeticError('no such rule')"}, "ArithmeticError: no such rule (probe.py:10)"),
        ({"seen": "return Seen({'farthest': [1.0]})"}, "ValueError: the probe's column farthest has 1 values for 3"),
        ({"seen": "return Seen({'psnr': [1.0] * 3})"}, "ValueError: the probe's column psnr has the name of a column"),
        ({"seen": "return Seen({'ssim': [1.0] * 3})"}, "ValueError: the probe's column ssim has the name of a column"),
        ({"seen": "return Seen({'kept': [True] * 3})"}, "ValueError: the probe's column kept has the name of a column"),
        ({"seen": "return Seen(chosen={'a': self.last[:1]})"}, "ValueError: the probe's iterate a is (1, 3, 32, 32)"),
    ],
)  # fmt: skip
def test_a_failure_is_a_row_with_its_reason(own, how, reason):
    rows = rows_of(own(**how))
    assert rows["status"].tolist() == ["failed"] * 3 and rows["reason"][0].startswith(reason)


def test_a_method_that_shows_nothing_fails_and_says_so(watched):
    rows = rows_of(watched("return problem.y"))
    assert rows["reason"][0].startswith("RuntimeError: the method showed no iterate")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["probe.evry=2"], "unknown option"),
        (["+probe.evry=2"], "probe early_stopping: unknown option 'evry'"),
        (["probe.every=often"], "probe early_stopping: every is a whole number, not 'often'"),
        (["probe.every=0"], "every is a whole number from 1 on, not 0"),
        (["+probe.rules.best=${probe.rules.wmv}"], "best is the name of the iterate"),
        (["probe.rules.wmv.rule=wvm"], "unknown stopping rule 'wvm'"),
        (["probe=early"], "unknown probe 'early'. Did you mean early_stopping"),
    ],
)
def test_mistakes_are_one_plain_line(watched, words, said):
    with pytest.raises(UserError, match=said.replace("(", r"\(")):
        rows_of(watched(WALK, *words))


def test_out_of_memory_halves_the_batch(watched, tmp_path):
    """Which leaves what the probe says as it is in one batch."""
    halved = rows_of(watched("if len(problem.y) > 1: raise torch.OutOfMemoryError('big')" + textwrap.dedent(WALK)))
    whole = rows_of(watched(WALK, f"results={tmp_path / 'other'}"))
    assert halved["batch"].tolist() == [1] * 3 and whole["batch"].tolist() == [3] * 3
    for name in ("wmv_stopped", "best_stopped", "wmv_psnr", "emv_psnr", "best_psnr"):
        assert halved[name].tolist() == pytest.approx(whole[name].tolist()), name


def test_memory_that_a_probe_runs_out_of_halves_the_batch_too(own):
    rows = rows_of(own(show="if len(x_hat) > 1: raise torch.OutOfMemoryError('big')"))
    assert rows["batch"].tolist() == [1] * 3 and rows["newest_psnr"].notna().all()


def test_what_was_done_before_a_kill_is_not_done_again(watched):
    c = watched(WALK, "batch_size=1")
    batches = run(c)
    assert [row["image"] for row in next(batches)] == [0]
    batches.close()
    assert [row["image"] for rows in run(c) for row in rows] == [1, 2] and not list(run(c))
    assert store.read(c.folder)["wmv_psnr"].notna().all()


def test_a_score_that_is_asked_for_later_is_of_what_each_rule_chose_too(watched, monkeypatch, tmp_path):
    """To the last digit: a rule's iterate is kept as it was."""
    list(run(watched()))
    more = watched(WALK, "metrics=[psnr,ssim]")
    monkeypatch.setattr(Bench, "solve", lambda *_: pytest.fail("solved again"))
    assert set(lacking(more)) == {0, 1, 2} and score_stored(more) == 3 and lacking(more) == {}
    monkeypatch.undo()
    later = store.read(more.folder)
    at_once = rows_of(watched(WALK, "metrics=[psnr,ssim]", f"results={tmp_path / 'other'}"))
    for name in ("ssim", "wmv_ssim", "emv_ssim", "best_ssim", "fixed_ssim_gap"):
        assert later[name].tolist() == at_once[name].tolist(), name


def test_a_score_by_older_metrics_is_made_anew(watched, monkeypatch):
    c = watched()
    before = rows_of(c)
    newer = protocol.versions()["metrics"] + 1
    monkeypatch.setattr(protocol, "versions", lambda: {**dict.fromkeys(protocol.PARTS, 1), "metrics": newer})
    kept = metrics.METRICS["psnr"]
    monkeypatch.setitem(metrics.OWN, "psnr", kept.__class__(lambda a, b: 2 * kept.function(a, b), True, "PSNR"))
    assert score_stored(c) == 3
    after = store.read(c.folder)
    for name in ("wmv_psnr", "best_psnr", "wmv_gap"):
        assert after[name].tolist() == pytest.approx((2 * before[name]).tolist()), name


def test_nothing_is_kept_where_nothing_is_to_be_kept(watched):
    c = watched(WALK, "keep_images=false")
    assert rows_of(c)["wmv_psnr"].notna().all() and store.chosen(c, c.images) == {}


def test_wandb_is_told_of_it(watched):
    rows = [row for batch in run(watched()) for row in batch]
    means = wandb._means(rows)
    assert {"mean/psnr", "mean/wmv_psnr", "mean/wmv_gap"} <= set(means)
    assert not any("along" in name for name in means)
    points = [point for point in wandb.curves(rows) if "along/psnr" in point]
    assert [point["along/step"] for point in points] == list(range(12)) and points[3]["along/loss"] == 3
    assert wandb._told("wmv_psnr") and not wandb._told("along_psnr")


def test_the_probe_of_the_page_runs_as_it_stands(solver, tmp_path):
    page = (configs.root().parent / "docs" / "probes.md").read_text()
    (code,) = [block.partition("```")[0] for block in page.split("```python\n")[1:]]
    (tmp_path / "page.py").write_text(code)
    rows = rows_of(solver(WALK, "+probe.name=moves", f"+probe._target_={tmp_path / 'page.py'}:Moves", "metrics=[psnr]"))
    assert rows["status"].tolist() == ["ok"] * 3
    assert len(rows["along_move"][0]) == 11 and rows["farthest"].gt(0).all() and rows["calm_psnr"].notna().all()


def test_a_rule_is_one_more_word(watched):
    words = "{_target_: baselines.common.stopping.make_stopper, rule: emv, patience: 3}"
    row = rows_of(watched(WALK, f"+probe.rules.short={words}", "images=1")).iloc[0]
    assert row["short_stopped"] == 11 and row["short_psnr"] == row["fixed_psnr"]
