"""Tables: results of cells, averaged, beside the numbers that were published.

spec = load("table1", "demo")      what the table asks for
missing(spec), notes(spec)         which files it lacks, before any work
pending(spec)                      which cells still have images to do
df = collect(spec)                 one row a (dataset, degradation, method, metric)
write(spec, df)                    Markdown, CSV and LaTeX
"""

from sipbench.tables.collect import collect
from sipbench.tables.declared import load, names
from sipbench.tables.lacks import missing, notes, pending
from sipbench.tables.published import Published
from sipbench.tables.render import render_latex, render_markdown, render_text
from sipbench.tables.spec import Entry, Row, TableSpec
from sipbench.tables.views.grid import write

__all__ = [
    "Entry",
    "Published",
    "Row",
    "TableSpec",
    "collect",
    "load",
    "missing",
    "names",
    "notes",
    "pending",
    "render_latex",
    "render_markdown",
    "render_text",
    "write",
]
