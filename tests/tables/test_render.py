"""Markdown, LaTeX, text and CSV: what is marked, what is labelled, what is escaped."""

import io
import math
import re
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from sipbench import tables
from sipbench.errors import UserError
from sipbench.tables.latex import escape
from sipbench.tables.measures import Measure
from sipbench.tables.wording import remarks, setting

from .fake import failure, fill, load, put, row, whole

LEVELS = {"pinv": 20, "unet": 26, "dps": 30, "dip": 24}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    spec = whole(tmp_path_factory.mktemp("table"), "images=6")
    fill(spec, LEVELS)
    return spec, tables.collect(spec)


def markdown_rows(text, section=0):
    """The rows of a section's table, each a dict by heading; headings by their first word."""
    table = [line for line in text.split("## ")[section + 1].splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {line[0]: dict(zip([h.split()[0] for h in head], line, strict=True)) for line in body}


def test_the_best_is_marked_the_right_way_round(filled):
    rows = markdown_rows(tables.render_markdown(*filled))
    assert rows["DPS"]["PSNR"] == "**32.50**" and rows["DPS"]["LPIPS"] == "**0.700**"
    for method in ("A⁺y", "U-Net", "DIP"):
        assert not re.search("[*<]", rows[method]["PSNR"] + rows[method]["LPIPS"] + rows[method]["SSIM"])


def test_all_that_the_images_cannot_separate_from_the_best_are_marked(tmp_path):
    """U-Net is now above DPS, now below; the others are far off. The brackets hold the difference to the best."""
    spec = whole(tmp_path, "images=8", "method=pinv,unet,dps,dip")
    fill(spec, {"pinv": 20, "dps": 30, "dip": 24})
    unet = next(e.cell for e in spec.planned if e.row.method == "unet")
    put(unet, [row(i, 29.9 + i + (-1) ** i * 0.5, 0.1) for i in range(8)])
    df = tables.collect(spec)
    text = tables.render_markdown(spec, df)
    rows = markdown_rows(text)
    assert [name for name, line in rows.items() if line["PSNR"].startswith("**")] == ["U-Net", "DPS"]
    found = re.search("Resolvable: .*: PSNR (.*) to (.*)\\.", text)
    assert found and 0.5 < float(found[1]) == float(found[2]) < 0.8
    found = re.fullmatch(r"\*\*33.40 \[−(.*), \+(.*)\]\*\*", rows["U-Net"]["PSNR"])
    assert found and float(found[1]) > 0.1 and float(found[2]) > 0.1
    assert not rows["U-Net"]["SSIM"].startswith("**")


def test_nothing_is_marked_where_so_few_images_can_separate_nothing(tmp_path):
    spec = whole(tmp_path / "few", "images=5")
    fill(spec, LEVELS)
    assert not tables.collect(spec).best_group.any()
    spec = whole(tmp_path / "equal", "images=6", "method=pinv,dps")
    fill(spec, {"pinv": 20, "dps": 20})
    assert not tables.collect(spec).best_group.any()


def test_pairs_are_a_matrix(filled):
    spec, df = filled
    from sipbench.tables.views import pairs

    [path] = pairs.write(spec, df)
    text = path.read_text()
    psnr = text.partition("PSNR ↑")[2].partition("##")[0]
    assert [line.split("|")[1].strip() for line in psnr.splitlines() if line.startswith("| ")][1:] == [
        "---", "A⁺y", "U-Net", "DPS", "DIP",
    ]  # fmt: skip
    assert "| DPS | +10.00; 6/0/0; 0.19 | +4.00; 6/0/0; 0.19 |  | +6.00; 6/0/0; 0.19 |" in psnr
    assert "LPIPS ↓" in text and "−0.100; 6/0/0" in text.partition("LPIPS ↓")[2]


def test_a_p_that_is_bold_is_not_printed_as_the_level(tmp_path):
    """And a difference of nothing has no sign of its own."""
    from sipbench.tables.measures import Measure
    from sipbench.tables.views.pairs import _p, against

    assert [_p(p) for p in (0.04961, 0.05, 0.0504, 0.0123, 1.0)] == ["0.0496", "0.05", "0.05", "0.012", "1"]
    same = against(Measure("a", "a", higher_is_better=True), pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}))
    assert {f"{d.mean:+.1f}" for d in same.values()} == {"+0.0"}


def test_lower_is_better_for_lpips_even_against_psnr(tmp_path):
    spec = load(tmp_path, "method=pinv,dip", "images=6")
    for entry, psnr, lpips in zip(spec.planned, (40.0, 10.0), (0.9, 0.1), strict=True):
        put(entry.cell, [row(i, psnr, 0.5, lpips) for i in range(6)])
    rows = markdown_rows(tables.render_markdown(spec, tables.collect(spec)))
    assert rows["A⁺y"]["PSNR"].startswith("**") and rows["DIP"]["LPIPS"].startswith("**")
    assert rows["A⁺y"]["SSIM"] == rows["DIP"]["SSIM"] == "0.500"


