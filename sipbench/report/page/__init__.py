"""One HTML file that opens from disk, with no network.

    model      what a page shows, as plain data: it knows nothing of tables, stores or HTML
    pictures   images as bytes that a browser draws, within so many bytes
    write      the file: the data and the assets, nothing else

A section is a dataclass of `model` with a `kind`, and a script of assets/ that draws that kind:
`sections.KIND = (section, page) => element`. A new one, such as a leaderboard, is one of each.
"""

from sipbench.report.page.model import Page
from sipbench.report.page.write import html, save

__all__ = ["Page", "html", "save"]
