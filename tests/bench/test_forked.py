"""A process that begins with torch imported is as one that was started anew, and ends with who asked for it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from sipbench.bench import forked, processes

TOLD = """\
import json, os, sys, torch
from sipbench.bench import processes

def main(parent, file):
    processes.signal_with_parent()
    told = {"folder": os.getcwd(), "word": os.environ.get("A_WORD"), "path": sys.path, "input": sys.stdin.read()}
    told |= {"child": os.getppid() == parent, "leads": os.getsid(0) == os.getpid()}
    told |= {of: len(os.listdir(f"/proc/self/{of}")) for of in ("task", "fd")}
    print("said aloud")
    os.write(file, json.dumps(told).encode() + b"\\n")
    exec(os.environ.get("THEN", ""))
"""

OTHERS = {
    "slow_to_import": "import time; time.sleep(1)\ndef main(*_): time.sleep(60)\n",
    "never_imported": "import time; time.sleep(60)\n",
    "speaking": "import os\ndef main(parent, file, *words): print(*words, os.environ['A_WORD'])\n",
    "sleeping": "import time\ndef main(*_): time.sleep(60)\n",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process imports for itself")


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a process that tells how it finds itself and then does a thing; it, and what it told."""
    (tmp_path / "telling.py").write_text(TOLD)
    for name, text in OTHERS.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def make(then=""):
        monkeypatch.setenv("THEN", then)
        with tempfile.TemporaryFile() as file:
            process = forked.start("telling", [file.fileno()])
            until = time.monotonic() + 30
            while not os.fstat(file.fileno()).st_size and time.monotonic() < until:
                time.sleep(0.01)
            file.seek(0)
            return process, json.loads(file.read())

    return make


def test_it_finds_what_a_new_process_would(start, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("A_WORD", "first")
    start()[0].wait(10)
    monkeypatch.setenv("A_WORD", "second")
    _, told = start()
    assert told["folder"] == str(tmp_path) and told["word"] == "second" and told["input"] == ""
    assert told["leads"] and told["child"] and told["path"] == sys.path
    assert told["task"] == 1
    assert told["fd"] == 5  # three of every process, the one it was given, and the list's own
    assert capfd.readouterr().out == "said aloud\n" * 2


@pytest.mark.parametrize(
    ("then", "code"), [("", 0), ("sys.exit(3)", 3), ("os._exit(4)", 4), ("os.kill(os.getpid(), 9)", -9)]
)
def test_its_end_is_told(start, then, code):
    process, _ = start(then)
    assert process.wait(10) == code and process.poll() == code


def test_it_can_be_asked_and_signalled_while_it_lives(start):
    process, _ = start("import time; time.sleep(60)")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    process.send_signal(signal.SIGTERM)  # it is gone: nothing is done


def test_where_its_server_is_killed_it_goes_too_and_the_next_has_another(start):
    process, _ = start("import time; time.sleep(60)")
    server = processes.find(process.pid).parent
    os.kill(server, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    another, told = start()
    assert told["child"] and another.wait(10) == 0


def _began(module, **more):
    with open(os.devnull) as file:
        return forked.begin(module, [file.fileno()], **more)


def test_it_need_not_be_waited_for_and_a_signal_finds_it_where_it_is(start, monkeypatch):
    monkeypatch.setattr(forked, "_server", forked._Server())  # one that imports first
    began = time.monotonic()
    process = _began("slow_to_import")
    assert time.monotonic() - began < 0.5 and not process.there and process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM and process.there
    forked._server.end()


def test_what_is_ended_before_it_is_there_is_waited_for_no_longer(start, monkeypatch):
    monkeypatch.setattr(forked, "_server", forked._Server())
    process = _began("never_imported")
    process.send_signal(signal.SIGKILL)
    assert process.wait(5) == -signal.SIGKILL and not process.there
    with pytest.raises(ChildProcessError):
        process.wait_for_life()
    assert start("os._exit(0)")[0].wait(10) == 0
    forked._server.end()


def test_it_is_told_words_and_has_an_environment_of_its_own(start, capfd):
    process = _began("speaking", words=["one", "two words"], environment={**os.environ, "A_WORD": "its own"})
    assert process.wait(30) == 0 and capfd.readouterr().out == "one two words its own\n"


def test_where_no_fork_is_safe_it_imports_for_itself(start, monkeypatch, capfd):
    monkeypatch.setattr(forked.sys, "platform", "darwin")
    process = _began("speaking", words=["one", "it's two"], environment={**os.environ, "A_WORD": "its own"})
    assert isinstance(process, forked.Alone) and process.there
    assert process.wait(30) == 0 and capfd.readouterr().out == "one it's two its own\n"
    deaf = _began("sleeping", ignored=[signal.SIGUSR2])
    deaf.send_signal(signal.SIGUSR2)
    with pytest.raises(subprocess.TimeoutExpired):
        deaf.wait(0.2)
    deaf.kill()
    assert deaf.wait(10) == -signal.SIGKILL


def test_it_is_deaf_to_a_signal_from_its_first_moment(start):
    process = _began("sleeping", ignored=[signal.SIGUSR2])
    for _ in range(20):
        process.send_signal(signal.SIGUSR2)
        time.sleep(0.01)
    assert process.there and process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_what_is_sent_to_all_processes_of_a_job_does_not_end_its_server(start, monkeypatch, number):
    """With it they would be killed at once, before they have put anything away."""
    monkeypatch.setattr(forked, "_server", forked._Server())
    before = signal.signal(number, signal.default_int_handler)  # a job of a shell in the background is deaf to SIGINT
    try:
        process, _ = start("import time; time.sleep(60)")
    finally:
        signal.signal(number, before)
    os.kill(processes.find(process.pid).parent, number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.send_signal(number)
    assert process.wait(10) in (-number, 1)  # Python says of SIGINT that it was interrupted
    forked._server.end()


def test_nothing_is_left_open(start):
    start("os._exit(0)")[0].wait(10)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        start("os._exit(0)")[0].wait(10)
    assert len(os.listdir("/proc/self/fd")) == before


def test_who_is_interrupted_while_it_begins_leaves_nothing_open_and_can_ask_again(start, monkeypatch):
    start("os._exit(0)")[0].wait(10)
    before = len(os.listdir("/proc/self/fd"))

    def interrupted(fork):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(forked.Fork, "_heard", interrupted)
        start("os._exit(0)")
    assert len(os.listdir("/proc/self/fd")) == before
    assert start("os._exit(6)")[0].wait(10) == 6


def test_what_is_forked_has_not_asked_for_a_gpu():
    """CUDA cannot be used in a fork of a process that has."""
    asks = "def ask(*_):\n    raise SystemExit('asked')\ntorch._C._cuda_getDeviceCount = torch._C._cuda_init = ask\n"
    program = "import torch\n" + asks + "import sipbench.bench.apart"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["sipbench.bench.apart", "sipbench.cli.hand"])
def test_what_is_forked_has_loaded_no_solver(module):
    """A fork runs the solver that its hash is of, the one on the disk, however long ago its server began."""
    program = f"import sys, {module}\nprint([m for m in sys.modules if m.startswith('baselines')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
