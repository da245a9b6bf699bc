"""docs/pairs.md: every command in it runs, on a folder as it says; and so do the tables of pairs."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from sipbench import cli
from sipbench.bench import store
from tests import made_pairs as pairs

PAGE = (Path(__file__).parents[1] / "docs" / "pairs.md").read_text(encoding="utf-8")
COMMANDS = [line.split("#")[0].strip() for line in re.findall(r"^    (sipbench .*)$", PAGE, re.MULTILINE)]
TABLES = [command for command in COMMANDS if " table " in command]
QUICK = ["metrics=[psnr,ssim]", "budget_seconds=0.001"]  # iterative solvers end at their first step
TINY = [
    "method.solver.iterations=12", "method.solver.channels=[8,8]", "method.solver.skip=[0,4]",
    "method.solver.input_channels=4", "probe.every=1", "probe.rules.wmv.window=4", "probe.rules.wmv.patience=3",
]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("SIPBENCH_RESULTS", "SIPBENCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    pairs.folder(tmp_path / "mine", side=48)
    return tmp_path


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in TABLES])
def test_a_command_runs(command, here):
    words = shlex.split(command)[1:]
    if words[0] == "show" and any(word.startswith("method=") for word in words):
        assert cli.main([*words[1:], *QUICK]) == 0
        words += QUICK
    assert cli.main([*words, *(QUICK if "=" in words[0] else [])]) == 0
    assert list(Path("results").rglob("*.png" if words[0] == "show" else "rows-*.parquet"))


def test_the_page_has_what_it_promises():
    assert len(COMMANDS) == 8 and len(TABLES) == 3


def test_the_table_of_a_folder(here):
    words = next(shlex.split(c)[2:] for c in TABLES if "mine" in c)
    words = [*(word for word in words if "crop" not in word), "dataset.crop=48", "method=pan_l0,selfdeblur", QUICK[1]]
    assert cli.main(["table", *words]) == 0
    frame = pd.read_csv("results/partial/demo/blurred.csv")
    assert set(frame["method"]) == {"pan_l0", "selfdeblur"} and not frame["failed"].any()
    assert "measurements with their truth, of their own sizes, 2 images" in Path(
        "results/partial/demo/blurred.md"
    ).read_text(encoding="utf-8")
    found = frame[(frame.method == "pan_l0") & frame.metric.isin(["kernel", "error ratio", "PSNR (aligned)", "SSIM"])]
    assert len(found) == 4 and set(found["n"]) == {2} and found["mean"].notna().all()


def test_three_losses_on_real_noise(here):
    pairs.ntire_pictures(here / "data" / "ntire")
    words = next(shlex.split(c)[2:] for c in TABLES if "real_noise" in c)
    assert cli.main(["table", *words, *TINY, "metrics=[psnr,ssim]"]) == 0
    frame = pd.read_csv("results/partial/paper/real_noise.csv")
    psnr = frame[frame.metric == "PSNR"].set_index("method")
    assert set(psnr.index) == {"mse", "l1", "huber"} and set(psnr["n"]) == {2} and psnr["mean"].nunique() == 3
    assert (frame[frame.metric == "gap, dB"]["mean"] > -1e-3).all()
    folders = {path.parent for path in Path("results").rglob("rows-*.parquet")}
    assert len(folders) == 3
    for folder in folders:  # nobody was told of the noise
        assert store.read(folder)["residual_ratio"].isna().all()


def test_the_benchmarks_lack_their_data_in_a_line_each(here, capsys):
    words = next(shlex.split(c)[2:] for c in TABLES if "blurred profile" in c)
    assert cli.main(["table", *words]) == 2
    said = capsys.readouterr()
    for name in ("levin", "lai", "koehler"):
        assert f"data/{name}" in said.out + said.err
