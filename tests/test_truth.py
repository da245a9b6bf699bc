"""The truth cannot reach a solver: one that looks everywhere does not find it, and finds it where it was left."""

import gc
from dataclasses import replace

import pytest
import torch

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from tests import seeker

IMAGES = [471_101, 471_102]  # no other test draws these


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr(seeker, "FOUND", [])
    words = ["dataset=faces", "degradation=inpaint70", "size=32", "prior=none", "metrics=[psnr]", f"images={IMAGES}"]
    cell = Cell.of(configs.compose(words), words)
    return Bench.of(replace(cell, method={"name": "seeker", "solver": {"_target_": "tests.seeker.seek"}}))


def seek(bench):
    """Run the seeker as any method is run; what it has found is in seeker.FOUND."""
    gc.collect()
    (row, *_) = bench.rows(IMAGES, None)
    assert row["status"] == "ok", row["reason"]
    assert len(seeker.FOUND) > 1


def likeness(x):
    """The highest correlation of a picture with any piece of any array that was found, channels first or last."""
    best, n = 0.0, x.numel()
    wanted = _standard(torch.stack([x.double().flatten(), x.double().permute(1, 2, 0).flatten()]))
    for array in seeker.FOUND:
        if array.numel() and array.numel() % n == 0 and array.numel() <= 1000 * n:
            best = max(best, float((_standard(array.reshape(-1, n).nan_to_num()) @ wanted.T).abs().max()))
    return best


def _standard(rows):
    return torch.nn.functional.normalize(rows - rows.mean(1, keepdim=True), dim=1)


def test_the_truth_is_nowhere(bench):
    seek(bench)
    for x in bench.cell.dataset.load(IMAGES):
        assert 0.2 < likeness(x) < 0.999  # y itself is alike


def in_setting(problem, x):
    return replace(problem, setting={**problem.setting, "hint": x})


def in_a_closure(problem, x):
    problem.f.hint = lambda: x
    return problem


def as_an_array(problem, x):
    problem.rng.hint = {"deep": [((x.permute(1, 2, 0).numpy().copy(),),)]}
    return problem


def behind_a_view(problem, x):
    both = torch.cat([problem.y, x[None]])
    return replace(problem, y=both[:-1])


def in_the_graph(problem, x):
    weight = torch.ones_like(x, requires_grad=True)
    return replace(problem, y=problem.y + 0 * (weight * x))


LEAKS = [in_setting, in_a_closure, as_an_array, in_the_graph, behind_a_view]


def test_what_leaks_is_found(bench, monkeypatch):
    """Each leak has a picture of its own, and one lies in a frame up the stack; the seeker gets hold of them all."""
    hidden = range(471_201, 471_201 + len(LEAKS) + 1)
    pose, once = Bench.pose, Bench._rows

    def leaky(self, images):
        problem = pose(self, images)
        for leak, index in zip(LEAKS, hidden, strict=False):
            problem = leak(problem, self.cell.dataset.load([index])[0].clone())
        return problem

    def careless(self, images, report, at_once):
        x = self.cell.dataset.load([hidden[-1]])
        rows = once(self, images, report, at_once)
        assert x is not None
        return rows

    monkeypatch.setattr(Bench, "pose", leaky)
    monkeypatch.setattr(Bench, "_rows", careless)
    seek(bench)
    found = {i: likeness(bench.cell.dataset.load([i])[0]) for i in (*hidden, 471_301)}
    assert found.pop(471_301) < 0.999
    assert min(found.values()) > 0.999, found
