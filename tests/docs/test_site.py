"""The site of docs/: it is built with warnings as errors, and asks nothing of outside."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from tests.docs.commands import PAGES, ROOT

pytest.importorskip("mkdocs", reason="the site is built with the extra `docs`")
pytestmark = pytest.mark.slow
LOADED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data")}


class Loads(HTMLParser):
    """What a page loads by itself, and the classes that make the theme's script load more."""

    def __init__(self):
        super().__init__()
        self.loaded, self.classes = [], set()

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if (tag, name) in LOADED]
        self.classes |= {word for name, value in attrs if name == "class" for word in (value or "").split()}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        words, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_there(site):
    for page in PAGES:
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file(), page
    assert (site / "results" / "study" / "table1.html").is_file()


def test_pages_ask_nothing_of_outside(site):
    pages = list(site.rglob("*.html"))
    for page in pages:
        found = Loads()
        found.feed(page.read_text(encoding="utf-8"))
        assert [place for place in found.loaded if place and re.match(r"(https?:)?//", place)] == [], page
        assert "mermaid" not in found.classes  # which would be loaded from outside
    assert len(pages) > len(PAGES)


def test_styles_ask_nothing_of_outside(site):
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text(encoding="utf-8")), style


def test_the_search_has_its_script_beside_it(site):
    assert (site / "assets" / "iframe-worker.js").is_file()
    assert 'src="assets/iframe-worker.js"' in (site / "index.html").read_text(encoding="utf-8")


def test_the_reference_is_made(site):
    commands, choices, api = (
        (site / "reference" / f"{name}.html").read_text(encoding="utf-8") for name in ("commands", "choices", "api")
    )
    assert "sipbench tune method=NAME" in commands and "<code>dps</code>" in choices
    assert "made:" not in commands + choices
    assert "What a method makes of a problem." in api
