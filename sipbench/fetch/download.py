"""One file into its place: resumed where it broke off, given up where nothing comes, checked where its hash is known.

A file that is not whole yet lies beside its place as `NAME.part`, with `NAME.part.from` saying whence.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import ssl
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sipbench.fetch.web import FetchError, Web, line, shown

Tell = Callable[[int, int | None], None]
"""What is told how many bytes are there, and of how many, where that is known."""


class Broken(Exception):
    """It may come at the next try."""


def silent(done: int, total: int | None) -> None:
    """Nobody is told."""


def download(url: str, path: Path, sha256: str = "", tell: Tell = silent, web: Web | None = None) -> None:
    """Get a file into its place. ``sha256`` is its hash or the first digits of it: nothing else takes the place."""
    part = _part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(part):
            _complete(url, part, tell, web or Web())
            found = sha256_of(part) if sha256 else ""
            _origin(part).unlink(missing_ok=True)
            if not found.startswith(sha256.lower()):
                part.unlink()
                raise FetchError(f"{shown(url)}: it is not the file: its sha256 is {found}, expected {sha256}")
            os.replace(part, path)
    except OSError as error:
        raise FetchError(f"{shown(url)}: {line(error)}") from error


def discard(path: Path) -> None:
    """Let go of what came of a file that is not wanted any more."""
    _part(path).unlink(missing_ok=True)
    _origin(_part(path)).unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The hash of a file as it is now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(url: str, part: Path, tell: Tell, web: Web) -> None:
    """Try until all is there, or until nothing more came several times in a row."""
    failed, pause = 0, web.pause
    while True:
        before = _size(part)
        try:
            return _go_on(url, part, tell, web)
        except (Broken, OSError, http.client.HTTPException) as error:
            failed = 0 if _size(part) > before else failed + 1
            if failed >= web.tries or _final(error):
                raise FetchError(f"{shown(url)}: {line(error)}") from error
        time.sleep(pause)
        pause = 2 * pause if failed else web.pause


def _go_on(url: str, part: Path, tell: Tell, web: Web) -> None:
    """One request for what is not there yet."""
    have, mark = _size(part), _mark(part, url)
    if have and not mark:
        part.unlink()
        have = 0
    try:
        answer = web.open(url, {"Range": f"bytes={have}-", "If-Range": mark} if have else {})
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range", "").strip() == f"bytes */{have}":
            return
        part.unlink(missing_ok=True)
        raise Broken(line(error)) from error
    with answer:
        have, total = _start(answer, have)
        _origin(part).write_text(f"{shown(url)}\n{_validator(answer)}\n", encoding="utf-8")
        with part.open("r+b" if part.exists() else "wb") as file:
            file.truncate(have)
            file.seek(have)
            for piece in web.pieces(answer, shown(url)):
                file.write(piece)
                have += len(piece)
                tell(have, total)
    if total is not None and have != total:
        raise Broken(f"it broke off after {have} of {total} bytes")


def _start(answer: Any, have: int) -> tuple[int, int | None]:
    """Where what comes belongs, and how long the whole file is, where that is told."""
    length = answer.headers.get("Content-Length")
    if answer.status != 206:
        return 0, int(length) if length and length.isdecimal() else None
    unit, _, span = answer.headers.get("Content-Range", "").partition(" ")
    first, total = span.partition("-")[0], span.partition("/")[2]
    if unit != "bytes" or not first.isdigit() or int(first) != have:
        raise FetchError(f"{shown(answer.url)}: asked for bytes from {have} on, it sent {span or 'something else'}")
    return have, int(total) if total.isdigit() else None


@contextmanager
def _alone(part: Path) -> Iterator[None]:
    """One process at a time writes a file."""
    lock = part.with_name(f"{part.name}.lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(file.fileno()), lock.stat())
        except (BlockingIOError, FileNotFoundError):
            same = False
        if not same:
            raise FetchError(f"{part.with_suffix('')} is being fetched by another process")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _validator(answer: Any) -> str:
    """What tells whether the file is still the same at the next request; nothing where it cannot be told."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _mark(part: Path, url: str) -> str:
    """The validator that a part was fetched with, if it is of this address."""
    try:
        source, mark = _origin(part).read_text(encoding="utf-8").splitlines()[:2]
    except (OSError, ValueError):
        return ""
    return mark if source == shown(url) else ""


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _origin(part: Path) -> Path:
    return part.with_name(f"{part.name}.from")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _final(error: Exception) -> bool:
    """Whether another try is of no use: the server refuses, or this machine's disk does."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500 and error.code not in (408, 429)
    passing = (urllib.error.URLError, ConnectionError, TimeoutError, ssl.SSLError)
    return isinstance(error, OSError) and not isinstance(error, passing)
