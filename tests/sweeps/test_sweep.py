"""One cell or many: what is done, what is said, and the exit code."""

from pathlib import Path

import pytest

from sipbench.cli import hydra as hydra_run

GRID = ("-m", "degradation=sr4,inpaint70", "images=2")
BROKEN = "def solve(problem):\n    raise ArithmeticError('this solver is broken')\n"
UNLOADABLE = "import a_package_that_does_not_exist\n\ndef solve(problem):\n    return problem.f.pinv(problem.y)\n"
STOPPED = """\
from pathlib import Path

def solve(problem):
    calls = Path("calls")
    calls.write_text(calls.read_text() + "." if calls.exists() else ".")
    if len(calls.read_text()) == 2:
        {stop}
    return problem.f.pinv(problem.y)
"""


def _files() -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in Path("results").rglob("*") if path.is_file()}


def test_one_cell_is_done_once(sipbench, rows, capsys):
    assert sipbench("images=2") == 0
    assert "2 images done" in capsys.readouterr().out
    assert rows() == {("sr4", "pinv"): [0, 1]}
    before = _files()
    assert sipbench("images=2") == 0
    out = capsys.readouterr()
    assert "already done: 2 images" in out.out and not out.err
    assert _files() == before


def test_a_sweep_is_done_once(sipbench, rows, capsys):
    assert sipbench(*GRID) == 0
    assert rows() == {("sr4", "pinv"): [0, 1], ("inpaint70", "pinv"): [0, 1]}
    before = _files()
    assert sipbench(*GRID) == 0
    assert _files() == before
    assert "2 of 2 cells are done" in capsys.readouterr().out


