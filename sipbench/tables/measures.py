"""What a table shows of its stored rows: for each heading the column, its decimals, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sipbench.errors import UserError, unknown

BETTER = {"higher": True, "lower": False}


@dataclass(frozen=True)
class Measure:
    """A heading and what stands below it.

    Attributes:
        column: of the stored rows.
        places: its decimals.
        higher_is_better: which way is up; None where neither is, and then nothing is compared or marked.
        shared: whether the images of a batch share one value, so that their spread says nothing.
        metric: its name among the metrics, where it is one.
        proportion: whether it is 0 or 1 of an image, so that its mean is a share.
    """

    heading: str
    column: str
    places: int = 3
    higher_is_better: bool | None = None
    shared: bool = False
    metric: str | None = None
    proportion: bool = False

    @property
    def arrow(self) -> str:
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]

    @property
    def title(self) -> str:
        """The heading with its arrow."""
        return f"{self.heading} {self.arrow}".rstrip()


RESIDUAL = Measure("residual/sigma", "residual_ratio", 2)
SECONDS = Measure("s/image", "seconds", shared=True)
EVALUATIONS = Measure("evaluations", "evaluations", 0, shared=True)
COSTS = (RESIDUAL, SECONDS, EVALUATIONS)


def declared(node: Mapping[str, Any], where: str) -> tuple[Measure, ...]:
    """The metrics of a table under the headings that it takes, and its further columns."""
    from sipbench.metrics import HEADINGS, METRICS

    if node["headings"] not in HEADINGS:
        raise unknown(f"headings in {where}", node["headings"], HEADINGS)
    known, found = HEADINGS[node["headings"]], []
    for heading in node["metrics"]:
        if heading not in known:
            raise unknown(f"metric of the headings {node['headings']} in {where}", heading, known)
        metric = METRICS[known[heading]]
        places = 2 if metric.unit == "dB" else metric.places  # as papers print them
        own = {"metric": known[heading], "proportion": metric.proportion}
        found.append(Measure(heading, known[heading], places, metric.higher_is_better, **own))
    for heading, c in (node.get("columns") or {}).items():
        places, better = c.get("places"), BETTER.get(c.get("better") or "")
        places = 3 if places is None else places
        found.append(Measure(heading, c["column"], places, better, bool(c.get("shared"))))
    headings = [m.heading for m in (*COSTS, *found)]
    for heading in (heading for i, heading in enumerate(headings) if heading in headings[:i]):
        raise UserError(f"{where} has two columns headed {heading!r}: leave one out, or give it another heading")
    return tuple(found)
