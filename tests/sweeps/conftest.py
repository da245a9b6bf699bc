"""A folder to work in, solvers in files, and a package that plugs in."""

import os
import sys
from pathlib import Path

import pytest

from sipbench import cli, configs
from sipbench.bench import store


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder, with nothing of the surroundings."""
    for name in ("SIPBENCH_DATA", "SIPBENCH_WEIGHTS", "SIPBENCH_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sipbench(here):
    """Run the command in this process, on small images; returns the exit code."""
    return lambda *words: cli.main([*words, "size=32", "metrics=[psnr]"])


@pytest.fixture
def rows(here):
    """The rows of all cells, by (degradation, method), as lists of images; a row written twice counts twice."""
    import pandas as pd

    def read() -> dict[tuple[str, str], list[int]]:
        frames = [pd.read_parquet(p) for c in store.cells(Path("results")) for p in sorted(c.glob("rows-*.parquet"))]
        if not frames:
            return {}
        groups = pd.concat(frames).groupby(["degradation", "method"])["image"]
        return {key: sorted(images) for key, images in groups}

    return read


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """An installed package with an entry point in `sipbench.plugins` and a method in its config folder."""
    site = tmp_path / "site"
    configs_of = site / "theirs" / "conf" / "method"
    configs_of.mkdir(parents=True)
    (site / "theirs" / "__init__.py").write_text(
        "def solve(problem, *, scale=1.0):\n    return scale * problem.f.pinv(problem.y)\n"
    )
    (configs_of / "theirs.yaml").write_text(
        "name: theirs\nfamily: classical\nsolver: {_target_: theirs.solve, scale: 0.5}\nneeds: [linear]\n"
    )
    about = site / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[sipbench.plugins]\ntheirs = theirs\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]))
    configs.plugin_folders.cache_clear()
    yield
    configs.plugin_folders.cache_clear()
    sys.modules["sipbench.configs.find"]._plugged.clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "theirs"]:
        del sys.modules[name]
