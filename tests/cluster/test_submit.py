"""What is sent where, and what is said of it; a SLURM that only writes down what it is told."""

import os
import time

import pytest

from sipbench import cli
from sipbench.cluster import deadline, share
from sipbench.cluster.supervisor import requeue

SBATCH = '#!/bin/bash\necho "$@" >> sbatch.txt\necho 77\n'
WORDS = ("-m", "method=pinv", "images=8", "batch_size=1", "size=32", "metrics=[psnr]")


@pytest.fixture
def slurm(here, monkeypatch):
    """sbatch, scontrol and srun of a cluster whose longest array is 3."""
    (here / "bin").mkdir()
    told = {"sbatch": SBATCH, "scontrol": "#!/bin/bash\necho 'MaxArraySize  = 4'\n", "srun": "#!/bin/bash\n"}
    for name, text in told.items():
        (here / "bin" / name).write_text(text)
        (here / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{here / 'bin'}:{os.environ['PATH']}")
    return lambda: (here / "sbatch.txt").read_text().splitlines()


def test_an_array_of_equal_workers_is_sent(here, slurm, capsys):
    more = "workers=7", "hours=0.1", "gpus=0", "partition=long", "slurm.exclude=n3", "workers_per_gpu=2"
    assert cli.main(["submit", *WORDS, "+launcher=slurm", *more]) == 0
    lines = slurm()
    assert [line.split()[1] for line in lines] == ["--array=0-2", "--array=0-2", "--array=0-0"]
    assert "--time=6 --signal=B:USR2@90" in lines[0] and "--requeue" in lines[0] and "gpus-per-node" not in lines[0]
    assert "--partition=long --exclude=n3" in lines[0]
    said = capsys.readouterr().out
    assert "cancel: scancel 77 77 77" in said and "1 cell, 8 images" in said
    (script,) = here.glob("results/sweeps/*/worker.sh")
    assert f"work {script.parent.name} results={here / 'results'} workers_per_gpu=2" in script.read_text()


def test_a_percent_sign_in_a_folders_name_is_no_pattern_of_slurm(here, slurm):
    assert cli.main(["submit", *WORDS, "+launcher=slurm", f"results={here}/50%j of ü"]) == 0
    assert f"--output={here}/50%%j of ü/sweeps/" in slurm()[0] and "%A_%a.log" in slurm()[0]


@pytest.mark.parametrize(
    "words, says",
    [
        ((), "where to? +launcher="),
        (("+launcher=slrum",), "Did you mean slurm?"),
        (("+launcher=slurm", "hours=0.01"), "too short"),
        (("+launcher=local", "partition=long"), "option of +launcher=local"),
        (("+launcher=local", "workers=many"), "workers is a whole number"),
        (("+launcher=srun",), "salloc"),
        (("+launcher=ray", "cpus=x"), "ay"),
    ],
)
def test_what_cannot_be_sent_is_said(here, slurm, capsys, words, says):
    assert cli.main(["submit", *WORDS, *words]) == 2
    assert says in capsys.readouterr().err
    assert not (here / "sbatch.txt").exists()


def test_a_cell_that_cannot_be_done_is_said_when_it_is_sent(here, slurm, capsys):
    """At once, not after a night in the queue; where there is none but such, nothing is sent."""
    nowhere = "weights=nowhere", "prior=diffusers", "prior.path=no-such-prior", "+launcher=slurm"
    words = "-m", "images=1", "size=32", "metrics=[psnr]", *nowhere
    assert cli.main(["submit", *words, "method=dps,pinv"]) == 0
    said = capsys.readouterr()
    assert "1 cell cannot be done" in said.err and "no-such-prior" in said.err and "cancel: scancel 77" in said.out
    assert cli.main(["submit", *words, "method=dps"]) == 2
    assert "no-such-prior" in capsys.readouterr().err and len(slurm()) == 1


def test_a_cluster_without_what_a_worker_takes_is_said(here, slurm, capsys):
    refusal = "#!/bin/bash\necho 'sbatch: error: Requested node configuration is not available' >&2; exit 1\n"
    (here / "bin/sbatch").write_text(refusal)
    assert cli.main(["submit", *WORDS, "+launcher=slurm"]) == 2
    assert "is not available" in (said := capsys.readouterr().err) and "gpus=, cpus= and mem_gb=" in said


def test_the_end_of_a_job_is_told_without_this_nodes_clock(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.delenv("SLURM_STEP_ID", raising=False)
    monkeypatch.setattr(deadline, "ask", lambda *_: "StartTime=2001-01-01T00:00:00 EndTime=2001-01-01T01:00:00")
    monkeypatch.setattr(deadline, "running", lambda: 600.0)
    assert deadline.of_job() == 3600 - 600 - 60
    monkeypatch.setattr(deadline, "ask", lambda *_: "StartTime=2001-01-01T00:00:00 EndTime=Unknown")
    assert deadline.of_job() == float("inf")
    then = time.localtime(time.time() + 7200)
    assert 7000 < deadline.typed(time.strftime("%H:%M", then)) <= 7200 and deadline.typed("90") == 90


def test_a_cancelled_task_is_not_put_back_and_no_other_with_it(monkeypatch):
    asked = []

    def ask(*words):
        asked.append(" ".join(words))
        return "JobId=2 ArrayJobId=2 ArrayTaskId=1 JobState=" + state[0]

    monkeypatch.setattr(deadline, "ask", ask)
    for name, value in {"SLURM_JOB_ID": "2", "SLURM_ARRAY_JOB_ID": "2", "SLURM_ARRAY_TASK_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    state = ["CANCELLED"]
    assert not requeue() and asked == ["scontrol --oneliner show job 2_1"]
    state = ["RUNNING"]
    assert requeue() and asked[-1] == "scontrol requeue 2_1"


def test_workers_of_a_machine_share_it(tmp_path, monkeypatch):
    monkeypatch.setattr(share, "_quota", lambda: 0)
    monkeypatch.setattr(share.os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert share.places(2, None) == ["2", "2", "3", "3"] and share.places(2, "cpu") == [None, None]
    assert share.threads(tmp_path, 4, None) == 4 and share.threads(tmp_path, 4, "3") == 3
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    assert share.threads(tmp_path, 4, None) == 2
