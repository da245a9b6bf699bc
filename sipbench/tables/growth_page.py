"""The page of the view `tradeoff`: the recipe, the curves in numbers, who passes whom, and the exponents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sipbench.safety.text import table_row
from sipbench.tables import growth, images
from sipbench.tables.growth import Interval
from sipbench.tables.learning import Growth, growths, knows, learned_from, title
from sipbench.tables.spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd

Problem = tuple[str, str]
Growths = dict[Problem, list[Growth]]
BLANK = "–"
SEGMENTS = ("before", "after")  # the break


def page(spec: TableSpec) -> str:
    """The page: what was trained how, then a section a problem."""
    found = growths(spec)
    parts = [f"# {spec.title}", _recipe(spec), *spec.notes, *images.kept(spec)]
    if not found:
        return "\n\n".join([*parts, "No curve is there yet."]) + "\n"
    passed, laws = crossings(spec, found), exponents(found)
    for problem, grown in found.items():
        own: Any = (
            passed[(passed["dataset"] == problem[0]) & (passed["problem"] == problem[1])] if len(passed) else passed
        )
        law: Any = laws[(laws["dataset"] == problem[0]) & (laws["problem"] == problem[1])] if len(laws) else laws
        parts += [f"## {title(spec, problem)}", _means(spec, grown)]
        parts += [_passing(spec, grown, own)] if len(own) else []
        parts += [_laws(spec, law)] if len(law) else []
    return "\n\n".join(parts) + "\n"


def _recipe(spec: TableSpec) -> str:
    """The one recipe that everything was trained by, as it is in the cells."""
    recipe = spec.setting(*spec.pairs[0]).recipe or {}
    s = recipe.get("schedule") or {}
    if not s:
        return "Nothing is trained."
    widths = " or ".join(map(str, recipe.get("widths") or ())) or "their own"
    ends = f", ended after {s['patience']} looks without a better one" if s["patience"] else ""
    falls = f"rising over {s['warmup']} steps, falling over the last {s['decay']:.0%}"
    looks = f"its looks at {recipe['validation']} validation images, one each {s['validate_every']} steps{ends}"
    return (
        f"One recipe for all that is trained, whatever n is: {s['steps']} steps of {s['batch_size']} images, Adam at "
        f"{s['lr']} ({falls}), weights averaged with {s['ema']}; of the averaged network the best of {looks}; width "
        f"{widths}, the best on these images. Restoration networks make the {recipe['error']} error small. A seed is a "
        f"subset, the smaller ones within the larger, and a draw of the noise of the test images. {_begun(spec)}"
    )


def _begun(spec: TableSpec) -> str:
    """Whether subsets differ in more than their images."""
    trained = [cell for entry in spec.planned for cell in entry.cells if cell.recipe]
    seeds = {cell.recipe["schedule"].get("seed", 0) for cell in trained if cell.recipe}
    if len(seeds) > 1:
        return "Each subset begins with weights of its own."
    others = "How far another training of the same images would lie is in no interval."
    if len({cell.seed for cell in trained}) == 1:
        return others
    return f"On every subset a method begins with the same weights and sees the same noise. {others}"


def _means(spec: TableSpec, grown: list[Growth]) -> str:
    """Methods × n: the mean over subsets and images, in brackets half the 95 % interval."""
    numbers = sorted({n for g in grown for n in g.n if g.trained})
    lines = [["Method", "learned from", "knows", *(f"n = {n:,}" for n in numbers), "width"]]
    for g in grown:
        values = g.values()
        low, high = growth.band(values)
        said = [_mean(v, (b - a) / 2) for v, a, b in zip(values.mean((1, 2)), low, high, strict=True)]
        at = dict(zip(g.n, said, strict=True)) if g.trained else dict.fromkeys(numbers, said[0])
        widths = " ".join(g.widths()) if g.trained else ""
        lines.append(
            [g.row.title, learned_from(g.row), knows(g.row), *(at.get(n, BLANK) for n in numbers), widths or BLANK]
        )
    if not numbers:
        lines = [
            line[:3] + [f"{g.values().mean():.2f}" if g else "all n"]
            for line, g in zip(lines, [None, *grown], strict=True)
        ]
    few, most = (f({len(g.subsets) for g in grown}) for f in (min, max))
    count = f"{most} subset{'s' * (most > 1)}" if few == most else f"{few} to {most} subsets"
    over = f"{grown[0].values().shape[2]} test images and {count}"
    head = f"{spec.measures[0].title}, means over {over}; in brackets half the 95 % interval{_of_images(grown)}."
    return f"{head} What trains nothing is the same for every n.\n\n{_markdown(lines)}"


def _mean(value: float, half: float) -> str:
    return f"{value:.2f} (± {half:.2f})" if half == half else f"{value:.2f}"


def _of_images(grown: list[Growth]) -> str:
    """What the intervals leave out of methods that have a single subset."""
    alone = {len(g.subsets) == 1 for g in grown if g.trained}
    if alone == {True}:
        return " over the images alone, since one subset does not tell how far another would lie"
    return ", of a single subset over the images alone" if True in alone else ""


def crossings(spec: TableSpec, found: Growths) -> pd.DataFrame:
    """Of each trained method and each reference, from how many images it is passed."""
    return _frame(_crossings(spec, found))


def exponents(found: Growths) -> pd.DataFrame:
    """Of each trained method, the power law by two segments."""
    return _frame(_exponents(found))


def _crossings(spec: TableSpec, found: Growths) -> Iterator[dict[str, Any]]:
    """Of each trained method and each reference, from how many images it is passed."""
    for problem, grown in found.items():
        for reference in (g for g in grown if g.row.name in spec.references):
            for g in (g for g in grown if g.trained and g.row.name != reference.row.name):
                n = [k for k in g.n if not reference.trained or k in reference.n]
                subsets = [s for s in g.subsets if s in reference.subsets]
                if not n or not subsets:
                    continue
                sign = 1 if spec.measures[0].higher_is_better is not False else -1
                d = sign * (g.values(n, subsets) - reference.values(n, subsets))
                at = growth.crossing(n, d)
                ends = {"value": at.value, "low": at.low, "high": at.high, "first_n": n[0], "last_n": n[-1]}
                yield {
                    **_names(problem, g),
                    "passes": reference.row.name,
                    **ends,
                    "subsets": len(subsets),
                    "said": _said(at, n),
                }


def _exponents(found: Growths) -> Iterator[dict[str, Any]]:
    """Of each trained method, the power law by two segments."""
    for problem, grown in found.items():
        for g in (g for g in grown if g.trained):
            if (law := growth.power_law(g.n, g.values())) is None:
                continue
            ends = {
                f"{name}{end}": getattr(one, part)
                for name, one in (("before", law.before), ("after", law.after))
                for end, part in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
            yield {**_names(problem, g), "break_at": law.at, **ends, "subsets": len(g.subsets)}


def _names(problem: Problem, g: Growth) -> dict[str, str]:
    return {"dataset": problem[0], "problem": problem[1], "method": g.row.name, "title": g.row.title}


def _said(at: Interval, n: list[int]) -> str:
    """A crossing in words: `118 (64 to 230)`."""

    def one(value: float) -> str:
        return f"≤ {n[0]:,}" if value == growth.START else f"> {n[-1]:,}" if value == growth.NEVER else f"{value:,.0f}"

    words = {growth.START: "from the start", growth.NEVER: "never"}.get(at.value) or one(at.value)
    return words if at.low == at.value == at.high or at.low != at.low else f"{words} ({one(at.low)} to {one(at.high)})"


def _passing(spec: TableSpec, grown: list[Growth], own: pd.DataFrame) -> str:
    """Methods × references."""
    said = {(r["method"], r["passes"]): r["said"] for r in own.to_dict("records")}
    references = [g.row for g in grown if any(passes == g.row.name for _, passes in said)]
    lines = [["From how many images it passes", *(row.title for row in references)]]
    for g in (g for g in grown if any(method == g.row.name for method, _ in said)):
        lines += [[g.row.title, *(said.get((g.row.name, row.name), BLANK) for row in references)]]
    note = f"In brackets the 95 % interval{_of_images(grown)}; “never” is not above at the largest n."
    return f"{_markdown(lines)}\n\n{note}"


def _laws(spec: TableSpec, own: pd.DataFrame) -> str:
    lines = [[f"{spec.measures[0].heading} = β n^α", "α up to the break", "break at n", "α after it"]]
    for r in own.to_dict("records"):
        ends = [f" ({r[f'{k}_low']:.4f} to {r[f'{k}_high']:.4f})" * (r[f"{k}_low"] == r[f"{k}_low"]) for k in SEGMENTS]
        one = [f"{r[k]:.4f}{end}" for k, end in zip(SEGMENTS, ends, strict=True)]
        whole = r["break_at"] != r["break_at"]
        lines.append([r["title"], one[0], BLANK if whole else f"{r['break_at']:,.0f}", BLANK if whole else one[1]])
    return _markdown(lines)


def _markdown(lines: list[list[str]]) -> str:
    lines = [lines[0], ["---", *("---:" for _ in lines[0][1:])], *lines[1:]]
    return "\n".join(map(table_row, lines))


def _frame(records: Iterator[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(records))
