"""What strangers send is data: files that lie about their size, names that lead elsewhere, text to be obeyed."""

import io
import json
import os
import re
import signal
import struct
import zipfile
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from markdown_it import MarkdownIt
from PIL import Image

from sipbench import checkpoints
from sipbench.bench import packing, sealed, store
from sipbench.cli import main
from sipbench.datasets import matlab
from sipbench.datasets.arrays import Place, variable
from sipbench.datasets.reading import BadImage, read_whole
from sipbench.errors import UserError
from sipbench.priors.load import diffusers_prior
from sipbench.report.stored import export
from sipbench.safety import sizes, text
from tests.bench.solved import rows_of
from tests.fuzz import samples


def png(width, height):
    """A picture that is all header."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "png")
    head = b"IHDR" + struct.pack(">II", width, height) + file.getvalue()[24:29]
    return file.getvalue()[:12] + head + struct.pack(">I", zlib.crc32(head)) + file.getvalue()[33:]


def npy(claim, content):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({claim},), }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + content


@pytest.mark.parametrize("side", [10_001, 100_000])
def test_a_picture_says_its_size_before_it_is_decoded(tmp_path, side):
    (tmp_path / "x.png").write_bytes(png(side, side))
    with pytest.raises(BadImage, match="pixels"):
        read_whole(tmp_path / "x.png")


def test_a_program_is_no_picture_whatever_its_name(tmp_path):
    """Pillow would give it to Ghostscript."""
    (tmp_path / "photo.png").write_bytes(samples.pictures()[-1])
    with pytest.raises(BadImage, match="not an image"):
        read_whole(tmp_path / "photo.png")


@pytest.mark.parametrize("content", [npy(10**12, b"1234"), npy(2, b"1234"), npy("-1", b"1234")])
def test_an_array_is_as_long_as_it_says(tmp_path, content):
    (tmp_path / "y.npy").write_bytes(content)
    with pytest.raises(ValueError, match="claims"):
        sizes.npy(tmp_path / "y.npy")


def test_weights_are_in_the_file_that_says_so(tmp_path):
    torch.save({"w": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "view.pt")
    torch.save({"w": torch.zeros(10**6)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "bomb.pt", "w", 8) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert set(sizes.weights(tmp_path / "plain.pt")) == {"w"}
    for name, what in (("view", "not in the file"), ("bomb", "compressed")):
        with pytest.raises(ValueError, match=what):
            sizes.weights(tmp_path / f"{name}.pt")


@pytest.mark.parametrize(("key", "value"), [("block_out_channels", [100_000] * 5), ("layers_per_block", 10**6)])
def test_a_config_that_is_larger_than_its_weights_is_refused_before_the_network_is_made(tmp_path, key, value):
    shipped = checkpoints.SHIPPED / "kernels-16-prior"
    for file in shipped.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(UserError, match="config.json"):
        diffusers_prior(str(tmp_path), weights=tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="nested too deeply"):
        diffusers_prior(str(tmp_path), weights=tmp_path)


def test_matlab_is_read_as_scipy_reads_it_and_lies_are_refused(tmp_path):
    from scipy.io import loadmat, savemat

    rng, path = np.random.default_rng(0), tmp_path / "x.mat"
    held = {"a": rng.random((5, 7)), "b": rng.integers(0, 255, (4, 3, 2), np.uint8), "s": {"q": 1}, "one": 3.0}
    held |= {
        "i": np.arange(6, dtype=np.int16).reshape(2, 3),
        "much": rng.random((40, 64, 3)),
        "z": np.ones((2, 2)) * 1j,
    }
    for options in ({}, {"do_compression": True}, {"format": "4"}):
        own = {k: v for k, v in held.items() if options.get("format") != "4" or k in ("a", "i")}
        savemat(path, own, **options)
        theirs = loadmat(path)
        for name in own.keys() - {"s", "z"}:
            array = matlab.read(path, name)
            assert array.dtype == theirs[name].dtype and np.array_equal(array, theirs[name]), name
        assert matlab.shapes(path).keys() == own.keys() and matlab.read(path, "s") is matlab.read(path, "z") is None
    savemat(path, {"x": np.zeros((4, 4))})
    path.write_bytes(path.read_bytes().replace(struct.pack("<II", 4, 4), struct.pack("<II", 2**30, 2**30)))
    with pytest.raises(BadImage, match="too much for this machine"):
        variable(Place(path, "x"))


@pytest.fixture
def waits(tmp_path):
    """A pipe under any name: whoever opens it waits for ever, and here for two seconds."""

    def late(*_):
        raise TimeoutError("it waits for a pipe")

    def make(name):
        os.mkfifo(tmp_path / name)
        return tmp_path / name

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 2)
    yield make
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("words", [["method={pipe}:solve"], ["compare", "{pipe}", "{pipe}"]])
def test_a_pipe_is_no_file(waits, capsys, words):
    """Of a solver, and a picture: whoever typed one waited for ever."""
    pipe = waits("mine.py")
    assert main([word.format(pipe=pipe) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{pipe}" in said and "it is no regular file" in said


def test_nor_is_one_among_the_settings_of_a_checkpoint(waits, tmp_path):
    (tmp_path / "model.safetensors").touch()
    waits("extra.json")
    with pytest.raises(UserError, match=r"cannot read .*extra.json: it is no regular file"):
        checkpoints.settings_sha256(tmp_path / "model.safetensors")


def test_names_lead_to_no_other_folder(cell, tmp_path, capsys):
    for name in ("..", "../../x", "/etc/x", ".hidden", ""):
        folder = cell(f"degradation.name='{name}'").folder.resolve()
        assert tmp_path / "results" / "runs" in folder.parents, name
        assert text.file_word(name).strip(".") == text.file_word(name) != ""
    assert len(text.file_word("日本" * 200).encode()) <= 250 and text.file_word("日本" * 20) == "日本" * 20
    for words in (
        ["train", "prior", "name=../x"],
        ["train", "net", "method=unet", "name=/tmp/x"],
        ["table", "../method/dps"],
    ):
        assert main(words) == 2 and "sipbench: " in capsys.readouterr().err
    assert main(["-m", "method=pinv", "hydra.sweep.subdir=../../x"]) == 2


def test_a_part_of_a_stored_result_is_exported_into_its_folder(cell, tmp_path):
    """The name of a part is in the file, which may be a stranger's."""
    c = cell("method=pinv", "metrics=[psnr]", "images=1")
    frame = pd.DataFrame(rows_of(c))
    (path,) = c.folder.glob("rows-*.parquet")
    wicked = packing.packed(
        store.estimate(c, 0).__class__(torch.zeros(1, 3, 32, 32), theta={"../../out": torch.ones(1, 2)}), 0
    )
    frame["estimate"] = [wicked]
    path.write_bytes(sealed.sealed(pa.Table.from_pandas(frame, preserve_index=False), store.HEAVY))
    files = export(c, tmp_path / "here", "npy")
    assert len(files) == 2 and {file.resolve().parent for file in files} == {tmp_path / "here"}


