"""Asking an address: how patient one is, through which proxy, with which password.

Proxies are those that the environment names (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), passwords those of the address or of
~/.netrc. A password goes to the host that it is for, and is in no message.
"""

from __future__ import annotations

import http.client
import netrc
import re
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from sipbench.errors import UserError
from sipbench.safety import text as safe

CHUNK = 1 << 18
LONGEST = 64 * 2**20  # bytes of a page


class FetchError(UserError):
    """Why something did not come, in a line."""


@dataclass(frozen=True)
class Web:
    """How patient one is, and what a package registry's settings add.

    Attributes:
        timeout: seconds of silence after which a try is given up.
        tries: how often in a row without a byte of progress.
        pause: seconds before the second try; twice as many before each further one.
        slowest: bytes a second, over `timeout` seconds, below which a file is given up.
        proxy: in place of the environment's.
        cert: a file of certificates in place of the system's.
        trusted: hosts whose certificate is not checked.
        token: a password of the kind "Bearer".
    """

    timeout: float = 20.0
    tries: int = 4
    pause: float = 1.0
    slowest: float = 1000.0
    proxy: str | None = None
    cert: str | None = None
    trusted: tuple[str, ...] = ()
    token: str = ""

    def text(self, url: str, accept: str = "*/*") -> tuple[str, str]:
        """A page, and the address that it was found at in the end."""
        try:
            with self.open(url, {"Accept": accept}) as answer:
                page, found_at = bytearray(), answer.url
                for piece in self.pieces(answer, shown(url)):
                    page += piece
                    if len(page) > LONGEST:
                        raise FetchError(f"{shown(url)}: it is longer than {LONGEST:,} bytes: no page of links is")
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"{shown(url)}: {line(error)}") from error
        return page.decode("utf-8", "replace"), found_at

    def pieces(self, answer: Any, source: str) -> Iterator[bytes]:
        """What comes, as long as it comes fast enough."""
        since, came = time.monotonic(), 0
        while piece := answer.read1(CHUNK):
            yield piece
            came += len(piece)
            spent = time.monotonic() - since
            if spent > self.timeout:
                if came < self.slowest * spent:
                    raise FetchError(f"{source}: it is too slow: {came} bytes in {spent:.1f} s")
                since, came = time.monotonic(), 0

    def open(self, url: str, headers: dict[str, str]) -> Any:
        """The answer to a request."""
        if not (self.token.isascii() and self.token.isprintable()):
            raise FetchError(f"{shown(url)}: the password for it holds signs that none has")
        try:
            return self._open(url, headers)
        except ValueError as error:  # of an address that is none, there or where it leads
            raise FetchError(f"{shown(url)}: it is no address: {line(error)}") from error

    def _open(self, url: str, headers: dict[str, str]) -> Any:
        parts = urlsplit(url)
        if not parts.scheme:
            raise ValueError("one begins with https://")
        host = parts.netloc.rpartition("@")[2]
        request = urllib.request.Request(shown(url), headers={"User-Agent": "sipbench", **headers})
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        elif login := _login(parts.username, parts.password, parts.hostname or ""):
            request.add_unredirected_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
        context = ssl.create_default_context(cafile=self.cert)
        if {host, parts.hostname} & set(self.trusted):
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
    try:
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    except ValueError:  # it is no address
        return re.sub(r"//.*@", "//", url)


def line(error: BaseException) -> str:
    """What went wrong, in a line."""
    if isinstance(error, urllib.error.HTTPError):
        return safe.line(f"it answered {error.code} {error.reason}")
    said = "" if isinstance(error, UnicodeError) else getattr(error, "reason", None)
    return safe.line(said or error) or type(error).__name__


def _login(user: str | None, password: str | None, host: str) -> str:
    """user:password of the address, else of ~/.netrc, else nothing."""
    if user is not None:
        return f"{unquote(user)}:{unquote(password or '')}"
    try:
        found = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return ""
    return f"{found[0]}:{found[2]}" if found else ""
