"""The commands that the pages of docs/ show, and whether sipbench understands one: without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from sipbench import cli, configs, tables
from sipbench.bench.cell import Cell
from sipbench.cli import fetch
from sipbench.cli import hydra as hydra_run
from sipbench.cli.list import GROUPS
from sipbench.configs import Overrides
from sipbench.errors import UserError
from sipbench.tables import views

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OWN = {  # what a command takes beside the words of a cell
    "show": ("out",),
    "export": ("out", "format"),
    "measure": ("out",),
    "score": (),
    "tune": ("by", "budget", "widen"),
}
RUN_ELSEWHERE = {
    "plugins.md": "tests/test_plugin_pages.py, in an empty folder, where each needs what the one before made"
}
NOT_TRIED = {"sipbench tune profile=demo size=32 recipe=tradeoff": "it stands for several: NAME and OPTION"}


def of(page: Path) -> list[str]:
    """Those in blocks of shell, indented or fenced, and whole ones in the text, such as `sipbench table table1`."""
    text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))  # a command that goes on in the next line
    blocks = [code for language, code in FENCE.findall(text) if language == "bash"]
    rest = FENCE.sub("", text)
    blocks.append("\n".join(re.findall(r"^    (\S.*)$", rest, re.MULTILINE)))
    lines = [_alone(line) for line in "\n".join(blocks).splitlines()]
    within = [
        found for found in re.findall(r"`(sipbench [^`]+)`", rest) if not re.search(r"\b[A-Z]{2,}\b|\||\.\.\.", found)
    ]
    return list(dict.fromkeys(line for line in (*lines, *within) if re.match(r"(sipbench|make) [^=]", line)))


def _alone(line: str) -> str:
    """A line without its remark, and without what it puts into the environment."""
    bare = re.split(r"\s+#|\s{3,}|\s\.\.\.$", line.strip())[0]
    return re.sub(r"^([A-Z_]+=\S+ )+", "", bare)


def understood(command: str) -> None:
    """Raise where a word of it is not known: a command, a target, a table, a choice, an option."""
    program, *words = shlex.split(command)
    if program == "make":
        for word in words:
            assert "=" in word or re.search(rf"^{word}:", (ROOT / "Makefile").read_text(), re.MULTILINE), word
    elif words and words[0].startswith("--"):
        assert words[0] in ("--help", "--version")
    elif "=" in words[0] or words[0] == "-m":
        _cells([word for word in words if word != "-m"])
    else:
        _command(words[0], words[1:])


def _command(name: str, words: list[str]) -> None:
    assert name in cli.COMMANDS, name
    if "--help" in words or (not words and name != "doctor"):  # named, without what it is to do
        return
    if name == "table":
        profile, rest = Overrides(words[1:]).take("profile", "demo")
        own = re.compile("compute=|jobs=|kept=|measured=(all|none)$")
        shown, rest = rest.take("views", "")
        assert set(shown.split(",")) <= {"", *views.names()}, shown
        spec = tables.load(words[0], profile, Overrides(word for word in rest if not own.match(word)))
        for entry in (0, -1):
            spec.entry(*spec.pairs[entry], spec.rows[entry])
    elif name == "leaderboard":
        chosen, _ = Overrides(word for word in words if "=" in word).take("table", "table1")
        configs.find("table", chosen)
    elif name in ("submit", "work") and words[0] == "-m":
        _cells(words[1:])
    elif name in ("submit", "work", "report") and "=" not in words[0] and "-" not in words[0]:  # or what was submitted
        configs.find("table", words[0])
    elif name == "list":
        assert words[0] in (*GROUPS, "metrics", "schema"), words
    elif name == "fetch":
        for word in words:
            assert "=" in word or fetch._kinds(word)
    elif name == "train":
        configs.compose(words[1:], f"train_{words[0]}")
    elif name == "check":
        _cells([f"method={words[0]}", *(word for word in words[1:] if word.startswith("degradation="))])
    elif name in OWN:
        rest = [word for word in words if word.split("=")[0] not in OWN[name]]
        _cells(rest)


def _cells(words: list[str]) -> None:
    """The first and the last of the cells that the words name."""
    jobs = list(hydra_run.expand([word for word in words if not word.startswith("+launcher=")]))
    for job in jobs[:1] + jobs[1:][-1:]:
        Cell.of(configs.compose(job), job)


def mistakes(page: Path) -> Iterator[str]:
    """Every command that is not understood, with what is said of it."""
    for command in of(page):
        if any(command.startswith(start) for start in NOT_TRIED):
            continue
        try:
            understood(command)
        except (UserError, AssertionError, ValueError) as error:
            yield f"{command}: {error}"
