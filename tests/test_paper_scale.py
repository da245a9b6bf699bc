"""Table 1's diffusion rows at the paper's scale: the real architectures at 256 x 256, with random weights, two steps.

Slow (minutes on a CPU), so not part of the usual tests: make papertest.
"""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from sipbench import configs
from sipbench.bench import run as bench
from sipbench.bench.cell import Cell
from sipbench.priors import adm_layout
from sipbench.testing.trial import Meter

METHODS = configs.read("table", "table1")["rows"]["diffusion"]
FFHQ = adm_layout.Layout(
    in_channels=3,
    out_channels=6,
    channels=(128, 128, 256, 256, 512, 512),
    res_blocks=1,
    attention=(False, False, False, False, True, False),
    resampling="resnet",
    scale_shift=True,
)
LDM = {  # CompVis/ldm-celebahq-256
    "unet": {
        "_class_name": "UNet2DModel",
        "sample_size": 64,
        "in_channels": 3,
        "out_channels": 3,
        "layers_per_block": 2,
        "attention_head_dim": 32,
        "block_out_channels": [224, 448, 672, 896],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    },
    "vqvae": {
        "_class_name": "VQModel",
        "sample_size": 256,
        "latent_channels": 3,
        "num_vq_embeddings": 8192,
        "layers_per_block": 2,
        "block_out_channels": [128, 256, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 3,
        "up_block_types": ["UpDecoderBlock2D"] * 3,
    },
}
LINEAR = {"num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
SCALED = {"num_train_timesteps": 1000, "beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear"}


def lay(folder, config):
    """A network of this config with random weights, in half precision."""
    import diffusers

    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(diffusers, config["_class_name"])(**{k: v for k, v in config.items() if k[0] != "_"})
    save_file(
        {k: v.half().contiguous() for k, v in network.state_dict().items()},
        folder / "diffusion_pytorch_model.safetensors",
    )
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    place = tmp_path_factory.mktemp("weights")
    lay(place / "ffhq-256", adm_layout.config(FFHQ, 256, 64))
    (place / "ffhq-256" / "scheduler_config.json").write_text(json.dumps(LINEAR))
    for part, config in LDM.items():
        lay(place / "ldm" / part, config)
    (place / "ldm" / "scheduler").mkdir()
    (place / "ldm" / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCALED))
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
    words += ["+prior.precision=bfloat16", f"weights={weights}", f"results={tmp_path}"]
    cell = Cell.of(configs.compose(words), words)
    assert cell.size == 256 and cell.profile == "paper"
    ready = bench.Bench.of(cell)
    meter = Meter(limit=2)
    result = cell.solver(replace(ready.pose([0]), _watch=meter), **configs.built(cell.options))
    x = getattr(result, "x", result)
    assert x.shape == (1, 3, 256, 256) and torch.isfinite(x).all()
    assert meter.steps == 2 and ready.prior.evaluations >= 2
