"""What a cell's store keeps is shown beside truth and measurement, and exported for other programs."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save

from sipbench import cli, configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.errors import UserError
from sipbench.report import png
from sipbench.report.stored import export, kept
from sipbench.tables.views import strip

PINV = ["method=pinv", "degradation=inpaint70", "size=32", "images=3", "metrics=[psnr]"]
BLIND = """\
from sipbench.problem import Estimate

def solve(problem):
    kernel = problem.y.new_zeros(len(problem.y), 1, 5, 5)
    kernel[:, :, 2, 2] = 1
    return Estimate(problem.y[..., :32, :32], theta={"kernel": kernel})
"""


FAILS = """\
TURNS = iter(["first", "second", "third"])

def solve(problem):
    if next(TURNS) in {fails}:
        raise ValueError("not today")
    return problem.f.pinv(problem.y)
"""


def test_a_folder_that_refuses_is_named_with_the_word_that_chose_it(tmp_path, monkeypatch):
    words = [*PINV, f"results={tmp_path / 'results'}"]
    assert cli.main(words) == 0
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^cannot be written to .*file: .* Choose another with out=\.\.\.$"):
        export(Cell.of(configs.compose(words), words), tmp_path / "file")


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image).copy()


@pytest.fixture
def done(tmp_path):
    """The words of a finished cell, results folder among them."""
    words = [*PINV, f"results={tmp_path / 'results'}"]
    assert cli.main(words) == 0
    return words


def test_22_show_with_a_method_draws_what_is_stored(done, tmp_path, capsys):
    plain, with_method = tmp_path / "plain.png", tmp_path / "stored.png"
    assert cli.main(["show", *[w for w in done if w != "method=pinv"], "images=[0]", f"out={plain}"]) == 0
    assert cli.main(["show", *done, "images=[1]", f"out={with_method}"]) == 0
    assert pixels(with_method).shape[1] == pixels(plain).shape[1]
    assert pixels(with_method).std() > 5
    capsys.readouterr()
    assert cli.main(["show", *[w for w in done if w[:6] != "images"]]) == 0
    path = capsys.readouterr().out.removeprefix("written: ").strip()
    assert pixels(path).shape[0] > 1.5 * pixels(with_method).shape[0]  # the first two images that are stored


@pytest.mark.parametrize("command", ["show", "export"])
def test_22_what_is_not_stored_is_one_line(done, tmp_path, capsys, command):
    out = f"out={tmp_path / 'out.png'}"
    assert cli.main([command, *done, "seed=5", out]) == 2
    assert "nothing is stored" in capsys.readouterr().err
    assert cli.main([command, *[w for w in done if w[:6] != "images"], "images=[0,7]", out]) == 2
    assert "image 7: stored are 0, 1, 2" in capsys.readouterr().err


@pytest.mark.parametrize("fails, image, left", [(["second"], 1, "[0,2]"), (["first", "second", "third"], 0, "")])
@pytest.mark.parametrize("command", ["show", "export"])
def test_an_image_that_failed_says_why(tmp_path, capsys, command, fails, image, left):
    (tmp_path / "mine.py").write_text(FAILS.format(fails=fails))
    words = [f"method={tmp_path}/mine.py:solve", *PINV[1:], "batch_size=1", f"results={tmp_path}"]
    assert cli.main(words) == 1
    capsys.readouterr()
    out = f"out={tmp_path / 'out.png'}"
    assert cli.main([command, *words, out]) == 2
    err = capsys.readouterr().err
    assert f"image {image} failed" in err and "ValueError: not today" in err and err.count("\n") == 1
    assert not left or cli.main([command, *words, f"images={left}", out]) == 0


@pytest.mark.parametrize("content", [b"no tensors", b"", save({"z": torch.zeros(1)})])
def test_what_a_stranger_kept_in_the_place_of_an_estimate_is_one_line(tmp_path, capsys, content):
    words = [*PINV[:3], "images=1", f"results={tmp_path}", "batch_size=1"]
    cell = Cell.of(configs.compose([*words, "metrics=[psnr]"]), words)
    row = {"image": 0, "status": "ok", "kept": True, "estimate": content, "metrics_version": 1, "y_sha256": "0"}
    store.write(cell, [row])
    for command in (["show"], ["export", f"out={tmp_path}"], ["score", "metrics=[psnr]"]):
        assert cli.main([*command, *words]) == 2
        [said] = capsys.readouterr().err.splitlines()
        assert "faces / inpaint70 / pinv, image 0: what is kept of it" in said and "run it again" in said
    with pytest.raises(UserError, match="image 0: what is kept of it"):
        strip.returned(cell, 0, "")


def test_22_an_estimate_that_was_not_kept_is_said(tmp_path, capsys):
    words = [*PINV, f"results={tmp_path}", "keep_images=false"]
    assert cli.main(words) == 0
    assert cli.main(["export", *words, f"out={tmp_path / 'out'}"]) == 2
    assert "keep_images=false" in capsys.readouterr().err


def test_22_export_gives_what_the_store_keeps(done, tmp_path, cell):
    one = cell("method=pinv", "degradation=inpaint70", "metrics=[psnr]")
    x = {image: estimate.x[0] for image, estimate in kept(one).items()}
    arrays = [np.load(path) for path in export(one, tmp_path / "npy", "npy")]
    assert all(np.array_equal(a, x[i].numpy()) for i, a in enumerate(arrays)) and len(arrays) == 3
    tensors = [load_file(path)["x"] for path in export(one, tmp_path / "st", "safetensors")]
    assert all(torch.equal(t, x[i]) for i, t in enumerate(tensors))
    (first, *_), (fine, *_) = export(one, tmp_path / "p", "png"), export(one, tmp_path / "p16", "png16")
    eight = torch.from_numpy(pixels(first)).permute(2, 0, 1)
    assert torch.equal(eight, ((x[0].clamp(-1, 1) + 1) * 127.5).double().round().byte())
    assert first.name == "faces-inpaint70-pinv-000000.png" and fine.stat().st_size > first.stat().st_size


def test_22_the_kernel_is_exported_and_shown(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(BLIND)
    words = [f"method={tmp_path}/mine.py:solve", "degradation=blind_motion", "degradation.operator.size=9", "size=32",
             "images=1", "metrics=[psnr]", f"results={tmp_path / 'r'}"]  # fmt: skip
    assert cli.main(words) == 0, capsys.readouterr()
    assert cli.main(["export", *words, f"out={tmp_path / 'out'}", "format=npy"]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"faces-blind_motion-mine_solve-000000{end}.npy" for end in ("-kernel", "")]
    assert np.load(tmp_path / "out" / names[0])[0, 2, 2] == 1
    assert cli.main(["show", *words, f"out={tmp_path / 'a.png'}"]) == 0
    assert cli.main(["export", *words, f"out={tmp_path / 'p'}"]) == 0 and len(list((tmp_path / "p").iterdir())) == 2


def test_22_a_real_measurement_shows_its_residual_and_picture(tmp_path, capsys):
    saved = tmp_path / "y"
    cli.main(["measure", "degradation=inpaint70", "size=32", "images=2", f"out={saved}"])
    words = ["dataset=measured", f"dataset.root={saved}", "degradation=inpaint70", "method=pinv", f"results={tmp_path}"]
    capsys.readouterr()
    assert cli.main(words) == 0
    assert ", residual" in capsys.readouterr().out
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    assert "already done" in out and ", residual" in out and "psnr" not in out
    assert cli.main(["show", *words, f"out={tmp_path / 'a.png'}"]) == 0
    assert pixels(tmp_path / "a.png").shape[1] > 100
    assert cli.main(["export", *words, f"out={tmp_path / 'out'}"]) == 0


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_is_read_back_to_the_level(bits, channels, tmp_path):
    from sipbench.datasets.folder import Folder

    picture = torch.linspace(0, 1, channels * 12 * 12).view(channels, 12, 12)
    (tmp_path / "a.png").write_bytes(png.encode(picture, bits))
    back = (Folder(root=str(tmp_path), size=12).load([0])[0] + 1) / 2
    assert torch.allclose(back, picture.expand(3, -1, -1), atol=0.51 / (2**bits - 1) + 1e-6)


def test_formats_are_known(done, tmp_path, capsys):
    assert cli.main(["export", *done, f"out={tmp_path}", "format=jpg"]) == 2
    assert "png16" in capsys.readouterr().err
    assert cli.main(["export", *done]) == 2
    assert "out=FOLDER" in capsys.readouterr().err


def test_the_store_is_left_as_it_is(done, tmp_path):
    before = {path: path.read_bytes() for path in (tmp_path / "results" / "runs").rglob("*") if path.is_file()}
    cli.main(["export", *done, f"out={tmp_path / 'out'}"])
    assert before == {path: path.read_bytes() for path in (tmp_path / "results" / "runs").rglob("*") if path.is_file()}
