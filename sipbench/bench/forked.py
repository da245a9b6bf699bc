"""A process that begins with torch imported: a fork of one that has imported it and done nothing else.

To import torch and the harness takes seconds. The first process that is asked for starts a server, which does it once;
each one is a fork of the server, and there in milliseconds. The server ends with who asked, and its forks with it.
Where a fork of what has imported so much is not safe (it is on Linux), each process imports for itself.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Protocol

from sipbench.bench.fork_server import HEAD, NEWS, Request

SERVER = "import sys; sys.path[:] = {path!r}; from sipbench.bench.fork_server import serve; serve({line})"
ALONE = "import sys; sys.path[:] = {path!r}; from {module} import main; main(*{given!r})"
ENDING = 5.0  # seconds that the end of a server may take
LOST = -int(signal.SIGKILL)  # how a process ended whose server is gone: it was killed with it


class Started(Protocol):
    """What a fork has in common with `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    @property
    def there(self) -> bool: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...


def start(module: str, files: Sequence[int]) -> Started:
    """A process that runs `module.main(parent, *files)`, which is there when this returns (see `Request`)."""
    process = begin(module, files)
    if isinstance(process, Fork):
        process.wait_for_life()
    return process


def begin(
    module: str,
    files: Sequence[int],
    words: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    ignored: Sequence[int] = (),
) -> Started:
    """As `start`, without waiting for what it takes to import: it is on its way."""
    env = dict(os.environ if environment is None else environment)
    request = Request(module, tuple(words), env, list(sys.path), tuple(ignored))
    return _server.fork(request, files) if sys.platform == "linux" else _alone(request, files)


def _alone(request: Request, files: Sequence[int]) -> Started:
    given = (os.getpid(), *files, *request.words)
    command = [sys.executable, "-c", ALONE.format(path=request.path, module=request.module, given=given)]

    def deaf() -> None:
        for number in request.ignored:
            signal.signal(number, signal.SIG_IGN)

    null, first = subprocess.DEVNULL, deaf if request.ignored else None
    env = request.environment
    return Alone(command, pass_fds=files, stdin=null, start_new_session=True, env=env, preexec_fn=first)


class Alone(subprocess.Popen[bytes]):
    """A process that imports for itself."""

    there = True


class Fork:
    """A process of the server, as `subprocess.Popen` would show it.

    Signals that it is sent before it is there wait for it; SIGKILL, which nothing waits for, ends the server.
    """

    def __init__(self, news: int, end_server: Callable[[], None]) -> None:
        self._news, self._end_server = news, end_server
        self._pid: int | None = None
        self._code: int | None = None
        self._waiting: list[int] = []

    @property
    def pid(self) -> int:
        """Its number; asked for while it is on its way, this waits."""
        self.wait_for_life()
        assert self._pid is not None
        return self._pid

    @property
    def there(self) -> bool:
        """Whether it has a number."""
        self.poll()
        return self._pid is not None

    def wait_for_life(self) -> None:
        """Until it is there; ChildProcessError where it never will be."""
        try:
            while self._pid is None and self._code is None:
                self._hear()
        except BaseException:  # Ctrl-C while the server imports
            self._code = LOST
            os.close(self._news)
            raise
        if self._pid is None:
            raise ChildProcessError("no process could be started")

    def poll(self) -> int | None:
        """How it ended; None while it runs, or is on its way."""
        while self._code is None and wait([self._news], 0):
            self._hear()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        while self._code is None and wait([self._news], timeout):
            self._hear()
        if self._code is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return self._code

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is not None:
            return
        if self._pid is not None:
            os.kill(self._pid, sig)
        elif sig == signal.SIGKILL:
            self._end_server()
        else:
            self._waiting.append(sig)

    def _hear(self) -> None:
        """What comes next of it: that it lives, or how it ended."""
        lives, number = self._heard()
        if not lives:
            self._code = number
            os.close(self._news)
            return
        self._pid = number
        for sig in self._waiting:
            os.kill(number, sig)

    def _heard(self) -> tuple[bool, int]:
        news = os.read(self._news, NEWS.size)
        return NEWS.unpack(news) if news else (False, LOST)


class _Server:
    """The process that is forked: started when it is first needed, and anew where it is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def fork(self, request: Request, files: Sequence[int]) -> Fork:
        with self._lock:
            if self._line is not None and self._owner == os.getpid():
                try:
                    return self._asked(self._line, request, files)
                except OSError:  # it is gone
                    self.end()
            self._line = self._begin(request.environment)
            return self._asked(self._line, request, files)

    def end(self) -> None:
        """Nothing is asked for any more: it ends, and with it what it forked."""
        if self._line is not None and self._process is not None and self._owner == os.getpid():
            self._line.close()
            try:
                self._process.wait(ENDING)
            except subprocess.TimeoutExpired:  # it still imports, for nobody
                self._process.kill()
                self._process.wait()

    def _begin(self, environment: Mapping[str, str]) -> socket.socket:
        """Start it, in the environment of the first that it forks: importing settles how many threads there are."""
        line, theirs = socket.socketpair()
        number = theirs.fileno()
        command = [sys.executable, "-c", SERVER.format(path=sys.path, line=number)]
        null = subprocess.DEVNULL
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[number], stdin=null, stdout=null, start_new_session=True, env=environment
            )
        self._owner = os.getpid()
        return line

    def _asked(self, line: socket.socket, request: Request, files: Sequence[int]) -> Fork:
        """Ask for a process."""
        assert self._process is not None
        text = pickle.dumps(request)
        folder = os.open(".", os.O_PATH)
        news, theirs = os.pipe()
        try:
            socket.send_fds(line, [HEAD.pack(len(text))], [theirs, folder, 1, 2, *files])
            line.sendall(text)
        except OSError:
            os.close(news)
            raise
        finally:
            os.close(folder)
            os.close(theirs)
        return Fork(news, self._process.kill)


_server = _Server()
atexit.register(_server.end)
