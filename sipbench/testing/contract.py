"""All clauses of the contract on one solver, on problems small enough to wait for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sipbench import configs
from sipbench.bench.cell import NotApplicable
from sipbench.errors import UserError
from sipbench.testing.checks import OUTPUT, REST
from sipbench.testing.findings import Finding
from sipbench.testing.trial import Broke, Trial

PROBLEMS = ("inpaint70", "sr4", "denoise", "phase_fourier", "phase_gaussian", "blind_motion")
"""Where no problem is named: the first two of these that the solver is for, with y as large as x and with y smaller."""


def check(
    target: str, *, degradation: str | None = None, size: int = 32, options: Mapping[str, Any] | None = None
) -> list[Finding]:
    """What the contract says of a solver: `mine.py:solve`, a dotted name, or the name of a method.

    Without a degradation it is tried on two problems: one whose measurement has the shape of the image, and one whose
    measurement has another. The prior is an analytic Gaussian and the networks of a method have random weights: no
    checkpoint is needed. A method's YAML may name cheap options under `check:`; those given here win over them.
    """
    if type(size) is not int:
        raise UserError(f"size is a whole number, not {size!r}")
    if degradation is not None:
        if not isinstance(degradation, str):
            raise configs.absent("degradation", str(degradation))
        return _on(target, degradation, size, options or {})
    tried: list[list[Finding]] = []
    unfit: list[list[Finding]] = []
    for name in PROBLEMS:
        findings = _on(target, name, size, options or {})
        (unfit if findings[0].status == "SKIP" else tried).append(findings)
        if len(tried) == 2:
            break
    return [finding for findings in (tried or unfit[:1]) for finding in findings]


def _on(target: str, degradation: str, size: int, options: Mapping[str, Any]) -> list[Finding]:
    """The contract on one problem."""
    try:
        trial = Trial.of(target, degradation, size, options)
    except NotApplicable as error:
        advice = (
            "choose another degradation; give a missing argument as name=value, or a network as `networks:` in a YAML"
        )
        return [Finding("applies", "SKIP", str(error), "a solver that can run here", advice, degradation)]
    return [replace(finding, problem=trial.title) for finding in _clauses(trial)]


def _clauses(trial: Trial) -> Iterator[Finding]:
    try:
        run = trial.base
    except Broke as error:
        advice = "mend the error, or name problems it is for, as in degradation=sr4; options are passed as name=value"
        yield Finding("runs", "FAIL", str(error), "returns an image", advice)
        return
    note = f", with random weights for {', '.join(trial.untrained)}" if trial.untrained else ""
    yield Finding("runs", "PASS", f"{run.seconds:.2f} s for two images{note}")
    for clause in OUTPUT:
        finding = clause(trial)
        yield finding
        if not finding.passed:
            return
    for clause in REST:
        try:
            yield clause(trial)
        except Broke as error:
            name = clause.__name__.replace("_", " ")
            yield Finding(name, "FAIL", str(error), "runs again", "keep nothing between calls")
