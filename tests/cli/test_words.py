"""Words that were typed wrong, and places that no file can lie in: one line that names them, before any work."""

import errno
import os
import shlex
import subprocess
import sys

import pytest
import yaml

from sipbench.bench.cell import Cell
from sipbench.bench.cells import Cells
from sipbench.cli import main, tune
from sipbench.configs import Overrides, compose
from sipbench.safety.text import counted

LONG = "a" * 300


def say(capsys, *words):
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, [line for line in err.splitlines() if not line.startswith("[")]


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with a file, an empty folder and a table's CSV in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "results" / "demo").mkdir(parents=True)
    (tmp_path / "results" / "demo" / "symmetry.csv").write_text("a,b\n1,2\n")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["report", f"results={LONG}"],
        ["leaderboard", LONG],
        ["status", f"results={LONG}"],
        ["merge", LONG, "empty"],
        ["clean", f"results={LONG}"],
        ["doctor", f"results={LONG}"],
    ],
    ids=lambda words: words[0],
)
def test_a_place_that_the_file_system_refuses_is_one_line(capsys, there, words):
    code, _, lines = say(capsys, *words)
    assert code == 2 and len(lines) == 1 and "File name too long" in lines[0]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "out= names nothing"),
        ("empty", "it is a folder: name a file in it"),
        ("file.txt/report.html", "file.txt is no folder"),
        (LONG, "File name too long"),
    ],
)
def test_where_a_file_is_to_go_is_looked_at_first(capsys, there, monkeypatch, out, said):
    import sipbench.tables.page

    monkeypatch.setattr(sipbench.tables.page, "page", lambda *args: pytest.fail("it has begun"))
    code, _, lines = say(capsys, "report", "symmetry", f"out={out}")
    assert code == 2 and len(lines) == 1 and said in lines[0] and "results=" not in lines[0]
    code, _, lines = say(capsys, "show", "degradation=denoise", "size=32", f"out={out or 'file.txt/x'}")
    assert code == 2 and len(lines) == 1 and "out=" in lines[0] and "results=" not in lines[0]


@pytest.mark.parametrize(
    ("words", "out", "said"),
    [
        (["show", "degradation=denoise", "size=32"], "empty/x.JPG", ".png is what is written: out=empty/x.png"),
        (["report", "symmetry"], "x.pdf", ".html is what is written: out=x.html"),
    ],
)
def test_a_file_is_not_named_for_what_it_is_not(capsys, there, words, out, said):
    code, _, lines = say(capsys, *words, f"out={out}")
    assert code == 2 and len(lines) == 1 and said in lines[0] and not (there / out).exists()


