"""What a training that was cut short goes on from: `state.pt`, written whole, and only with what it began with."""

from __future__ import annotations

import csv
import errno
import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

import torch
from torch import nn

from sipbench.bench.store import writing
from sipbench.errors import UserError
from sipbench.safety import sizes
from sipbench.safety.whole import whole

BEGIN = {"step": 0, "loss": float("nan"), "seconds": 0.0}


@dataclass
class State:
    """The parts of a training, in its folder.

    Attributes:
        about: what the result depends on beside the number of steps, as plain data; another one is refused.
        scaler: enlarges the loss where gradients in float16 would be zero; else it does nothing.
        aim: what the loss is called; `another_aim` says whether it was saved with another one.
        best: the averaged weights that were best on validation images, or None.
        facts: how far it is, as it was saved last.
    """

    folder: Path
    about: Mapping[str, Any]
    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False))
    aim: str = ""
    another_aim: bool = False
    best: dict[str, torch.Tensor] | None = None
    facts: dict[str, Any] = field(default_factory=lambda: dict(BEGIN))

    def restore(self, device: torch.device) -> dict[str, Any]:
        """Put the parts back to where the folder left off; the facts of the training so far."""
        path = self.folder / "state.pt"
        path.with_name(".state.pt.tmp").unlink(missing_ok=True)
        if not path.is_file():
            return dict(BEGIN)
        try:
            saved = sizes.weights(path, device)
            self._same(json.loads(saved["about"]))
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.scaler.load_state_dict(saved.get("scaler") or self.scaler.state_dict())
            self.best, self.facts = saved.get("best"), dict(saved["facts"])
            self.another_aim = saved.get("aim", self.aim) != self.aim
            return dict(self.facts)
        except UserError:
            raise
        except Exception as error:  # a damaged file raises anything
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise UserError(f"{path} cannot be gone on from ({reason}): {_anew(self.folder)}") from error

    def save(self, facts: Mapping[str, Any]) -> None:
        """All or nothing; a line in the log beside it."""
        saved = {"facts": dict(facts), "about": json.dumps(plain(self.about), sort_keys=True)}
        saved |= {"network": self.network.state_dict(), "average": self.average.state_dict()}
        saved |= {"optimiser": self.optimiser.state_dict(), "scaler": self.scaler.state_dict()}
        saved |= {"best": self.best, "aim": self.aim}
        with writing(self.folder), whole(self.folder / "state.pt", shared=False) as beside, open(beside, "wb") as file:
            try:
                torch.save(saved, file)
            except RuntimeError as error:  # what the file system refused stands behind torch's words
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from error
                raise
        self.facts = dict(facts)
        self.tell("log.csv", facts)

    def tell(self, name: str, facts: Mapping[str, Any]) -> None:
        """A line more in a CSV of the folder."""
        new = not (self.folder / name).exists()
        with writing(self.folder), open(self.folder / name, "a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(facts))
            if new:
                writer.writeheader()
            writer.writerow(facts)

    def _same(self, began: Mapping[str, Any]) -> None:
        """Refuse to go on with anything else than what it began with."""
        now, then = dict(_leaves(plain(self.about))), dict(_leaves(began))
        others = [name for name in {**then, **now} if now.get(name) != then.get(name)]
        if others:
            shown = "; ".join(f"{name} was {then.get(name)}, now {now.get(name)}" for name in others[:3])
            more = f"; and {len(others) - 3} more" if len(others) > 3 else ""
            raise UserError(f"{self.folder} began with other settings: {shown}{more}: {_anew(self.folder)}")


def writable(folder: Path, word: str = "results") -> None:
    """Make a folder, and say before anything is trained where nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}. Choose another with {word}=...") from error


@contextmanager
def alone(place: Path, report: Callable[[str], None] = print) -> Iterator[None]:
    """One process at a time works on a folder; the lock goes with its process, however that ends.

    Its file goes too where the process ends well. One that waited then holds the lock of a file that is gone: it asks
    for the next one, as whoever came later did.
    """
    writable(place.parent)
    path, said = Path(f"{place}.lock"), False
    while True:
        with open(path, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    report(f"waiting for another process that trains {place.name}")
                said = True
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:  # a file system without locks: there workers have leases
                if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
                    raise
            if not _is(file, path):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is(file: IO[str], path: Path) -> bool:
    """Whether an open file is the one that lies there now."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def patient() -> Iterator[Callable[[], bool]]:
    """Ctrl-C waits for the step to end, so that no half step is saved: asks whether it came. A second one waits not.

    So does SIGTERM, where that is as Ctrl-C.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if main}
    heard = [number for number, handler in before.items() if callable(handler)]  # in the background no Ctrl-C
    for number in heard:
        signal.signal(number, handle)
    try:
        yield lambda: asked
    finally:
        for number in heard:
            signal.signal(number, before[number])


def plain(node: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    return json.loads(json.dumps(node, sort_keys=True, default=str))


def _leaves(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _anew(folder: Path) -> str:
    return f"name=OTHER starts anew, and so does deleting {folder}"
