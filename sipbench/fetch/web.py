"""One file from its address: resumed where it broke off, given up where nothing comes, checked where its hash is known.

Proxies are those that the environment names (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), passwords those of the address or of
~/.netrc. A file that is not whole yet lies beside its place as `NAME.part`, with `NAME.part.from` saying whence.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import netrc
import os
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from sipbench.errors import UserError

CHUNK = 1 << 18
Tell = Callable[[int, int | None], None]


class FetchError(UserError):
    """Why a file did not come."""


class Broken(Exception):
    """It may come at the next try."""


@dataclass(frozen=True)
class Web:
    """How patient one is, and what a package registry's settings add.

    Attributes:
        timeout: seconds of silence after which a try is given up.
        tries: how often in a row without a byte of progress.
        pause: seconds before the second try; twice as many before each further one.
        slowest: bytes a second, over `timeout` seconds, below which a try is given up.
        proxy: in place of the environment's.
        cert: a file of certificates in place of the system's.
        trusted: hosts whose certificate is not checked.
    """

    timeout: float = 20.0
    tries: int = 4
    pause: float = 1.0
    slowest: float = 1000.0
    proxy: str | None = None
    cert: str | None = None
    trusted: tuple[str, ...] = ()

    def download(self, url: str, path: Path, sha256: str = "", tell: Tell = lambda done, total: None) -> None:
        """Get a file into its place. ``sha256`` is its hash or the first digits of it: nothing else takes the place."""
        part = path.with_name(f"{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(part):
                self._complete(url, part, tell)
                _check(part, sha256, shown(url))
                os.replace(part, path)
                _origin(part).unlink(missing_ok=True)
        except OSError as error:
            raise FetchError(f"{shown(url)}: {_line(error)}") from error

    def text(self, url: str, accept: str = "*/*") -> tuple[str, str]:
        """A page, and the address that it was found at in the end."""
        try:
            with self._open(url, {"Accept": accept}) as answer:
                return answer.read().decode("utf-8", "replace"), answer.url
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"{shown(url)}: {_line(error)}") from error

    def _complete(self, url: str, part: Path, tell: Tell) -> None:
        """Try until all is there, or until nothing more came several times in a row."""
        failed, pause = 0, self.pause
        while True:
            before = _size(part)
            try:
                return self._go_on(url, part, tell)
            except (Broken, OSError, http.client.HTTPException) as error:
                if _final(error):
                    raise FetchError(f"{shown(url)}: {_line(error)}") from error
                failed = 0 if _size(part) > before else failed + 1
                if failed >= self.tries:
                    raise FetchError(f"{shown(url)}: {_line(error)}") from error
            time.sleep(pause)
            pause = 2 * pause if failed else self.pause

    def _go_on(self, url: str, part: Path, tell: Tell) -> None:
        """One request for what is not there yet."""
        have, mark = _size(part), _mark(part, url)
        if have and not mark:
            part.unlink()
            have = 0
        ask = {"Range": f"bytes={have}-", "If-Range": mark} if have else {}
        try:
            answer = self._open(url, ask)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            if error.headers.get("Content-Range", "").strip() == f"bytes */{have}":
                return
            part.unlink(missing_ok=True)
            raise Broken(_line(error)) from error
        with answer:
            have, total = _start(answer, have)
            _origin(part).write_text(f"{shown(url)}\n{_validator(answer)}\n", encoding="utf-8")
            with part.open("r+b" if part.exists() else "wb") as file:
                file.truncate(have)
                file.seek(have)
                for piece in self._pieces(answer, shown(url)):
                    file.write(piece)
                    have += len(piece)
                    tell(have, total)
        if total is not None and have != total:
            raise Broken(f"it broke off after {have} of {total} bytes")

    def _pieces(self, answer: Any, source: str) -> Iterator[bytes]:
        """What comes, as long as it comes fast enough."""
        since, came = time.monotonic(), 0
        while piece := (answer.read1(CHUNK) if hasattr(answer, "read1") else answer.read(CHUNK)):
            yield piece
            came += len(piece)
            spent = time.monotonic() - since
            if spent > self.timeout:
                if came < self.slowest * spent:
                    raise FetchError(f"{source}: it is too slow: {came} bytes in {spent:.1f} s")
                since, came = time.monotonic(), 0

    def _open(self, url: str, headers: dict[str, str]) -> Any:
        """The answer to a request. A password goes to the host that it is for, and no further."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        request = urllib.request.Request(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
        for name, value in {"User-Agent": "sipbench", **headers}.items():
            request.add_header(name, value)
        if login := _login(parts.username, parts.password, host):
            request.add_unredirected_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
        context = ssl.create_default_context(cafile=self.cert)
        if host in self.trusted or parts.netloc.rpartition("@")[2] in self.trusted:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        proxies = urllib.request.ProxyHandler({"http": self.proxy, "https": self.proxy} if self.proxy else None)
        opener = urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=context))
        try:
            return opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            raise


def shown(url: str) -> str:
    """An address without a password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def sha256_of(path: Path) -> str:
    """The hash of a file as it is now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(part: Path, sha256: str, source: str) -> None:
    found = sha256_of(part) if sha256 else ""
    if not found.startswith(sha256):
        part.unlink()
        _origin(part).unlink(missing_ok=True)
        raise FetchError(f"{source}: what came is not the file: its sha256 is {found}, expected {sha256}")


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


def _start(answer: Any, have: int) -> tuple[int, int | None]:
    """Where what comes belongs, and how long the whole file is, where that is told."""
    length = answer.headers.get("Content-Length")
    if getattr(answer, "status", None) != 206:
        return 0, None if length is None else int(length)
    unit, _, span = answer.headers.get("Content-Range", "").partition(" ")
    first, _, total = span.partition("-")[0], None, span.partition("/")[2]
    if unit != "bytes" or not first.isdigit() or int(first) != have:
        raise FetchError(f"{shown(answer.url)}: asked for bytes from {have} on, it sent {span or 'something else'}")
    return have, int(total) if total.isdigit() else None


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


def _origin(part: Path) -> Path:
    return part.with_name(f"{part.name}.from")


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _final(error: Exception) -> bool:
    """Whether another try is of no use: the server refuses, or the disk does."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500 and error.code not in (408, 429)
    local = isinstance(error, OSError) and not isinstance(error, urllib.error.URLError | ConnectionError | TimeoutError)
    return local and not isinstance(error, ssl.SSLError | http.client.HTTPException)


def _login(user: str | None, password: str | None, host: str) -> str:
    """user:password of the address, else of ~/.netrc, else nothing."""
    if user is not None:
        return f"{unquote(user)}:{unquote(password or '')}"
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{found[0]}:{found[2]}" if found else ""


def _line(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    if isinstance(error, urllib.error.HTTPError):
        return f"it answered {error.code} {error.reason}"
    return " ".join(str(reason or error).split()) or type(error).__name__
