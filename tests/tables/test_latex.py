"""Tables as LaTeX, compiled by a real one: every file that is committed, and one whose names are all that TeX obeys."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sipbench import tables
from sipbench.tables import as_published, latex

from .fake import fill, whole

ROOT = Path(__file__).parents[2]
COMMITTED = sorted((ROOT / "results").glob("*/*.tex"))
HOSTILE = r"[1] *100 %* _a_ #1 & $x$ ~ ^2 \input{/etc/passwd} {} `|<>\" → ± ≤ ⊠ 中 ﬁ é Č σ Σ ² ₀ ½ \end{table} \\["
DOCUMENT = r"""
\documentclass{article}
\usepackage{booktabs,graphicx}
\pagestyle{empty}
\begin{document}
%s
\end{document}
"""


def compiled(folder, content):
    """The log of a run that makes a PDF; one that does not fails."""
    (folder / "page.tex").write_text(DOCUMENT % content, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0 and (folder / "page.pdf").is_file(), done.stdout[-2000:]
    return done.stdout


real = [
    pytest.mark.latex,
    pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX here: pdflatex was not found"),
]


class TestCompiled:
    pytestmark = real

    @pytest.mark.parametrize("file", COMMITTED, ids=lambda path: f"{path.parent.name}-{path.stem}")
    def test_committed_tables_compile_and_fit_the_line(self, file, tmp_path):
        assert "Overfull \\hbox" not in compiled(tmp_path, file.read_text())

    def test_names_that_tex_would_obey_compile_as_text(self, tmp_path):
        spec = whole(tmp_path, "images=6")
        fill(spec, {"pinv": 20, "unet": 26, "dps": 30, "dip": 24})
        spec = replace(
            spec,
            title=HOSTILE,
            rows=tuple(replace(row, named=HOSTILE) for row in spec.rows),
            tasks={name: replace(task, title=HOSTILE) for name, task in spec.tasks.items()},
            notes=(HOSTILE,),
            published=replace(spec.published, source=HOSTILE, note=HOSTILE),
        )
        log = compiled(tmp_path, tables.render_latex(spec, tables.collect(spec)))
        assert "Overfull" not in log and "Missing character" not in log

    @pytest.mark.parametrize("name", ["table1", "table3"])
    def test_published_tables_compile(self, name, tmp_path):
        paths = as_published.write(tables.load(name, "demo", [f"results={tmp_path}"]))
        assert "Overfull" not in compiled(tmp_path, paths[-1].read_text())

    def test_what_is_not_escaped_does_not_compile(self, tmp_path):
        with pytest.raises(AssertionError):
            compiled(tmp_path, HOSTILE.replace("%", ""))


def test_every_sign_is_ascii_and_known():
    assert latex.escape("→ ± ≤ σ Σ Α ² ₀ é Č ﬁ ½ ø") == (
        r"$\rightarrow$ $\pm$ $\le$ $\sigma$ $\Sigma$ A \textsuperscript{2} $_{0}$ \'{e} \v{C} fi 1/2 \o{}"
    )
    assert latex.escape("中 ⊠") == r"\texttt{U+4E2D} \texttt{U+22A0}"
    assert latex.escape("[a]") == "{}[a]" and latex.escape("* a") == "{}* a"
    assert latex.escape(HOSTILE).isascii()


def test_committed_tables_need_no_compiler_to_be_told_of():
    """Every committed LaTeX file has each tabular in a box that is no wider than the line."""
    assert COMMITTED
    for file in COMMITTED:
        text = re.sub("(?m)^%.*$", "", file.read_text())
        assert text.count("\\sipbenchfit{\n\\begin{tabular}") == text.count("\\begin{tabular}") > 0
