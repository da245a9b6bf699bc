"""Any two image files of one size are compared by every metric that can be; the others say why not."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from sipbench import metrics
from sipbench.cli import main


def picture(path, seed, shape=(40, 36, 3), bits=8):
    """A file of random pixels, and them as an image in [-1, 1]."""
    pixels = np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.uint8 if bits == 8 else np.uint16)
    Image.fromarray(pixels).save(path)
    x = torch.from_numpy(pixels.astype(np.float32)) / (2**bits - 1) * 2 - 1
    return x[None, None] if x.ndim == 2 else x.permute(2, 0, 1)[None]


@pytest.fixture
def compare(tmp_path, monkeypatch, capsys):
    """What the command says of two files that are there as A.png and B.png."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main(["compare", *(words or ("A.png", "B.png", "--json"))])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run


def test_every_metric_is_a_key_and_its_value_that_of_the_metric(compare, tmp_path):
    a, b = picture(tmp_path / "A.png", 0), picture(tmp_path / "B.png", 1)
    code, out, lines = compare()
    scores = json.loads(out)
    assert code == 0 and list(scores) == list(metrics.METRICS)
    for name in ("psnr", "psnr_aligned", "ssim", "ssim_gaussian", "psnr_y", "relative_error", "success"):
        assert scores[name] == pytest.approx(metrics.METRICS[name].function(a, b).item(), rel=1e-5)
    lacking = [name for name, value in scores.items() if value is None]
    assert {"lpips_alex", "lpips_vgg", "error_ratio", "posterior_ratio"} <= set(lacking)
    reasons = dict.fromkeys(name for line in lines for name in line.split(": ")[1].split(", "))
    assert set(reasons) == set(lacking) and len(lines) < len(lacking)
    for words in ("lpips_alex: alexnet", "success_3: it compares with the deblurring", "many draws"):
        assert len([line for line in lines if words in line]) == 1


def test_the_second_is_the_truth(compare, tmp_path):
    picture(tmp_path / "A.png", 0), picture(tmp_path / "B.png", 1)
    one, other = (json.loads(compare(*files, "--json")[1]) for files in (("A.png", "B.png"), ("B.png", "A.png")))
    assert one["psnr"] == pytest.approx(other["psnr"]) and one["relative_error"] != other["relative_error"]


def test_grey_and_sixteen_bits_are_compared_in_their_depth(compare, tmp_path):
    a, b = (picture(tmp_path / f"{n}.png", i, (40, 36), bits=16) for i, n in enumerate("AB"))
    _, out, lines = compare()
    scores = json.loads(out)
    assert scores["psnr"] == pytest.approx(metrics.psnr(a, b).item(), rel=1e-5)
    assert scores["psnr_y"] is None and any("3 channels, not on 1" in line for line in lines)


def test_grey_against_colour(compare, tmp_path):
    a, b = picture(tmp_path / "A.png", 0, (40, 36)), picture(tmp_path / "B.png", 1)
    scores = json.loads(compare()[1])
    assert scores["psnr"] == pytest.approx(metrics.psnr(a.expand(-1, 3, -1, -1), b).item(), rel=1e-5)
    assert scores["psnr_y"] is not None


def test_small_pictures_and_equal_ones_say_what_has_no_value(compare, tmp_path):
    picture(tmp_path / "A.png", 0, (6, 6, 3)), picture(tmp_path / "B.png", 0, (6, 6, 3))
    _, out, lines = compare()
    scores = json.loads(out)
    assert scores["ssim"] is None and any("ssim: it is defined from 7 x 7" in line for line in lines)
    assert scores["relative_error"] == 0 and scores["ssim_gaussian"] == pytest.approx(1)
    assert all(value is None or math.isfinite(value) for value in scores.values())


def test_a_page_for_people(compare, tmp_path):
    picture(tmp_path / "A.png", 0), picture(tmp_path / "B.png", 1)
    code, out, _ = compare("A.png", "B.png")
    assert code == 0 and out.startswith("psnr ") and " dB" in out and "lpips" not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["A.png"], "which two images"),
        (["A.png", "B.png", "--jason"], "unknown flag --jason"),
        (["A.png", "none.png"], "no such file"),
        (["A.png", "text.png"], "not an image"),
        (["A.png", "B.png"], "A.png is 36 x 40 and B.png is 30 x 40"),
    ],
)
def test_a_mistake_is_a_line(compare, tmp_path, words, said):
    picture(tmp_path / "A.png", 0), picture(tmp_path / "B.png", 1, (40, 30, 3))
    (tmp_path / "text.png").write_text("no image")
    code, out, lines = compare(*words)
    assert code == 2 and not out and len(lines) == 1 and said in lines[0]
