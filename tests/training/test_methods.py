"""Networks that the first measurement sizes are trained by the one command, resumed to the bit, and run."""

import pytest
import torch

from sipbench import checkpoints, configs
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from tests.training.test_train import train

NET = "method.networks.net"
SMALL = {
    "fully_learned": ["rank=4", "width=4"],
    "iradonmap": ["width=4", "levels=1"],
    "unrolled_pgd": ["width=4", "steps=2"],
    "modl": ["width=4", "depth=3"],
    "lpd": ["width=4", "steps=2"],
    "lista": ["layers=2"],
}
DEGRADATION = ["degradation=ct_sparse", "degradation.operator.views=5"]


@pytest.mark.parametrize("method", SMALL)
def test_it_is_trained_resumed_and_run(tmp_path, method):
    words = ["size=32", *DEGRADATION, *(f"{NET}.{word}" for word in SMALL[method])]
    options = [f"method={method}", "schedule.decay=0.0001", "schedule.validate_every=1", "validation=2", *words]
    whole = train("net", tmp_path / "a", 2, *options)
    train("net", tmp_path / "b", 1, *options)
    resumed = train("net", tmp_path / "b", 2, *options)
    one, other = (checkpoints.load_state(checkpoints.weight_file(folder)) for folder in (whole, resumed))
    assert one and all(torch.equal(one[key], other[key]) for key in one)
    words += ["dataset=faces", f"method={method}", "images=[0]", "metrics=[psnr]", f"weights={tmp_path}/a/w"]
    cell = Cell.of(configs.compose(words), words)
    (row,) = Bench.of(cell).rows([0], None)
    assert row["status"] == "ok", row["reason"]