def test_a_method_that_failed_on_an_image_does_not_compete(tmp_path):
    spec = whole(tmp_path, "method=pinv,dip,unet", "images=6")
    fill(spec, {"pinv": 20, "unet": 25})
    dip = next(e.cell for e in spec.planned if e.row.method == "dip")
    put(dip, [*(row(i, 99.0) for i in range(5)), failure(5, "non-finite output")])
    text = tables.render_markdown(spec, tables.collect(spec))
    rows = markdown_rows(text)
    assert rows["DIP"]["PSNR"] == "99.00" and rows["DIP"]["images"] == "5/6"
    assert rows["U-Net"]["PSNR"].startswith("**")
    assert "failed: DIP (faces, sr4: 1 of 6): non-finite output" in text


def test_oracle_and_published_stand_apart_and_are_never_marked(filled):
    spec, df = filled
    rows = markdown_rows(tables.render_markdown(spec, df))
    assert rows["DPS"]["oracle"] == "0.600 / 32.60 / 0.400"
    text = tables.render_markdown(spec, df)
    head = next(line for line in text.splitlines() if line.startswith("| Method"))
    cells = [cell.strip() for cell in head.strip("|").split("|")]
    assert [c for c in cells if c.startswith("published")] == [
        "published, on CelebA-256, other images LPIPS / PSNR / SSIM",
        "published, on FFHQ-256, other images LPIPS / PSNR / SSIM",
    ]
    admm = next(line for line in text.splitlines() if line.startswith("| ADMM-PnP"))
    assert "not yet" in admm and "0.217 / 26.99 / 0.808 | 0.229 / 26.25 / 0.794" in admm and "**" not in admm
    better = df.copy()
    better["published"] = better["published"] * 0 + 1000
    assert markdown_rows(tables.render_markdown(spec, better))["DPS"]["PSNR"].startswith("**")


def test_the_head_says_how_the_numbers_came_about(filled):
    text = tables.render_markdown(*filled)
    for words in (
        "Profile demo",
        "faces",
        "64 × 64 pixels",
        "6 images",
        "seed 0",
        "abacus",
        "Headings of dmplug",
        "Student",
        "Wilcoxon",
    ):
        assert words in text
    assert "Resolvable" not in text  # of differences that are the same on every image nothing can be said
    assert "other images" in text and "cannot be compared" in text and "slides, April 2024" in text
    assert "results" not in text and "Changed by hand: images=4 images=6" in text


def test_the_head_says_what_a_table_changes_of_its_problems():
    """Its far fields have Gaussian noise, where the degradation counts photons."""
    spec = tables.load("far_field", "demo", ["method=hio_er"])
    text = tables.render_markdown(spec, tables.collect(spec))
    assert (
        "10^6 photons" in text
        and "in all of them: dataset.phase=0.5" in text
        and "noise=gaussian noise.sigma=0.0005." in text
    )


def test_absent_lpips_is_a_dash_and_one_line(tmp_path):
    spec = load(tmp_path, "method=pinv,dip")
    for entry in spec.planned:
        put(entry.cell, [row(i, lpips=math.nan) for i in range(4)])
    df = tables.collect(spec)
    text = tables.render_markdown(spec, df)
    assert {r["LPIPS"] for r in markdown_rows(text).values()} == {"–"}
    assert len([line for line in text.splitlines() if "ImageNet weights" in line and "fetch lpips" in line]) == 1


def test_present_lpips_has_no_such_line(filled):
    assert "ImageNet" not in tables.render_markdown(*filled)


def test_latex_is_balanced_and_aligned(filled):
    text = tables.render_latex(*filled)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert body.isascii()
    begun, ended = re.findall(r"\\begin\{(\w+)\}", body), re.findall(r"\\end\{(\w+)\}", body)
    assert sorted(begun) == sorted(ended) and begun.count("tabular") == 2
    bare = re.sub(r"\\[\\{}%&$#_]", "", body)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0 and "%" not in bare
    for columns, table in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", body, re.DOTALL):
        lines = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len(lines) == 1 + 5 and all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in lines)
        assert table.count(r"\toprule") == table.count(r"\bottomrule") == 1 and table.count(r"\midrule") == 4
    assert r"\textbf{32.50}" in body and r"28.50 [$-$4.00, $-$4.00]" in body


