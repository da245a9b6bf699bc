"""Pages that are unlike most, in a real Chromium: nothing to show, infinite numbers, words of strangers, one method."""

from dataclasses import replace

import pytest

from sipbench.report.page import model, pictures, save

from . import made_page
from .test_browser import chromium, opened, to, until  # noqa: F401

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAN, INF = float("nan"), float("inf")
WHOLE = made_page.page()
TABLE, LISTING = WHOLE.sections
BARE = {"galleries": (), "matrices": (), "charts": ()}


def one_method():
    drawn = made_page.drawn("faces/sr4", methods=made_page.METHODS[1:2])
    entries = tuple(e for e in TABLE.entries if e.method == "dps")
    return replace(TABLE, **BARE | {"galleries": tuple(pictures.packed([drawn], 10**6))}, entries=entries)


def infinite():
    """Whatever may be infinite or unknown is."""
    line = model.Line("DPS", "diffusion", ((1.0, 9.0, 8.0, INF), (5.0, INF, 1.0, INF), (9.0, 20.0, NAN, 21.0)))
    level = model.Line("TV", "classical", ((0.0, INF, INF, INF),), True)
    marks = (
        model.Mark("DPS", "diffusion", 12.0, INF, "oracle"),
        model.Mark("DPS", "diffusion", INF, 19.0, "oracle"),
        model.Mark("alone", "", 3.0, NAN, "returned"),
    )
    (matrix,) = TABLE.matrices
    pairs = tuple(tuple(e and replace(e, mean=INF, p=NAN) for e in row) for row in matrix.entries)
    score = model.Score(INF, INF, INF, False, INF, INF, NAN, INF)
    entries = tuple(replace(e, scores={"PSNR": score, "s/image": model.Score(INF)}) for e in TABLE.entries)
    chart = model.Chart("C", "evaluations", "PSNR ↑", (line, level), marks, True)
    return replace(TABLE, charts=(chart,), matrices=(replace(matrix, entries=pairs),), entries=entries)


ODD = {
    "no table": (),
    "no row": (replace(TABLE, entries=(), **BARE),),
    "nothing at all": (replace(TABLE, entries=(), problems=(), methods=(), measures=(), **BARE),),
    "one cell": (replace(TABLE, entries=TABLE.entries[:1], problems=TABLE.problems[:1], **BARE),),
    "failed alone": (
        replace(TABLE, entries=tuple(replace(e, status="failed", scores={}) for e in TABLE.entries), **BARE),
    ),
    "infinite": (infinite(),),
    "no rows of a list": (replace(LISTING, rows=()),),
}


@pytest.fixture
def shown(chromium, tmp_path):  # noqa: F811
    """Opens a page of these sections; at the end nothing was said on the console."""
    contexts = []

    def show(*sections, at="", **context):
        path = save(replace(WHOLE, sections=sections), tmp_path / "odd.html")
        contexts.append(opened(chromium, path, at=at, **context))
        return next(contexts[-1])

    yield show
    for one in contexts:
        assert next(one, None) is None


def copied(page, button):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click(button)
    page.wait_for_selector("#said.shown")
    return page.evaluate("navigator.clipboard.readText()")


def column(page, k):
    return page.eval_on_selector_all(f".grid tbody tr > :nth-child({k})", "all => all.map(e => e.textContent)")


@pytest.mark.parametrize("name", ODD)
def test_it_is_drawn_whatever_there_is(shown, name):
    page = shown(*ODD[name])
    for part in page.eval_on_selector_all(".part", "all => all.map(e => e.dataset.part)"):
        to(page, part)
    page.wait_for_timeout(100)
    said = page.eval_on_selector_all(
        "body *:not(script)", "all => all.flatMap(e => [...[...e.attributes].map(a => a.value), e.textContent])"
    )
    assert not [text for text in said for word in ("NaN", "undefined", "Infinity", "[object") if word in text]


def test_an_address_that_cannot_be_read_shows_the_first_table(shown):
    assert shown(TABLE, LISTING, at="#%E0%A4%A").inner_text("main h2").startswith("Made by hand")


def test_numbers_of_a_list_are_numbers_and_blanks_are_last(shown):
    rows = ((INF, "b", None), (2.0, "", "q"), (None, "img10", "null"), (12345.0, "img9", ""), (-INF, "a", "z"))
    page = shown(replace(LISTING, columns=("n", "name", "c"), rows=rows))
    assert column(page, 1) == ["∞", "2", "–", "12345", "−∞"]
    assert page.query_selector("th:nth-child(1).numeric") and not page.query_selector("select[aria-label=n]")
    page.click("th:nth-child(1) button")
    assert column(page, 1) == ["−∞", "2", "12345", "∞", "–"]
    page.click("th:nth-child(1) button")
    assert column(page, 1) == ["∞", "12345", "2", "−∞", "–"]
    page.click("th:nth-child(2) button")
    assert column(page, 2) == ["a", "b", "img9", "img10", "–"]
    assert page.eval_on_selector_all("select[aria-label=c] option", "all => all.map(e => e.textContent)") == [
        *("all", "–", "q", "null", "z"),
    ]
    page.select_option("select[aria-label=c]", label="null")
    assert column(page, 2) == ["img10"]


