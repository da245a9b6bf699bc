"""A small table and a store with rows made by hand."""

import numpy as np

from sipbench import tables
from sipbench.bench import store

SOME = "method=pinv,unet,admm_pnp,dps,dip"  # those that the tests fill with rows, and one that is not there yet
FEW = "method=pinv,unet,dip,admm_pnp"


def weights(folder):
    """Files that stand for trained weights: cells that are done only hash them."""
    for name in ("faces-64-prior", "unet-faces-64-sr4", "unet-faces-64-inpaint70"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "model.safetensors").write_bytes(name.encode())
    return folder


def load(tmp_path, *words):
    """A few rows of Table 1 on four small images, below a folder of the test's own; nothing is trained."""
    return whole(tmp_path, "size=32", FEW, *words, trained=False)


def whole(tmp_path, *words, profile="demo", trained=True):
    """Table 1 on four images of super-resolution, with results, weights and data below a folder of the test's own."""
    if trained:
        weights(tmp_path / "weights")
    named = profile != "demo" or any(word.startswith("method=") for word in words)
    words = words if named else (*words, SOME)
    places = [f"{name}={tmp_path / name}" for name in ("results", "weights", "data")]
    return tables.load("table1", profile, [*places, "images=4", "degradation=sr4", *words])


def row(image, psnr=20.0, ssim=0.5, lpips=0.3, **more):
    """A row of an image that was solved."""
    scores = {"psnr": psnr, "ssim": ssim, "lpips_alex": lpips}
    best = {f"oracle_{name}": value + (-0.1 if name == "lpips_alex" else 0.1) for name, value in scores.items()}
    cost = {"residual_ratio": 1.5, "seconds": 2.0, "evaluations": 10.0, "device": "abacus"}
    return {"image": image, "status": "ok", "reason": ""} | scores | best | cost | more


def failure(image, reason="out of memory"):
    return {"image": image, "status": "failed", "reason": reason, "device": "abacus"}


def put(cell, rows):
    store.prepare(cell)
    store.write(cell, rows)


def fill(spec, levels):
    """Rows for methods by name: their PSNR level, spread over the images; SSIM and LPIPS follow it."""
    for entry in spec.planned:
        if entry.row.method in levels:
            level = levels[entry.row.method]
            for cell in entry.cells:
                put(cell, [row(i, level + i, level / 100, 1 - level / 100) for i in cell.images])


def one(df, method, metric="PSNR", dataset="faces"):
    """The single record of a method and a metric."""
    found = df[(df.method == method) & (df.metric == metric) & (df.dataset == dataset)]
    assert len(found) == 1
    return found.iloc[0]


def interval(values):
    """The half width of the 95 % confidence interval of a mean, by scipy's own distribution."""
    from scipy.stats import t

    values = np.asarray(values, float)
    low, high = t.interval(0.95, len(values) - 1, values.mean(), values.std(ddof=1) / np.sqrt(len(values)))
    return (high - low) / 2
