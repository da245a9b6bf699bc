"""The pictures of docs/ that are made of committed results: .venv/bin/python .ci/pictures.py writes them anew.

Each holds the hashes of what it was made of, and a test asks whether those are still the committed files.
"""

import hashlib
import json
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image, PngImagePlugin

from sipbench import configs
from sipbench.report import palette
from sipbench.tables.views.strip import IMAGES, widest

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "assets"
TABLE, STRIP = "results/study/table1.csv", "results/study/table1.png"
MADE_OF = "made of"  # the key of the hashes in a picture
MARKERS = {"classical": "o", "datarich": "s", "diffusion": "D", "single": "^"}
PROBLEMS = {"sr4": "super-resolution ×4", "inpaint70": "inpainting 70 %"}
NUDGED = {  # where names would lie on each other
    "sr4": {"ilvr": (-26, 2), "dmps": (3, 10), "mcg": (7, -3), "dps": (-8, -15)},
    "inpaint70": {"dps": (7, -1), "ddrm": (-4, -12), "ilvr": (-22, -10), "resample": (5, -10), "dmplug": (-20, 6)},
}
FAMILIES = {  # the columns of the strip that a page of a family shows
    "datarich": ("pinv", "unet", "admm_pnp", "dps"),
    "diffusion": ("unet", "mcg", "dps", "ddrm", "dmplug"),
    "single": ("pinv", "dip", "dps", "unet"),
}


def main() -> None:
    """All of them."""
    plane().savefig(OUT / "plane.png", dpi=140, metadata={MADE_OF: sources(TABLE)})
    for family, methods in FAMILIES.items():
        about = PngImagePlugin.PngInfo()
        about.add_text(MADE_OF, sources(TABLE, STRIP))
        columns(methods).save(OUT / f"{family}.png", pnginfo=about, optimize=True)
    firsts().save(OUT / "strip.png", pnginfo=about, optimize=True)


def sources(*files: str) -> str:
    """The hashes of files, as a picture holds them."""
    return json.dumps({file: hashlib.sha256((ROOT / file).read_bytes()).hexdigest() for file in files}, sort_keys=True)


def plane() -> Figure:
    """Where each method of Table 1 stands between PSNR and LPIPS: the mean, and its interval against the best."""
    rows = _measured()
    matplotlib.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    for axes, (problem, title) in zip(figure.subplots(1, 2), PROBLEMS.items(), strict=True):
        here = rows[rows.degradation == problem]
        wide = here.pivot(index="method", columns="metric", values=["mean", "difference_low", "difference_high"])
        wide = wide.drop(index="pinv")  # the floor is far off
        best = {"LPIPS": wide["mean"]["LPIPS"].min(), "PSNR": wide["mean"]["PSNR"].max()}
        for method, row in wide.iterrows():
            family = configs.read("method", str(method))["family"]
            x, y = row["mean"]["LPIPS"], row["mean"]["PSNR"]
            spans = {m: (best[m] + row["difference_low"][m], best[m] + row["difference_high"][m]) for m in best}
            axes.plot(spans["LPIPS"], (y, y), color=palette.FAMILIES[family], lw=0.8, alpha=0.5)
            axes.plot((x, x), spans["PSNR"], color=palette.FAMILIES[family], lw=0.8, alpha=0.5)
            axes.plot(x, y, MARKERS[family], color=palette.FAMILIES[family], ms=5)
            name, at = configs.read("method", str(method))["title"], NUDGED[problem].get(str(method), (5, 4))
            axes.annotate(name, (x, y), xytext=at, textcoords="offset points", fontsize=7)
        axes.margins(x=0.12)
        axes.invert_xaxis()
        axes.set(title=title, xlabel="LPIPS (better to the right)", ylabel="PSNR, dB")
    known = [
        Line2D([], [], ls="", marker=MARKERS[f], color=palette.FAMILIES[f], label=f)
        for f in ("datarich", "diffusion", "single")
    ]
    figure.axes[1].legend(handles=known, loc="lower right", frameon=False)
    return figure


def columns(methods: tuple[str, ...]) -> Image.Image:
    """Of each problem and image of the strip of Table 1 the truth, the measurement and these methods."""
    order = list(dict.fromkeys(_measured().method))
    chosen = [0, 1, *(2 + order.index(method) for method in methods)]
    rows = [[row[place] for place in chosen] for row in _strip(2 + len(order))]
    return _pasted(rows)


def firsts() -> Image.Image:
    """Of each problem the first image of the strip of Table 1, with every method."""
    order = list(dict.fromkeys(_measured().method))
    wide = widest(2 + len(order))
    rows = _strip(2 + len(order))[::IMAGES]
    return _pasted([row[at : at + wide] for row in rows for at in range(0, len(row), wide)])


def _strip(longest: int) -> list[list[Image.Image]]:
    """The pictures of the strip, a row for each problem and image, as its lines were broken."""
    wide = widest(longest)
    lines = -(-longest // wide)
    with Image.open(ROOT / STRIP) as strip:
        whole = strip.convert("RGB")
    across, down = whole.width / wide, whole.height / (lines * len(PROBLEMS) * IMAGES)
    size = int(across), int(down)
    assert abs(down - across) < across / 2, "the strip has other columns than the table has methods"

    def one(row: int, place: int) -> Image.Image:
        x, y = round(across * (place % wide)), round(down * (row * lines + place // wide))
        return whole.crop((x, y, x + size[0], y + size[1]))

    return [[one(row, place) for place in range(longest)] for row in range(len(PROBLEMS) * IMAGES)]


def _pasted(rows: list[list[Image.Image]]) -> Image.Image:
    width, height = rows[0][0].size
    picture = Image.new("RGB", (width * max(map(len, rows)), height * len(rows)), "white")
    for i, row in enumerate(rows):
        for k, part in enumerate(row):
            picture.paste(part, (width * k, height * i))
    return picture


def _measured() -> pd.DataFrame:
    """The rows of Table 1 that were measured here."""
    frame = pd.read_csv(ROOT / TABLE)
    return frame[frame.published.isna() & frame["mean"].notna()]


if __name__ == "__main__":
    main()
