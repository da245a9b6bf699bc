"""What is installed: a wheel holds all that a cell needs, and runs away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEMPLATE = "scaffold/templates/method_classical.py.txt"  # of sipbench new


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """The wheel, built from this checkout and unpacked in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def sipbench(unpacked, tmp_path):
    """Run a command of the unpacked wheel in an empty folder, with nothing of the checkout on the path."""
    program = "import sys; sys.path[:] = [p for p in sys.path if p != sys.argv[1]]; del sys.argv[1]\n"
    program += "from sipbench.cli import main; import sipbench, baselines\n"
    program += "print(sipbench.__file__, baselines.__file__, file=sys.stderr); sys.exit(main(sys.argv[1:]))"
    env = {k: v for k, v in os.environ.items() if not k.startswith("SIPBENCH_")} | {"PYTHONPATH": str(unpacked)}

    def run(*words):
        argv = [sys.executable, "-c", program, str(ROOT), *words]
        return subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


PAGE = "report/page/assets/page.css"


def test_it_holds_what_is_not_code(unpacked):
    for name in (
        "conf/config.yaml",
        "conf/method/dps.yaml",
        "published/table1_linear.csv",
        "protocol.lock",
        TEMPLATE,
        PAGE,
    ):
        assert (unpacked / "sipbench" / name).is_file()
    assert list((unpacked / "sipbench" / "weights").rglob("*.safetensors"))
    assert not list(unpacked.rglob("test_*.py"))


@pytest.mark.slow
def test_git_ignores_what_runs_leave_below_results():
    left = "runs logs trained training wandb tuning partial sweeps leases workers".split()
    done = subprocess.run(
        ["git", "check-ignore", *(f"results/{name}/file" for name in left)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode == 128:
        pytest.skip("not a checkout of git")
    assert done.stdout.split() == [f"results/{name}/file" for name in left]


def test_it_runs_a_cell_elsewhere(sipbench, unpacked, tmp_path):
    done = sipbench("degradation=sr4", "method=dps", "method.solver.steps=2", "images=1", "metrics=[psnr]")
    assert done.returncode == 0, done.stderr
    first = done.stderr.splitlines()[0].split()
    assert all(Path(p).is_relative_to(unpacked) for p in first)
    assert list((tmp_path / "results" / "runs").rglob("rows-*.parquet"))


def test_it_lists_what_there_is(sipbench):
    here = sorted(p.stem for p in (ROOT / "conf" / "method").glob("*.yaml"))
    done = sipbench("list", "methods")
    assert done.returncode == 0, done.stderr
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == here
