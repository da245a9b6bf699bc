"""Small untrained networks in diffusers folders."""

import json

import torch

LINEAR = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


def seeded(kind, seed=0, **config):
    """A network of a diffusers class with the weights of a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(**config)


def unet(side=16, seed=0, **config):
    from diffusers import UNet2DModel

    small = {
        "sample_size": side, "layers_per_block": 1, "block_out_channels": (8, 16), "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }  # fmt: skip
    return seeded(UNet2DModel, seed, **small | config)


def save(folder, network, **scheduler):
    """A prior of pixels: the network and its schedule in one folder."""
    network.save_pretrained(folder)
    (folder / "scheduler_config.json").write_text(json.dumps(LINEAR | scheduler))
    return folder


def save_pipeline(folder, network, codec, place, **scheduler):
    """A prior of latents in the layout of a diffusers pipeline: unet/, scheduler/ and the autoencoder's place."""
    network.save_pretrained(folder / "unet")
    codec.save_pretrained(folder / place)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(LINEAR | scheduler))
    return folder
