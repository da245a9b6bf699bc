"""What no reader may do, whatever it is given: write outside of its folder, start a program, call out, hang."""

import os
import signal
import sys
from contextlib import contextmanager

STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "shutil.rmtree")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
LONGEST = 10  # seconds of processor time that one input may take


class Hang(BaseException):
    """It took too long."""


class Watch:
    """An audit hook, which Python never lets go: it looks only inside `with watch.on(folder)`."""

    def __init__(self):
        self.folder, self.seen = None, []
        sys.addaudithook(self._hook)

    def _hook(self, event, args):
        if self.folder is None:
            return
        if event in STARTS:
            self.seen.append(f"{event} {str(args)[:100]}")
        elif event == "open" and isinstance(args[0], (str, bytes)) and (args[2] or 0) & WRITING:
            self._inside(event, args[0])
        elif event in CHANGES and isinstance(args[0], (str, bytes)):
            self._inside(event, args[0])

    def _inside(self, event, path):
        place = os.path.realpath(os.fsdecode(path))
        library = "__pycache__" in place or place == os.devnull  # what is imported late leaves its bytes there
        if not library and not place.startswith(f"{self.folder}{os.sep}"):
            self.seen.append(f"{event} {place}")

    @contextmanager
    def on(self, folder):
        """Look until the end, and take it as a hang if that does not come."""

        def late(*_):
            raise Hang(f"more than {LONGEST} s")

        before = signal.signal(signal.SIGVTALRM, late)
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
        self.folder, self.seen = os.path.realpath(folder), []
        try:
            yield self
        finally:
            self.folder = None
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
