"""A lesson is named by all that makes its network; one process gives it, once, and what lies there is data alone."""

import multiprocessing
import time

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

import sipbench
from sipbench import checkpoints, configs
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.load import load_networks
from sipbench.bench.record import trained_on
from sipbench.bench.run import Bench, run
from sipbench.cli import cell as one_cell
from sipbench.errors import UserError
from sipbench.training import recipes
from sipbench.training.learned import prepare
from sipbench.training.loop import Schedule, fit
from sipbench.training.state import alone
from tests.training.test_recipes import SHORT, SMALL_PRIOR, cell, silent

PLUGIN = """
import torch
from sipbench.operators import Identity

class Mine(Identity):
    def forward(self, x):
        return {factor} * x
"""


def pictures(root, **shades):
    for split, shade in {"train": 0, "validation": 50, "test": 100, **shades}.items():
        (root / split).mkdir(parents=True, exist_ok=True)
        for i in range(2):
            Image.new("RGB", (32 + shade, 32), (shade, i, 0)).save(root / split / f"{i}.png")


def folder(results, root, *words):
    return cell(results, "method=unet", "dataset=folder", f"dataset.root={root}", *words)


def test_other_training_images_in_a_folder_make_another_lesson(tmp_path):
    pictures(tmp_path / "a")
    pictures(tmp_path / "b")
    pictures(tmp_path / "c", train=90)
    a, b, c = (folder(tmp_path, tmp_path / name) for name in "abc")
    assert a.lessons["net"].name == b.lessons["net"].name != c.lessons["net"].name
    assert a.hash == b.hash != c.hash


def test_the_code_of_an_operator_of_ones_own_is_part_of_a_lesson(tmp_path):
    file, names = tmp_path / "mine.py", []
    for factor in (1, 2):
        file.write_text(PLUGIN.format(factor=factor))
        words = ["method=unet", "degradation=denoise", f"degradation.operator._target_={file}:Mine"]
        names.append(cell(tmp_path, *words).lessons["net"].name)
    assert len(set(names)) == 2


def test_the_kernel_in_a_file_counts_by_its_content(tmp_path):
    blur, names = ["method=unet", "degradation=deblur_file"], []
    for name, shade in (("k.png", 255), ("k.png", 100), ("moved.png", 100)):
        file = tmp_path / name
        image = Image.new("L", (5, 5), 255)
        image.putpixel((0, 0), shade)
        image.save(file)
        names.append(cell(tmp_path, *blur, f"degradation.operator.path={file}").lessons["net"].name)
    assert names[0] != names[1] == names[2]


@pytest.mark.parametrize(
    ("words", "ignored"),
    [
        (["method=nearest_neighbour"], ["recipe.schedule.steps=9", "recipe.error=l1", "recipe.validation=3"]),
        (["method=csgm"], ["recipe.error=l1", "recipe.target=measurement", "degradation=inpaint70"]),
        (["method=admm_dncnn"], ["recipe.target=measurement", "degradation=inpaint70"]),
        (["method=unet"], ["method.networks.net.width=12", "recipe.widths=[8,4]"]),
        (["method=lista"], ["recipe.widths=[16]"]),
        (["method=unet", "recipe.images=null", "recipe.schedule.seed=0"], ["recipe.subset=2"]),
    ],
)
def test_what_changes_nothing_trains_nothing_anew(tmp_path, words, ignored):
    (one,) = cell(tmp_path, *words).lessons.values()
    for word in ignored:
        (other,) = cell(tmp_path, *words, word).lessons.values()
        assert other.name == one.name, word


def test_nothing_is_trained_on_measurements(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "y.png")
    words = ["dataset=measured", f"dataset.root={tmp_path}", "degradation=denoise", "noise=gaussian"]
    with pytest.raises(UserError, match="trained_on="):
        _ = cell(tmp_path, "method=unet", *words).hash
    assert cell(tmp_path, "method=unet", *words, "trained_on=faces").lessons["net"].dataset["name"] == "faces"


def test_what_lies_beside_trained_weights_names_no_code(tmp_path):
    one = cell(tmp_path, "method=unet")
    prepare(one, silent)
    config = one.weights["net"].with_name("config.json")
    content = checkpoints.read_json(config)
    mark = tmp_path / "ran.py"
    mark.write_text("raise SystemExit('it ran')")
    checkpoints.write_json(config, content | {"_target_": f"{mark}:Anything"})
    net = load_networks(one, torch.device("cpu"))["net"]
    assert type(net).__name__ == "UNet" and net.head.weight.shape[0] == content["width"]


def test_the_command_trains_for_what_a_solver_is_told_too():
    words = ["method=unet", "degradation.noise.sigma=0.2", "+degradation.told.noise.sigma=0.05"]
    node = OmegaConf.to_container(configs.compose(words, "train_net"), resolve=True)
    lesson = recipes._lesson(node | {"part": "net"})
    assert lesson.degradation["noise"]["sigma"] == 0.05 and "told" not in lesson.degradation


def test_nothing_is_solved_by_a_network_that_is_not_trained(tmp_path):
    words = [word for word in SHORT if not word.startswith(("images", "size"))]
    problem, _ = sipbench.pose(size=32, images=1, overrides=[*words, f"results={tmp_path}"])
    one = cell(tmp_path, "method=unet")
    early = Bench.of(one)
    prepare(one, silent)
    with pytest.raises(UserError, match="not trained yet"):
        early.rows([0], None)
    assert next(run(cell(tmp_path, "method=unet")))[0]["status"] == "ok"
    assert sipbench.solve(problem, "unet").x.shape == (1, 3, 32, 32)


