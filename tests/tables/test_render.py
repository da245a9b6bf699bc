"""Markdown, LaTeX, text and CSV: what is marked, what is labelled, what is escaped."""

import io
import math
import re

import pandas as pd
import pytest
from rich.console import Console

from sipbench import tables
from sipbench.errors import UserError
from sipbench.tables.render import escape

from .fake import failure, fill, load, put, row, whole

LEVELS = {"pinv": 20, "unet": 26, "dps": 30, "dip": 24}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    spec = whole(tmp_path_factory.mktemp("table"))
    fill(spec, LEVELS)
    return spec, tables.collect(spec)


def markdown_rows(text, section=0):
    """The rows of a section's table, each a dict by heading; headings by their first word."""
    table = [line for line in text.split("## ")[section + 1].splitlines() if line.startswith("|")]
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {line[0]: dict(zip([h.split()[0] for h in head], line, strict=True)) for line in body}


def test_best_and_second_are_marked_the_right_way_round(filled):
    rows = markdown_rows(tables.render_markdown(*filled))
    assert rows["DPS"]["PSNR"].startswith("**31.50 ±") and rows["U-Net"]["PSNR"].startswith("<u>27.50 ±")
    assert rows["DPS"]["LPIPS"] == "**0.700 ± 0.000**" and rows["U-Net"]["LPIPS"].startswith("<u>0.740")
    for method in ("A⁺y", "DIP"):
        assert not re.search("[*<]", rows[method]["PSNR"] + rows[method]["LPIPS"] + rows[method]["SSIM"])


def test_lower_is_better_for_lpips_even_against_psnr(tmp_path):
    spec = load(tmp_path, "method=pinv,dip")
    for entry, psnr, lpips in zip(spec.planned, (40.0, 10.0), (0.9, 0.1), strict=True):
        put(entry.cell, [row(i, psnr, 0.5, lpips) for i in range(4)])
    rows = markdown_rows(tables.render_markdown(spec, tables.collect(spec)))
    assert rows["A⁺y"]["PSNR"].startswith("**") and rows["DIP"]["LPIPS"].startswith("**")
    assert rows["A⁺y"]["SSIM"].startswith("**") and rows["DIP"]["SSIM"].startswith("**")


def test_a_method_that_failed_on_an_image_does_not_compete(tmp_path):
    spec = whole(tmp_path, "method=pinv,dip,unet")
    fill(spec, {"pinv": 20, "unet": 25})
    dip = next(e.cell for e in spec.planned if e.row.method == "dip")
    put(dip, [row(0, 99.0), row(1, 99.0), row(2, 99.0), failure(3, "non-finite output")])
    text = tables.render_markdown(spec, tables.collect(spec))
    rows = markdown_rows(text)
    assert rows["DIP"]["PSNR"] == "99.00 ± 0.00" and rows["DIP"]["images"] == "3/4"
    assert rows["U-Net"]["PSNR"].startswith("**")
    assert "failed: DIP (faces, sr4: 1 of 4): non-finite output" in text


def test_oracle_and_published_stand_apart_and_are_never_marked(filled):
    spec, df = filled
    rows = markdown_rows(tables.render_markdown(spec, df))
    assert rows["DPS"]["oracle"] == "0.600 / 31.60 / 0.400"
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
        "4 images",
        "seed 0",
        "abacus",
        "Headings of dmplug",
        "Student t",
    ):
        assert words in text
    assert "other images" in text and "cannot be compared" in text and "slides, April 2024" in text
    assert "results" not in text and "Changed by hand: images=4" in text


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
    assert r"\textbf{31.50 $\pm$" in body and r"\underline{27.50 $\pm$" in body


def test_what_latex_would_read_as_a_command_is_escaped():
    assert escape("a_b & 70 % of #1 {x} ~^ $") == (r"a\_b \& 70 \% of \#1 \{x\} \textasciitilde{}\textasciicircum{} \$")
    assert escape("\\x") == r"\textbackslash{}x" and escape("A⁺y ×4") == r"A\textsuperscript{+}y $\times$4"


def test_text_fits_a_terminal_and_keeps_published_apart(filled):
    stream = io.StringIO()
    Console(file=stream, width=90).print(tables.render_text(*filled))
    measured, beside = stream.getvalue().split("beside", 1)
    assert "31.50±" in measured and "not yet" in measured and "published" not in measured
    assert "0.217 / 26.99 / 0.808" in beside and "other images" in beside


def test_files_are_the_same_to_the_byte_for_the_same_results(filled, tmp_path):
    spec, df = filled
    again = whole(spec.folder.parents[2])
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
    assert set(psnr.method) == set(LEVELS) and psnr.n.min() == 4


def test_a_folder_that_cannot_be_written_is_said(filled, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        tables.write(*filled, tmp_path / "file")
