"""The page in a real Chromium: what is clicked and typed does what it says, and nothing leaves the file."""

import shutil

import pytest

from sipbench.report.page import save

from . import made_page
from .test_page import large

pytestmark = [pytest.mark.browser, pytest.mark.slow]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make browsertest installs it")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed: make browsertest installs Debian's", allow_module_level=True)


@pytest.fixture(scope="module")
def chromium():
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return save(made_page.page(), tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def page(chromium, made):
    """The page, opened; at the end nothing was said on the console and nothing asked of the network."""
    yield from opened(chromium, made)


def opened(chromium, path, at="", **context):
    own = chromium.new_context(viewport={"width": 1400, "height": 1000}, **context)
    page, said, asked = own.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri() + at)
    yield page
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", path.as_uri()))] == []
    assert page.evaluate("window.broken") is None
    own.close()


def methods(page, problem="faces/sr4"):
    return page.eval_on_selector_all(f"tr[data-problem='{problem}']", "rows => rows.map(r => r.dataset.method)")


def until(page, expression):
    """Ask until it is so; a function that waits inside the page is what its policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(25)
    raise AssertionError(expression)


def to(page, part):
    page.eval_on_selector(f".part.{part}", "e => e.scrollIntoView()")
    page.wait_for_selector(f".part.{part} .drawn > *")


def test_rows_are_sorted_and_put_back(page):
    page.wait_for_selector("tr[data-method]")
    assert methods(page) == ["dip", "dps", "unet"]
    page.click("th.measured button")
    assert methods(page) == ["unet", "dps", "dip"]
    assert page.get_attribute("th.measured:not([scope=colgroup])", "aria-sort") == "descending"
    page.click("th.measured button")
    assert methods(page) == ["dip", "dps", "unet"]
    page.click("th.measured button")
    page.click("text=all problems together")
    assert page.eval_on_selector_all(".numbers tbody", "all => all.length") == 1


def test_rows_are_filtered_and_columns_chosen(page):
    page.keyboard.press("/")
    page.keyboard.type("dp")
    assert methods(page) == ["dps"] and "2 of 6 rows" in page.inner_text(".count")
    page.fill(".words", "")
    page.select_option("[data-facet=data] select", "pairs")
    assert methods(page) == ["unet"]
    page.select_option("[data-facet=data] select", "")
    page.select_option("[data-facet=problem] select", "Inpainting")
    assert methods(page) == [] and len(methods(page, "faces/inpaint70")) == 3
    assert page.query_selector("td.oracle") is None and page.query_selector("td.published") is None
    page.click(".numbers .chooser summary")
    page.click(".pop >> text=oracle")
    page.click(".pop >> text=published, on CelebA")
    assert page.inner_text("td.oracle") == "22.50" and page.inner_text("td.published") == "30.00"
    assert "published, on CelebA" in page.inner_text("tr.kinds")


def test_the_best_group_is_marked_and_failures_are_said(page):
    page.wait_for_selector("tr[data-method]")
    assert page.eval_on_selector_all("strong", "all => all.map(e => e.closest('tr').dataset.method)") == [
        "unet",
        "unet",
    ]
    assert page.inner_text("tr[data-problem='faces/inpaint70'][data-method=dip] td.measured") == "failed"


def test_a_table_is_copied_as_it_is_seen(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.select_option("[data-facet=problem] select", "Super-resolution")
    page.click(".copy-latex")
    page.wait_for_selector("#said.shown")
    latex = page.evaluate("navigator.clipboard.readText()")
    assert "\\toprule" in latex and "\\textbf{25.00}" in latex and "PSNR $\\uparrow$" in latex
    assert "Super-resolution" in latex and "Inpainting" not in latex
    page.click("th.measured button")
    page.click(".copy-csv")
    until(page, "document.getElementById('said').textContent === 'CSV copied'")
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0].startswith("problem,Method,Family,PSNR") and len(lines) == 4
    assert lines[1].startswith('"Super-resolution, faces",U-Net,datarich,25,')


def test_the_drawer_says_how_to_repeat_a_cell(page):
    page.click("tr[data-problem='faces/inpaint70'][data-method=dip] .link")
    text = page.inner_text("dialog.drawer")
    for said in (
        "sipbench method=dip1",
        "searched",
        "sipbench tune steps=1",
        "Failures: 1 of 1",
        made_page.EVIL.split("\u2028")[0],
    ):
        assert said in text or said in page.inner_html("dialog.drawer").replace("&lt;", "<").replace("&gt;", ">")
    page.keyboard.press("Escape")
    assert not page.is_visible("dialog.drawer")


def test_pictures_side_by_side_move_together(page):
    to(page, "pictures")
    until(page, "document.querySelectorAll('.pane').length === 5")
    shots = "all => all.map(c => c.toDataURL())"
    before = page.eval_on_selector_all(".pane canvas", shots)
    page.hover(".pane >> nth=2 >> canvas")
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(100)
    values = page.eval_on_selector_all(".value", "all => all.map(e => e.textContent)")
    assert len(values) == 5 and all(value.startswith("(") for value in values)
    page.focus(".panes")
    page.keyboard.press("ArrowRight")
    moved = page.eval_on_selector_all(".pane canvas", shots)
    assert moved[1] != before[1] and moved[2] != before[2]
    page.keyboard.press("0")
    assert page.eval_on_selector_all(".pane canvas", shots) == before


def test_the_slider_and_the_flicker_show_what_they_say(page):
    to(page, "pictures")
    page.keyboard.press("b")
    page.wait_for_selector(".by-slider .divider")
    page.fill(".divider", "0")
    right = page.eval_on_selector(".pane canvas", "c => c.toDataURL()")
    page.focus(".divider")
    page.keyboard.press("End")
    left = page.eval_on_selector(".pane canvas", "c => c.toDataURL()")
    assert left != right
    seen = []
    for key in "123":
        page.keyboard.press(key)
        until(page, f"document.querySelector('.by-flicker kbd')?.textContent === '{key}'")
        seen.append(page.inner_text(".by-flicker .pane .name"))
    assert ["truth" in seen[0], "measurement" in seen[1], "DIP" in seen[2]] == [True] * 3


def test_maps_have_one_scale_and_rules_pick_images(page):
    to(page, "pictures")
    page.keyboard.press("e")
    page.wait_for_selector("[data-map=error][aria-pressed=true]")
    assert "error" in page.inner_text(".scale") and "0.25" in page.inner_text(".scale")
    page.keyboard.press("r")
    page.wait_for_selector("[data-map=residual][aria-pressed=true]")
    assert "noise levels" in page.inner_text(".scale") and "≥ 4 σ" in page.inner_text(".scale")
    for rule, image in (("worst", "3"), ("median", "2"), ("best", "0")):
        page.click(f"[data-rule={rule}]")
        page.wait_for_selector(f".thumb[data-image='{image}'][aria-selected=true]")
        assert f"the {rule} of 4" in page.inner_text(".told")
    page.select_option("select[aria-label=Order]", "disagreement")
    until(page, "document.querySelector('.thumb').dataset.image === '3'")
    page.keyboard.press("n")
    until(page, "document.querySelector('.told').textContent.startsWith('Image 3')")


def test_curves_fronts_and_pairs_are_drawn(page):
    to(page, "curves")
    assert page.query_selector(".curves path.line").get_attribute("d").startswith("M")
    assert page.query_selector(".curves circle.returned") is not None
    to(page, "pareto")
    page.click(".pareto >> text=oracle")
    assert len(page.query_selector_all(".pareto circle.returned")) == 3
    assert len(page.query_selector_all(".pareto circle.oracle")) == 3
    to(page, "pairs")
    assert len(page.query_selector_all(".matrix td.sure")) == 6


def test_keys_turn_pages_and_change_the_light(page):
    page.keyboard.press("?")
    assert "flicker" in page.inner_text("dialog.keys")
    page.keyboard.press("Escape")
    page.keyboard.press("]")
    until(page, "document.querySelector('h2').textContent === 'A list'")
    assert page.inner_text(".grid tbody tr:nth-child(3) td:nth-child(2)") == "∞"
    page.click(".grid th button >> nth=1")
    assert page.eval_on_selector_all(".grid tbody td:nth-child(2)", "all => all.map(e => e.textContent)")[-1] == "–"
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_everything_that_can_be_used_has_a_name(page):
    for part in ("pictures", "pareto", "curves", "pairs", "notes"):
        to(page, part)
    page.wait_for_selector(".pane")
    assert not {"null", "undefined", "NaN", "[object Object]"} & set(page.inner_text("body").split("\n"))
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, input, canvas[role], svg[role], [role=region]')]"
        ".filter(e => ![e.ariaLabel, e.textContent, e.closest('label')?.textContent].some(t => t?.trim()))"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert nameless == []


@pytest.mark.parametrize("scheme, wide", [("light", 1400), ("dark", 1400), ("light", 390)])
def test_it_fits_its_screen(chromium, made, tmp_path, scheme, wide):
    for page in opened(chromium, made, color_scheme=scheme):
        page.set_viewport_size({"width": wide, "height": 900})
        for part in ("pictures", "pareto", "curves", "pairs", "numbers"):
            to(page, part)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"
        assert dark == (scheme == "dark")
        assert len(page.screenshot(path=tmp_path / "screen.png")) > 10_000


def test_it_prints(page):
    to(page, "pictures")
    page.emulate_media(media="print")
    assert not page.is_visible(".tools") and not page.is_visible(".top") and page.is_visible(".grid")
    assert len(page.pdf()) > 5_000


def test_200_cells_are_there_within_two_seconds(chromium, tmp_path):
    path = save(large(), tmp_path / "large.html")
    assert path.stat().st_size < 20 * 2**20
    for page in opened(chromium, path):
        assert float(page.evaluate("document.documentElement.dataset.ready")) < 2000
        page.wait_for_selector("tr[data-method]")
