"""A package's source archive, from the registry that pip is set up for, as it lies there: nothing of it is run.

Where to look is what `pip config list` says: index-url, extra-index-url and find-links, with cert, proxy and
trusted-host; without pip it is what the environment's PIP_... say.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from sipbench.fetch.download import Tell, download, silent
from sipbench.fetch.web import FetchError, Web, shown

PYPI = "https://pypi.org/simple"
HTML = "application/vnd.pypi.simple.v1+html, text/html;q=0.5"
SECTIONS = (":env:", "download", "install", "global")  # the first that says something counts


def sdist(name: str, version: str, sha256: str, path: Path, tell: Tell = silent) -> str:
    """Get the archive of this hash into its place; returns the address that it came from."""
    told = settings()
    web = Web(proxy=told.get("proxy"), cert=told.get("cert"), trusted=tuple(told.get("trusted-host", "").split()))
    failed = []
    for place in places(told, name):
        try:
            for link in links(place, web):
                if _stem(link) == f"{_canonical(name)}-{version}":
                    download(link, path, sha256, tell, web)
                    return shown(link)
            failed.append(f"{shown(place)}: no {name}-{version}.tar.gz there")
        except FetchError as error:
            failed.append(str(error))
    raise FetchError("; ".join(failed) or "pip is told to use no index")


@cache
def settings() -> dict[str, str]:
    """pip's own settings by name."""
    try:
        run = [sys.executable, "-m", "pip", "config", "list"]
        said = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        said = [f":env:.{k[4:].lower().replace('_', '-')}={v!r}" for k, v in os.environ.items() if k[:4] == "PIP_"]
    found = dict(line.split("=", 1) for line in said if "=" in line)
    by_section = [{k.partition(".")[2]: v for k, v in found.items() if k.startswith(f"{s}.")} for s in SECTIONS]
    merged: dict[str, str] = {}
    for section in reversed(by_section):
        merged |= {name: str(ast.literal_eval(value)) for name, value in section.items()}
    return merged


def places(told: dict[str, str], name: str) -> Iterator[str]:
    """Where the archive may be: folders and pages of links, then each index's page of the package."""
    yield from told.get("find-links", "").split()
    if told.get("no-index", "").lower() not in ("1", "true", "yes", "on"):
        for index in (told.get("index-url", PYPI), *told.get("extra-index-url", "").split()):
            yield f"{index.rstrip('/')}/{_canonical(name)}/"


def links(place: str, web: Web) -> Iterator[str]:
    """The addresses at a place, a folder or a page; those on the page's own host keep its password."""
    folder = _local(place)
    if folder is not None and folder.is_dir() and not (folder / "index.html").is_file():
        yield from (file.as_uri() for file in sorted(folder.resolve().iterdir()))
        return
    if folder is not None:
        place = (folder / "index.html" if folder.is_dir() else folder).absolute().as_uri()
    text, found_at = web.text(place, HTML)
    page, found = _Links(), list[str]()
    page.feed(text)
    for href in page.found:
        with suppress(ValueError):  # a link that is none
            ours, theirs = urlsplit(place), urlsplit(urljoin(found_at, href))
            same = (ours.scheme, ours.hostname, ours.port) == (theirs.scheme, theirs.hostname, theirs.port)
            found.append(urlunsplit(theirs._replace(netloc=ours.netloc if same else theirs.netloc, fragment="")))
    yield from found


class _Links(HTMLParser):
    """Where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _local(place: str) -> Path | None:
    """The path that a place names, if it is one of this machine."""
    try:
        parts = urlsplit(place)
    except ValueError:  # who asks it says why
        return None
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(place).expanduser() if not parts.scheme else None


def _stem(link: str) -> str:
    """name-version of an archive's file name, the name in its canonical form."""
    file = unquote(urlsplit(link).path).rpartition("/")[2]
    name, _, version = file.removesuffix(".tar.gz").rpartition("-")
    return f"{_canonical(name)}-{version}" if file.endswith(".tar.gz") else ""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
