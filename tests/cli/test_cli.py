"""The command line as a person meets it: one clear line and exit code 2 for a mistake, answers at once for help."""

import json
import os
import signal
import subprocess
import sys

import pytest

from sipbench.cli import main


def say(capsys, *words):
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, [line for line in err.splitlines() if not line.startswith("[")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tabel"], "unknown command 'tabel'. Did you mean table?"),
        (["list", "method"], "unknown list 'method'. Did you mean methods?"),
        (["table", "tabel1"], "unknown table 'tabel1'. Did you mean table1?"),
        (["table", "table1", "profile=papr"], "unknown profile"),
        (["train", "nett"], "train what?"),
        (["size=32", "method=pinv", "degradation.noise.sigma=-1"], "sigma must be zero or positive, not -1"),
        (["size=32", "method=dps", "prior=none"], "needs a prior"),
        (["size=32", "method=pinv", "device=gpu"], "unknown device 'gpu'"),
        (["method=nowhere.py:solve"], "nowhere.py"),
        (["--size", "32"], "unknown flag --size"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, tmp_path, words, said):
    place = [f"results={tmp_path}"] if "=" in words[0] else []
    code, _, lines = say(capsys, *words, *place)
    assert code == 2 and len(lines) == 1 and said in lines[0]


@pytest.fixture
def hangup():
    """What SIGHUP does here at first; afterwards it is as before."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda does: signal.signal(signal.SIGHUP, does)
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_process_from_outside_is_as_ctrl_c(capsys, monkeypatch, hangup, number):
    import sipbench.cli.list

    def ended(words):
        os.kill(os.getpid(), number)
        raise AssertionError("it went on")

    hangup(lambda *_: None)
    before = signal.getsignal(number)
    monkeypatch.setattr(sipbench.cli.list, "main", ended)
    code, _, lines = say(capsys, "list", "methods")
    assert code == 130 and "run the same command again" in lines[-1]
    assert signal.getsignal(number) is before


def test_under_nohup_the_end_of_a_terminal_ends_nothing(capsys, monkeypatch, hangup):
    import sipbench.cli.list

    hangup(signal.SIG_IGN)
    monkeypatch.setattr(sipbench.cli.list, "main", lambda words: os.kill(os.getpid(), signal.SIGHUP) or 0)
    assert say(capsys, "list", "methods")[0] == 0


def test_who_stops_reading_stops_a_command_and_that_is_no_success(tmp_path):
    """A run of which `| tee` died is not done; as any other program it ends as by SIGPIPE."""
    code = "import os\nfrom sipbench import cli\nos.read(0, 1)\nraise SystemExit(cli.main(['list', 'methods']))"
    said = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-u", "-c", code], **said)
    process.stdout.close()
    process.stdin.write(b"x")
    process.stdin.close()
    with process.stderr as told:
        assert told.read() == b""
    assert process.wait() == 128 + signal.SIGPIPE


def test_metrics_are_listed_with_their_direction_and_what_they_lack(capsys):
    code, out, _ = say(capsys, "list", "metrics", "--json")
    entries = {entry["name"]: entry for entry in json.loads(out)}
    assert code == 0 and entries["psnr"]["best"] == "high" and entries["lpips_vgg"]["best"] == "low"
    assert entries["psnr"]["lacks"] is None and set(entries["psnr"]) == {"name", "title", "unit", "best", "lacks"}
    assert "best is low" in say(capsys, "list", "metrics")[1]


def test_lists_as_data(capsys):
    code, out, _ = say(capsys, "list", "degradations", "--json")
    entries = {entry["name"]: entry for entry in json.loads(out)}
    assert code == 0 and entries["sr4"]["linear"] and entries["sr4"]["svd"]
    assert {"name", "linear", "svd", "symmetries", "range", "protocol"} <= set(entries["inpaint70"])


@pytest.mark.parametrize("kind", ["method", "degradation", "dataset", "table"])
def test_the_schema_of_a_kind_is_printed(capsys, kind):
    code, out, _ = say(capsys, "list", "schema", kind)
    assert code == 0 and "name" in out
    assert say(capsys, "list", "schema")[0] == 2
    code, _, lines = say(capsys, "list", "schema", "metod")
    assert code == 2 and "method" in lines[0]


def test_doctor_says_what_is_missing_and_how_to_get_it(capsys, tmp_path):
    code, out, _ = say(capsys, "doctor", f"data={tmp_path}")
    assert code == 0 and "hf download google/ddpm-celebahq-256" in out and "versions" in out
    assert len(out) < 6000 and len(out.splitlines()) < 50  # a page
    assert "doctor --all" in out


def test_doctor_composes_the_cells_of_those_tables_alone_that_are_asked_for(capsys, monkeypatch, tmp_path):
    """All of all tables are some thousand."""
    from sipbench import tables

    loaded = []
    real = tables.load
    monkeypatch.setattr(tables, "load", lambda *args: loaded.append(args[0]) or real(*args))
    code, out, _ = say(capsys, "doctor", "--all", f"data={tmp_path}")
    assert code == 0 and not loaded and "doctor TABLE" in out
    code, out, _ = say(capsys, "doctor", "levin", "profile=demo", f"data={tmp_path}")
    assert code == 0 and loaded == ["levin"] and "levin demo: 5 cells" in out and "versions" not in out


def test_a_table_is_computed_once_and_printed_again(capsys, tmp_path):
    words = ["table", "table1", "method=pinv,tv", "size=32", "images=2", f"results={tmp_path}"]
    code, out, _ = say(capsys, *words)
    assert code == 0 and "A⁺y" in out
    files = {p: p.read_bytes() for p in (tmp_path / "partial" / "demo").iterdir()}
    assert {p.suffix for p in files} == {".md", ".csv", ".tex", ".png", ".pdf"}
    code, out, lines = say(capsys, *words)
    assert code == 0 and any("done already" in line for line in lines)
    assert files == {p: p.read_bytes() for p in (tmp_path / "partial" / "demo").iterdir()}
