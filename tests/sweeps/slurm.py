"""A SLURM of one node on this machine, started for a test and stopped after it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "srun")
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={control}
SlurmdPort={node}
AuthInfo=socket={home}/munge/sock,cred_expire=20
MessageTimeout=60
BatchStartTimeout=120
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldLogFile={home}/log/slurmctld.log
SlurmdLogFile={home}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
KillWait=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MinJobAge=3600
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,sched_min_interval=0
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 Gres=gpu:4 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=calm Nodes=ALL MaxTime=INFINITE PriorityTier=1 PreemptMode=OFF
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""
SACCT = '''\
#!{python}
"""Answers `sacct -o JobID,State,NodeList --parsable2 -j ID` from scontrol, as there is no accounting here."""
import re, subprocess, sys

print("JobID|State|NodeList")
for job in [sys.argv[i + 1] for i, word in enumerate(sys.argv) if word == "-j"]:
    out = subprocess.run(["scontrol", "-o", "show", "job", job], capture_output=True, text=True).stdout
    for line in out.splitlines():
        f = dict(re.findall(r"(\\S+?)=(\\S*)", line))
        task = f.get("ArrayTaskId", "")
        name = f["ArrayJobId"] + "_" + (task if task.isdigit() else f"[{{task}}]") if task else f["JobId"]
        print(name, f["JobState"], f.get("NodeList", ""), sep="|")
'''


def missing() -> list[str]:
    """The programs that a SLURM of our own needs and this machine lacks."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    return [program for program in PROGRAMS if shutil.which(program, path=path) is None]


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """The environment in which sbatch and the others find the cluster."""
    home = Path(tempfile.mkdtemp(prefix="slurm-"))
    environment = _write(home)
    try:
        _start(home, environment)
        yield environment
    finally:
        _drain(environment)
        for name in ("slurmd", "slurmctld", "munge/munged"):
            _stop(home / f"{name}.pid")
        shutil.rmtree(home, ignore_errors=True)


def _write(home: Path) -> dict[str, str]:
    for name in ("munge", "state", "spool", "log", "bin"):
        (home / name).mkdir(mode=0o700)
    (home / "munge/key").write_bytes(os.urandom(1024))
    (home / "munge/key").chmod(0o600)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    host, (control, node) = socket.gethostname().split(".")[0], _free_ports(2)
    (home / "slurm.conf").write_text(CONF.format(home=home, host=host, user=user, control=control, node=node))
    (home / "gres.conf").write_text("Name=gpu Count=4 File=/dev/null,/dev/zero,/dev/full,/dev/random\n")
    (home / "bin/sacct").write_text(SACCT.format(python=sys.executable))
    (home / "bin/sacct").chmod(0o700)
    path = os.pathsep.join([str(home / "bin"), os.environ["PATH"], "/usr/sbin"])
    return {**os.environ, "SLURM_CONF": str(home / "slurm.conf"), "PATH": path}


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _start(home: Path, environment: dict[str, str]) -> None:
    munge = home / "munge"
    files = {"key-file": "key", "socket": "sock", "pid-file": "munged.pid", "log-file": "log", "seed-file": "seed"}
    for words in (
        ["munged", "--force", *(f"--{option}={munge / name}" for option, name in files.items())],
        ["slurmctld", "-c"],
        ["slurmd"],
    ):
        subprocess.run(words, env=environment, check=True, timeout=30)
    for _ in range(100):
        if subprocess.run(["srun", "-I5", "true"], env=environment, capture_output=True).returncode == 0:
            return
        time.sleep(0.2)
    raise RuntimeError("SLURM did not come up: " + "".join(p.read_text()[-2000:] for p in (home / "log").iterdir()))


def _drain(environment: dict[str, str]) -> None:
    """End all jobs: what is left of one would look for its cluster for ever."""
    for _ in range(100):
        found = subprocess.run(["squeue", "--noheader", "--format=%A"], env=environment, capture_output=True, text=True)
        if not found.stdout:
            return
        subprocess.run(["scancel", "--full", *found.stdout.split()], env=environment, capture_output=True)
        time.sleep(0.3)


def _stop(file: Path) -> None:
    """End the daemon that wrote this file, and wait until it is gone."""
    if not file.is_file():
        return
    process = int(file.read_text())
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
        for _ in range(100):
            time.sleep(0.1)
            os.kill(process, 0)
        os.kill(process, signal.SIGKILL)
