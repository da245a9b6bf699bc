"""A page made by hand, with pictures and with words that try to break out."""

import numpy as np

from sipbench.report.page import model, pictures

EVIL = "</script><script>window.broken = 1</script><img src=x onerror='window.broken=2'>&\u2028%%data%%"
METHODS = (("dip", "DIP", "single"), ("dps", "DPS", "diffusion"), ("unet", "U-Net", "datarich"))
PROBLEMS = (("faces/sr4", "sr4", "Super-resolution"), ("faces/inpaint70", "inpaint70", "Inpainting"))
PSNR = {"dip": 21.0, "dps": 23.0, "unet": 25.0}


def scores(method, k):
    mean = PSNR[method] + k
    psnr = model.Score(mean, mean - 1, mean + 1, method == "unet", -2.0, -1.0, 0.01, mean + 0.5, {"CelebA": 30.0})
    seconds = model.Score(10.0 ** -len(method))
    return {"PSNR": psnr, "s/image": seconds}


def drawn(problem, images=4, side=16, methods=METHODS, seed=0):
    """Smooth truths, and estimates that are further from them from image to image."""
    rng = np.random.default_rng(seed)
    truth = [np.full((side, side, 3), 20 + 12 * i, np.uint8) for i in range(images)]
    noisy = [(t + rng.integers(0, 8 + 8 * i, t.shape)).astype(np.uint8) for i, t in enumerate(truth)]
    estimates = {name: [(n + k).astype(np.uint8) for n in noisy] for k, (name, *_) in enumerate(methods)}
    residuals = {name: [n[..., 0] for n in own] for name, own in estimates.items()}
    values = {"PSNR": {name: tuple(30.0 - i * (k + 1) for i in range(images)) for k, (name, *_) in enumerate(methods)}}
    names = tuple(map(str, range(images)))
    gallery = model.Gallery(problem, names, images, values, None, None, {}, {}, {}, 4.0, "σ")
    return pictures.Drawn(gallery, list(range(images)), truth, noisy, estimates, residuals, {})


def page(title="Results"):
    """Two problems and three methods, a failure, a listing; words from a stranger everywhere."""
    against = [[None if a == b else model.Against(1.5, 3, 0, 1, 0.01) for b in METHODS] for a in METHODS]
    line = model.Line("DPS", "diffusion", ((1.0, 10.0, 9.0, 11.0), (10.0, 20.0, 19.0, 21.0)))
    mark = model.Mark("DPS", "diffusion", 12.0, 19.5, "returned")
    entries = [
        model.Entry(
            p, m, "failed" if m == "dip" and k else "ok", EVIL, 4, 0, 0, 0, "searched", scores(m, k), (f"{m}{k}",)
        )
        for k, (p, *_) in enumerate(PROBLEMS)
        for m, *_ in METHODS
    ]
    table = model.Table(
        name="made",
        profile="demo",
        title=f"Made by hand {EVIL}",
        source="read from made.csv",
        measures=(model.Measure("PSNR", "PSNR ↑", 2, "higher"), model.Measure("s/image", "s/image", 3, "", True)),
        problems=tuple(model.Problem(key, "faces", d, t, "faces") for key, d, t in PROBLEMS),
        methods=tuple(model.Method(m, t, f, "pairs" if m == "unet" else "none", "told f") for m, t, f in METHODS),
        entries=tuple(entries),
        notes=("A note.", EVIL),
        remarks=(EVIL,),
        charts=(model.Chart("Super-resolution", "evaluations", "PSNR ↑", (line,), (mark,), True),),
        matrices=(model.Matrix("faces/sr4", "PSNR", 4, tuple(m for m, *_ in METHODS), tuple(map(tuple, against))),),
        galleries=tuple(pictures.packed([drawn(key) for key, *_ in PROBLEMS], 10**6)),
        published="published: from slides.",
    )
    rows = (("faces", 1.5, "a"), ("faces", None, EVIL), ("crystals", float("inf"), "c"))
    listing = model.Listing("list", "demo", "A list", "read from list.csv", ("dataset", "value", "name"), rows)
    run = model.Run(EVIL, "failed", EVIL, "abc", 1.0)
    option = model.Option("steps", EVIL, "searched", "sipbench tune steps=1")
    cells = {
        key: model.Cell(key, key, f"sipbench method={key}", "", (option,), (), (("device", EVIL),), (run,))
        for entry in entries
        for key in entry.cells
    }
    colours = {"single": "#009E73", "diffusion": "#D55E00", "datarich": "#0072B2"}
    return model.Page(title, "sipbench 0", (table, listing), colours, cells)
