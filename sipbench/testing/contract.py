"""All clauses of the contract on one solver, on a problem small enough to wait for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sipbench.bench.cell import NotApplicable
from sipbench.testing.checks import OUTPUT, REST
from sipbench.testing.findings import Finding
from sipbench.testing.trial import Broke, Trial


def check(
    target: str, *, degradation: str = "inpaint70", size: int = 32, options: Mapping[str, Any] | None = None
) -> list[Finding]:
    """What the contract says of a solver: `mine.py:solve`, a dotted name, or the name of a method.

    The prior is an analytic Gaussian and the networks of a method have random weights: no checkpoint is needed.
    A method's YAML may name cheap options under `check:`; those given here win over them.
    """
    try:
        trial = Trial.of(target, degradation, size, options or {})
    except NotApplicable as error:
        advice = (
            "choose another degradation; give a missing argument as name=value, or a network as `networks:` in a YAML"
        )
        return [Finding("applies", "SKIP", str(error), "a solver that can run here", advice)]
    try:
        run = trial.base
    except Broke as error:
        advice = "mend the error; smaller settings can be passed as name=value"
        return [Finding("runs", "FAIL", str(error), "returns an image", advice)]
    note = f", with random weights for {', '.join(trial.untrained)}" if trial.untrained else ""
    findings = [Finding("runs", "PASS", f"{run.seconds:.2f} s for two images of {size} x {size}{note}")]
    for clause in OUTPUT:
        findings.append(clause(trial))
        if not findings[-1].passed:
            return findings
    for clause in REST:
        try:
            findings.append(clause(trial))
        except Broke as error:
            name = clause.__name__.replace("_", " ")
            findings.append(Finding(name, "FAIL", str(error), "runs again", "keep nothing between calls"))
    return findings
