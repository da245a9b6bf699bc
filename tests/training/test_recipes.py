"""A cell with a recipe trains its networks and its prior itself: once, by the name of what makes them."""

import json
import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from sipbench import checkpoints, configs
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.run import Bench, run
from sipbench.cli import cell as cell_command
from sipbench.datasets.faces import Faces
from sipbench.errors import UserError
from sipbench.training.images import ENDLESS, Images
from sipbench.training.learned import prepare, wanted
from sipbench.training.lessons import Training
from sipbench.training.loop import Schedule, fit
from tests.training.test_train import train

SHORT = ["recipe=tradeoff", "recipe.images=2", "recipe.schedule.steps=2", "recipe.schedule.batch_size=2"]
SHORT += ["recipe.schedule.validate_every=1", "recipe.validation=2", "recipe.widths=[4,8]", "images=1", "size=32"]
SMALL_PRIOR = ["prior=learned", "prior.learned.network.block_out_channels=[8,8,8]"]


def cell(folder, *words):
    words = [*SHORT, f"results={folder}", "metrics=[psnr]", *words]
    return Cell.of(configs.compose(words), words)


def silent(_):
    pass


def test_a_cell_trains_its_network_and_tells_of_it(tmp_path):
    one = cell(tmp_path, "method=unet")
    with pytest.raises(UserError, match="not trained yet"):
        next(run(one))
    prepare(one, silent)
    (row,) = next(run(one))
    assert (row["status"], row["trained_on"], row["training_images"], row["training_subset"]) == ("ok", "faces", 2, 0)
    facts = json.loads(row["training"])["net"]
    assert set(facts["widths"]) == {"4", "8"} and row["training_seconds"] == facts["seconds"] > 0
    best = min(facts["widths"], key=facts["widths"].get)
    folder = one.lessons["net"].folder(tmp_path)
    assert checkpoints.read_json(folder / "config.json")["width"] == int(best)
    assert not wanted([one]) and not wanted([cell(tmp_path, "method=unet", "seed=3", "recipe.subset=0")])
    (other,) = wanted([cell(tmp_path, "method=unet", "seed=3")])
    assert other.subset == 3


def replaced(lesson, folder):
    """The lesson as another machine would have learned it; the hash of its weights."""
    file = lesson.weights(folder)
    state = {name: part + 1 for name, part in load_file(file).items()}
    save_file(state, file)
    facts = lesson.folder(folder) / "facts.json"
    told = checkpoints.read_json(facts) | {"sha256": checkpoints.sha256(file)}
    checkpoints.write_json(facts, told)
    return told["sha256"]


def test_rows_of_two_trainings_do_not_come_into_one_cell(tmp_path):
    one = cell(tmp_path, "method=unet")
    prepare(one, silent)
    list(run(one))
    replaced(one.lessons["net"], tmp_path)
    more = cell(tmp_path, "method=unet", "images=2")
    for isolate in (False, True):
        with pytest.raises(UserError, match=f"other weights of net .*: remove {one.folder}"):
            list(run(replace(more, isolate=isolate)))
    shutil.rmtree(one.folder)
    assert len([row for rows in run(more) for row in rows]) == 2


def test_rows_tell_of_the_weights_that_solved_them(tmp_path):
    """Not of those that lie there by then."""
    one = cell(tmp_path, "method=unet")
    prepare(one, silent)
    bench, before = Bench.of(one), checkpoints.sha256(one.lessons["net"].weights(tmp_path))
    replaced(one.lessons["net"], tmp_path)
    (row,) = bench.rows([0], None)
    assert json.loads(row["training"])["net"]["sha256"] == before
    with pytest.raises(UserError, match="were replaced"):
        Bench.of(one)


def test_its_name_is_known_before_it_is_trained(tmp_path):
    one = cell(tmp_path, "method=unet")
    before = one.hash
    prepare(one, silent)
    assert cell(tmp_path, "method=unet").hash == before
    for other in ("recipe.images=3", "recipe.subset=1", "recipe.schedule.lr=0.01", "recipe.error=l1"):
        assert cell(tmp_path, "method=unet", other).hash != before
    assert cell(tmp_path, "method=unet", "recipe.schedule.save_every=7").hash == before


def test_a_prior_serves_every_problem_and_a_network_one(tmp_path):
    cells = [cell(tmp_path, f"method={m}", f"degradation={d}", *SMALL_PRIOR)
             for m in ("ddrm", "unet") for d in ("sr4", "inpaint70")]  # fmt: skip
    assert sorted(lesson.part for lesson in wanted(cells)) == ["net", "net", "prior"]
    prepare(cells[0], silent)
    (row,) = next(run(cells[0]))
    assert row["trained_on"] == "faces" and row["training_images"] == 2


def test_networks_are_trained_for_what_the_solver_is_told(tmp_path):
    plain = cell(tmp_path, "method=unet").lessons["net"]
    told = cell(tmp_path, "method=unet", "+degradation.told.noise.sigma=0.1").lessons["net"]
    wrong = cell(tmp_path, "method=unet", "degradation.noise.sigma=0.2", "+degradation.told.noise.sigma=0.01")
    assert told.name != plain.name and wrong.lessons["net"].degradation["noise"]["sigma"] == 0.01


