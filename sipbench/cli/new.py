"""`sipbench new`: a method, a degradation, a dataset, a metric or a table to start from."""

from __future__ import annotations

import os
from pathlib import Path

from sipbench.errors import UserError, unknown
from sipbench.scaffold.write import FAMILIES, KINDS, Written, write

HELP = """\
sipbench new method NAME [--family FAMILY] [--package PACKAGE]     a file of code, its YAML and a test that passes
sipbench new degradation|dataset|metric|table NAME                 the same; a table is a YAML and a test

  --family FAMILY      classical (the default), datarich, diffusion or single: what the method starts from
  --package PACKAGE    how a new package is named; the folder's name, unless this says otherwise

In a checkout of sipbench the files go to where such things lie; elsewhere into the package of this folder, which is
made where there is none. Nothing that is there is overwritten. KIND=NAME works in every command, once it is installed.

Example:  sipbench new method my_idea --family diffusion
"""
USAGE = "sipbench new method NAME [--family FAMILY] [--package PACKAGE]"


def main(words: list[str]) -> int:
    """Write the files, and say what to do next."""
    plain, flags = _parted(words)
    if not plain:
        raise UserError(f"new what? sipbench new {'|'.join(KINDS)} NAME")
    if plain[0] not in KINDS:
        raise unknown("kind", plain[0], KINDS)
    if len(plain) != 2:
        raise UserError(f"a new {plain[0]} has one name: sipbench new {plain[0]} my_{plain[0]}")
    kind, name = plain
    if "family" in flags and kind != "method":
        raise UserError(f"--family is a method's: sipbench new {kind} {name}")
    family = flags.get("family", "classical")
    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    written = write(kind, name, here=Path.cwd(), family=family, package=flags.get("package"))
    for path in written.files:
        print(f"wrote {os.path.relpath(path)}")
    print("\n".join(_next(kind, name, written)))
    return 0


def _parted(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The plain words, and what follows the flags: `--family single`, or `--family=single`."""
    plain, flags, rest = [], {}, iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag not in ("--family", "--package"):
            if word.startswith("-"):
                raise UserError(f"unknown flag {flag}: {USAGE}")
            plain.append(word)
            continue
        value = value if equals else next(rest, "")
        if not value:
            raise UserError(f"{flag} what? {USAGE}")
        flags[flag.removeprefix("--")] = value
    return plain, flags


def _next(kind: str, name: str, written: Written) -> list[str]:
    """What to type now."""
    test = os.path.relpath(written.test)
    lines = ["", "next:", f"  python -m pytest {test}"]
    if written.place.package is not None:
        lines.append("  pip install --no-deps -e .          once, so that every command knows it")
    uses = {
        "method": f"sipbench method={name}" if "datarich" not in str(written.files) else f"sipbench check {name}",
        "degradation": f"sipbench show degradation={name}",
        "dataset": f"sipbench show dataset={name}",
        "metric": f"sipbench method=pinv metrics=[psnr,{name}]",
        "table": f"sipbench table {name}",
    }
    lines.append(f"  {uses[kind]}")
    if written.place.package is None:
        lines.append(
            "  in docs/architecture.md, 'To add something': what else names it; CONTRIBUTING.md: how to hand it in"
        )
    return lines