def test_hydra_composes_each_job_once(sipbench, monkeypatch):
    """When it runs: what comes before the first job does not grow with the jobs."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    composed, load = [], ConfigLoaderImpl.load_sweep_config

    def count(self, master, words):
        composed.append(words)
        return load(self, master, words)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", count)
    assert sipbench("-m", "seed=0,1", "images=1") == 0
    assert len(composed) == 2


def test_a_damaged_file_stops_no_sweep(here, sipbench, rows, capsys):
    assert sipbench(*GRID) == 0
    path = sorted(here.rglob("rows-*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:-9])
    assert sipbench(*GRID) == 0
    said = capsys.readouterr()
    assert "2 of 2 cells are done" in said.out and "damaged results files: 1 set aside" in said.err
    assert rows() == {("sr4", "pinv"): [0, 1], ("inpaint70", "pinv"): [0, 1]}


def test_a_longer_sweep_does_the_rest(sipbench, rows):
    assert sipbench("degradation=sr4", "images=1") == 0
    before = _files()
    assert sipbench(*GRID, "batch_size=1") == 0
    assert rows() == {("sr4", "pinv"): [0, 1], ("inpaint70", "pinv"): [0, 1]}
    kept = [path for path in before if path.suffix == ".parquet"]
    assert kept and all(_files()[path] == before[path] for path in kept)


@pytest.mark.parametrize(
    "method, code, says",
    [
        ("bad.py:solve", 1, "this solver is broken"),
        ("unloadable.py:solve", 2, "a_package_that_does_not_exist"),
        ("dps", 2, "checkpoint"),
    ],
)
def test_a_failing_cell_stops_no_other(here, sipbench, rows, capsys, method, code, says):
    (here / "bad.py").write_text(BROKEN)
    (here / "unloadable.py").write_text(UNLOADABLE)
    missing = "weights=nowhere", "prior=diffusers", "prior.path=no-such-prior"
    assert sipbench("-m", f"method={method},pinv", "images=1", *missing) == code
    assert rows()["sr4", "pinv"] == [0]
    said = capsys.readouterr()
    assert says in said.err
    assert "1 of 2 cells are done" in said.out


def test_what_a_method_cannot_do_is_no_failure(sipbench, rows, capsys):
    assert sipbench("-m", "degradation=hdr,blind_unknown,sr4", "method=pinv", "images=1") == 0
    assert rows() == {("sr4", "pinv"): [0]}
    said = capsys.readouterr()
    assert "1 of 3 cells are done, 2 n/a" in said.out
    assert said.err.count("n/a: ") == 2 and "sent again" not in said.err


def test_failed_images_are_told_and_tried_again_when_asked(here, sipbench, capsys):
    (here / "bad.py").write_text(BROKEN)
    assert sipbench("method=bad.py:solve", "images=1") == 1
    assert sipbench("method=bad.py:solve", "images=1") == 1
    assert "1 of 1 image failed: ArithmeticError: this solver is broken" in capsys.readouterr().err
    assert sipbench("-m", "method=bad.py:solve", "images=1", "retry_failed=true") == 1


def test_mistakes_show_before_any_work(sipbench, here, capsys):
    assert sipbench("-m", "method=pinv,dmplg") == 2
    assert "Did you mean dmplug?" in capsys.readouterr().err
    assert sipbench("-m", "seed=0,1", "sede=1") == 2
    assert "seed" in capsys.readouterr().err
    assert sipbench("method=pinv,dps") == 2
    assert "sipbench -m" in capsys.readouterr().err
    assert sipbench("--size=32") == 2
    assert "without dashes" in capsys.readouterr().err
    assert sipbench("-m", "seed=0,1", "+launcher=slrm") == 2
    assert "Did you mean slurm?" in capsys.readouterr().err
    assert sipbench("-m", "seed=0,1", "results=here,there") == 2
    assert "in one folder, not in here and there" in capsys.readouterr().err
    assert not (here / "results").exists()


def test_a_results_folder_that_cannot_be_made(sipbench, here, capsys):
    (here / "results").write_text("a file")
    assert sipbench(*GRID) == 2
    assert "results=" in capsys.readouterr().err


def test_a_launcher_that_loses_every_job_is_found_out(sipbench, monkeypatch, capsys):
    monkeypatch.setattr(hydra_run, "command", lambda *_: None)
    assert sipbench(*GRID) == 1
    said = capsys.readouterr()
    assert "0 of 2 cells are done" in said.out
    assert said.err.count("2 of 2 images are missing") == 2


def test_what_a_launcher_raises_inside_a_solver_is_no_failed_image(here, sipbench, rows, capsys):
    stop = "from submitit.core.utils import UncompletedJobError; raise UncompletedJobError('timed out too often')"
    (here / "slow.py").write_text(STOPPED.format(stop=stop))
    words = "-m", "method=slow.py:solve", "images=3", "batch_size=1"
    assert sipbench(*words) == 1
    assert rows() == {("sr4", "slow:solve"): [0]}
    assert "the launcher says: timed out too often" in capsys.readouterr().err
    assert sipbench(*words) == 0
    assert rows() == {("sr4", "slow:solve"): [0, 1, 2]}


@pytest.mark.parametrize("many", [(), ("-m",)])
def test_a_stopped_run_goes_on(here, sipbench, rows, capsys, many):
    (here / "slow.py").write_text(STOPPED.format(stop="raise KeyboardInterrupt"))
    words = *many, "method=slow.py:solve", "images=3", "batch_size=1"
    assert sipbench(*words) == 130
    assert "run the same command again" in capsys.readouterr().err
    assert rows() == {("sr4", "slow:solve"): [0]}
    assert sipbench(*words) == 0
    assert rows() == {("sr4", "slow:solve"): [0, 1, 2]}


def test_the_config_is_shown(sipbench, capsys):
    assert sipbench("--cfg", "job", "method=pinv") == 0
    assert "degradation:" in capsys.readouterr().out


def test_only_what_is_pending_is_sent_and_a_lost_job_stops_no_other(here, sipbench, rows, capsys, monkeypatch):
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    assert sipbench("method=pinv", "seed=1", "images=1") == 0
    sent, launch = [], BasicLauncher.launch

    def launched(self, jobs, initial_job_idx):
        sent.append([word for job in jobs for word in job if word.startswith("seed=")])
        if initial_job_idx == 0:
            raise RuntimeError("the node is gone")
        return launch(self, jobs, initial_job_idx)

    monkeypatch.setattr(BasicLauncher, "launch", launched)
    monkeypatch.setattr("sipbench.cli.sweep.of_launcher", lambda error: isinstance(error, RuntimeError))
    words = "-m", "method=pinv", "seed=0,1,2,3", "images=1", "hydra.sweeper.max_batch_size=1"
    assert sipbench(*words) == 2
    assert sent == [["seed=0"], ["seed=2"], ["seed=3"]]
    said = capsys.readouterr()
    assert "the node is gone" in said.err and "3 of 4 cells are done" in said.out


@pytest.mark.slow
def test_a_job_that_dies_stops_no_other_and_is_judged_when_all_are_done(here, sipbench, rows, capsys, monkeypatch):
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 1)  # seconds that it waits for a slow disk
    (here / "deadly.py").write_text("import os\n\ndef solve(problem):\n    os._exit(0)\n")
    words = "-m", "+launcher=local", "method=deadly.py:solve,pinv", "degradation=sr4,inpaint70", "images=1"
    assert sipbench(*words, "hydra.sweeper.max_batch_size=2") == 1
    assert rows() == {("sr4", "pinv"): [0], ("inpaint70", "pinv"): [0]}
    said = capsys.readouterr()
    assert "2 of 4 cells are done" in said.out and "the launcher says" in said.err
