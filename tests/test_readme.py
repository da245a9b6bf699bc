"""What the README says: its commands run, its code runs, and its figures are those of results."""

import io
import math
import re
import shlex
import subprocess
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from sipbench import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
LINES = [
    line.split("#")[0].strip()
    for line in re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", README, flags=re.S), re.M)
]
COMMANDS = [line for line in LINES if line.startswith("sipbench ")]
SMALL = ["images=1", "metrics=[psnr]", "budget_seconds=0.001"]  # iterative solvers end at their first step
NAMES = {"A⁺y (the floor)": "pinv", "U-Net": "unet", "ReSample (latents)": "resample", "ADMM-PnP": "admm_pnp"}
HEAD = "| | x4 LPIPS ↓ "
ROWS = README.partition(HEAD)[2].partition("\n\n")[0].splitlines()[2:]


def committed(path):
    """A file as it is committed: a run of the demo writes it anew, with this machine's seconds."""
    shown = subprocess.run(["git", "-C", str(ROOT), "show", f"HEAD:{path}"], capture_output=True, check=False)
    return io.BytesIO(shown.stdout) if shown.returncode == 0 else ROOT / path


STUDY, DEMO = (pd.read_csv(committed(f"results/{profile}/table1.csv")) for profile in ("study", "demo"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with the solver that the README shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIPBENCH_RESULTS", raising=False)
    (mine,) = (code for code in PYTHON if code.startswith("# mine.py"))
    (tmp_path / "mine.py").write_text(mine)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs(command, here):
    words = [word for word in shlex.split(command)[1:] if word != "+launcher=slurm"]  # here in this process
    cell = words[0] == "-m" or "=" in words[0]
    assert cli.main([*words, *(SMALL if cell else [])]) == 0
    assert not cell or list(Path("results", "runs").rglob("rows-*.parquet"))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^    make (\w+)", README, re.MULTILINE))))
def test_a_target_of_make_is_there(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_there_is_something_to_try():
    assert len(COMMANDS) >= 6 and len(PYTHON) == 2 and len(ROWS) >= 10


@pytest.mark.parametrize("code", PYTHON)
def test_the_code_runs(code, here):
    scope = {}
    exec(code.replace("steps=200", "steps=2"), scope)
    if "scores" in scope:
        assert len(scope["scores"]) == 2 and scope["scores"]["psnr"].notna().all()


@pytest.mark.parametrize("row", ROWS)
def test_the_figures_are_those_of_the_study_and_the_seconds_those_of_the_demo(row):
    name, *cells, seconds = (cell.strip() for cell in row.strip("|").split("|"))
    method = NAMES.get(name, name.lower())
    study, demo = (
        f[(f.dataset == "faces") & (f.method == method)].set_index(["degradation", "metric"]) for f in (STUDY, DEMO)
    )
    tasks, digits = ("sr4", "inpaint70"), {"LPIPS": 3, "PSNR": 2, "SSIM": 3}
    for cell, (task, metric) in zip(cells, product(tasks, digits), strict=True):
        found = study.loc[(task, metric)]
        assert found["n"] >= 32
        text = f"{found['mean']:.{digits[metric]}f}"
        assert cell == (f"**{text}**" if found["best_group"] else text)
    mean = sum(demo.loc[(task, "s/image"), "mean"] for task in tasks) / 2
    assert seconds == ("< 0.001" if mean < 0.001 else f"{float(f'{mean:.2g}'):g}")
    assert not math.isnan(mean)
