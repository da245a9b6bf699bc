"""Loading a prior from a diffusers folder: `UNet2DModel` weights and a scheduler config."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from sipbench import checkpoints
from sipbench.errors import UserError
from sipbench.priors.diffusion import DiffusionPrior


def diffusers_prior(path: str, *, weights: str | Path, device: torch.device | str = "cpu", how: str = "") -> Any:
    """A pixel diffusion prior from a folder, a name below the weights folder, a shipped name or a cached hub name.

    Two layouts are read: the model at the top of the folder, or below `unet/` with the schedule in `scheduler/`.
    """
    folder = checkpoints.find(path, weights, how)
    model = folder / "unet" if (folder / "unet" / "config.json").is_file() else folder
    schedule = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    scheduler = checkpoints.read_json(schedule / "scheduler_config.json")
    network = _network(model)
    return DiffusionPrior(network.to(device), scheduler)


def _network(folder: Path) -> Any:
    """The network with its weights, strictly; diffusers itself renames the keys of old checkpoints."""
    from diffusers import UNet2DModel

    file = checkpoints.weight_file(folder)
    checkpoints.load_state(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            loaded: Any = UNet2DModel.from_pretrained(
                str(folder), use_safetensors=True, output_loading_info=True, low_cpu_mem_usage=False
            )
            network, info = loaded
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"corrupt checkpoint {folder}: {' '.join(str(error).split())[:400]}") from error
    wrong = {k: v for k, v in info.items() if k != "error_msgs" and v}
    if wrong or info.get("error_msgs"):
        raise UserError(f"checkpoint {folder} does not fit its network: {wrong or info['error_msgs']}")
    return network.float()
