"""The page as a file: whole, closed against what it shows, and not too large."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sipbench.report.page import html, model, pictures, save, write

from . import made_page


def data(text, name="data"):
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)[1])


def test_what_it_shows_cannot_break_out():
    text = html(made_page.page(title=made_page.EVIL))
    ends = len(re.findall("</script", text, re.IGNORECASE))
    assert ends == 4  # the data, the pictures of two problems, and the script
    assert "onerror='window" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    found = data(text)
    assert found["title"] == made_page.EVIL and found["sections"][0]["remarks"] == [made_page.EVIL]


def test_it_asks_for_nothing_and_runs_its_own_script_alone():
    text = html(made_page.page())
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)[1]
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert f"script-src '{write._hash(script)}'" in policy
    assert not re.search(r'(?:src|href)="?(?:https?:)?//', text)


def test_the_same_data_give_the_same_bytes_and_numbers_survive(tmp_path):
    page = made_page.page()
    path = save(page, tmp_path / "a.html")
    assert path.read_text() == html(page)
    rows = data(html(page))["sections"][1]["rows"]
    assert rows[0][1] == 1.5 and rows[1][1] is None and rows[2][1] == "inf"


def test_half_a_character_is_no_end_of_the_page(tmp_path):
    """As of a file whose name is in no encoding."""
    page = made_page.page(title="a\udcffb")
    text = save(page, tmp_path / "a.html").read_text(encoding="utf-8")
    assert data(text)["title"] == "a\udcffb"


def test_every_script_is_named_and_no_other():
    there = {path.stem for path in write.ASSETS.glob("*.js")}
    assert there == set(write.SCRIPTS) and len(write.SCRIPTS) == len(there)
    assert all("</script" not in path.read_text().lower() for path in write.ASSETS.glob("*.js"))


def pixels(source):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))


def test_pictures_are_lossless():
    own = made_page.drawn("p", images=3)
    (gallery,) = pictures.packed([own], 10**6)
    assert (pixels(gallery.estimates["dps"].sources[2]) == own.estimates["dps"][2]).all()
    assert gallery.images == ("0", "1", "2") and gallery.reduced == ""


def test_what_is_missing_stays_missing():
    own = made_page.drawn("p", images=3)
    own = replace(own, estimates={"dps": [None, own.truth[1], None], "dip": [None] * 3})
    (gallery,) = pictures.packed([own], 10**6)
    assert set(gallery.estimates) == {"dps"}
    assert [bool(source) for source in gallery.estimates["dps"].sources] == [False, True, False]


def test_too_many_pictures_are_thinned_and_then_made_smaller():
    own = made_page.drawn("p", images=12, side=24)
    whole = pictures.weight(*pictures.packed([own], 10**9))
    (fewer,) = pictures.packed([own], whole // 2)
    assert pictures.weight(fewer) <= whole // 2 and 3 <= len(fewer.images) < 12
    assert (fewer.images[0], fewer.images[-1], fewer.of) == ("0", "11", 12) and fewer.reduced == ""
    assert len(fewer.values["PSNR"]["dps"]) == len(fewer.images)
    (small,) = pictures.packed([own], whole // 12)
    assert pictures.weight(small) <= whole // 12 and len(small.images) == 3 and "made smaller" in small.reduced
    assert pixels(small.truth.sources[0]).shape[0] < 24


@pytest.mark.parametrize("count, want", [(9, [0, 1, 2, 3]), (3, [0, 1, 3]), (1, [3])])
def test_images_are_spread_along_the_difficulty(count, want):
    assert pictures.spread([3, 2, 1, 0], count) == want


def large(cells=200, images=8, side=64):
    """A page of so many cells with noisy pictures, the worst to pack."""
    page, rng = made_page.page(), np.random.default_rng(0)
    methods = tuple((f"m{k}", f"Method {k}", "diffusion") for k in range(cells // 20))
    keys = [f"faces/p{k}" for k in range(20)]
    noise = [rng.integers(0, 256, (side, side, 3)).astype(np.uint8) for _ in range(images)]
    own = [
        replace(made_page.drawn(key, images, side, methods), estimates={m: noise for m, *_ in methods}) for key in keys
    ]
    table = replace(
        page.sections[0],
        problems=tuple(model.Problem(key, "faces", key, key, "faces") for key in keys),
        methods=tuple(model.Method(m, t, f, "images", "told f") for m, t, f in methods),
        entries=tuple(
            model.Entry(key, m, "ok", "", 8, 0, 0, 0, "demo", made_page.scores("dps", 0), ())
            for key in keys
            for m, *_ in methods
        ),
        matrices=(),
        galleries=tuple(pictures.packed(own, 15 * 2**20)),
    )
    return replace(page, sections=(table,))


@pytest.mark.slow
def test_200_cells_with_pictures_take_less_than_20_mib():
    text = html(large())
    assert 5 * 2**20 < len(text.encode()) < 20 * 2**20
