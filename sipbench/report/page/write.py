"""The file: the data and the assets in one HTML page that asks for nothing else.

All that is shown comes from JSON and is put into the page as text, never as HTML. In the JSON no `<` stands as it is,
so that nothing in it can end its element. A policy in the page's head allows the page's own script alone, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from sipbench.bench.store import write_whole
from sipbench.report.page.model import Gallery, Page

SCRIPTS = (
    *("dom", "numbers", "filters", "columns", "copying", "table", "listing"),
    *("sprites", "colourmap", "view", "order", "panes", "slider", "viewer"),
    *("axes", "chart", "pareto", "matrix", "drawer", "help", "main"),
)
ASSETS = Path(__file__).parent / "assets"
ESCAPED = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def save(page: Page, path: Path) -> Path:
    """Write the page, whole or not at all."""
    return write_whole(path, html(page).encode("utf-8", "backslashreplace"), "out")  # of half a character JSON's escape


def html(page: Page) -> str:
    """The page as text; the same data give the same bytes."""
    style, script = _asset("page.css"), "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();\n'
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data: blob:",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    pictures: dict[str, str] = {}
    data = _json(_plain(page, pictures))
    parts = {
        "title": markup.escape(page.title),
        "policy": policy,
        "style": style,
        "script": script,
        "data": data,
        "pictures": "\n".join(
            f'<script type="application/json" id="{name}">{text}</script>' for name, text in pictures.items()
        ),
    }
    pieces = _asset("page.html").split("%%")  # text, name, text, name, ..., text
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def _plain(value: Any, pictures: dict[str, str]) -> Any:
    """As JSON has it. The pictures of a gallery go into an element of their own, which is read when it is looked at."""
    if isinstance(value, Gallery):
        found = _fields(value, pictures)
        drawn = {name: found.pop(name) for name in ("truth", "measurement", "estimates", "residuals", "kernels")}
        found["pictures"] = f"pictures-{len(pictures)}"
        pictures[found["pictures"]] = _json(drawn)
        return found
    if is_dataclass(value):
        return _fields(value, pictures)
    if isinstance(value, Mapping):
        return {str(key): _plain(own, pictures) for key, own in value.items()}
    if isinstance(value, str) or not isinstance(value, Sequence):
        return _number(value) if isinstance(value, float) else value
    return [_plain(own, pictures) for own in value]


def _fields(value: Any, pictures: dict[str, str]) -> dict[str, Any]:
    own = {"key": value.key} if hasattr(value, "key") else {}
    return own | {f.name: _plain(getattr(value, f.name), pictures) for f in fields(value)}


def _number(value: float) -> float | str | None:
    """JSON has no infinity: it is a word."""
    if math.isnan(value):
        return None
    return float(f"{value:.7g}") if math.isfinite(value) else "inf" if value > 0 else "-inf"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(ESCAPED)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
