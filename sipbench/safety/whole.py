"""Files that are there whole or not at all, whatever ends the process that writes them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path, *, shared: bool = True) -> Iterator[Path]:
    """A place beside a file to write to; what was written there is renamed into place at the end, unless that failed.

    `shared`: several processes may write the file at once, each in a place of its own. Else what one that was killed
    left behind is written over by the next.
    """
    own = f".{uuid.uuid4().hex[:12]}" if shared else ""
    temporary = path.with_name(f".{path.name}{own}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
