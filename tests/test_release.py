"""A release: its numbers are frozen, its version and its CHANGELOG agree, and what is built installs."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from sipbench.bench import protocol
from sipbench.tables import release

ROOT = Path(__file__).parents[1]


def test_every_csv_is_as_it_was_frozen(tmp_path):
    """A CSV that changed on purpose is staged and frozen anew: git add, python -m sipbench.tables.release freeze

    What git has is looked at: `make table1` writes this machine's seconds over the committed ones, which is no fault.
    """
    git = subprocess.run(["git", "ls-files", "-z", "results"], cwd=ROOT, capture_output=True)
    out = ROOT
    if git.returncode == 0 and git.stdout:
        export = ["git", "checkout-index", "-z", "--stdin", f"--prefix={tmp_path}/"]
        subprocess.run(export, cwd=ROOT, input=git.stdout, check=True)
        out = tmp_path
    elif (ROOT / "results" / "runs").exists():
        pytest.skip("without git what was committed cannot be told from what this machine computed since")
    assert release.differences(out / "results") == []


def test_each_has_the_versions_that_it_rests_on():
    files = release.frozen(ROOT / "results")["files"]
    assert {"demo/table1.csv", "study/table1.csv", "published/table1_linear.csv"} <= set(files)
    for name, said in files.items():
        own = set(said["protocol"] or {})
        assert own == (set() if name.startswith("published/") else set(protocol.PARTS)), name


def test_a_number_that_changed_is_noticed_and_only_that_is_frozen_anew(tmp_path, monkeypatch):
    for name in ("demo", "published"):
        (tmp_path / name).mkdir()
    (tmp_path / "demo" / "a.csv").write_text("x\n1\n")
    (tmp_path / "demo" / "b.csv").write_text("x\n2\n")
    release.freeze(tmp_path)
    assert release.differences(tmp_path) == []
    old = protocol.versions()
    monkeypatch.setattr(protocol, "versions", lambda: {**old, "metrics": 99})
    (tmp_path / "demo" / "a.csv").write_text("x\n1.1\n")
    (tmp_path / "demo" / "b.csv").write_text("x\r\n2\r\n", newline="")
    (tmp_path / "published" / "c.csv").write_text("x\n3\n")
    assert release.differences(tmp_path) == ["published/c.csv: it is not frozen", "demo/a.csv: it changed"]
    release.freeze(tmp_path)
    files = json.loads((tmp_path / release.FILE).read_text())["files"]
    assert files["demo/a.csv"]["protocol"]["metrics"] == 99 and files["demo/b.csv"]["protocol"] == old
    (tmp_path / "demo" / "a.csv").unlink()
    assert release.differences(tmp_path) == ["demo/a.csv: it is gone"]


def test_the_version_is_said_once_and_the_changelog_knows_it():
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    heads = re.findall(r"(?m)^## (.*)$", (ROOT / "CHANGELOG.md").read_text())
    assert heads[0] == "Unreleased"
    released = [re.fullmatch(r"(\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d", head) for head in heads[1:]]
    assert all(released), heads
    versions = [tuple(map(int, one[1].split("."))) for one in released if one]
    assert versions == sorted(versions, reverse=True)
    own = tuple(map(int, said.split(".")))
    assert not versions or own >= versions[0]
    assert release.frozen(ROOT / "results")["sipbench"] == said
    cited = re.search(r"(?m)^version: *\"?([\d.]+)", (ROOT / "CITATION.cff").read_text())
    assert cited is None or cited[1] == said


@pytest.mark.slow
def test_the_source_archive_holds_all_and_installs(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    for name in (
        "CHANGELOG.md",
        "conf/config.yaml",
        "results/RELEASE.json",
        "results/demo/table1.csv",
        "results/published/table1_linear.csv",
        "sipbench/protocol.lock",
        "sipbench/report/page/assets/page.css",
        "tests/golden.csv",
    ):
        assert name in names, name
    assert any(name.endswith(".safetensors") for name in names)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", str(site), str(archive)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("conf/method/dps.yaml", "published/table1_linear.csv", "report/page/assets/page.css", "protocol.lock"):
        assert (site / "sipbench" / name).is_file(), name
    assert list((site / "sipbench" / "weights").rglob("*.safetensors"))
    shutil.rmtree(site)
