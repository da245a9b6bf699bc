"""Generators and memories: given by a lesson or by name, of whatever is made of pictures, and what runs with them."""

import json
import re

import pytest
import torch
from omegaconf import OmegaConf

from sipbench import checkpoints, configs
from sipbench.bench.cell import Cell
from sipbench.bench.load import load_networks
from sipbench.bench.run import run
from sipbench.datasets.faces import Faces
from sipbench.errors import UserError
from sipbench.operators.unknowns import grey
from sipbench.training import recipes
from sipbench.training.images import Images
from sipbench.training.learned import prepare
from sipbench.training.lessons import Training, pictures

SHORT = ["recipe=tradeoff", "recipe.images=3", "recipe.schedule.steps=2", "recipe.schedule.batch_size=2", "images=1"]
SHORT += ["recipe.schedule.validate_every=1", "recipe.validation=2", "recipe.widths=[4]", "size=32", "metrics=[psnr]"]
CODES = ["method.networks.generator.code=4", "method.solver.iterations=2"]


def cell(folder, *words):
    words = [*SHORT, f"results={folder}", *words]
    return Cell.of(configs.compose(words), words)


def silent(_):
    pass


def only(one, folder):
    prepare(one, silent)
    (row,) = next(run(one))
    assert row["status"] == "ok", row["reason"]
    return row


def test_a_generator_serves_every_problem_of_the_same_unknown(tmp_path):
    one = cell(tmp_path, "method=csgm", "degradation=sr4", *CODES)
    assert only(one, tmp_path)["training_images"] == 3
    names = {d: cell(tmp_path, "method=csgm", f"degradation={d}", *CODES).lessons["generator"].name
             for d in ("sr4", "inpaint70", "ct_sparse")}  # fmt: skip
    assert names["sr4"] == names["inpaint70"] != names["ct_sparse"]


def test_a_generator_of_grey_images(tmp_path):
    one = cell(tmp_path, "method=csgm", "degradation=ct_sparse", *CODES, "degradation.operator.views=4")
    assert one.lessons["generator"].unknown == "grey"
    only(one, tmp_path)


@pytest.mark.parametrize(("degradation", "make"), [("sr4", lambda x, rng: x), ("ct_sparse", grey)])
def test_a_memory_holds_the_images_of_its_subset(tmp_path, degradation, make):
    one = cell(tmp_path, "method=nearest_neighbour", f"degradation={degradation}", "recipe.subset=1")
    row = only(one, tmp_path)
    assert (row["training_images"], row["training_subset"]) == (3, 1)
    memory = load_networks(one, torch.device("cpu"))["memory"]
    expected = make(Images(Faces("train", 32), 3, 1)(range(3)), None)
    assert memory.images.dtype == torch.uint8 and len(memory.images) == 3
    assert (memory.recall(slice(None), torch.float32) - expected).abs().max() <= 1 / 255 + 1e-6


def test_a_training_image_that_is_measured_is_found(tmp_path):
    one = cell(tmp_path, "method=nearest_neighbour", "degradation=sr4", "split=train")
    assert only(one, tmp_path)["psnr"] > 40


def test_a_sheet_of_a_generator_has_images_their_codes_and_draws(tmp_path):
    training = Training.of(cell(tmp_path, "method=csgm", "degradation=ct_sparse", *CODES).lessons["generator"])
    rows = pictures(training.lesson, training.network, training.held_out)
    assert len(rows) == 6 and rows.shape[2:] == (32, 32)


def test_a_sheet_of_a_denoiser_has_noise_and_what_is_left_of_it(tmp_path):
    training = Training.of(cell(tmp_path, "method=admm_dncnn").lessons["net"])
    told = []
    network = lambda v, sigma: told.append(sigma) or v / 2  # noqa: E731
    x, noisy, restored = pictures(training.lesson, network, training.held_out).chunk(3)
    assert float((noisy - x).std()) == pytest.approx(0.2, rel=0.1) and torch.equal(restored, noisy / 2)
    assert torch.equal(x, training.held_out) and told[0].tolist() == pytest.approx([0.2, 0.2])


