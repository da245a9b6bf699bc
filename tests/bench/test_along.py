"""The probe of residuals."""

import pytest

from sipbench import configs
from sipbench.bench.along import Residuals
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.errors import UserError

WORDS = ["degradation=sr4", "size=32", "images=2", "probe=residual"]


def rows(*words):
    words = [*WORDS, *words]
    return Bench.of(Cell.of(configs.compose(words), words)).rows([0, 1], None)


def test_each_iterate_has_its_residual_and_what_was_spent_until_then():
    made = rows("method=ddrm", "prior=gaussian", "method.solver.steps=6")
    for row in made:
        assert row["along_step"] == list(range(6)) and row["along_evaluations"] == [1, 2, 3, 4, 5, 6]
        assert len(row["along_residual"]) == 6 and row["along_residual"][-1] == pytest.approx(row["residual_ratio"])
        assert row["along_residual"][0] > row["along_residual"][-1]
    assert made[0]["along_residual"] != made[1]["along_residual"]


def test_it_is_of_the_true_map_and_noise_as_the_residual_of_a_row_is():
    """Also where the solver is told others."""
    told = ["+degradation.told.noise.sigma=0.03", "+degradation.told.operator.shift=1", "degradation=inpaint70"]
    [row, _] = rows("method=ddrm", "prior=gaussian", "method.solver.steps=4", *told)
    assert row["along_residual"][-1] == pytest.approx(row["residual_ratio"]) and row["residual_ratio"] > 3


def test_a_probe_and_a_solver_have_no_part_in_common():
    words = [*WORDS, "degradation=inpaint70", "method=tv"]
    bench, handed = Bench.of(Cell.of(configs.compose(words), words)), {}
    solver, residuals = bench.cell.solver, Residuals
    bench.cell.__dict__["solver"] = lambda problem, **o: handed.update(solver=problem) or solver(problem, **o)

    def look(problem, **options):
        handed["probe"] = problem
        return residuals(problem, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sipbench.bench.along.Residuals", look)
        bench.rows([0, 1], None)
    own = {who: [p.y, *p.f.buffers()] for who, p in handed.items()}
    places = {who: {part.data_ptr() for part in parts} for who, parts in own.items()}
    assert len(own["probe"]) == len(own["solver"]) > 1 and not places["probe"] & places["solver"]


def test_every_so_many_and_a_solver_without_a_prior():
    [row, _] = rows("method=tv", "probe.every=5")
    assert row["along_step"][:3] == [0, 5, 10] and set(row["along_evaluations"]) == {0}
    with pytest.raises(UserError, match="every is a whole number from 1 on, not 0"):
        rows("method=tv", "probe.every=0")


def test_a_blind_map_is_refused():
    with pytest.raises(UserError, match="needs a forward map that is told whole"):
        rows("degradation=blind_gaussian", "degradation.operator.size=5", "method=pan_l0")


def test_the_clock_counts_steps_and_belongs_to_a_batch_size():
    words = ["degradation=sr4", "size=32", "images=2", "probe=clock", "method=tv"]
    one, two = (Cell.of(configs.compose(w), w) for w in (words, [*words, "batch_size=1"]))
    assert one.hash != two.hash and (one.probe["batch"], two.probe["batch"]) == (8, 1)
    [row, other] = Bench.of(one).rows([0, 1], None)
    assert row["steps"] == other["steps"] > 1
    assert row["seconds_a_step"] * row["steps"] == pytest.approx(row["seconds"])
