"""The truth cannot reach a solver: one that looks everywhere does not find it, and finds it where it was left."""

import gc
from dataclasses import replace

import pytest
import torch

from sipbench import configs
from sipbench.bench import Bench
from sipbench.cell import Cell
from tests import seeker

IMAGES = [471_101, 471_102]  # no other test draws these


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(seeker, "FOUND", [])
    words = ["dataset=faces", "degradation=inpaint70", "size=32", "prior=none", "metrics=[psnr]", f"images={IMAGES}"]
    cell = Cell.of(configs.compose(words), words)
    cell.cfg["method"] = {"name": "seeker", "solver": {"_target_": "tests.seeker.seek"}}
    return Bench.of(cell)


def likeness(candidates, truth):
    """The highest correlation of any image of the truth with any piece of any array, channels first or last."""
    best, n = 0.0, truth[0].numel()
    wanted = torch.stack([x.double().flatten() for x in truth] + [x.double().permute(1, 2, 0).flatten() for x in truth])
    wanted = torch.nn.functional.normalize(wanted - wanted.mean(1, keepdim=True), dim=1)
    for array in candidates:
        pieces = array.flatten()
        if not len(pieces) or len(pieces) % n or len(pieces) > 1000 * n:
            continue
        pieces = pieces.view(-1, n).nan_to_num()
        pieces = torch.nn.functional.normalize(pieces - pieces.mean(1, keepdim=True), dim=1)
        best = max(best, float((pieces @ wanted.T).abs().max()))
    return best


def seek(bench):
    """What the seeker found when it was run as any method is, and the truth, drawn only afterwards."""
    gc.collect()
    (row, *_) = bench.attempt(IMAGES, None)
    assert row["status"] == "ok", row["reason"]
    assert len(seeker.FOUND) > 1
    return likeness(seeker.FOUND, bench.cell.dataset.load(IMAGES))


def test_the_truth_is_nowhere(bench):
    found = seek(bench)
    assert 0.2 < found < 0.999  # y itself is alike


def in_setting(problem, x):
    return replace(problem, setting={**problem.setting, "hint": x})


def in_a_closure(problem, x):
    problem.f.hint = lambda: x
    return problem


def as_an_array(problem, x):
    problem.rng.hint = {"deep": [(x.permute(0, 2, 3, 1).numpy().copy(),)]}
    return problem


def behind_a_view(problem, x):
    both = torch.cat([problem.y, x])
    return replace(problem, y=both[: len(x)])


def in_the_graph(problem, x):
    weight = torch.ones_like(x, requires_grad=True)
    return replace(problem, y=problem.y + 0 * (weight * x))


@pytest.mark.parametrize("leak", [in_setting, in_a_closure, as_an_array, behind_a_view, in_the_graph])
def test_a_leak_is_found(bench, monkeypatch, leak):
    pose = Bench.pose
    monkeypatch.setattr(Bench, "pose", lambda self, images: leak(pose(self, images), self.cell.dataset.load(images)))
    assert seek(bench) > 0.999


def test_a_truth_up_the_stack_is_found(bench, monkeypatch):
    one_batch = Bench.one_batch

    def careless(self, images, report):
        x = self.cell.dataset.load(images)
        rows = one_batch(self, images, report)
        assert x is not None
        return rows

    monkeypatch.setattr(Bench, "one_batch", careless)
    assert seek(bench) > 0.999