def test_by_name_they_are_laid_down_where_the_method_looks(tmp_path):
    words = ["size=32", "images=3", f"weights={tmp_path}/w", f"results={tmp_path}/r", "validation=2"]
    words += ["schedule.steps=2", "schedule.batch_size=2", "schedule.validate_every=0"]
    for method, made, run_by in (("csgm", CODES[:1], CODES), ("nearest_neighbour", [], [])):
        cfg = OmegaConf.to_container(configs.compose([f"method={method}", *words, *made], "train_net"), resolve=True)
        folder = recipes.train_net(cfg, silent)
        card, said = (folder / "README.md").read_text(), json.loads((folder / "config.json").read_text())
        assert "faces" in card and "sr4" not in card and (folder / "sheet.png").is_file()
        assert checkpoints.weight_file(folder).is_file() and "_target_" in said
        run_with = [f"method={method}", "size=32", "images=1", "metrics=[psnr]", *words[2:4], *run_by]
        (row,) = next(run(Cell.of(configs.compose(run_with), run_with)))
        assert row["status"] == "ok", row["reason"]


@pytest.mark.parametrize("method", ["admm_dncnn", "pgd_dncnn", "red_dncnn", "admm_drunet", "dpir_drunet", "admm_lpn"])
def test_a_denoiser_of_grey_images_does_not_take_the_name_of_one_of_colours(method):
    def name(word):
        cfg = configs.compose([f"method={method}", f"degradation={word}", "size=64"])
        return cfg.method.networks.net.weights

    assert name("ct_sparse") == name("sr4") + "-grey" and name("mri") == name("sr4") + "-complex"
    assert name("sr4") == name("inpaint70") == f"{name('sr4').partition('-')[0]}-faces-64"


def test_a_denoiser_of_grey_images_is_trained_by_the_line_that_says_that_it_lacks(tmp_path):
    where = ["size=32", f"weights={tmp_path}/w", f"results={tmp_path}/r"]
    words = ["method=pgd_dncnn", "degradation=ct_sparse", "method.networks.net.width=4", "method.networks.net.depth=3"]
    asked = [*words, *where, "dataset=faces", "images=1", "metrics=[psnr]"]
    with pytest.raises(
        UserError, match=r"'dncnn-faces-32-grey'.*method=pgd_dncnn dataset=faces size=32 degradation=ct_"
    ):
        next(run(Cell.of(configs.compose(asked), asked)))
    short = ["schedule.steps=1", "schedule.batch_size=1", "schedule.validate_every=0", "images=1", "validation=1"]
    recipes.train_net(
        OmegaConf.to_container(configs.compose([*words, *where, *short], "train_net"), resolve=True), silent
    )
    (row,) = next(run(Cell.of(configs.compose(asked), asked)))
    assert row["status"] == "ok", row["reason"]


def test_a_restorer_as_a_prior_of_grey_images_is_trained_by_the_line_that_says_that_it_lacks(tmp_path):
    where = ["size=32", f"weights={tmp_path}/w", f"results={tmp_path}/r", "method.networks.net.width=4"]
    asked = ["method=restoration_prior", "degradation=ct_sparse", *where, "dataset=faces", "images=1", "metrics=[psnr]"]
    with pytest.raises(UserError, match="sipbench train net") as error:
        next(run(Cell.of(configs.compose(asked), asked)))
    words = re.search(r"sipbench train net ([^,]*)", str(error.value))[1].split()
    short = ["schedule.steps=1", "schedule.batch_size=1", "schedule.validate_every=0", "images=1", "validation=1"]
    recipes.train_net(
        OmegaConf.to_container(configs.compose([*words, *where, *short], "train_net"), resolve=True), silent
    )
    (row,) = next(run(Cell.of(configs.compose(asked), asked)))
    assert row["status"] == "ok", row["reason"]
