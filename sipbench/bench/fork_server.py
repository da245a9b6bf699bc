"""The process that others are forked off: it has imported torch and the harness, and done nothing else.

`sipbench.bench.forked` starts it, and asks for forks at the other end of a line.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import wait

HEAD = struct.Struct("<Q")  # before a request: its length
NEWS = struct.Struct("<?i")  # of a process: whether it lives, and its number, or how it ended
MOST = 16  # files that may come with a request
FOR_FORKS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What a queue sends to all processes of a job is for those that work: the server ends when nobody asks any more."""


@dataclass(frozen=True)
class Request:
    """A process that runs `module.main(parent, *files, *words)`, the first of a session of its own.

    `parent` is the number of its parent. It has the outputs and the folder of who asks, and no input.

    Attributes:
        environment: what it has for one.
        path: where it looks for modules.
        ignored: signals that it is deaf to from its first moment, until it listens.
    """

    module: str
    words: tuple[str, ...]
    environment: dict[str, str]
    path: list[str]
    ignored: tuple[int, ...]


def serve(number: int) -> None:
    """Fork whenever it is asked for at this end of a line, until nobody is at the other. A fork returns at its end."""
    line = socket.socket(fileno=number)
    ended, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    heard = {each: signal.signal(each, signal.SIG_IGN) for each in FOR_FORKS}
    news: dict[int, int] = {}
    while True:
        ready = wait([line, ended])
        if ended in ready:
            os.read(ended, 4096)
            _tell_of_the_dead(news)
        if line in ready:
            request, files = _request(line)
            import_module(request.module)
            parent, child = os.getpid(), _forked()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for each, does in heard.items():
                    signal.signal(each, signal.SIG_IGN if each in request.ignored else does)
                line.close()
                for open_ in (ended, wakes, *news.values()):
                    os.close(open_)
                _become(parent, request, files)
                return
            for file in files[1:]:
                os.close(file)
            news[child] = files[0]


def _request(line: socket.socket) -> tuple[Request, list[int]]:
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


def _become(parent: int, request: Request, files: Sequence[int]) -> None:
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
    os.environ.update(request.environment)
    sys.path[:] = request.path
    sys.stdout = open(1, "w", 1, closefd=False)  # anew: the server's own cannot be sought in as a pipe cannot
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)
    _say(news, True, os.getpid())
    import_module(request.module).main(parent, *files, *request.words)
