"""One cell from the command line: what is checked before any work, and what is left behind."""

import errno
import math
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from sipbench import cli
from sipbench.bench import store
from sipbench.bench.store import remove_leftovers
from sipbench.cli import hydra
from sipbench.cli.cell import scores

SMALL = ["method=pinv", "metrics=[psnr]"]


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "my photographs (1)"
    folder.mkdir()
    for i in range(10):
        Image.effect_noise((70, 90), 50 + i).convert("RGB").save(folder / f"{i}.png")
    return [*SMALL, "dataset=folder", f"dataset.root={folder}", f"results={tmp_path / 'ergebnisse ü'}"]


def say(capsys, *words):
    capsys.readouterr()
    code = cli.main(list(words))
    out, err = capsys.readouterr()
    return code, out, [line for line in err.splitlines() if not line.startswith("[")]


@pytest.mark.parametrize("profile", [[], ["profile=demo"], ["profile=paper"]])
def test_12_a_folder_is_taken_whole_whatever_the_profile(photographs, capsys, profile):
    code, out, _ = say(capsys, *photographs, "size=64", *profile)
    assert code == 0 and "10 images done" in out


@pytest.mark.parametrize("many", [[], ["-m"]])
def test_12_what_does_not_fit_is_one_line_before_any_work(photographs, capsys, tmp_path, many):
    for words, said in ((["images=100"], "has 10 images"), ([], "10 of 10 images are too small for size=256")):
        code, out, lines = say(capsys, *many, *photographs, *words)
        assert code == 2 and not out and len(lines) == 1 and said in lines[0]
    assert "size=64" in lines[0]
    assert not (tmp_path / "ergebnisse ü").exists()


def test_each_reason_of_failed_images_is_told_once(photographs, capsys):
    folder = Path(next(word for word in photographs if "root" in word).partition("=")[2])
    for i in (1, 3, 5):
        (folder / f"{i}.png").write_text("no picture")
    (folder / "7.png").write_bytes((folder / "7.png").read_bytes()[:3000])
    code, _, lines = say(capsys, *photographs, "size=64", "batch_size=10")
    told = [line for line in lines if line.startswith("image ")]
    assert code == 1 and [line.split()[1] for line in told] == ["1", "3", "5", "7"]
    assert lines[-1].startswith("sipbench: 4 of 10 images failed: ") and "1.png" in lines[-1]
    assert "and 3 for other reasons" in lines[-1]


def test_16_a_sweep_writes_where_it_is_told(photographs, capsys, tmp_path):
    code, out, _ = say(capsys, "-m", *photographs, "size=64", "seed=0,1", "images=1")
    assert code == 0 and "2 of 2 cells are done" in out
    assert len(list((tmp_path / "ergebnisse ü" / "runs").rglob("rows-*.parquet"))) == 2


def test_22_nothing_is_solved_for_a_metric(capsys, tmp_path):
    words = ["method=pinv", "size=32", "images=2", f"results={tmp_path}"]
    assert cli.main([*words, "metrics=[psnr]"]) == 0
    code, out, _ = say(capsys, *words, "metrics=[psnr,ssim]")
    assert code == 0 and "already done: 2 images, 2 of them scored now" in out and "ssim" in out
    code, out, _ = say(capsys, "-m", *words, "metrics=[psnr,ssim_gaussian]", "seed=0")
    assert code == 0 and "scored now" in out
    code, out, _ = say(capsys, "score", *words, "metrics=[relative_error]")
    assert code == 0 and "2 of 2 stored results scored" in out
    code, out, _ = say(capsys, "score", *words, "metrics=[relative_error]", "seed=4")
    assert code == 0 and "nothing is stored" in out


def test_a_score_says_of_how_many_images_it_is_and_which_has_none(cell):
    """A metric may be undefined on some images, and on all."""
    made = replace(cell("method=pinv", "images=4"), metrics=("psnr", "ssim", "lpips_alex"))
    values = {"status": "ok", "reason": "", "ssim": math.nan, "seconds": 0.5, "residual_ratio": 2.0}
    store.prepare(made)
    store.write(made, [{"image": i, "psnr": 20.0 if i < 3 else math.nan, **values} for i in range(4)])
    assert scores(made) == ", psnr 20 (of 3), ssim n/a, lpips_alex n/a, seconds 0.5"
    none = replace(made, metrics=("ssim",))
    assert scores(none) == ", ssim n/a, residual_ratio 2, seconds 0.5"
    assert scores(replace(made, chosen_images=[4])) == ""


def test_27_a_full_disk_names_the_folder(capsys, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hydra.core.utils._save_config", full)
    words = ["-m", *SMALL, "size=32", "images=1", "seed=0,1", f"results={tmp_path}"]
    code, _, lines = say(capsys, *words)
    assert code == 2 and str(tmp_path) in lines[-1] and "No space left" in lines[-1] and "results=" in lines[-1]
    assert "None" not in lines[-1]


def test_30_leftovers_of_killed_writers_are_removed_and_never_counted(capsys, tmp_path):
    words = [*SMALL, "size=32", "images=1", f"results={tmp_path}"]
    assert cli.main(words) == 0
    folder = next(tmp_path.rglob("cell.json")).parent
    old, young = folder / ".rows-000000-abc.parquet.77.tmp", folder / ".rows-000000-abc.parquet.78.tmp"
    for path in (old, young):
        path.write_bytes(b"half a file")
    os.utime(old, (time.time() - 7200,) * 2)
    code, out, _ = say(capsys, *words)
    assert code == 0 and "already done: 1 image, " in out
    assert young.exists() and not old.exists()
    remove_leftovers(folder / "nowhere")


def test_31_an_option_that_the_swept_methods_share(capsys, tmp_path):
    (tmp_path / "ok.py").write_text("def solve(problem, *, iterations=9):\n    return problem.f.pinv(problem.y)\n")
    words = ["-m", f"method={tmp_path}/ok.py:solve,dip", "method.solver.iterations=3", "size=32", "images=1"]
    code, out, lines = say(capsys, *words, "metrics=[psnr]", f"results={tmp_path / 'r'}")
    assert code == 0 and "2 of 2 cells are done" in out, lines


@pytest.mark.parametrize("value", ["1", "1e-3", "'a b'", "a b", "[1,2]", "{x: 1}", "null", "true", "x:y"])
def test_31_a_sweep_of_one_value_is_that_value(value):
    words = ["method=dip,dps", f"method.solver.lr={value}"]
    assert [hydra.expand([w[1]]) for w in hydra.expand(hydra.as_sweep(words))] == [
        hydra.expand([w[1]]) for w in hydra.expand(words)
    ]


def test_a_word_without_a_value_is_no_option(capsys):
    for command in (["show", "sr4"], ["export", "dps", "out=x"], ["check", "pinv", "sr4"], ["doctor", "now"]):
        code, _, lines = say(capsys, *command)
        assert code == 2 and "unknown word" in lines[0]
