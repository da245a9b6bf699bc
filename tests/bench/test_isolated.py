"""A solver in a process of its own: whatever it does to that, the sweep goes on and the rows say what it was."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sipbench.bench import isolated, memory, store
from sipbench.bench.isolated import Worker
from sipbench.errors import UserError
from tests.bench.solved import rows_of

LIMITS = ("isolate=true", "kill_after=3", "memory_limit=1GB", "batch_size=1", "metrics=[psnr]")
WAYS = {
    "import os; os._exit(3)": "the solver ended the process with os._exit(3)",
    "import ctypes; ctypes.string_at(0)": "a segmentation fault (mine.py:",
    "import os; os.abort()": "aborted: ",
    "import os; os.kill(os.getpid(), 9)": "killed from outside (SIGKILL)",
    "import os, time; os.closerange(3, 99); time.sleep(99)": "it closed the connection to the harness",
    "while True: pass": "no answer for 3 s: killed (mine.py:",
    "import os; os.kill(os.getpid(), 19)": "no answer for 3 s: killed",
    "kept = [torch.ones(10**8) for _ in range(20)]": "killed: it used more than 1 GB of memory",
    "import threading, time; threading.Thread(target=time.sleep, args=(99,)).start()": "it left 1 thread running",
    "import os; os.fork()": "it left a process running, or forked and came back twice",
    "import os; os.close(1); os.close(2)": "it closed or replaced stdout; it closed or replaced stderr",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "return problem.y * float('nan')": "non-finite output",
}


def acting(tmp_path, acts):
    """The lines of a solver that at its n-th call does the n-th of these."""
    lines = [f"if call == {n}:\n    {act}" for n, act in enumerate(acts)]
    count = f"import os\nfd = os.open({str(tmp_path / 'calls')!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY)"
    count += "\ncall = os.fstat(fd).st_size\nos.write(fd, b'.')\nos.close(fd)"
    return "\n".join([count, *lines, "return problem.f.T(problem.y)"])


def test_each_way_to_misbehave_costs_its_own_image_and_is_named(solver, tmp_path):
    """One cell, an image a way: those that follow a death are solved all the same."""
    rows = rows_of(solver(acting(tmp_path, ["pass", *WAYS]), f"images={len(WAYS) + 2}", *LIMITS)).set_index("image")
    assert rows["status"].tolist() == ["ok", *["failed"] * len(WAYS), "ok"], rows["reason"].tolist()
    for n, reason in enumerate(WAYS.values(), 1):
        assert reason in rows["reason"][n], (n, rows["reason"][n])
    assert rows["where"][2].splitlines()[-1].startswith("mine.py:") and "Segmentation" in rows["traceback"][2]


def test_the_rows_are_those_of_the_same_process(solver, tmp_path):
    """But for the time: and a death between them, or asking for some of the images, changes none."""
    words = ("images=5", "batch_size=2", "metrics=[psnr]")
    plain = rows_of(solver(acting(tmp_path, []), f"results={tmp_path / 'plain'}", *words))
    (tmp_path / "calls").unlink()
    body = acting(tmp_path, ["pass", "import os; os._exit(0)"])
    c = solver(body, "isolate=true", "kill_after=60", *words)
    told = [[row["image"] for row in rows] for rows in isolated.run(c, images=[0, 1, 2, 3])]
    assert told == [[0, 1], [2, 3]] and store.missing(c) == [4]
    assert store.read(c.folder)["status"].tolist() == ["ok", "ok", "failed", "failed"]
    assert c.hash == solver(body, *words).hash
    again = solver(body, "isolate=true", "retry_failed=true", *words)
    rows = rows_of(again)
    assert rows["psnr"].tolist() == plain["psnr"].tolist() and rows["y_sha256"].tolist() == plain["y_sha256"].tolist()


def test_a_file_that_ends_the_process_as_it_is_loaded_is_failed_rows(cell, tmp_path):
    (tmp_path / "mine.py").write_text("import os\ndef solve(problem):\n    return problem.y\nos._exit(5)\n")
    rows = rows_of(cell(f"method.solver._target_={tmp_path}/mine.py:solve", "method.name=mine", "isolate=true"))
    assert rows["status"].tolist() == ["failed"] * 3
    assert "os._exit(5), while its cell was loaded" in rows["reason"][0]


def test_what_cannot_be_done_at_all_is_said_at_once_as_it_is_without(cell):
    with pytest.raises(UserError, match="prior"):
        isolated.run(cell("method=dps", "dataset=photos", "isolate=true", "prior=none"))


def test_with_its_parent_the_process_goes_too(solver, tmp_path):
    """However the parent ends: Ctrl-C as a person types it, and SIGKILL, while the solver hangs in one step."""
    c = solver("print('solving', flush=True)\nwhile True: pass")
    path, _, _ = c.method["solver"]["_target_"].partition(":")
    words = [f"method={path}:solve", "size=32", "images=1", "isolate=true", f"results={tmp_path}", "metrics=[psnr]"]
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # as in the foreground
    program = f"{heeds}; import sys; from sipbench.cli import main; sys.exit(main(sys.argv[1:]))"
    for number in (signal.SIGINT, signal.SIGKILL):
        parent = subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True)
        assert parent.stdout.readline() == "solving\n"
        child = [*(below := memory.children(parent.pid)), *(one for pid in below for one in memory.children(pid))]
        parent.send_signal(number)
        try:
            assert parent.wait(timeout=30) != 0
        finally:
            parent.kill()
            parent.communicate()
        until = time.monotonic() + 5
        while any(memory.used(pid) for pid in child) and time.monotonic() < until:
            time.sleep(0.05)
        assert len(child) == 2 and not any(memory.used(pid) for pid in child)  # what is forked, and the fork


@pytest.mark.parametrize("word", ["isolate=maybe", "kill_after=0", "kill_after=soon", "memory_limit=lots"])
def test_a_limit_that_makes_no_sense_is_refused(cell, word):
    with pytest.raises(UserError, match=word.partition("=")[0]):
        cell(word)


def test_sizes_of_memory():
    assert memory.size("4GB") == 4 * 2**30 and memory.size("1.5 MiB") == 3 * 2**19 and memory.text(2**32) == "4 GB"
    assert 2**20 < memory.used(os.getpid()) < memory.most()


def test_without_a_limit_a_solver_has_its_budget_and_a_minute(cell):
    worker = Worker(cell("budget_seconds=15"))
    worker.at = "solver"
    assert worker.patience == 75
    assert Worker(cell()).patience is None


def test_code_that_was_edited_after_its_cell_was_named_is_refused_there_too(solver):
    c = solver("return problem.f.pinv(problem.y)", "isolate=true")
    assert c.hash
    solver("return 2 * problem.f.pinv(problem.y)")
    with pytest.raises(UserError, match="its code was changed while this ran: run it again"):
        isolated.run(c)
    assert not list(c.folder.glob("rows-*"))


@pytest.mark.parametrize("optimises", [True, False])
def test_what_torch_imports_with_its_first_optimiser_is_not_on_the_clock(solver, optimises):
    """It is a second and more; a solver without one is spared it."""
    body = "import sys\nimported = 'torch._dynamo' in sys.modules\n"
    body += "torch.optim.SGD([torch.zeros(1)])\n" if optimises else ""
    c = solver(f"{body}assert imported is {optimises}\nreturn problem.f.T(problem.y)", "isolate=true", "images=1")
    assert rows_of(c)["status"].tolist() == ["ok"]