@pytest.mark.parametrize(
    "words",
    [["measure", "degradation=denoise", "size=32"], ["export", "method=pinv", "size=32"], ["leaderboard", "results"]],
    ids=lambda words: words[0],
)
def test_where_a_folder_is_to_be_is_looked_at_first(capsys, there, words):
    (there / "results" / "runs").mkdir()
    for out, said in (("file.txt", "file.txt is no folder"), ("file.txt/x", "file.txt is no folder")):
        code, _, lines = say(capsys, *words, f"out={out}")
        assert code == 2 and len(lines) == 1 and said in lines[0] and "out=" in lines[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_said(capsys, there):
    (there / "empty").chmod(0o500)
    code, _, lines = say(capsys, "report", "symmetry", "out=empty/report.html")
    assert code == 2 and "empty may not be written to" in lines[0]


def test_a_device_is_not_written_over(capsys, there):
    """Whoever may write everywhere had a picture in the place of /dev/null."""
    os.mkfifo(there / "pipe")
    code, _, lines = say(capsys, "show", "degradation=denoise", "size=32", "out=pipe")
    assert code == 2 and len(lines) == 1 and "no regular file, and is left as it is" in lines[0]
    assert (there / "pipe").is_fifo()


def test_a_picture_of_too_many_images_is_refused(capsys, there):
    words = ["show", "degradation=denoise", "dataset=kernels", "size=16", "images=101"]
    code, _, lines = say(capsys, *words)
    assert code == 2 and len(lines) == 1 and "101 images are too many for one picture: images=100" in lines[0]


def test_more_memory_than_there_is_is_said(capsys, there):
    words = ["degradation=blind_gaussian", "degradation.operator.size=8", "degradation.operator.sigma=1e16"]
    code, _, lines = say(capsys, "show", *words, "size=32")
    assert code == 2 and len(lines) == 1 and "more memory than there is" in lines[0]


def test_a_folder_that_was_removed_is_said(capsys, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["method=pinv"], ["new", "method", "mine"]):
        code, _, lines = say(capsys, *words)
        assert code == 2 and len(lines) == 1 and "the folder that this runs in was removed" in lines[0]
    assert say(capsys, "--help")[0] == 0


def test_a_page_of_nothing_is_not_written(capsys, there, monkeypatch):
    import sipbench.tables.page
    from sipbench.report.page.model import Page

    monkeypatch.setattr(sipbench.tables.page, "page", lambda *args: Page("title", "made", (), {}))
    (there / "report.html").write_text("kept")
    code, _, lines = say(capsys, "report")
    assert code == 2 and "no page is written" in lines[-1]
    assert (there / "report.html").read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fetch", "dat=x"], "unknown word 'dat=x'"),
        (["fetch", "lpips", "dat=x"], "unknown word 'dat=x'"),
        (["table", "table1", "extra"], "unknown word 'extra'"),
        (["table", "table1", "--force"], "unknown word '--force'"),
        (["score", "pinv"], "unknown word 'pinv'"),
        (["doctor", "tabel1"], "unknown word or table 'tabel1'. Did you mean table1?"),
        (["doctor", "--al"], "unknown word '--al'"),
        (["doctor", "--all=3"], "unknown word '--all=3'"),
        (["show", "--x=3"], "unknown flag --x=3"),
        (["table", "table1", "--x=3"], "unknown flag --x=3"),
        (["doctor", "results=3"], "results is a folder, not 3"),
        (["doctor", "data=null"], "data is a folder, not None"),
        (["doctor", "device=gpu"], "unknown device 'gpu'"),
        (["tune", "method=tv,dip"], "tune works on one method at a time: method=tv"),
        (["-m", "method=pinv", "tv"], "unknown word 'tv'"),
        (["method=pinv", "tv"], "unknown word 'tv'"),
        (["score", "method=pinv", "metrics=[psnr"], "metrics=[psnr cannot be read"),
        (["check", "mine.py"], "mine.py:"),
        (["check", "pinv", "degradation=3"], "unknown degradation '3'"),
        (["check", "pinv", "degradation=[sr4]"], "unknown degradation"),
        (["check", "pinv", "size=[32]"], "size is a whole number, not [32]"),
        (["check", "pinv", "size=true"], "size is a whole number, not True"),
        (["check", "pinv", "cutoff=[1"], "'cutoff=[1' cannot be read"),
        (["show", "out="], "out= names nothing"),
        (["merge", "into=a", "into=b"], "which folders?"),
        (["method=pinv", "~method.solver"], "method.solver._target_ is missing"),
        (["method=pinv", "~method.solver._target_"], "method.solver._target_ is missing"),
        (["method=pinv", "~dataset._target_"], "dataset._target_ is missing"),
        (["method=pinv", "~degradation.operator._target_"], "operator is missing"),
        (["method=dps", "~prior.path"], "faces: it cannot be called so: missing a required argument: 'path'"),
        (["dataset=folder", "~dataset.root"], "folder: it cannot be called so: missing a required argument: 'root'"),
        (["-m", "method=pinv", "seed=interval(0,1)"], "INTERVAL_SWEEP"),
        (["merge", "empty", "file.txt", "into="], "into= names nothing"),
        (["work"], "nothing was submitted"),
        (["work", "results=empty"], "nothing was submitted"),
        (["submit", "+launcher=local", "results=empty"], "nothing was submitted"),
        (["new", "method", LONG], "no name for a method"),
        (["--hel"], "unknown flag --hel"),
        (["--shell-completion"], "which shell? sipbench --shell-completion install=bash"),
        (["--shell-completion", "query=bash"], "query= is asked by a shell"),
        (["--shell-completion", "install=basch"], "No completion plugin for 'basch' found, available : bash fish zsh"),
        (["-m", "method=pinv", "--cfg", "job"], "without -m"),
        (["--cfg", "hydra", "--resolve"], "'results' not found"),
        (["=pinv"], "unknown word '=pinv'"),
        (["method=pinv", 'results=a "b'], "results='...'"),
        (["show", 'results=a "b'], "results='...'"),
        (["method=pinv", "results="], "results= names nothing"),
        (["report", "results="], "results= names nothing"),
    ],
)
def test_a_word_that_says_nothing_is_named(capsys, there, words, said):
    if words[0] == "work":  # in a process of the worker's own
        from sipbench.cli.hydra import expand
        from sipbench.cluster.asked import plan_of
        from sipbench.errors import UserError

        with pytest.raises(UserError, match=said):
            plan_of(words[1:], expand)
        return
    code, _, lines = say(capsys, *words)
    assert code == 2 and len(lines) == 1 and said in lines[0]
    assert "EOF" not in lines[0] and "Lexer" not in lines[0]


@pytest.mark.parametrize("words", [["tabel1"], ["results=r", "tabel1"]], ids=" ".join)
def test_a_worker_of_nothing_is_refused_before_it_begins(capsys, there, words):
    code, _, lines = say(capsys, "work", *words)
    assert code == 2 and len(lines) == 1 and "unknown sweep or table 'tabel1'. Did you mean table1?" in lines[0]
    assert not (there / "results" / "workers").exists() and not (there / "r").exists()


