"""Small JSON files that many processes read while one writes them: whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sipbench.safety.whole import whole


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Written beside and renamed into place. What the file system refuses is an OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as beside:
        beside.write_text(json.dumps(content), encoding="utf-8")


def read(path: Path) -> dict[str, Any] | None:
    """Its content; None where there is none, or nothing that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def listed(folder: Path) -> list[str]:
    """The names in a folder; none where there is no folder."""
    try:
        return os.listdir(folder)
    except OSError:
        return []
