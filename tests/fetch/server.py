"""A server on this machine that answers well, or badly in a chosen way."""

import hashlib
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """Pages by path, and how the next requests are answered: a mishap each, then well.

    A mishap is `("break", n)`: no more than n bytes; `("stall", seconds)` before the answer; `("trickle", seconds)`
    after each byte; `("status", code)`; `("shift", n)`: a range that was not asked for. `ranges` says whether it knows
    them, `tagged` whether it tells versions apart; `tag` is that of every page, where it is not its content's.
    """

    pages: dict[str, bytes] = field(default_factory=dict)
    mishaps: list[tuple[str, float]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    tagged: bool = True
    tag: str = ""
    url: str = ""


@contextmanager
def serving(site):
    """The site at site.url, as long as it is used."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format, *args):
            pass

        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            self.answer()

        def answer(self):
            self.close_connection = True
            headers = {k.lower(): v for k, v in self.headers.items()}
            path = self.path.partition("?")[0]
            site.asked.append((path, headers))
            kind, amount = site.mishaps.pop(0) if site.mishaps else ("", 0)
            if kind == "stall":
                time.sleep(amount)
            if kind == "status" or path not in {*site.pages, *site.moved}:
                return self.start(int(amount) if kind == "status" else 404, 0)
            if path in site.moved:
                return self.start(302, 0, Location=site.moved[path])
            content = site.pages[path]
            tag = site.tag or f'"{hashlib.md5(content).hexdigest()}"'
            first = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
            begin = (
                int(first[1])
                if first and site.ranges and (not site.tagged or headers.get("if-range", tag) == tag)
                else 0
            )
            if begin and begin >= len(content):
                return self.start(416, 0, **{"Content-Range": f"bytes */{len(content)}"})
            begin += int(amount) if kind == "shift" else 0
            span = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if begin else {}
            self.start(206 if begin else 200, len(content) - begin, **span, **({"ETag": tag} if site.tagged else {}))
            if self.command == "HEAD":
                return None
            body = content[begin : begin + int(amount)] if kind == "break" else content[begin:]
            if kind != "trickle":
                return self.wfile.write(body)
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(amount)

        def start(self, code, length, **headers):
            self.send_response(code)
            for name, value in {"Content-Length": str(length), "Connection": "close", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass

    with Quiet(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
