"""The numbers of a release, frozen: which CSVs under results/ it has, their hashes, and what they rest on.

`python -m sipbench.tables.release` says what differs from results/RELEASE.json, and `... freeze` writes it. A file that
did not change keeps the versions it was frozen with; one that did takes those of today.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sipbench.bench import protocol
from sipbench.errors import UserError
from sipbench.safety.text import counted

FOLDERS = ("demo", "study", "speed", "published")
FILE = "RELEASE.json"
FREEZE = "python -m sipbench.tables.release freeze"


def frozen(results: Path) -> dict[str, Any]:
    """What the folder's RELEASE.json says; nothing where there is none."""
    path = results / FILE
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"files": {}}
    except ValueError as error:
        raise UserError(f"{path} cannot be read: {error}; {FREEZE} writes it anew") from error


def differences(results: Path) -> list[str]:
    """The CSVs that are not as they were frozen, a line each."""
    before, now = frozen(results)["files"], dict(_hashes(results))
    said = [f"{name}: it is not frozen" for name in now if name not in before]
    said += [f"{name}: it is gone" for name in before if name not in now]
    return said + [f"{n}: it changed" for n, h in now.items() if n in before and before[n]["sha256"] != h]


def freeze(results: Path) -> Path:
    """Write RELEASE.json as the folder is now."""
    from sipbench.bench.store import write_whole

    before, files = frozen(results)["files"], {}
    for name, found in _hashes(results):
        own = before.get(name)
        known = own is not None and own["sha256"] == found
        files[name] = own if known else {"sha256": found, "protocol": _rests_on(name), "sipbench": version("sipbench")}
    content = {"sipbench": version("sipbench"), "files": files}
    return write_whole(results / FILE, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def _rests_on(name: str) -> dict[str, int] | None:
    """The versions of the protocol, but of published numbers, which rest on none of ours."""
    return None if name.startswith("published/") else protocol.versions()


def _hashes(results: Path) -> Iterator[tuple[str, str]]:
    for folder in FOLDERS:
        for path in sorted((results / folder).glob("*.csv")):
            text = path.read_bytes().replace(b"\r\n", b"\n")  # the same where git turns the ends of lines
            yield f"{folder}/{path.name}", hashlib.sha256(text).hexdigest()


def main(words: list[str]) -> int:
    """Say what differs, or freeze."""
    results = Path("results")
    if not results.is_dir():
        raise UserError("there is no folder results here: run it in a checkout")
    if words == ["freeze"]:
        path = freeze(results)
        print(f"written: {path} ({counted(len(frozen(results)['files']), 'file')})")
        return 0
    if words:
        print(__doc__)
        return 2
    said = differences(results)
    print("\n".join([*said, f"{FREEZE} takes them as they are"] if said else ["all is as it was frozen"]))
    return int(bool(said))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UserError as error:
        sys.exit(f"sipbench: {error}")
