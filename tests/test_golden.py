"""The demo from end to end at 32 pixels, against numbers kept in golden.csv.

A change of a number is either a defect or a change of the protocol. To write them anew: python -m tests.test_golden
"""

import tempfile
from pathlib import Path

import pandas as pd
import pytest

from sipbench import configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.run import run

GOLDEN = Path(__file__).parent / "golden.csv"
METHODS = {
    "pinv": [],
    "unet": ["method.networks.net.weights=unet-faces-64-${degradation.name}"],
    "dps": ["prior=gaussian", "method.solver.steps=20"],
    "ddrm": ["prior=gaussian", "method.solver.steps=20"],
    "diffpir": ["prior=gaussian", "method.solver.steps=20"],
    "mmps": ["prior=gaussian", "method.solver.steps=20"],
    "dmplug": ["prior=gaussian", "method.solver.iterations=20"],
    "dip": ["method.solver.iterations=20"],
}
TOLERANCE = {"pinv": 1e-4, "dip": 0.1} | dict.fromkeys(  # dB; an optimiser's rounding grows
    ("unet", "dps", "ddrm", "diffpir", "mmps", "dmplug"), 2e-3
)


def rows(degradation, method, results):
    words = [f"degradation={degradation}", f"method={method}", "size=32", "images=2", f"results={results}"]
    cell = Cell.of(configs.compose([*words, *METHODS[method]]), [*words, *METHODS[method]])
    for _ in run(cell):
        pass
    frame = store.read(cell.folder)
    return frame[["degradation", "method", "image", "psnr", "ssim", "residual"]]


@pytest.mark.parametrize("degradation", ["sr4", "inpaint70"])
@pytest.mark.parametrize("method", METHODS)
def test_the_demo_at_32_pixels(tmp_path, degradation, method):
    golden = pd.read_csv(GOLDEN)
    kept = golden[(golden.degradation == degradation) & (golden.method == method)].reset_index(drop=True)
    seen = rows(degradation, method, tmp_path)
    assert seen["image"].tolist() == kept["image"].tolist() == [0, 1]
    assert seen["psnr"].to_numpy() == pytest.approx(kept["psnr"].to_numpy(), abs=TOLERANCE[method])
    assert seen["ssim"].to_numpy() == pytest.approx(kept["ssim"].to_numpy(), abs=TOLERANCE[method] / 10)
    assert seen["residual"].to_numpy() == pytest.approx(kept["residual"].to_numpy(), rel=0.02, abs=1e-6)


def test_a_broken_operator_is_seen(tmp_path, monkeypatch):
    """The golden numbers notice a resizer without antialiasing weights of the right shape."""
    from sipbench.operators import sampling

    right = sampling.bicubic_matrix
    monkeypatch.setattr(sampling, "bicubic_matrix", lambda n, factor, a=-0.5: right(n, factor, -0.75))
    golden = pd.read_csv(GOLDEN)
    kept = golden[(golden.degradation == "sr4") & (golden.method == "pinv")]["psnr"].to_numpy()
    assert rows("sr4", "pinv", tmp_path)["psnr"].to_numpy() != pytest.approx(kept, abs=TOLERANCE["pinv"])


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        frames = [rows(d, m, folder) for d in ("sr4", "inpaint70") for m in METHODS]
    pd.concat(frames).to_csv(GOLDEN, index=False, float_format="%.6f")
