"""Who does which batch: a file that one worker alone can make.

A lease is made by linking a finished file to its name, which one process of many can do, on NFS too. One that a dead
worker left is not removed, which two could do one after the other, but followed by the next number of the same batch.
It tells its images: another batch that shares one with it, as where sizes differ, is not held beside it.

    leases/CELL/000000-1a2b3c4d.0.lease      the batch that begins with image 0, first held
    leases/CELL/000000-1a2b3c4d.1.lease      taken over from a dead worker
    leases/CELL/000000-1a2b3c4d.died-X.json  why an attempt at it ended its process
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sipbench.cluster import files
from sipbench.cluster.presence import Watch, everybody, file_of, gone


@dataclass(frozen=True)
class Lease:
    """A batch that is held.

    Attributes:
        folder, key: where its leases lie, and how they begin.
        number: 0, or one more than that of the dead worker before.
        images: of the batch; none of a training.
    """

    folder: Path
    key: str
    number: int
    worker: str
    images: tuple[int, ...] = ()

    @property
    def path(self) -> Path:
        return self.folder / f"{self.key}.{self.number}.lease"

    def held(self) -> bool:
        """Whether it is still this worker's, and the last of its batch."""
        newest = _newest(self.folder, self.key)
        return newest == self.number and _owner(self.path) == self.worker

    def release(self) -> None:
        """Give it back. One that somebody else has taken over stays, and so does one in a folder made read-only."""
        with contextlib.suppress(OSError):
            if self.held():
                own = (n for n in _numbers(self.folder, self.key) if n <= self.number)
                for number in own:  # the older ones first: what is left is no dead one's
                    (self.folder / f"{self.key}.{number}.lease").unlink(missing_ok=True)
            self.folder.rmdir()


def claim(folder: Path, key: str, worker: str, watch: Watch, images: Collection[int] = ()) -> Lease | None:
    """Hold a batch, or None where another worker does, or holds one that shares some of its images.

    Of two that share some, who makes his lease looks after that whether the other one did: both may let go of theirs,
    and ask again.
    """
    newest, before = _newest(folder, key), ""
    if newest >= 0:
        before = _owner(folder / f"{key}.{newest}.lease")
        if not watch.dead(before or f"{folder.name}-{key}-{newest}"):
            return None
    lease = Lease(folder, key, newest + 1, worker, tuple(images))
    if _shared(lease, watch) or not _made(lease):
        return None
    anew = _newest(folder, key) > lease.number or (newest >= 0 and _owner_changed(lease, before))
    if anew or _shared(lease, watch):  # somebody began meanwhile
        lease.path.unlink(missing_ok=True)
        return None
    return lease


def died(folder: Path, key: str, reason: str) -> None:
    """Note that an attempt at a batch ended its process. Only who holds the batch may say so."""
    files.write(folder / f"{key}.died-{uuid.uuid4().hex[:8]}.json", {"reason": reason, "at": time.time()})


def deaths(folder: Path, key: str) -> list[str]:
    """Why attempts at a batch ended their processes, in no order."""
    names = (n for n in files.listed(folder) if n.startswith(f"{key}.died-"))
    return [str((files.read(folder / name) or {}).get("reason", "for no reason that can be read")) for name in names]