@pytest.mark.parametrize("words", [["method=unet"], ["method=ddrm", *SMALL_PRIOR]])
def test_half_of_what_was_trained_is_refused(tmp_path, words):
    """A folder that was copied in pieces, or whose weights are others."""
    one = cell(tmp_path, *words)
    prepare(one, silent)
    (lesson,) = one.lessons.values()
    lesson.weights(tmp_path).unlink()
    with pytest.raises(UserError, match="delete it"):
        next(run(cell(tmp_path, *words)))
    lesson.weights(tmp_path).write_bytes(b"others")
    with pytest.raises(UserError, match="delete it"):
        next(run(cell(tmp_path, *words)))


def test_released_weights_are_not_trained_by_a_recipe(tmp_path):
    assert cell(tmp_path, "method=dpir_official").lessons == {}


def test_a_network_that_was_trained_on_is_loaded_anew(tmp_path):
    words = ["method=unet", "size=32", "images=1", f"weights={tmp_path}", f"results={tmp_path}"]
    words += ["method.networks.net.width=4", "method.networks.net.levels=1"]

    def laid_down(value):
        one = Cell.of(configs.compose(words), words)
        node = one.method["networks"]["net"]
        net = configs.build({k: v for k, v in node.items() if k not in ("weights", "get")})
        torch.nn.init.constant_(net.tail.bias, value)
        checkpoints.write(tmp_path / "unet-faces-32-sr4", net, {"made": value})
        one = Cell.of(configs.compose(words), words)
        return one.hash, float(load_networks(one, torch.device("cpu"))["net"].tail.bias[0])

    (first, a), (second, b) = laid_down(1.0), laid_down(2.0)
    assert (a, b) == (1.0, 2.0) and first != second


def _prepare(folder, done):
    torch.set_num_threads(1)
    lines = []
    prepare(cell(folder, "method=unet", "recipe.schedule.steps=6", "recipe.schedule.save_every=1"), lines.append)
    done.put(lines)


def test_two_processes_that_want_the_same_train_it_once(tmp_path):
    fork = multiprocessing.get_context("fork")
    done = fork.Queue()
    both = [fork.Process(target=_prepare, args=(tmp_path, done)) for _ in range(2)]
    for process in both:
        process.start()
    lines = [done.get(timeout=60) for _ in both]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert sum(line.startswith("training ") for line in sum(lines, [])) == 2  # two widths, each once


def _hold(folder, held):
    with alone(folder):
        held.set()
        time.sleep(0.3)


def _count(folder, file, times):
    for _ in range(times):
        with alone(folder, silent):
            value = int(file.read_text())
            time.sleep(0.001)
            file.write_text(str(value + 1))


def test_a_lock_is_held_by_one_and_leaves_nothing_behind(tmp_path):
    """Also where its file goes while others wait for it."""
    fork, file = multiprocessing.get_context("fork"), tmp_path / "count"
    file.write_text("0")
    processes = [fork.Process(target=_count, args=(tmp_path / "a", file, 25)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(10)
    assert file.read_text() == "100" and [path.name for path in tmp_path.iterdir()] == ["count"]


def test_who_waits_is_told_of_it(tmp_path):
    fork = multiprocessing.get_context("fork")
    held, said = fork.Event(), []
    process = fork.Process(target=_hold, args=(tmp_path / "a", held))
    process.start()
    held.wait(5)
    schedule = Schedule(steps=1, warmup=0, batch_size=1)
    loss = lambda net, x, rng: net(x).square().mean()  # noqa: E731
    on = torch.device("cpu")
    fit(
        torch.nn.Linear(1, 1), loss, lambda n: torch.ones(1, 1), schedule, tmp_path / "a", device=on, report=said.append
    )
    assert said[0] == "waiting for another process that trains a" and len(said) == 2
    process.join()


def test_widths_are_not_chosen_without_looking(tmp_path):
    one = cell(tmp_path, "method=unet", "recipe.schedule.validate_every=0")
    with pytest.raises(UserError, match="validate_every"):
        prepare(one, silent)
    prepare(cell(tmp_path, "method=unet", "recipe.schedule.validate_every=0", "recipe.widths=[4]"), silent)


def test_no_widths_leave_a_network_its_own(tmp_path):
    one = cell(tmp_path, "method=unet", "recipe.widths=null", "method.networks.net.width=4")
    prepare(one, silent)
    (row,) = next(run(one))
    assert row["status"] == "ok" and checkpoints.read_json(one.weights["net"].with_name("config.json"))["width"] == 4


def test_a_training_takes_no_algorithm_that_a_race_chooses(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sipbench.training.loop.make_deterministic", asked.append)
    on, schedule = torch.device("cpu"), Schedule(steps=1, warmup=0, batch_size=1)
    loss = lambda net, x, rng: net(x).square().mean()  # noqa: E731
    fit(torch.nn.Linear(1, 1), loss, lambda n: torch.ones(1, 1), schedule, tmp_path / "a", device=on, report=silent)
    assert asked == [on]


def test_a_subset_of_the_curve_is_trained_from_weights_of_its_own(tmp_path):
    """Else all subsets begin alike, and their spread is less than that of trainings."""
    words = (["seed=3"], ["seed=3", "recipe.subset=1"])
    assert [cell(tmp_path, "method=unet", *w).lessons["net"].schedule["seed"] for w in words] == [3, 1]


def test_a_method_that_cannot_do_the_cell_is_not_trained_first(tmp_path, monkeypatch):
    one = cell(tmp_path, "method=unrolled_pgd", "degradation=phase_cdp")
    monkeypatch.setattr("sipbench.training.learned.prepare", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(NotApplicable):
        one_cell.run(one)


def test_a_row_says_what_released_weights_were_trained_on(tmp_path):
    words = ["method=dpir_official", "size=32", f"weights={tmp_path}", "images=1"]
    assert "faces" not in trained_on(Cell.of(configs.compose(words), words))