def test_what_latex_would_read_as_a_command_is_escaped():
    assert escape("a_b & 70 % of #1 {x} ~^ $") == (r"a\_b \& 70 \% of \#1 \{x\} \textasciitilde{}\textasciicircum{} \$")
    assert escape("\\x") == r"\textbackslash{}x" and escape("A⁺y ×4") == r"A\textsuperscript{+}y $\times$4"


def test_text_fits_a_terminal_and_keeps_published_apart(filled):
    stream = io.StringIO()
    Console(file=stream, width=90).print(tables.render_text(*filled))
    measured, beside = stream.getvalue().split("beside", 1)
    assert "32.50" in measured and "not yet" in measured and "published" not in measured
    assert "0.217 / 26.99 / 0.808" in beside and "other images" in beside
    assert "In brackets the 95 % interval of the paired difference to the best" in " ".join(beside.split())


def test_files_are_the_same_to_the_byte_for_the_same_results(filled, tmp_path):
    spec, df = filled
    again = whole(spec.folder.parents[2], "images=6")
    first = [path.read_bytes() for path in tables.write(spec, df, tmp_path / "a")]
    second = [path.read_bytes() for path in tables.write(again, tables.collect(again), tmp_path / "b")]
    assert first == second
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["table1.csv", "table1.md", "table1.tex"]


def test_files_go_to_the_folder_of_the_profile(filled):
    spec, df = filled
    paths = tables.write(spec, df)
    assert {path.parent.parts[-3:] for path in paths} == {("results", "partial", "demo")}
    table = pd.read_csv(spec.folder / "table1.csv")
    assert len(table) == len(df)
    psnr = table[(table.metric.str.lower() == "psnr") & table["mean"].notna()]
    assert set(psnr.method) == set(LEVELS) and psnr.n.min() == 6