def forget_deaths(folder: Path, key: str = "*") -> None:
    """Of a batch that landed, or of a whole cell: one may have landed just before its process was ended."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{key}.died-*.json"):
            path.unlink(missing_ok=True)
        folder.rmdir()


def holders(results: Path) -> dict[str, dict[str, str]]:
    """By cell and key who holds a batch now, or held it when he died."""
    found: dict[str, dict[str, str]] = {}
    for cell in files.listed(results / "leases"):
        folder = results / "leases" / cell
        keys = {n.split(".")[0] for n in files.listed(folder) if n.endswith(".lease")}
        found[cell] = {key: _owner(folder / f"{key}.{_newest(folder, key)}.lease") for key in keys}
    return found


def holder(folder: Path, key: str, images: Collection[int] = ()) -> str:
    """Who holds a batch now or some of its images, or held it when he died; nobody where it is free."""
    own = _owner(folder / f"{key}.{_newest(folder, key)}.lease")
    return own or next(_sharers(folder, key, images), "")


def images_of(folder: Path, key: str) -> set[int]:
    """The images of a batch that is held, as its lease tells them."""
    held = (files.read(folder / f"{key}.{_newest(folder, key)}.lease") or {}).get("images")
    return {image for image in held if isinstance(image, int)} if isinstance(held, list) else set()


def tidy(results: Path, worker: str, watch: Watch) -> None:
    """Give back what the dead held, and forget those of them that held nothing."""
    for cell, held in holders(results).items():
        for key, owner in held.items():
            if watch.dead(owner) and (mine := claim(results / "leases" / cell, key, worker, watch)):
                mine.release()
    busy = {owner for held in holders(results).values() for owner in held.values()}
    for said in everybody(results):
        if gone(said) and said["worker"] not in busy:
            file_of(results, said["worker"]).unlink(missing_ok=True)


def of_worker(results: Path, worker: str, pid: int | None = None) -> Iterator[Lease]:
    """All that a worker holds, or one of its processes."""
    for cell, held in holders(results).items():
        for key in (key for key, owner in held.items() if owner == worker):
            folder = results / "leases" / cell
            found = Lease(folder, key, _newest(folder, key), worker)
            if pid is None or (files.read(found.path) or {}).get("pid") == pid:
                yield found


def _shared(lease: Lease, watch: Watch) -> bool:
    """Whether somebody who is alive holds another batch that has some of the same images."""
    return any(not watch.dead(owner) for owner in _sharers(lease.folder, lease.key, lease.images))


def _sharers(folder: Path, key: str, images: Collection[int]) -> Iterator[str]:
    """Who holds or held other batches that have some of these images."""
    own = {*images}
    others = {name.split(".")[0] for name in files.listed(folder) if own and name.endswith(".lease")} - {key}
    for other in sorted(others):
        if own & images_of(folder, other):
            yield holder(folder, other)


def _made(lease: Lease) -> bool:
    """Make the lease's file, unless there is one."""
    for _ in range(3):
        temporary = lease.folder / f".{lease.worker}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            files.write(temporary, _said(lease))
            return _linked(temporary, lease)
        except (FileNotFoundError, FileExistsError):  # who gave back the last lease of the folder removed it
            if lease.folder.is_file():
                raise
        finally:
            temporary.unlink(missing_ok=True)
    return False


def _said(lease: Lease) -> dict[str, Any]:
    return {"worker": lease.worker, "pid": os.getpid(), "since": time.time(), "images": lease.images}


def _linked(temporary: Path, lease: Lease) -> bool:
    try:
        os.link(temporary, lease.path)
    except FileExistsError:
        return temporary.stat().st_nlink == 2  # NFS may ask twice, and be told that the link it made is there
    except FileNotFoundError:
        raise
    except OSError:  # NFS may lose the answer to a link that it made
        return temporary.stat().st_nlink == 2 or _exclusive(lease)
    return True


def _exclusive(lease: Lease) -> bool:
    """Where the file system makes no links."""
    import json

    try:
        with open(lease.path, "x", encoding="utf-8") as file:
            file.write(json.dumps(_said(lease)))
    except FileExistsError:
        return False
    return True


def _owner_changed(lease: Lease, before: str) -> bool:
    path = lease.folder / f"{lease.key}.{lease.number - 1}.lease"
    return not path.exists() or _owner(path) != before


def _owner(path: Path) -> str:
    return str((files.read(path) or {}).get("worker", ""))


def _newest(folder: Path, key: str) -> int:
    return max(_numbers(folder, key), default=-1)


def _numbers(folder: Path, key: str) -> list[int]:
    found = (re.fullmatch(rf"{re.escape(key)}\.(\d+)\.lease", name) for name in files.listed(folder))
    return sorted(int(one[1]) for one in found if one)
