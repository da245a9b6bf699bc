"""A cell's name: what can change the result changes it, what cannot does not."""

import os
import time
from dataclasses import replace

import pytest
import torch

from sipbench import checkpoints, configs
from sipbench.bench.cell import Cell
from sipbench.bench.load import load_prior
from sipbench.errors import UserError


@pytest.mark.parametrize(
    "same", ["device=cpu", "batch_size=1", "wandb.mode=offline", "images=[2]", "keep_images=false"]
)
def test_what_cannot_change_a_result_is_not_in_the_name(cell, same):
    assert cell("method=dip").hash == cell("method=dip", same).hash


def test_an_address_is_not_in_the_name_and_its_prior_can_be_built(cell):
    words = ("method=dps", "+prior.fetch.hub=a/b")
    assert cell(*words).hash == cell("method=dps").hash
    load_prior(cell(*words), torch.device("cpu"))


@pytest.mark.parametrize(
    "other",
    ["seed=1", "degradation=inpaint70", "degradation.noise.sigma=0.02", "size=64", "split=validation", "tuned=false",
     "method=pinv", "method.solver.lr=0.02", "profile=paper", "degradation.noise_on_invalid=false", "budget_seconds=1"],
)  # fmt: skip
def test_what_can_change_a_result_is_in_the_name(cell, other):
    words = ("method=dip", "profile=paper") if other == "tuned=false" else ("method=dip",)
    assert cell(*words).hash != cell(*words, other).hash


def test_options_by_hand_win_over_profile_and_tuned(cell):
    demo = configs.read("method", "dps")["demo"]
    assert cell("method=dps").options["steps"] == (demo["all"] | demo["sr4"])["steps"]
    assert cell("method=dps", "method.solver.steps=7").options["steps"] == 7
    assert cell("method=dps", "profile=paper").options == {"steps": 1000, "zeta": 0.3, "clip": True}
    assert cell("method=dps", "profile=paper", "tuned=false").options["zeta"] == 1.0
    assert cell("method=dps", "profile=paper").tuned and not cell("method=dps", "tuned=false").tuned


def test_a_misspelt_option_of_a_solver_suggests_the_nearest(cell):
    with pytest.raises(UserError, match="Did you mean zeta"):
        _ = cell("method=dps", "+method.solver.zetta=2").solver


@pytest.mark.parametrize("method", ["ddnm", "ddrm"])
def test_a_number_that_a_solver_cannot_work_with_is_refused(cell, method):
    """A share of more than one is the square root of a negative number."""
    with pytest.raises(UserError, match=f"{method}: eta lies between 0 and 1, not at 1.5"):
        _ = cell(f"method={method}", "method.solver.eta=1.5").solver
    assert all(cell(f"method={method}", f"method.solver.eta={eta}").solver for eta in (0, 1.0, "null"))


@pytest.mark.parametrize("images", ["0", "[]", "[1,1]", "[-1]"])
def test_bad_image_lists(cell, images):
    with pytest.raises(UserError, match="images"):
        _ = cell(f"images={images}").images


def test_an_image_beyond_the_last_is_refused(cell):
    with pytest.raises(UserError, match="photos: split 'test' has .* numbered from 0 on: image 5000 is outside"):
        _ = cell("dataset=photos", "images=[0,5000]").images


def prior_of(*words):
    return Cell.of(configs.compose(list(words)), list(words)).prior


def test_a_method_is_handed_the_kind_of_prior_it_names():
    assert prior_of("method=flowdps")["path"] == "faces-64-flow"
    assert prior_of("method=resample")["path"] == "faces-64-latent"
    assert prior_of("method=dps")["path"] == "faces-64-prior"


def test_a_prior_that_is_typed_is_kept_and_can_be_built():
    chosen = prior_of("method=flowdps", "prior=faces")
    assert chosen["path"] == "faces-64-prior" and "variants" not in chosen


def test_options_typed_for_a_prior_are_kept_with_its_variant():
    chosen = prior_of("method=flowdps", "+prior.precision=bfloat16")
    assert (chosen["path"], chosen["precision"]) == ("faces-64-flow", "bfloat16")
    assert prior_of("method=flowdps", "prior.path=mine")["path"] == "mine"


def test_options_and_settings_of_files_are_in_the_name(cell, tiny_prior, tmp_path):
    """What a dataset is told, and the schedule that lies beside a network's weights."""
    from pathlib import Path

    one, other = cell("dataset=crystals"), cell("dataset=crystals", "dataset.phase=1.0")
    assert one.hash != other.hash
    before = cell("method=dps", *tiny_prior).hash
    schedule = Path(tiny_prior[1].partition("=")[2]) / "scheduler_config.json"
    text = schedule.read_text()
    try:
        schedule.write_text(text.replace("0.02", "0.03"))
        assert cell("method=dps", *tiny_prior).hash != before
    finally:
        schedule.write_text(text)


@pytest.mark.parametrize("hash_of", [checkpoints.sha256, checkpoints.settings_sha256])
def test_a_file_of_weights_is_read_again_whatever_its_time_says(tmp_path, hash_of):
    path = tmp_path / "config.json"
    path.write_text("1")
    before, said = hash_of(path), path.stat()
    time.sleep(0.02)  # the clock of the file system ticks
    path.write_text("2")
    os.utime(path, ns=(said.st_atime_ns, said.st_mtime_ns))
    assert hash_of(path) != before


def test_code_of_ones_own_in_a_node_is_in_the_name(cell, tmp_path):
    path = tmp_path / "myop.py"
    hashes = []
    for factor in ("0.5", "0.25"):
        path.write_text(f"from sipbench.operators import Denoise\n\nclass Op(Denoise):\n    factor = {factor}\n")
        hashes.append(cell("degradation=denoise", f"degradation.operator._target_={path}:Op").identity["code"])
    assert hashes[0] != hashes[1]


def test_a_dataset_shows_the_split_and_the_size_that_are_asked_for(cell, tmp_path, monkeypatch):
    made = cell("split=validation")
    forgetful = {k: v for k, v in made.source.items() if k not in ("split", "size")}
    assert (replace(made, source=forgetful).dataset.split, replace(made, source=forgetful).dataset.size) == (
        "validation", 32,
    )  # fmt: skip
    with pytest.raises(UserError, match="size=32 was asked for"):
        _ = replace(made, source=made.source | {"size": 64}).dataset
    with pytest.raises(UserError, match="split=test names both"):  # test images under the name of validation images
        _ = cell("split=validation", "dataset.split=test").dataset
