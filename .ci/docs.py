"""What the site of docs/ is made of beyond its pages: a hook of mkdocs.

- Pages link to files beside docs/ as a code host wants it (`../results/demo/table1.md`). Those files become a part of
  the site, and the links are turned to where they stand there. A link to a file that is no part of it becomes plain
  text.
- `<!-- made: commands -->` is replaced by the help of every command, `<!-- made: methods -->` (degradations, ...) by
  the table of what `sipbench list` prints.
"""

from __future__ import annotations

import contextlib
import io
import json
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
BESIDE = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
GROUPS = ("results/demo", "results/study", "results/published")
SHOWN = (".md", ".png", ".csv", ".tex")
LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s]+)\)")
MADE = re.compile(r"^<!-- made: (\w+) -->$", re.MULTILINE)
COLUMNS = {
    "methods": ("name", "title", "family", "citation"),
    "metrics": ("name", "title", "best"),
    "degradations": ("name", "title", "protocol"),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies beside docs/: the tables and pictures of results, and the pages of the project."""
    for name in [*BESIDE, *_results()]:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links, and fill in what is made."""
    here = page.file.src_uri
    text = LINK.sub(lambda found: _turned(found, here, files), markdown)
    return MADE.sub(lambda found: made(found[1]), text)


def _results() -> list[str]:
    """The files of results that belong to it, by their path in the repository."""
    found = (path for group in GROUPS for path in sorted((ROOT / group).iterdir()) if path.suffix in SHOWN)
    return [path.relative_to(ROOT).as_posix() for path in found]


def _turned(found: re.Match[str], here: str, files: Files) -> str:
    """A link of the repository as one of the site."""
    label, link = found.groups()
    path, mark, anchor = link.partition("#")
    if not path or ":" in path:
        return found[0]
    target = in_site(posixpath.normpath(posixpath.join(posixpath.dirname(in_repository(here)), path)))
    if files.get_file_from_path(target) is not None:
        return f"{label}({posixpath.relpath(target, posixpath.dirname(here) or '.')}{mark}{anchor})"
    outside = not target.startswith("..") and (ROOT / target).exists() and not label.startswith("!")
    return label[1:-1] if outside else found[0]  # what is nowhere is left, and mkdocs says so


def in_repository(page: str) -> str:
    """Where a page of the site lies in the repository."""
    return page if page in BESIDE or page.startswith("results/") else f"docs/{page}"


def in_site(path: str) -> str:
    """Where a file of the repository stands in the site."""
    if path == "README.md":
        return "index.md"
    path = path.removeprefix("docs/")
    return f"{path}/README.md" if (ROOT / path).is_dir() and (ROOT / path / "README.md").exists() else path


def made(what: str) -> str:
    """The help of every command, or a list of choices as a table."""
    from sipbench import cli

    if what == "commands":
        names = {"": "sipbench", **{command: f"sipbench {command}" for command in cli.COMMANDS}}
        return "\n".join(f"## {title}\n\n```text\n{_said(cli, [name, '--help'])}```\n" for name, title in names.items())
    entries = json.loads(_said(cli, ["list", what, "--json"]))
    keys = COLUMNS.get(what, ("name", "title"))
    rows = [[f"`{entry['name']}`", *(_plain(entry.get(key)) for key in keys[1:])] for entry in entries]
    return "\n".join("| " + " | ".join(row) + " |" for row in ([*keys], ["---"] * len(keys), *rows))


def _said(cli: Any, words: list[str]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        cli.main([word for word in words if word])
    return out.getvalue()


def _plain(value: Any) -> str:
    """A value in a cell of a table, where nothing of it is markup."""
    return re.sub(r"([|*_<>\[\]`])", r"\\\1", str(value)) if value else ""
