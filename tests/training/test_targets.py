"""What an estimate is held against in training: x, its representative, or y."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from sipbench import configs, tables
from sipbench.degradation import Degradation
from sipbench.errors import UserError
from sipbench.operators.breaking import break_symmetry
from sipbench.operators.symmetries import SYMMETRIES
from sipbench.problem import Rng
from sipbench.training.losses import ERRORS, posed, restoration_loss

NODE = configs.read("degradation", "phase_bragg")


def loss(answer, target, x):
    """The loss of a solver that answers so, on noise-free far fields of x."""
    node = NODE | {"noise": {"_target_": "sipbench.noise.Gaussian", "sigma": 0.0}}
    value = restoration_loss(Degradation.of(node), lambda problem, net: answer(problem), "l1", target)
    return float(value(nn.Identity(), x, Rng.of(0, "targets", range(len(x)))))


def test_each_target_is_met_by_its_own_answer():
    x = Rng.of(0, "x", [0, 1]).normal(2, 16, 16)
    broken = break_symmetry(x, ("phase", "shift", "conjugate_flip"))
    other = SYMMETRIES["shift"](SYMMETRIES["conjugate_flip"](x, Rng.of(1, "g", [0, 1])), Rng.of(2, "g", [0, 1]))
    nothing = {
        "truth": {"x": True, "broken": False, "other": False},
        "representative": {"x": False, "broken": True, "other": False},
        "measurement": {"x": True, "broken": True, "other": True},
    }
    for target, expected in nothing.items():
        for name, answer in {"x": x, "broken": broken, "other": other}.items():
            assert (loss(lambda problem, a=answer: a, target, x) < 1e-5) == expected[name], (target, name)


def test_an_image_that_is_met_exactly_does_not_spoil_the_gradient():
    """A root has no slope at zero: without noise what is measured may be the image itself."""
    d = torch.tensor([0.3, 0.0, -0.4]).view(3, 1, 1, 1).expand(3, 1, 2, 2).clone().requires_grad_()
    ERRORS["rms"](d).backward()
    expected = torch.tensor([1.0, 0.0, -1.0]).view(3, 1, 1, 1).expand_as(d) / 12
    torch.testing.assert_close(d.grad, expected)
    assert ERRORS["rms"](d.detach() / 0).isnan()


def test_a_representative_is_the_same_for_all_of_an_orbit():
    x = Rng.of(0, "x", [0, 1]).normal(2, 16, 16)
    g = Rng.of(1, "g", [0, 1])
    answer = Rng.of(2, "answer", [0, 1]).normal(2, 16, 16)
    losses = [loss(lambda problem: answer, "representative", v) for v in (x, SYMMETRIES["phase"](x, g))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_another_target_is_refused_and_another_lesson():
    with pytest.raises(UserError, match="unknown target 'trut'.*truth"):
        restoration_loss(Degradation.of(NODE), lambda problem, net: problem.y, target="trut")
    spec = tables.load("far_field", "demo", ["method=far_field", "degradation=images64"])
    entries = {entry.row.name: entry.cell.lessons["net"] for entry in spec.planned}
    assert len({lesson.name for lesson in entries.values()}) == len(entries)
    truth = entries["truth"]
    assert "target" not in truth.made_of and replace(truth, target="representative").made_of["target"]


def test_the_problem_is_posed_as_before():
    x = Rng.of(0, "x", [0]).normal(2, 16, 16)
    unknown, problem = posed(Degradation.of(NODE), x, Rng.of(0, "targets", [0]))
    assert torch.equal(unknown, x) and problem.y.shape == (1, 1, 16, 16)
