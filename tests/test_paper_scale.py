"""Table 1's diffusion rows at the paper's scale: the real architectures at 256 x 256, with random weights, two steps.

Slow (minutes on a CPU), so not part of the usual tests: make papertest.
"""

from dataclasses import replace

import pytest
import torch

from sipbench import configs
from sipbench.bench import run as bench
from sipbench.bench.cell import Cell
from sipbench.device import has_units_for
from sipbench.testing import published
from sipbench.testing.trial import Meter

METHODS = configs.read("table", "table1")["rows"]["diffusion"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    place = tmp_path_factory.mktemp("weights")
    published.lay_pixel(place / "ffhq-256")
    published.lay_latent(place / "ldm")
    return place


@pytest.mark.paper
@pytest.mark.parametrize("degradation", ["sr4", "inpaint70"])
@pytest.mark.parametrize("method", METHODS)
def test_two_steps_of_the_published_settings(weights, tmp_path, method, degradation):
    """The config of profile=paper, as it stands, on networks of the published shape; only the loops end early."""
    latent = configs.read("method", method).get("prior") == "latent"
    prior = ["prior=diffusers", "prior.path=ldm"] if latent else ["prior=ffhq_256"]
    words = ["profile=paper", "images=1", f"method={method}", f"degradation={degradation}", *prior]
    words += ["method.solver.latent_iterations=2"] if latent else []  # the last fit: hundreds of decodings
    words += ["+prior.precision=bfloat16"] if has_units_for(torch.device("cpu"), "bfloat16") else []
    words += [f"weights={weights}", f"results={tmp_path}"]
    cell = Cell.of(configs.compose(words), words)
    assert cell.size == 256 and cell.profile == "paper"
    ready = bench.Bench.of(cell)
    meter = Meter(limit=2)
    result = cell.solver(replace(ready.pose([0]), _watch=meter), **configs.built(cell.options))
    x = getattr(result, "x", result)
    assert x.shape == (1, 3, 256, 256) and torch.isfinite(x).all()
    assert meter.steps == 2 and ready.prior.evaluations >= 2
