"""A process that begins with torch imported: a fork of one that has imported it and done nothing else.

To import torch and the harness takes seconds. The first process that is asked for starts a server, which does it once;
each one is a fork of the server, and there in milliseconds. The server ends with who asked. Where a fork of what has
imported so much is not safe (it is on Linux), each process imports for itself.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from multiprocessing.connection import wait
from typing import Protocol

SERVER = "import sys; sys.path[:] = {path!r}; from sipbench.bench.forked import serve; serve({line})"
ALONE = "import sys; sys.path[:] = {path!r}; from {module} import main; main({numbers})"
HEAD = struct.Struct("<Q")  # before a request: its length
NEWS = struct.Struct("<?i")  # of a process: whether it lives, and its number, or how it ended
MOST = 16  # files that may come with a request
LOST = -int(signal.SIGKILL)  # how a process ended whose server is gone: it was killed with it


class Started(Protocol):
    """What a fork has in common with `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...


def start(module: str, files: Sequence[int]) -> Started:
    """A process that runs `module.main(parent, *files)`, the first of a session of its own.

    `parent` is the number of its parent, and the files are those of these numbers here. It has the outputs, folder,
    environment and search path of this process, and no input.
    """
    if sys.platform == "linux":
        return _server.fork(module, files)
    numbers = ", ".join(map(str, (os.getpid(), *files)))
    command = [sys.executable, "-c", ALONE.format(path=sys.path, module=module, numbers=numbers)]
    return subprocess.Popen(command, pass_fds=files, stdin=subprocess.DEVNULL, start_new_session=True)


class Fork:
    """A process of the server, as `subprocess.Popen` would show it.

    Attributes:
        pid: its number.
    """

    def __init__(self, news: int) -> None:
        self._news = news
        self._code: int | None = None
        try:
            lives, self.pid = self._heard()
            if not lives:
                raise ChildProcessError("no process could be started")
        except BaseException:  # Ctrl-C while the server imports, too
            os.close(news)
            raise

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        if self._code is None and wait([self._news], 0):
            _, self._code = self._heard()
            os.close(self._news)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            wait([self._news], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return code

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

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

    def fork(self, module: str, files: Sequence[int]) -> Fork:
        with self._lock:
            if self._line is not None and self._owner == os.getpid():
                try:
                    return _asked(self._line, module, files)
                except OSError:  # it is gone
                    self.end()
            self._line = self._begin()
            return _asked(self._line, module, files)

    def end(self) -> None:
        """Nothing is asked for any more: it ends, and with it what it forked."""
        if self._line is not None and self._process is not None and self._owner == os.getpid():
            self._line.close()
            self._process.wait()

    def _begin(self) -> socket.socket:
        line, theirs = socket.socketpair()
        number = theirs.fileno()
        command = [sys.executable, "-c", SERVER.format(path=sys.path, line=number)]
        null = subprocess.DEVNULL
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[number], stdin=null, stdout=null, start_new_session=True
            )
        self._owner = os.getpid()
        return line


_server = _Server()
atexit.register(_server.end)


def _asked(line: socket.socket, module: str, files: Sequence[int]) -> Fork:
    """Ask for a process, and wait until it is there."""
    request = pickle.dumps((module, sys.path, dict(os.environ)))
    folder = os.open(".", os.O_PATH)
    news, theirs = os.pipe()
    try:
        socket.send_fds(line, [HEAD.pack(len(request))], [theirs, folder, 1, 2, *files])
        line.sendall(request)
    except OSError:
        os.close(news)
        raise
    finally:
        os.close(folder)
        os.close(theirs)
    return Fork(news)


def serve(number: int) -> None:
    """Fork whenever it is asked for at this end of a line, until nobody is at the other. A fork returns at its end."""
    line = socket.socket(fileno=number)
    ended, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    news: dict[int, int] = {}
    while True:
        ready = wait([line, ended])
        if ended in ready:
            os.read(ended, 4096)
            _tell_of_the_dead(news)
        if line in ready:
            request, files = _request(line)
            import_module(request[0])
            parent, child = os.getpid(), _forked()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                line.close()
                for open_ in (ended, wakes, *news.values()):
                    os.close(open_)
                _become(parent, *request, files)
                return
            for file in files[1:]:
                os.close(file)
            news[child] = files[0]


def _request(line: socket.socket) -> tuple[tuple[str, list[str], dict[str, str]], list[int]]:
    head, files, _, _ = socket.recv_fds(line, HEAD.size, MOST, socket.MSG_CMSG_CLOEXEC)
    if not head:  # nobody is there any more
        os._exit(0)
    return pickle.loads(line.recv(HEAD.unpack(head)[0], socket.MSG_WAITALL)), files


def _forked() -> int:
    with warnings.catch_warnings():  # Python warns where a library has threads: those of BLAS end before a fork
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _tell_of_the_dead(news: dict[int, int]) -> None:
    while news:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        _say(news.pop(child), False, os.waitstatus_to_exitcode(status))


def _say(news: int, lives: bool, number: int) -> None:
    try:
        os.write(news, NEWS.pack(lives, number))
    except BrokenPipeError:  # nobody wants to know
        pass
    os.close(news)


def _become(parent: int, module: str, path: list[str], environment: dict[str, str], files: Sequence[int]) -> None:
    """What the process that asked would have started: then run what it is to run."""
    news, folder, out, err, *files = files
    os.setsid()
    os.fchdir(folder)
    null = os.open(os.devnull, os.O_RDONLY)
    for own, given in ((0, null), (1, out), (2, err)):
        os.dup2(given, own)
    for file in (null, folder, out, err):
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    _say(news, True, os.getpid())
    import_module(module).main(parent, *files)
