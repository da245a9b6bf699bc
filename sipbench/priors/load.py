"""Loading a prior from a diffusers folder: `UNet2DModel` weights, a scheduler config, an autoencoder of latents."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sipbench import checkpoints
from sipbench.errors import UserError
from sipbench.priors.latent import Autoencoder, LatentPrior
from sipbench.priors.network import NetworkPrior

PRECISIONS = ("float32", "bfloat16", "float16")
KINDS = ("UNet2DModel", "AutoencoderKL", "VQModel")


def diffusers_prior(
    path: str,
    *,
    weights: str | Path,
    device: torch.device | str = "cpu",
    how: str = "",
    noisiest: float | None = None,
    precision: str = "float32",
    compile: bool = False,
    channels_last: bool = False,
    checkpointing: bool = False,
) -> Any:
    """A prior from a folder, a name below the weights folder, a shipped name or a cached hub name.

    Two layouts are read: the model at the top of the folder, or below `unet/` with the schedule in `scheduler/`; an
    autoencoder in `vae/` or `vqvae/` makes it a prior of latents.

    Args:
        noisiest: the largest sigma / alpha that samplers start from; None starts from the noisiest training time.
        precision: of the network alone: float32, bfloat16 or float16. The state stays as it is.
        compile: compile the network with torch.compile, at its first use.
        channels_last: lay the network's weights out with the channels last.
        checkpointing: compute activations again in the backward pass instead of keeping them.
    """
    folder = checkpoints.find(path, weights, how)
    model = folder / "unet" if (folder / "unet" / "config.json").is_file() else folder
    schedule = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    scheduler = checkpoints.read_json(schedule / "scheduler_config.json")
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not known: use {', '.join(PRECISIONS)}")

    def ready(network: nn.Module) -> nn.Module:
        network = nn.Module.to(network, device, getattr(torch, precision))
        return network.to(memory_format=torch.channels_last) if channels_last else network  # pyright: ignore

    prior = NetworkPrior(
        ready(_network(model, "UNet2DModel")), scheduler, noisiest=noisiest, checkpointing=checkpointing
    )
    if compile:
        prior.network.compile()
    codec = checkpoints.codec_folder(folder)
    return prior if codec is None else LatentPrior(prior, autoencoder(codec, ready, prior.shape[-1]))


def autoencoder(folder: Path, ready: Callable[[nn.Module], nn.Module], side: int | None = None) -> Autoencoder:
    """The autoencoder in a folder, with the factor and the offset that its config states, else the usual ones.

    Args:
        side: of the codes; None takes the images to have the size that the config says.
    """
    config = checkpoints.read_json(folder / "config.json")
    kind = config.get("_class_name", "AutoencoderKL")
    scale = config.get("scaling_factor") or (1.0 if kind == "VQModel" else 0.18215)
    codec = Autoencoder(ready(_network(folder, kind)), scale=scale, shift=config.get("shift_factor") or 0.0)
    if side is not None:
        codec.image_shape = (codec.image_shape[0], codec.factor * side, codec.factor * side)
    return codec


def _network(folder: Path, kind: str) -> Any:
    """The network with its weights, strictly; diffusers itself renames the keys of old checkpoints."""
    import diffusers

    if kind not in KINDS:
        raise UserError(f"{folder / 'config.json'}: {kind} is not known here: it can be {', '.join(KINDS)}")
    file = checkpoints.weight_file(folder)
    checkpoints.load_state(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            loaded: Any = getattr(diffusers, kind).from_pretrained(
                str(folder), use_safetensors=True, output_loading_info=True, low_cpu_mem_usage=False
            )
            network, info = loaded
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"corrupt checkpoint {folder}: {' '.join(str(error).split())[:400]}") from error
    wrong = {k: v for k, v in info.items() if k != "error_msgs" and v}
    if wrong or info.get("error_msgs"):
        raise UserError(f"checkpoint {folder} does not fit its network: {wrong or info['error_msgs']}")
    return network.float()