def test_what_is_not_known_of_a_table_is_last(shown):
    origins = {"dip": "", "dps": "searched", "unet": "demo"}
    entries = tuple(
        replace(e, origins=origins[e.method], n=0 if e.method == "dip" else 4, failed=0) for e in TABLE.entries[:3]
    )
    page = shown(replace(TABLE, entries=entries, problems=TABLE.problems[:1], **BARE))
    for _ in range(2):
        page.click("th.c-origins button")
        assert page.eval_on_selector_all("tr[data-method]", "all => all.map(r => r.dataset.method)")[-1] == "dip"


def test_a_copied_csv_holds_no_formula_and_no_column_twice(shown):
    bad = ("=1+1", "+cmd|'x'!A", "@SUM(A1)", "-2+3", "\t=1", "-1.5", "plain")
    page = shown(replace(LISTING, columns=("name",), rows=tuple((one,) for one in bad)))
    lines = copied(page, "text=Copy CSV").splitlines()
    assert lines[1:] == ["'=1+1", "'+cmd|'x'!A", "'@SUM(A1)", "'-2+3", "'\t=1", "-1.5", "plain"]
    page = shown(replace(TABLE, **BARE))
    page.click("text=all problems together")
    head = copied(page, ".copy-csv").splitlines()[0].lower().split(",")
    assert len(head) == len(set(head)) and head[0] == "problem"


def test_copied_latex_is_ascii_that_compiles(shown):
    rows = (("[3pt]", "a\nb"), ("*x", '|`"~^\\'), ("γ Å é x̂", "²₁ ≤ 5 – 日"))
    page = shown(replace(LISTING, columns=("a", "b"), rows=rows))
    latex = copied(page, "text=Copy LaTeX")
    assert latex.isascii()
    lines = latex.splitlines()
    assert r"{}[3pt] & a b \\" in lines
    assert r"{}*x & \textbar{}\textasciigrave{}\char34{}\textasciitilde{}\textasciicircum{}\textbackslash{} \\" in lines
    assert r"$\gamma$ \r{A} \'{e} \^{x} & \textsuperscript{2}$_{1}$ $\le$ 5 -- \texttt{U+65E5} \\" in lines


def test_the_front_says_whom_it_leaves_out(shown):
    measures = (*TABLE.measures, model.Measure("NFE", "evaluations", 0, "", True))
    spent = {"dip": 0.0, "dps": 100.0, "unet": 1.0}
    entries = tuple(replace(e, scores={**e.scores, "NFE": model.Score(spent[e.method])}) for e in TABLE.entries)
    page = shown(replace(TABLE, measures=measures, entries=entries, **BARE))
    to(page, "pareto")
    assert "DIP" not in page.inner_text(".pareto .legend")
    page.select_option(".pareto select[aria-label=Against]", "NFE")
    assert "Without one, and not drawn: DIP" in page.inner_text(".pareto .legend")


def test_one_method_is_held_against_the_measurement(shown):
    page = shown(one_method())
    to(page, "pictures")
    page.keyboard.press("b")
    page.wait_for_selector(".by-slider .divider")
    names = page.inner_text(".by-slider figcaption")
    assert "DPS" in names and ("truth" in names or "measurement" in names)


def test_the_focus_stays_where_it_was(shown):
    page = shown(TABLE)
    focus = "[document.activeElement.tagName, document.activeElement.textContent.slice(0, 16)].join(' ')"
    to(page, "pictures")
    for name, chosen in (("[data-mode=slider]", "BUTTON before / after"), ("[data-map=error]", "BUTTON error |x̂ − x|")):
        page.focus(name)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{name}[aria-pressed=true]")
        assert page.evaluate(focus) == chosen
    to(page, "pairs")
    page.focus(".pairs select[aria-label=Of]")
    page.eval_on_selector(".pairs select[aria-label=Of]", "e => e.dispatchEvent(new Event('change'))")
    assert page.evaluate("document.activeElement.ariaLabel") == "Of"
    page.focus(".inside button >> nth=1")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.part") == "pictures"
    page = shown(LISTING)
    page.focus(".grid th button >> nth=1")
    page.keyboard.press("Enter")
    assert page.evaluate(focus).startswith("BUTTON value")


def test_a_copied_command_is_said_where_it_is_seen(shown):
    page = shown(replace(TABLE, **BARE))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("tr[data-method=dip] .link")
    page.click("dialog.drawer >> text=Copy")
    page.wait_for_selector("dialog.drawer .said.shown")
    assert page.inner_text("dialog.drawer .said") == "Command copied"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_printed_dark_on_light(shown, scheme):
    page = shown(TABLE, color_scheme=scheme)
    if scheme == "light":
        page.keyboard.press("t")
    page.emulate_media(media="print", color_scheme=scheme)
    light = page.evaluate(
        "['--back', '--oracle', '--published', '--best', '--raised'].map(name => {"
        " const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1);"
        " return parseInt(text.length === 3 ? [...text].map(c => c + c).join('') : text, 16) >> 16; })"
    )
    assert min(light) > 200


def test_a_long_word_does_not_widen_a_narrow_page(shown):
    long = "degradation.operator._target_=" + "sipbench.operators." * 12
    page = shown(replace(TABLE, title=long, notes=(long,), remarks=(long,), published=long, **BARE))
    page.set_viewport_size({"width": 390, "height": 900})
    page.click(".remarks summary")
    to(page, "notes")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_a_finger_scrolls_past_the_pictures_until_they_are_zoomed(shown):
    page = shown(TABLE)
    to(page, "pictures")
    page.wait_for_selector(".pane")
    touch = "getComputedStyle(document.querySelector('.frame')).touchAction"
    assert page.evaluate(touch) == "pan-y"
    page.keyboard.press("+")
    until(page, f"{touch} === 'none'")
