"""Pyright on what changed since it was last clean and on what imports that; everything with --all and the first time.

The whole tree takes most of a minute of a core. Public functions state their types, so a change can only break the
module itself and those that import it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
CLEAN = ROOT / ".venv" / "types-clean.json"  # the hash of each file when pyright last found nothing in it
ROOMS = ("sipbench", "baselines")


def main(words: list[str]) -> int:
    now, before = hashes(), read()
    changed = {path for path in now.keys() | before.keys() if now.get(path) != before.get(path)}
    whole = "--all" in words or not before or "pyproject.toml" in changed or not changed <= now.keys()
    if not whole and not changed:
        print("types: nothing has changed since they were right")
        return 0
    paths = [] if whole else sorted(changed | importers(changed))
    print(f"types: {f'{len(paths)} files' if paths else 'everything'}", flush=True)
    code = subprocess.call([BIN / "pyright", "--pythonpath", sys.executable, *paths], cwd=ROOT)
    if code == 0:
        CLEAN.write_text(json.dumps(now))
    return code


def hashes() -> dict[str, str]:
    """Of every module, and of the settings."""
    paths = [ROOT / "pyproject.toml", *(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))]
    return {str(p.relative_to(ROOT)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def read() -> dict[str, str]:
    return json.loads(CLEAN.read_text()) if CLEAN.is_file() else {}


def importers(paths: Iterable[str]) -> set[str]:
    """The files that import one of these."""
    import grimp  # what import-linter stands on

    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    files = {module: path for module in graph.modules if (path := file_of(module))}
    wanted = {module for module, path in files.items() if path in set(paths)}
    return {files[m] for w in wanted for m in graph.find_modules_that_directly_import(w) if m in files}


def file_of(module: str) -> str | None:
    path = Path(*module.split("."))
    found = (p for p in (path.with_suffix(".py"), path / "__init__.py") if (ROOT / p).is_file())
    return next((str(p) for p in found), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
