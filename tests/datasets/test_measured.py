"""Measurements without their truth: saved, read, solved, and scored by what needs no truth."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import sipbench
from sipbench import cli, configs
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.datasets.measured import Measured
from sipbench.datasets.reading import BadImage
from sipbench.errors import UserError
from tests import listed


def bench(*words):
    words = [*words, "method=pinv", "prior=none"]
    return Bench.of(Cell.of(configs.compose(words), words), check=False)


@pytest.mark.parametrize("degradation", [n for n in listed.DEGRADATIONS if n != "deblur_nonlinear"])
def test_a_saved_measurement_is_the_problem_again(tmp_path, degradation):
    name = [f"degradation={degradation}", *listed.check(degradation)]
    setting = [*name, "size=32", "images=[4,7]", "seed=3"]
    assert cli.main(["measure", *setting, f"out={tmp_path}"]) == 0
    posed = bench(*setting).pose([4, 7])
    measured = bench(*name, "dataset=measured", f"dataset.root={tmp_path}")
    again = measured.pose(measured.cell.images)
    assert torch.equal(posed.y, again.y)
    assert posed.shape == again.shape
    x = torch.ones(posed.shape)
    if not posed.f.blind:
        assert torch.equal(posed.f(x), again.f(x))
    if posed.f.linear:
        assert torch.equal(posed.f.pinv(posed.y), again.f.pinv(again.y))


def test_another_forward_map_than_it_was_measured_with_is_refused(tmp_path, capsys):
    cli.main(["measure", "degradation=mri", "degradation.operator.acceleration=8", "size=32", f"out={tmp_path / 'y'}"])
    words = ["dataset=measured", f"dataset.root={tmp_path / 'y'}", "method=pinv", f"results={tmp_path}"]
    for degradation in ("mri", "sr4"):
        assert cli.main([*words, f"degradation={degradation}"]) == 2
        assert "was measured with" in capsys.readouterr().err
    assert cli.main([*words, "degradation=mri", "degradation.operator.acceleration=8"]) == 0


def test_the_file_holds_no_truth(tmp_path):
    cli.main(["measure", "degradation=inpaint70", "size=32", "images=[0]", f"out={tmp_path}"])
    from safetensors import safe_open

    with safe_open(str(next(tmp_path.iterdir())), "pt") as file:
        assert list(file.keys()) == ["y"]
        about = json.loads(file.metadata()["sipbench"])
    assert sorted(about) == ["dataset", "degradation", "image", "key", "operator", "seed"]


def test_a_run_on_measurements_reports_what_needs_no_truth(tmp_path):
    cli.main(["measure", "degradation=inpaint70", "size=32", "images=2", f"out={tmp_path / 'y'}"])
    words = ["dataset=measured", f"dataset.root={tmp_path / 'y'}", "degradation=inpaint70", "images=2"]
    assert cli.main([*words, "method=pinv", f"results={tmp_path}"]) == 0
    import pandas as pd

    rows = pd.concat([pd.read_parquet(p) for p in tmp_path.rglob("rows-*.parquet")])
    assert (rows["status"] == "ok").all() and len(rows) == 2
    assert rows["psnr"].isna().all() and rows["ssim"].isna().all()
    assert rows["residual"].notna().all() and rows["png"].notna().all()


def test_a_photograph_that_is_not_square(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 56, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    problem = bench("dataset=measured", f"dataset.root={tmp_path}", "degradation=denoise").pose([0])
    assert problem.shape == (1, 3, 40, 56)
    problem, truth = sipbench.pose("measured", "sr4", images=1, overrides=[f"dataset.root={tmp_path}"])
    assert truth is None and problem.shape == (1, 3, 160, 224)
    scores = sipbench.score(sipbench.solve(problem, method="pinv"), None, problem)
    assert scores["psnr"].isna().all() and scores["residual"][0] < 1e-3


def test_an_array_of_the_wrong_shape_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 15, 16), np.float32))
    with pytest.raises(UserError, match="does not fit"):
        bench("dataset=measured", f"dataset.root={tmp_path}", "degradation=colorize").pose([0])


@pytest.mark.parametrize("content", [b"", b"not an array"])
def test_a_damaged_array_is_named(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(BadImage, match=r"a\.npy"):
        Measured(str(tmp_path)).load([0])


@pytest.mark.parametrize("shape", [(16,), (4, 3, 16, 16), (0, 16, 16)])
def test_an_array_of_another_rank_is_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
    with pytest.raises(BadImage, match="C, H, W"):
        Measured(str(tmp_path)).load([0])


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadImage, match="cannot be read"):
        Measured(str(tmp_path)).load([0])


def test_complex_and_non_finite_arrays_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4), np.complex64))
    np.save(tmp_path / "b.npy", np.full((4, 4), np.nan, np.float32))
    np.save(tmp_path / "c.npy", np.full((4, 4), 1e300))  # of single precision it is infinite
    for index in (0, 1, 2):
        with pytest.raises(BadImage, match="real and finite"):
            Measured(str(tmp_path)).load([index])


def test_two_shapes_in_a_batch_are_refused_with_the_remedy(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4), np.float32))
    np.save(tmp_path / "b.npy", np.zeros((4, 5), np.float32))
    with pytest.raises(BadImage, match="batch_size=1"):
        Measured(str(tmp_path)).load([0, 1])


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir()])
def test_no_folder_or_an_empty_one(tmp_path, make):
    make(tmp_path / "y")
    with pytest.raises(UserError, match="measured: no"):
        Measured(str(tmp_path / "y"))


BROKEN = ["no json", "[]", '{"key": 5}', '{"operator": "sr4"}', "null"]


@pytest.mark.parametrize("text", BROKEN)
def test_23_broken_metadata_is_one_line_that_names_the_file(tmp_path, text):
    from safetensors.torch import save_file

    save_file({"y": torch.zeros(3, 8, 8)}, str(tmp_path / "a.safetensors"), {"sipbench": text})
    data = Measured(str(tmp_path))
    said = data.unfit([0]) or ""
    assert "a.safetensors" in said and "\n" not in said
    for ask in (lambda: data.streams([0], 0), lambda: data.check([0], {"operator": {}})):
        with pytest.raises(BadImage, match="a.safetensors"):
            ask()


def test_23_a_broken_header_is_one_line(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 64)
    assert "a.safetensors" in (Measured(str(tmp_path)).unfit([0]) or "")
    with pytest.raises(BadImage):
        Measured(str(tmp_path)).streams([0], 0)


def test_hidden_files_are_passed_over(tmp_path):
    """A Mac leaves ._NAME beside NAME on disks that are not its own."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7")
    assert [path.name for path in Measured(str(tmp_path)).paths] == ["a.png"]


def test_25_a_pipe_among_measurements_is_passed_over(tmp_path):
    import os

    np.save(tmp_path / "a.npy", np.zeros((4, 4), np.float32))
    os.mkfifo(tmp_path / "b.npy")
    assert len(Measured(str(tmp_path))) == 1
