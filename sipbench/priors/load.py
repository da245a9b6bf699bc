"""Loading a prior from a diffusers folder: `UNet2DModel` weights, a scheduler config, an autoencoder of latents."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sipbench import checkpoints
from sipbench.device import warn_of_emulation
from sipbench.errors import UserError
from sipbench.priors.latent import Autoencoder, LatentPrior
from sipbench.priors.network import NetworkPrior
from sipbench.safety import sizes

PRECISIONS = ("float32", "bfloat16", "float16")
KINDS = ("UNet2DModel", "AutoencoderKL", "VQModel")
MOST, MOST_LAYERS = 2**20, 64  # of any number in a config, and of layers


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
    scheduler = _settings(schedule / "scheduler_config.json")
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not known: use {', '.join(PRECISIONS)}")
    warn_of_emulation(torch.device(device), precision)

    def ready(network: nn.Module) -> nn.Module:
        network = nn.Module.to(network, device, getattr(torch, precision))
        return network.to(memory_format=torch.channels_last) if channels_last else network  # pyright: ignore

    network = ready(_of_images(model))
    try:
        prior = NetworkPrior(network, scheduler, noisiest=noisiest, checkpointing=checkpointing)
    except (KeyError, TypeError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise UserError(f"{schedule / 'scheduler_config.json'} is no schedule: {sizes.reason(error)}") from error
    if compile:
        prior.network.compile()
    codec = checkpoints.codec_folder(folder)
    return prior if codec is None else LatentPrior(prior, autoencoder(codec, ready, prior.shape))


def autoencoder(
    folder: Path, ready: Callable[[nn.Module], nn.Module], codes: tuple[int, ...] | None = None
) -> Autoencoder:
    """The autoencoder in a folder, with the factors and the offsets that its config states, else the usual ones.

    Args:
        codes: their shape (C, H, W); None takes the images to have the size that the config says.
    """
    config = _settings(folder / "config.json")
    kind = config.get("_class_name", "AutoencoderKL")
    scale, shift = _units(folder / "config.json", config, kind)
    codec = Autoencoder(ready(_network(folder, kind)), scale=scale, shift=shift)
    if codes is not None:
        own = codec.network.config.get("vq_embed_dim") or codec.network.config.latent_channels
        if own != codes[0]:
            raise UserError(f"{folder} has codes of {own} channels, and the model beside it is of {codes[0]}")
        _, h, w = codes
        codec.image_shape = (codec.image_shape[0], codec.factor * h, codec.factor * w)
    return codec


def _units(file: Path, config: Mapping[str, Any], kind: str) -> tuple[Any, Any]:
    """Factor and offset of the codes: one number, or by `latents_std` and `latents_mean`, where both are said, many.

    As the pipelines of diffusers have it: z = scaling_factor (code - latents_mean) / latents_std.
    """
    scale = config.get("scaling_factor") or (1.0 if kind == "VQModel" else 0.18215)
    shift = config.get("shift_factor") or 0.0
    if not all(isinstance(number, (int, float)) for number in (scale, shift)):
        raise UserError(f"{file}: scaling_factor and shift_factor are numbers")
    said = [config.get(name) for name in ("latents_mean", "latents_std")]
    if kind != "AutoencoderKL" or None in said:
        return scale, shift
    channels = config.get("latent_channels", 4)
    mean, std = (_each(part, channels) for part in said)
    if mean is None or std is None or not (std > 0).all():
        raise UserError(f"{file}: latents_mean and latents_std are {channels} numbers each, the latter above 0")
    if shift:
        raise UserError(f"{file} has a shift_factor and a latents_mean: codes have one offset, so take one of them out")
    return scale / std, mean


def _each(numbers: Any, channels: int) -> torch.Tensor | None:
    """A number for each channel, as codes take them; None where that is something else."""
    try:
        found = torch.tensor(numbers, dtype=torch.float64).view(1, channels, 1, 1)
    except (TypeError, ValueError, RuntimeError):
        return None
    return found if found.isfinite().all() else None


def _of_images(folder: Path) -> Any:
    """The network of a prior, unless it is one of something else than images alone."""
    import diffusers

    kind = _settings(folder / "config.json").get("_class_name", "UNet2DModel")
    if kind != "UNet2DModel" and hasattr(diffusers, str(kind)):
        raise UserError(f"{folder} is a {kind}: a prior is a UNet2DModel, which is told nothing but the noise level")
    network = _network(folder, "UNet2DModel")
    config = network.config
    if network.class_embedding is not None:
        raise UserError(f"{folder} is class-conditional, and a prior here has no classes: use one without")
    if config.out_channels < config.in_channels:
        raise UserError(
            f"{folder} maps {config.in_channels} channels to {config.out_channels}: no model of images alone"
        )
    if config.sample_size is None:
        raise UserError(f"{folder / 'config.json'} has no sample_size: say there of which size its images are")
    return network


def _network(folder: Path, kind: str) -> Any:
    """The network with its weights, strictly; diffusers itself renames the keys of old checkpoints."""
    import diffusers

    if kind not in KINDS:
        raise UserError(f"{folder / 'config.json'}: {kind} is not known here: it can be {', '.join(KINDS)}")
    file, read = checkpoints.weight_file(folder), checkpoints.WEIGHTS[0]
    if file.name != read:
        raise UserError(f"{folder} has no {read}, which diffusers reads: rename its {file.name} to that")
    state = checkpoints.load_state(file)
    _in_proportion(getattr(diffusers, kind), folder, sum(tensor.numel() for tensor in state.values()))
    del state
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            loaded: Any = getattr(diffusers, kind).from_pretrained(
                str(folder), use_safetensors=True, output_loading_info=True, low_cpu_mem_usage=False
            )
            network, info = loaded
        except Exception as error:  # a damaged folder raises anything
            raise UserError(f"corrupt checkpoint {folder}: {sizes.reason(error, 400)}") from error
    wrong = {k: v for k, v in info.items() if k != "error_msgs" and v}
    if wrong or info.get("error_msgs"):
        raise UserError(f"checkpoint {folder} does not fit its network: {wrong or info['error_msgs']}")
    return network.float()


def _in_proportion(kind: Any, folder: Path, numbers: int) -> None:
    """Refuse a config whose network is larger than its weights, before it is made."""
    config = {name: value for name, value in _settings(folder / "config.json").items() if name[:1] != "_"}
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = kind(**{name: value for name, value in config.items() if name in kind._get_init_keys(kind)})
    except Exception as error:  # diffusers checks little of what it is told
        raise UserError(f"corrupt checkpoint {folder}: config.json is of no network: {sizes.reason(error)}") from error
    wanted = sum(p.numel() for p in network.parameters())
    if wanted > 2 * numbers + 10**6:
        raise UserError(f"{folder}: config.json is of {wanted:,} weights, and its file has {numbers:,}")


def _settings(path: Path) -> dict[str, Any]:
    """A .json file of a checkpoint, with numbers as networks have them."""
    found = checkpoints.read_json(path)
    for name, value in found.items():
        flat = value if isinstance(value, list) else [value]
        most = MOST_LAYERS if "layers" in name else MOST
        if len(flat) > MOST or any(isinstance(n, (int, float)) and abs(n) > most for n in flat):
            raise UserError(f"{path}: {name} is {str(value)[:40]}: that is of no network")
    return found
