"""Networks of the published sizes with random weights: time and memory do not depend on what was learnt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from sipbench.priors import adm_layout
from sipbench.priors.schedules import LINEAR

FFHQ = adm_layout.Layout(  # the network of DPS and DMPlug
    in_channels=3,
    out_channels=6,
    channels=(128, 128, 256, 256, 512, 512),
    res_blocks=1,
    attention=(False, False, False, False, True, False),
    resampling="resnet",
    scale_shift=True,
)
UNET = {  # CompVis/ldm-celebahq-256
    "_class_name": "UNet2DModel",
    "in_channels": 3,
    "out_channels": 3,
    "layers_per_block": 2,
    "attention_head_dim": 32,
    "block_out_channels": [224, 448, 672, 896],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}
CODEC = {
    "_class_name": "VQModel",
    "latent_channels": 3,
    "num_vq_embeddings": 8192,
    "layers_per_block": 2,
    "block_out_channels": [128, 256, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
}
SCALED = {"num_train_timesteps": 1000, "beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear"}


def lay_pixel(folder: Path, size: int = 256) -> None:
    """The FFHQ network, as a prior of images of this size; below 256 pixels a small one of its kind."""
    small = replace(FFHQ, channels=(32, 32, 64), attention=(False, False, True))
    _lay(folder, adm_layout.config(FFHQ if size >= 256 else small, size, 64))
    (folder / "scheduler_config.json").write_text(json.dumps(LINEAR))


def lay_latent(folder: Path, size: int = 256) -> None:
    """The network of latent diffusion and its autoencoder, likewise."""
    unet, codec = {**UNET, "sample_size": size // 4}, {**CODEC, "sample_size": size}
    if size < 256:
        unet |= {"down_block_types": UNET["down_block_types"][:2], "up_block_types": UNET["up_block_types"][-2:]}
        unet["block_out_channels"], codec["block_out_channels"] = [32, 64], [32, 32, 64]
    _lay(folder / "unet", unet)
    _lay(folder / "vqvae", codec)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SCALED))


def _lay(folder: Path, config: dict[str, Any]) -> None:
    """A network of this config with random weights, in half precision."""
    import diffusers

    folder.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(diffusers, config["_class_name"])(**{k: v for k, v in config.items() if k[0] != "_"})
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