def test_a_full_disk_is_one_line_whoever_notices_it(capsys, there, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sipbench.cli.clean.main", full)
    code, _, lines = say(capsys, "clean")
    assert code == 2 and lines == ["sipbench: nothing more can be written: No space left on device"]


@pytest.mark.parametrize("words", [["-m"], ["submit", "-m", "+launcher=local"], ["status", "-m"], ["method=tv"]])
def test_a_sweep_over_nothing_is_named(capsys, there, words):
    code, _, lines = say(capsys, *words, "seed=range(0,0)", "size=32")
    assert code == 2 and len(lines) == 1 and "make no cell" in lines[0]


def test_the_home_folder_may_be_said_as_shells_have_it(capsys, there, monkeypatch):
    monkeypatch.setenv("HOME", str(there / "home"))
    code, _, lines = say(capsys, "report", "results=~/mine")
    assert code == 2 and f"below {there / 'home' / 'mine'}" in lines[0] and not (there / "~").exists()


def test_the_home_folder_may_stand_in_the_environment(capsys, there, monkeypatch):
    """No shell expands it there; a folder that is called ~ is nobody's wish."""
    monkeypatch.setenv("HOME", str(there / "home"))
    for name in ("DATA", "WEIGHTS", "RESULTS"):
        monkeypatch.setenv(f"SIPBENCH_{name}", f"~/{name.lower()}")
    for words, said in {"report": "results", "status": "results", "dataset=celeba method=pinv": "data"}.items():
        code, _, lines = say(capsys, *words.split())
        assert code == 2 and str(there / "home" / said) in lines[0]
    assert say(capsys, "method=pinv", "size=32", "images=1", "metrics=[psnr]")[0] == 0
    assert (there / "home" / "results" / "runs").is_dir() and not (there / "~").exists()


def test_an_empty_place_in_the_environment_is_named(capsys, there, monkeypatch):
    monkeypatch.setenv("SIPBENCH_RESULTS", "")
    code, _, lines = say(capsys, "status")
    assert code == 2 and len(lines) == 1 and lines[0].startswith("sipbench: SIPBENCH_RESULTS names nothing")


def test_the_home_folder_may_stand_in_a_config(there, monkeypatch):
    monkeypatch.setenv("HOME", str(there / "home"))
    words = [f"{name}=~/{name}" for name in ("data", "weights", "results")]
    cell = Cell.of(compose(words), words)
    places = [cell.data, cell.weights_folder, cell.results, Cells().of(words).results]
    assert list(map(str, places)) == [f"{there}/home/{name}" for name in ("data", "weights", "results", "results")]


@pytest.mark.parametrize(
    "word",
    ["results=", "weights=", "data=", "dataset=folder dataset.root=", "method=external path=", "method="],
)
def test_the_home_of_nobody_is_named(capsys, there, word):
    words = f"{word}~stranger/mine.py{':solve' * (word == 'method=')}".split()
    code, _, lines = say(capsys, *words, "size=32", "images=1")
    assert code == 2 and len(lines) == 1 and "no home folder ~stranger" in lines[0]
    assert not (there / "~stranger").exists()


def test_the_command_of_a_search_can_be_typed_again():
    words = ["method=dps", "images=[0,5]", "+dataset.root=/my images: new", "prior.path=it's"]
    command = tune._typed(Overrides(words), "ssim")
    assert shlex.split(command) == ["sipbench", "tune", *words, "by=ssim"]
    assert yaml.safe_load(f"- command: {tune._scalar(command)}") == [{"command": command}]


def test_several_cells_are_told_by_a_command_that_can_be_typed(capsys):
    words = ["method=pinv,tv", "+dataset.root='my images'", "images=[0,1]"]
    code, _, lines = say(capsys, *words)
    assert code == 2 and shlex.split(lines[0].partition("sipbench -m ")[2]) == words


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_without_unicode_is_told_all_the_same(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "sipbench", "--help"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        check=False,
    )
    assert done.returncode == 0 and b"A\\u207ay" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=dps", "method.solver.zeta=nan"], "dps: zeta is a number, not nan"),
        (["method=tv", "method.solver.lam=NaN"], "tv: lam is a number, not nan"),
        (["method=tv", "method.solver.iterations=nan"], "tv: iterations is a whole number, not nan"),
        (["method=mine.py:solve", "method.solver.step=nan"], "step is a number, not nan"),
        (["method=mine.py:solve", "method.solver.any=nan"], "any is a number, not nan"),
        (["method=tv", "degradation.noise.sigma=nan"], "sigma is a number, not nan"),
        (["method=tv", "images=all"], "10,000,000 images, and images=all asks for each: say how many, as in images=8"),
    ],
)
def test_what_is_not_a_number_is_refused_by_name(capsys, there, words, said):
    """Before any work: a solver would turn every pixel into nan, or pass it over unseen."""
    (there / "mine.py").write_text("def solve(problem, *, step: float = 1.0, any=2.0):\n    return problem.y\n")
    code, out, lines = say(capsys, *words[:1], "degradation=denoise", "results=out", *words[1:])
    assert code == 2 and not out and len(lines) == 1 and said in lines[0] and not (there / "out").exists()


def test_one_is_said_in_the_singular(capsys, there):
    assert [counted(n, "image") for n in (0, 1, 8)] == ["0 images", "1 image", "8 images"]
    for said in ("pinv: 1 image done, ", "pinv: already done: 1 image, "):
        code, out, _ = say(capsys, "method=pinv", "degradation=denoise", "size=32", "images=1", "metrics=[psnr]")
        assert code == 0 and said in out
