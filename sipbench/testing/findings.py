"""What a check found, and how it is told to a person."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Finding:
    """One check's verdict.

    Attributes:
        check: what was checked.
        status: PASS; WARN, worth a look; FAIL; or SKIP, nothing could be checked here.
        seen, expected, advice: what there was, what there should be, and what to do.
        problem: what the solver was tried on.
    """

    check: str
    status: str
    seen: str
    expected: str = ""
    advice: str = ""
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether a run may go on; a warning does not stop it."""
        return self.status in ("PASS", "WARN")


def verdict(check: str, good: bool, seen: str, expected: str, advice: str, *, otherwise: str = "FAIL") -> Finding:
    """PASS, or the other status with what to do about it."""
    return Finding(check, "PASS", seen) if good else Finding(check, otherwise, seen, expected, advice)


def render(findings: Sequence[Finding]) -> str:
    """For each problem one line for what is right and a paragraph for what is not; then the count."""
    width = max((len(f.check) for f in findings), default=0)
    lines: list[str] = []
    for problem, found in groupby(findings, lambda f: f.problem):
        lines += [*([""] if lines else []), *([f"on {problem}"] if problem else [])]
        lines += [line for finding in found for line in _tell(finding, width)]
    names = {"PASS": "passed", "FAIL": "failed", "WARN": "to look at", "SKIP": "cannot be checked"}
    counts = {s: sum(f.status == s for f in findings) for s in names}
    return "\n".join([*lines, "", ", ".join(f"{counts[s]} {names[s]}" for s in names if counts[s])])


def _tell(finding: Finding, width: int) -> list[str]:
    lines = [f"{finding.status}  {finding.check:<{width}}  {finding.seen}"]
    if finding.status != "PASS":
        for label, text in (("expected", finding.expected), ("to do", finding.advice)):
            lines += textwrap.wrap(text, 110, initial_indent=f"      {label + ':':<10}", subsequent_indent=" " * 16)
    return lines
