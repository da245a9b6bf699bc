"""What stands above and below a table: what was asked, what the columns mean, what is not there and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.safety.text import counted
from sipbench.tables import images
from sipbench.tables.measures import SECONDS
from sipbench.tables.place import telling
from sipbench.tables.sheets import Record, records
from sipbench.tables.spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd

CHANGES = ("degradation.", "noise=", "noise.", "dataset.")  # how the words begin that change a problem


def heading(spec: TableSpec, df: pd.DataFrame) -> list[str]:
    """How the numbers came about and what they mean, one line each."""
    return [
        setting(spec, df),
        f"Headings of {spec.headings}: {', '.join(f'{h} is {k}' for h, k in spec.metrics.items())}. {_tasks(spec)}",
        "Measured: the mean over images, and in brackets the 95 % interval of its paired difference to the best, over "
        "the same images (bootstrap of the studentised mean, each row by itself; Student's of fewer than six images, "
        f"or where too many differ by the same). images: how many of how many.{_runs(spec)}",
        "Bold: the group that these images cannot separate from the best, among the methods that solved all. It allows "
        "for the number of rows: that any method as good as the best is left out has a probability of at most 5 %, "
        "where the differences of equal methods are symmetric; rare and large failures make it more. Nothing is bold "
        "where nothing is separated, as by fewer than six images, or where a method is infinitely good.",
        "In the CSV: ci95 is the spread of the images (half the width of Student's interval of a mean), which ranks "
        "nothing; p_holm is of Wilcoxon's signed-rank test against the best, corrected over the whole table, but not "
        "for the best being chosen by the same images.",
        *(["Of a share the brackets hold Wilson's 95 % interval."] if any(m.proportion for m in spec.measures) else []),
        *resolved(spec, df),
        "residual/σ: root mean square of y - f(estimate) over the noise level; about 1 is right. s/image and NFE "
        "(network evaluations): the solver's alone.",
        "options: where they come from. config: the paper's default; paper: its value for the task; searched: chosen "
        "on validation images; demo: a cheaper setting, not searched; hand: typed, or the table's own. All others, and "
        "paper's: the solver's defaults, those of its paper where it has one. The CSV's settings names them.",
        _oracle(spec),
        *([published(spec)] if spec.published.values else []),
        *spec.notes,
    ]


def _runs(spec: TableSpec) -> str:
    """What is counted where an image is solved under several seeds."""
    if max(len(spec.seeds_of(name)) for name in spec.tasks) == 1:
        return ""
    return " They count each seed; what is compared is an image's mean over its seeds."


def _oracle(spec: TableSpec) -> str:
    """What the best was picked from."""
    picked = "picked with the truth in hand; no method's score."
    if all(row.part for row in spec.rows):
        return f"oracle: of the iterates that were kept, the one of the highest PSNR, for every metric, {picked}"
    return f"oracle: the best of what was returned and of snapshots on the way, of each metric by itself, {picked}"


def setting(spec: TableSpec, df: pd.DataFrame) -> str:
    """The profile, its images, the seeds, and the device."""
    cells = list({dataset: spec.setting(dataset, task) for dataset, task in spec.pairs[::-1]}.values())[::-1]
    names = ", ".join(cell.source.get("title", cell.names[0]) for cell in cells)
    cell = cells[0]
    first, *others = {str(c.chosen_images): c.images for c in spec.settings()}.values()
    more = "".join(f", {len(images)} ({_which(images)})" for images in others)
    devices = sorted({name for record in records(df) for name in record["device"].split(" + ") if name})
    return (
        f"Profile {spec.profile}: {names}, {_sizes(spec.settings())}, {counted(len(first), 'image')} of split "
        f"{cell.split} ({_which(first)}){more}; seed{'s' * (len(spec.seeds) > 1)} {', '.join(map(str, spec.seeds))}; "
        + (f"measured on {', '.join(devices)}." if devices else "nothing measured yet.")
    )


def _which(images: list[int]) -> str:
    run = len(images) > 1 and images == list(range(images[0], images[0] + len(images)))
    return f"{images[0]} to {images[-1]}" if run else ", ".join(map(str, images))


def _sizes(cells: Iterable[Cell]) -> str:
    """The sizes of the images; measurements are taken as they are."""
    sides: dict[str, None] = {}
    own = False
    for cell in cells:
        if getattr(configs.locate(cell.source["_target_"]), "measured", False):
            own = True
        else:
            sides[f"{cell.size} × {cell.size}"] = None
    said = [f"{' or '.join(sides)} pixels"] if sides else []
    return " or ".join([*said, "of their own sizes"] if own else said)


def resolved(spec: TableSpec, df: pd.DataFrame) -> list[str]:
    """The differences that so many images resolve: those between methods that are smaller are not to be read."""
    parts = []
    for measure in spec.measures:
        found: Any = df[(df["metric"] == measure.heading) & df["resolvable"].notna()]["resolvable"]
        if len(found):
            low, high = (f"{found.quantile(q):.{measure.places}f}" for q in (0.25, 0.75))
            parts.append(f"{measure.heading} {low} to {high}")
    if not parts:
        return []
    return [
        f"Resolvable: the smallest difference to the best that these images find in four of five cases (quartiles over "
        f"the rows): {'; '.join(parts)}."
    ]


def published(spec: TableSpec) -> str:
    """What the published columns are."""
    same = None not in [spec.published_as(*pair) for pair in spec.pairs]
    where = "the datasets named" if same else f"{' / '.join(spec.published.datasets)}, other images"
    line = f"published: copied from {spec.published.source}, on {where}; not measured here, never ranked or averaged."
    return f"{line}{'' if same else ' They cannot be compared with the measured ones.'} {spec.published.note}".rstrip()


def remarks(spec: TableSpec, df: pd.DataFrame) -> list[str]:
    """What is missing from the table and why, one line each."""
    rows = [record for record in records(df) if record["dataset"] in {dataset for dataset, _ in spec.pairs}]
    entries = list({(r["dataset"], r["degradation"], r["method"]): r for r in rows}.values())
    absent = {record["method"] for record in entries if record["status"] == "not yet"}
    names = ", ".join(row.title for row in spec.rows if row.name in absent)
    return [
        *([f"not yet: the solver is not part of sipbench yet ({names})."] if names else []),
        *_together(spec, [r for r in entries if r["status"] == "n/a"], "n/a"),
        *_together(spec, [r for r in entries if r["failed"]], "failed", "failed"),
        *_together(
            spec, [r | {"reason": "run the table again to go on"} for r in entries if r["todo"]], "to do", "todo"
        ),
        *images.kept(spec),
        *_unfinished(spec, entries),
        *_other_code(spec, entries),
        *_other_weights(spec, entries),
        *_unlike(spec, entries),
        *_fewer(spec, rows),
        *_not_stored(spec, rows),
        *(line for name, key in spec.metrics.items() for line in _blank(spec, rows, name, key)),
    ]


def _tasks(spec: TableSpec) -> str:
    """How each degradation is defined, what the table changes of it, and what was changed by hand."""
    nodes = [spec.setting(*pair).degradation for pair in spec.pairs]
    told = dict.fromkeys(f"{n.get('title', n['name'])}: {n['protocol']}." for n in nodes if n.get("protocol"))
    changed = [f"{t.title or t.name}: {' '.join(t.words)}." for t in spec.tasks.values() if len(t.words) > 1]
    if shared := [word for word in spec.words if word.lstrip("+~").startswith(CHANGES)]:
        changed = [f"Other than said, in all of them: {' '.join(shared)}.", *changed]
    told = [*told, *changed]
    words = " ".join(telling(spec.overrides))
    return " ".join([*told, f"Changed by hand: {words}."] if words else told)


def _together(spec: TableSpec, entries: list[Record], what: str, count: str = "") -> Iterator[str]:
    """One line a reason: which methods on what, how many images, why."""
    titles = {row.name: row.title for row in spec.rows}
    reasons: dict[str, list[str]] = {}
    for r in entries:
        number = f": {r[count]} of {r['n'] + r['failed'] + r['todo']}" if count else ""
        label = f"{titles[r['method']]} ({r['dataset']}, {r['degradation']}{number})"
        reasons.setdefault(r["reason"], []).append(label)
    for reason, labels in reasons.items():
        yield f"{what}: {', '.join(labels)}: {reason}"


def _unfinished(spec: TableSpec, entries: Iterable[Record]) -> Iterator[str]:
    """Which scores are of solvers that had not come to rest when their iterations were spent."""
    if found := _counted(spec, entries, "unconverged", "n"):
        yield f"not converged when the iterations were spent: {found}."


def _other_code(spec: TableSpec, entries: Iterable[Record]) -> Iterator[str]:
    """Which scores are by code that was changed after it had been submitted."""
    if found := _counted(spec, entries, "source_changed", "n", "failed"):
        yield f"done by other code than was submitted: {found}; the column source_changed of their rows says which."


def _other_weights(spec: TableSpec, entries: Iterable[Record]) -> Iterator[str]:
    """Which scores are of one network that was trained twice, as where folders of two machines were copied together."""
    if found := _counted(spec, entries, "other_weights", "n", "failed"):
        yield f"made with several trainings of one network: {found}; the column training of their rows says which."


def _unlike(spec: TableSpec, entries: Iterable[Record]) -> Iterator[str]:
    """Which scores are not of what the other rows are of."""
    if found := _counted(spec, entries, "other_images", "n", "failed"):
        yield f"of other images than those of most rows, so compared with none: {found}; run these cells again."
    if found := _counted(spec, entries, "other_measurements", "n", "failed"):
        yield f"of other measurements than those of most rows, to the bit, as another machine's may be: {found}."


def _counted(spec: TableSpec, entries: Iterable[Record], what: str, *of: str) -> str:
    """The entries that have any of this, each with how many of how many."""
    titles = {row.name: row.title for row in spec.rows}
    found = [
        f"{titles[r['method']]} ({r['dataset']}, {r['degradation']}: {r[what]} of {sum(r[k] for k in of)})"
        for r in entries
        if r.get(what)
    ]
    return ", ".join(found)


def _fewer(spec: TableSpec, rows: list[Record]) -> Iterator[str]:
    """Which means are not of all that were solved, since the measure is not defined on the others."""
    titles = {row.name: row.title for row in spec.rows}
    solved = {(r["dataset"], r["degradation"], r["method"]): r["n"] for r in rows if r["metric"] == SECONDS.heading}
    for m in spec.measures:
        known = [(r, solved.get((r["dataset"], r["degradation"], r["method"]), 0)) for r in rows]
        found = [
            f"{titles[r['method']]} ({r['dataset']}, {r['degradation']}: {r['n']} of {all_of})"
            for r, all_of in known
            if r["metric"] == m.heading and 0 < r["n"] < all_of
        ]
        if found:
            yield f"{m.heading} has no value on some images, and its mean is of the others: {', '.join(found)}."


def _not_stored(spec: TableSpec, rows: list[Record]) -> Iterator[str]:
    """Parts and columns that a table names and no cell stores."""
    found = {(r["method"], r["metric"]) for r in rows if r["n"]}
    solved = [row for row in spec.rows if (row.name, SECONDS.heading) in found]
    for row in solved:
        if row.part and not any((row.name, m.heading) in found for m in spec.measures if not m.shared):
            yield f"{row.title} is –: its cells store no columns that begin with {row.part}_."
    for m in spec.measures:
        if m.metric is None and solved and not any((row.name, m.heading) in found for row in solved):
            yield f"{m.heading} is –: no cell stores a column {m.column}."


def _blank(spec: TableSpec, rows: list[Record], name: str, key: str) -> Iterator[str]:
    """Why images that were solved have no value of a metric."""
    from sipbench.metrics import METRICS

    known = {r["method"] for r in rows if r["n"] and r["metric"] in spec.metrics}
    parts = {row.name for row in spec.rows if row.part} - known  # whose columns are not there at all
    rows = [r for r in rows if r["metric"] == name and r["method"] not in parts]
    solved = [r for r in rows if r["status"] in ("ok", "incomplete") and r["cell"]]
    cell, metric = spec.setting(*spec.pairs[0]), METRICS[key]
    blank = [r for r in solved if r["n"] == 0 and r["todo"] == 0]
    if not blank:
        return
    if key not in cell.metrics:
        yield f"{name} is –: {key} is not among the metrics that were asked for."
    elif metric.of_draws:
        yield f"{name} is –: it was asked for after the draws were made, and they were not kept."
    elif not metric.fits((1, 3, cell.size, cell.size)):
        yield f"{name} is –: it needs images of at least {metric.smallest} pixels."
    elif metric.backbone is not None:
        yield (
            f"{name} is –: its ImageNet weights were not at hand. Get them with `sipbench fetch lpips` and run again: "
            "it is computed from what is stored."
        )
    else:
        titles = {row.name: row.title for row in spec.rows}
        named = ", ".join(f"{titles[r['method']]} ({r['dataset']}, {r['degradation']})" for r in blank)
        yield f"{name} is –: it has no value on any image of {named}."