def test_text_of_strangers_is_text_wherever_it_is_shown():
    assert "\x1b" not in text.visible("\x1b[31mred\x07") and text.visible("two\nlines") == "two\nlines"
    assert "\u202e" not in text.line("a\u202eb") and text.line(" two\r\nlines ") == "two lines"
    row = text.table_row(["a|b", "<script>x</script>", "[x](http://y)", "<0.001"])
    assert row == r"| a\|b | &lt;script>x&lt;/script> | [x]\(http://y) | <0.001 |"
    frame = pd.DataFrame({"reason": ["=cmd|' /C calc'!A0", "@x", "+1+1", "-2", "plain", None], "n": [-1.0] * 6})
    lines = text.csv(frame).splitlines()[1:]
    assert [line[0] for line in lines] == ["'", "'", "'", "-", "p", ","] and all(line.endswith("-1") for line in lines)


@pytest.mark.parametrize("said", ["[x]: http://y", "> [x]: http://y", "1. - [x]: <http://y>", "[^x]: y", r"[a\]b]: y"])
def test_text_of_strangers_defines_no_link(said):
    """It would not be shown itself, and every [x] of the page would be a link."""
    page = MarkdownIt().render(f"- {text.markdown(said)}\n\nand [x]\n")
    assert "<a" not in page and "]:" in page
    assert text.markdown("noise on [-1, 1]: 0.05") == "noise on [-1, 1]: 0.05"


@pytest.mark.parametrize("said", ["a|b", r"a\|b", r"a\\|b", "|", "\\", r"\|\|"])
def test_a_cell_of_a_table_holds_its_pipes(said):
    """By markdown-it's reading, and by that of GitHub, where a backslash takes away the meaning of another one."""
    row = text.table_row([said, "second"])
    page = MarkdownIt().enable("table").render(f"| a | b |\n|---|---|\n{row}\n")
    assert page.count("<td>") == 2 and f"<td>{said}</td>" in page and "<td>second</td>" in page
    cells = re.findall(r"(?:\\[!-/:-@\[-`{-~]|[^|])+", row)
    assert [cell.strip() for cell in cells][1:] == ["second"]


def test_names_in_folders_of_strangers_are_text_in_what_is_printed(tmp_path, monkeypatch, capsys):
    evil = "\x1b]0;mine\x07"
    monkeypatch.chdir(tmp_path)
    for folder in ("a/runs", f"b/runs/faces/sr4/{evil}/0123", "results/leases", f"results/leases/{evil}"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "b/runs/faces/sr4" / evil / "0123" / "cell.json").write_text("{}")
    assert main(["merge", "a", "b"]) == 1
    assert main(["clean"]) == 0
    assert main(["leaderboard", "b", "table=table1", "method=pinv", "degradation=sr4", "images=1"]) == 2
    said = "".join(capsys.readouterr())
    assert said.count("]0;mine") == 3 and "\x1b" not in said and "\x07" not in said


def test_a_table_of_wicked_rows_is_harmless(tmp_path, capsys):
    """Its Markdown, LaTeX and CSV, and what is printed."""
    words = ["table", "table1", "method=pinv", "degradation=sr4", "images=1", "metrics=[psnr]", f"results={tmp_path}"]
    assert main(words) in (0, 1)
    for path in (tmp_path / "runs").rglob("rows-*.parquet"):
        evil = "=HYPERLINK(1)|\x1b]0;x\x07<img src=x onerror=y>[a](b)\\input{/etc/passwd}$%"
        frame = pd.read_parquet(path).assign(status="failed", reason=evil, device=evil)
        path.write_bytes(sealed.sealed(pa.Table.from_pandas(frame, preserve_index=False), store.HEAVY))
    capsys.readouterr()
    assert main([*words, "compute=false"]) == 1
    said = "".join(capsys.readouterr()) + "".join(
        p.read_text() for p in tmp_path.rglob("table1.*") if p.suffix not in (".png", ".pdf")
    )
    assert "HYPERLINK" in said and "\x1b]" not in said and "\x07" not in said
    markdown = next(tmp_path.rglob("table1.md")).read_text()
    assert "<img" not in markdown and "](b)" not in markdown
    assert "\n=HYPER" not in next(tmp_path.rglob("table1.csv")).read_text().replace(",=", "\n=")