def test_subsets_lie_within_each_other_and_apart():
    images = Faces("train", 32)
    few, more, others = (Images(images, n, s)._chosen for n, s in ((2, 0), (4, 0), (4, 1)))
    assert list(few) == list(more)[:2] and not set(more) & set(others)

    class Ten:
        shape = (1, 2, 2)

        def __len__(self):
            return 10

        def load(self, indices):
            return torch.tensor(indices).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).float()

    seen = Images(Ten(), 3, 5)
    assert list(seen._chosen) == list(Images(Ten(), 7, 5)._chosen)[:3] and len(Images(Ten())._chosen) == 10
    assert torch.equal(seen(range(3)), seen(range(3, 6))) and ENDLESS > len(Ten())
    with pytest.raises(UserError, match="1 to 10"):
        Images(Ten(), 11)


def _number():
    class Number(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.value = torch.nn.Parameter(torch.zeros(()))

    return Number()


def _fit(folder, steps, validate=lambda net: abs(float(net.value) - 0.5), aim="", **more):
    """A number that walks to 1 by .1 a step; on validation images .5 is best."""
    schedule = Schedule(steps=steps, lr=0.1, warmup=0, decay=0.001, ema=0.0, validate_every=1, save_every=1, **more)
    loss = lambda net, x, rng: (net.value - 1).abs()  # noqa: E731
    return fit(_number(), loss, lambda n: torch.zeros(len(n), 1, 1, 1), schedule, folder, device=torch.device("cpu"),
               validate=validate, aim=aim, report=silent)  # fmt: skip


def test_the_best_on_validation_images_is_what_comes_of_it(tmp_path):
    network, facts = _fit(tmp_path / "a", 9)
    assert float(network.value) == pytest.approx(0.5, abs=1e-3) and facts["best_step"] == 5 and facts["step"] == 9
    assert len(pd.read_csv(tmp_path / "a/validation.csv")) == 9


def test_one_that_goes_astray_lays_nothing_down(tmp_path):
    with pytest.raises(UserError, match=r"no number at step 1; try a smaller schedule\.lr"):
        _fit(tmp_path / "a", 9, validate=lambda net: float("nan"))
    _fit(tmp_path / "b", 9, validate=lambda net: 0.5 if float(net.value) < 0.5 else float("nan"))


def test_it_ends_after_looks_without_a_better_one(tmp_path):
    network, facts = _fit(tmp_path / "a", 9, patience=2)
    assert facts["step"] == 7 and float(network.value) == pytest.approx(0.5, abs=1e-3)
    again, facts = _fit(tmp_path / "a", 9, patience=2)
    assert facts["step"] == 7 and float(again.value) == float(network.value)


def test_one_that_goes_on_knows_its_best(tmp_path):
    _fit(tmp_path / "a", 6)
    network, facts = _fit(tmp_path / "a", 9)
    assert facts["best_step"] == 5 and float(network.value) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("patience", [0, 2])
def test_under_another_loss_the_best_is_looked_at_anew(tmp_path, patience):
    """The least of one is no measure of another, which may never be as small, and what went stale may go on."""
    _fit(tmp_path / "a", 7, aim="l1", patience=patience)
    network, facts = _fit(tmp_path / "a", 12, lambda net: 9 + abs(float(net.value) - 0.9), aim="rms", patience=patience)
    assert facts["best_step"] == 9 and float(network.value) == pytest.approx(0.9, abs=1e-3)
    assert facts["best"] == pytest.approx(9, abs=1e-3)


def test_the_command_tells_the_loop_of_its_error(tmp_path):
    """l1 is never above rms."""
    words = ["degradation=inpaint70", "schedule.validate_every=1", "schedule.lr=0.001", "images=2", "validation=1"]
    words += ["method.networks.net.width=4", "method.networks.net.levels=1"]
    train("net", tmp_path, 2, *words, "error=l1")
    card = train("net", tmp_path, 5, *words, "error=rms") / "README.md"
    best = next(line for line in card.read_text().splitlines() if "best on validation" in line)
    assert int(best.rpartition(" ")[2].rstrip(".")) > 2


def test_validation_is_the_same_each_time(tmp_path):
    training = Training.of(cell(tmp_path, "method=unet").lessons["net"])
    assert training.validate(training.network) == training.validate(training.network) > 0


def test_a_network_of_one_dataset_runs_on_another():
    words = ["method=unet", "dataset=photos", "trained_on=faces", "size=64", "degradation=sr4", "images=1"]
    one = Cell.of(configs.compose(words), words)
    assert one.weights["net"].parent.name == "unet-faces-64-sr4" and one.prior and one.prior["name"] == "faces"
    with pytest.raises(UserError, match="trained_on="):
        other = [w for w in words if not w.startswith("trained_on")]
        _ = Cell.of(configs.compose(other), other).weights


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("recipe.images=-1", "images is a whole number from 1 on, not -1"),
        ("recipe.images=x", "images is a whole number or null"),
        ("recipe.subset=x", "subset is a whole number, not 'x'"),
        ("recipe.widths=[]", "widths is a list of whole numbers from 1 on"),
        ("recipe.widths=[0]", "widths is a list of whole numbers from 1 on"),
        ("recipe.widths=8", "widths "),
        ("recipe.widths=[x]", "widths"),
        ("recipe.validation=0", "validation is a whole number from 1 on, not 0"),
        ("recipe.error=l2", "unknown error 'l2'"),
        ("recipe.target=foo", "unknown target 'foo'"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused_before_anything_is_trained(tmp_path, word, said):
    with pytest.raises(UserError, match=f"recipe: {re.escape(said)}"):
        cell(tmp_path, "method=unet", word)


@pytest.mark.parametrize("word", ["steps=x", "steps=0", "batch_size=0", "stepss=1", "clip=0", "clip=-1"])
def test_its_schedule_is_refused_in_a_line(tmp_path, word):
    with pytest.raises(UserError, match=f"schedule: (unknown option '|){word.partition('=')[0]}"):
        prepare(cell(tmp_path, "method=unet", f"++recipe.schedule.{word}"), silent)


def test_images_that_a_network_does_not_fit_are_refused_in_a_line(tmp_path):
    with pytest.raises(UserError, match="cannot be trained on these images.*channels"):
        prepare(cell(tmp_path, "method=unet", "trained_on=crystals"), silent)


def test_a_learned_prior_without_a_recipe_says_what_to_type(tmp_path):
    words = ["method=dps", "prior=learned", "images=1", "size=32", f"results={tmp_path}"]
    with pytest.raises(UserError, match="recipe=tradeoff"):
        Cell.of(configs.compose(words), words).weights  # noqa: B018


def test_a_cell_that_cannot_be_done_is_not_trained_for(tmp_path):
    with pytest.raises(NotApplicable):
        cell_command.run(cell(tmp_path, "method=far_field", "degradation=sr4"))
    assert not (tmp_path / "training").exists() and not (tmp_path / "trained").exists()


def test_a_solver_that_passes_no_gradient_on_says_so(tmp_path):
    with pytest.raises(UserError, match="passes no gradient on"):
        prepare(cell(tmp_path, "method=restoration_prior", "degradation=inpaint70", "~method.lessons"), silent)


def test_a_restorer_as_a_prior_learns_the_lesson_of_another_method_and_degradation(tmp_path):
    """It is the very network that x4 super-resolution has; whoever is first trains it for both."""
    one = cell(tmp_path, "method=restoration_prior", "degradation=inpaint70", "method.solver.iterations=1")
    other = cell(tmp_path, "method=unet", "degradation=sr4")
    assert one.lessons["net"].name == other.lessons["net"].name
    prepare(other, silent)
    (row,) = next(run(one))
    assert row["status"] == "ok" and row["training_images"] == 2 and not wanted([one])
    grey = cell(tmp_path, "method=restoration_prior", "degradation=ct_sparse").lessons["net"]
    assert grey.degradation["unknown"] == "grey" and grey.network["channels"] == 1


def test_a_dataset_without_training_images_says_where_else_to_learn(tmp_path):
    with pytest.raises(UserError, match="learned from by trained_on=NAME"):
        prepare(cell(tmp_path, "method=unet", "dataset=photos"), silent)


def test_the_command_learns_from_its_dataset_and_names_it_after_no_other(tmp_path):
    small = ["method.networks.net.width=4", "method.networks.net.levels=1", "images=1", "validation=1"]
    with pytest.raises(UserError, match="in `sipbench train` by dataset=NAME"):
        train("net", tmp_path, 1, "dataset=photos", *small)
    with pytest.raises(
        UserError, match="it learns from faces, and trained_on=kernels would name it after another: dataset="
    ):
        train("net", tmp_path, 1, "trained_on=kernels", *small)
    assert train("net", tmp_path, 1, "trained_on=mine", *small).name == "unet-mine-32-sr4"


@pytest.mark.parametrize(("method", "part"), [("pgd_dncnn", "net"), ("csgm", "generator"), ("diffpir", "prior")])
def test_what_learns_images_learns_them_as_the_unknown_is_made_of_them(tmp_path, method, part):
    """Of grey problems grey images: one network then serves them all, and another one those of colour."""
    own = ["method=" + method, "prior=learned", "prior.learned.network.block_out_channels=[8,8,8]"]
    ct, sr = ["degradation=ct_sparse", "degradation.operator.views=4"], ["degradation=sr4", "+degradation.unknown=grey"]
    grey = [cell(tmp_path, *own, *words).lessons[part] for words in (ct, sr)]
    colour = cell(tmp_path, *own, "degradation=sr4").lessons[part]
    assert grey[0].name == grey[1].name != colour.name
    training = Training.of(grey[0])
    assert training.images(range(1)).shape[1] == 3 and training.validate(training.network) > 0
