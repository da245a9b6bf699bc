"""From words to a plan: a sweep that was frozen, a table, or all combinations of `-m`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sipbench import configs
from sipbench.bench import validate
from sipbench.bench.cell import Cell
from sipbench.bench.cells import Cells
from sipbench.cluster import plan as plans
from sipbench.cluster.plan import Plan, Planned, once_each, results_of
from sipbench.configs import Overrides
from sipbench.errors import UserError

Expand = Callable[[list[str]], list[list[str]]]
"""From the words of a sweep to those of each of its cells."""


def plan_of(words: Sequence[str], expand: Expand) -> Plan:
    """What the words ask for. Without any it is the sweep that was submitted last."""
    results, own = results_of(words), [word for word in words if word not in ("-m", "--multirun")]
    frozen = plans.names(results)
    named = own[0] if own and "=" not in own[0] else ""
    if (named and plans.frozen(results, named)) or (
        not named and all(word.startswith("results=") for word in own) and frozen
    ):
        if len(own) > 1 + any(word.startswith("results=") for word in own):
            raise UserError(f"{named} is frozen as it was submitted: it takes no further words but results=")
        return plans.load(results, named or frozen[-1])
    if named:
        if named not in configs.names("table"):
            raise plans.no_such(results, named)
        return of_table(named, own[1:])
    if all(word.startswith("results=") for word in own) and not {"-m", "--multirun"} & set(words):
        raise UserError(f"nothing was submitted in {results}: name a table, or -m and the words of a sweep")
    return of_sweep(own, expand)


def of_table(name: str, words: Sequence[str]) -> Plan:
    """The cells of a table whose files are here."""
    from sipbench import tables

    profile, others = Overrides(words).take("profile", "demo")
    spec = tables.load(name, profile, others)
    if lacking := tables.missing(spec):
        raise UserError("\n  ".join([f"{name} with profile {spec.profile} lacks:", *lacking]))
    planned = [Planned.of(cell, words) for cell, words in spec.named()]
    return Plan.of(f"{name}-{profile}", [name, *words], planned, spec.setting(*spec.pairs[0]).results)


def of_sweep(words: Sequence[str], expand: Expand) -> Plan:
    """All combinations. A mistake of a word is said at once."""
    jobs = expand(list(words))
    cells = Cells().all(jobs)
    for path in Overrides(words).choices("path"):
        validate.taken([cell.method for cell in cells], path)
    return Plan.of("sweep", ["-m", *words], once_each(map(planned, cells, jobs)), cells[0].results)


def planned(cell: Cell, words: Sequence[str]) -> Planned:
    """A cell of a sweep. One that lacks a file is kept as refused, with the reason."""
    try:
        return Planned.of(cell, words)
    except UserError as error:
        return Planned(cell.label, tuple(words), seed=cell.seed, refused=str(error))