def test_a_folder_that_cannot_be_written_is_said(filled, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        tables.write(*filled, tmp_path / "file")


def test_a_part_or_a_column_that_no_cell_stores_says_so(tmp_path):
    spec = whole(tmp_path, "method=pinv,dip", "images=6")
    fill(spec, {"pinv": 20, "dip": 25})
    part = replace(spec.rows[0], name="best_of", named="A⁺y, part", part="nonsense")
    spec = replace(spec, rows=(*spec.rows, part), measures=(*spec.measures, Measure("foo", "residuall")))
    said = remarks(spec, tables.collect(spec))
    assert "A⁺y, part is –: its cells store no columns that begin with nonsense_." in said
    assert "foo is –: no cell stores a column residuall." in said
    assert not any("ImageNet" in line for line in said)


def test_problems_of_several_numbers_of_images_say_each(tmp_path):
    spec = whole(tmp_path, "method=pinv")
    words = ("degradation=sr4", "images=2")
    one, two = (replace(spec.tasks["sr4"], name=n, words=words[:k]) for n, k in (("one", 1), ("two", 2)))
    overrides = tuple(word for word in spec.overrides if word != "images=4")
    spec = replace(spec, tasks={"one": one, "two": two}, overrides=overrides)
    assert "8 images of split test (0 to 7), 2 (0 to 1)" in setting(spec, tables.collect(spec))


@pytest.mark.parametrize(
    ("images", "said"), [("1", "1 image of split test (0);"), ("[2,3]", "2 images of split test (2 to 3);")]
)
def test_one_image_is_no_range(images, said, tmp_path):
    spec = whole(tmp_path, "method=pinv", f"images={images}")
    assert said in setting(spec, tables.collect(spec))


def test_a_mean_over_fewer_images_says_over_how_many(tmp_path):
    """A metric that is not defined on some: the column of images counts those that were solved."""
    spec = whole(tmp_path, "method=pinv,dip,unet", "images=8")
    fill(spec, {"pinv": 20, "dip": 25})
    (entry,) = [e for e in spec.planned if e.row.method == "unet"]
    put(entry.cell, [row(i, 30.0 if i < 2 else math.nan) for i in entry.cell.images])
    df = tables.collect(spec)
    text = tables.render_markdown(spec, df)
    rows = markdown_rows(text)
    assert rows["U-Net"]["PSNR"] == "30.00 (of 2)" and rows["U-Net"]["images"] == "8/8"
    assert "(of" not in rows["DIP"]["PSNR"] + rows["U-Net"]["SSIM"]
    assert "PSNR has no value on some images, and its mean is of the others: U-Net (faces, sr4: 2 of 8)." in text


def test_a_metric_without_a_value_on_any_image_is_named(tmp_path):
    """A dash alone would leave open whether it was not asked for, not defined, or forgotten."""
    spec = whole(tmp_path, "method=pinv,dip,unet", "images=8")
    fill(spec, {"pinv": 20, "dip": 25})
    (entry,) = [e for e in spec.planned if e.row.method == "unet"]
    put(entry.cell, [row(i, math.nan) for i in entry.cell.images])
    said = remarks(spec, tables.collect(spec))
    assert "PSNR is –: it has no value on any image of U-Net (faces, sr4)." in said
    assert not any(line.startswith(("SSIM", "LPIPS")) for line in said)


def test_a_glance_says_of_how_many_images_a_mean_is(tmp_path):
    from sipbench.tables.views import glance

    spec = whole(tmp_path, "method=pinv,dip,unet", "images=6")
    fill(spec, {"pinv": 20})
    dip, unet = (next(e.cell for e in spec.planned if e.row.method == name) for name in ("dip", "unet"))
    put(dip, [*(row(i, 99.0) for i in range(5)), failure(5, "non-finite output")])
    put(unet, [row(i, 30.0 if i < 2 else math.nan) for i in range(6)])
    [path] = glance.write(spec, tables.collect(spec))
    psnr = path.read_text().partition("PSNR ↑")[2].partition("##")[0]
    assert "| DIP | 99.00 (of 5/6) |" in psnr and "| U-Net | 30.00 (of 2/6) |" in psnr
    assert re.search(r"\| A⁺y \| [*]*22.50[*]* \|", psnr)


def test_a_row_that_failed_on_an_image_is_on_no_front_and_the_legend_says_so(tmp_path, monkeypatch):
    from sipbench.report import figures
    from sipbench.tables.views import pareto

    spec = whole(tmp_path, "method=pinv,dip", "images=6")
    fill(spec, {"pinv": 20})
    dip = next(e.cell for e in spec.planned if e.row.method == "dip")
    put(dip, [*(row(i, lpips=0.01) for i in range(5)), failure(5, "non-finite output")])
    points = pareto._points(spec, tables.collect(spec), spec.pairs[0])
    assert [(title, whole) for title, *_, whole in points] == [("A⁺y", True), ("DIP", False)]
    drawn, content = [], figures.content
    monkeypatch.setattr(figures, "content", lambda made, kind="png": drawn.append(made) or content(made, kind))
    assert [path.suffix for path in pareto.write(spec, tables.collect(spec))] == [".png", ".pdf"]
    assert [text.get_text() for text in drawn[0].legends[0].texts][-1] == "not all images, on no front"


def test_a_long_title_stays_within_its_picture(tmp_path, monkeypatch):
    from sipbench.report import figures
    from sipbench.tables.spec import TableSpec
    from sipbench.tables.views import pareto

    drawn, content, long = [], figures.content, "Circular Gaussian blur of 2 pixels, noise of 0.02, photographs"
    monkeypatch.setattr(figures, "content", lambda made, kind="png": drawn.append(made) or content(made, kind))
    monkeypatch.setattr(TableSpec, "problem_title", lambda *_: long)
    spec = whole(tmp_path, "degradation=sr4,inpaint70", "method=pinv", "images=6")
    fill(spec, {"pinv": 20})
    pareto.write(spec, tables.collect(spec))
    boxes = [axes.title.get_window_extent(drawn[0].canvas.get_renderer()) for axes in drawn[0].axes]
    assert len(boxes) == 2 and boxes[0].x1 < boxes[1].x0
    assert boxes[0].x0 > 0 and boxes[1].x1 < drawn[0].bbox.x1 and boxes[0].y1 <= drawn[0].bbox.y1


def test_the_head_explains_every_word_of_the_column_options(filled, tmp_path):
    """And how often an image counts that is solved under several seeds, and what the oracle was picked from."""
    spec, df = filled
    text = tables.render_markdown(spec, df)
    words = {word for line in markdown_rows(text).values() for word in line["options"].split(" + ")} - {"–"}
    said = next(line for line in text.splitlines() if line.startswith("- options:"))
    assert "paper's" in words and all(word in said for word in words)
    assert "snapshots on the way, of each metric by itself" in text and "each seed" not in text
    several = load(tmp_path, "seed=0,1", "method=pinv")
    assert "They count each seed" in tables.render_markdown(several, tables.collect(several))
    rules = tables.load("early_stopping", "demo", [f"results={tmp_path}", "degradation=gaussian_low"])
    assert "the one of the highest PSNR, for every metric" in tables.render_markdown(rules, tables.collect(rules))


def test_the_caption_says_what_the_brackets_of_a_share_are(filled, tmp_path):
    places = [f"{name}={tmp_path / name}" for name in ("results", "weights", "data")]
    spec = tables.load("phase", "demo", [*places, "degradation=bragg_1e4", "method=hio_er"])
    caption = next(line for line in tables.render_latex(spec, tables.collect(spec)).splitlines() if "caption" in line)
    assert r"success: a share, in brackets Wilson's 95\,\% interval." in caption
    assert "Wilson" not in tables.render_latex(*filled).partition("begin{table}")[2]
