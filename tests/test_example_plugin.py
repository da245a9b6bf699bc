"""examples/plugin: installed as a user would, away from the checkout, and used by commands that take its parts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "examples" / "plugin"


def lines(path):
    return sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())


def test_it_is_small():
    assert sum(map(lines, (PLUGIN / "sipbench_example").rglob("*.py"))) < 150


@pytest.mark.slow
def test_it_installs_and_runs(tmp_path):
    """Its wheel in a folder of its own, beside what is installed here; nothing of its source is on the path."""
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    made = subprocess.run([*pip, "--target", str(site), str(PLUGIN)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    env = {k: v for k, v in os.environ.items() if not k.startswith("SIPBENCH_")}
    env["PYTHONPATH"] = os.pathsep.join([str(site), str(ROOT)])

    def run(*words):
        done = subprocess.run([sys.executable, *words], cwd=work, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "rollback" in run("-m", "sipbench.cli", "list", "methods")
    cell = ["dataset=stripes", "degradation=ghost", "method=rollback", "metrics=[psnr,edges]", "size=32", "images=2"]
    run("-m", "sipbench.cli", *cell)
    import pandas as pd

    (file,) = (work / "results" / "runs").rglob("rows-*.parquet")
    rows = pd.read_parquet(file)
    assert (rows["psnr"] > 20).all() and (rows["edges"] < 0.1).all() and set(rows["status"]) == {"ok"}
    assert "passed" in run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(PLUGIN / "tests"))
