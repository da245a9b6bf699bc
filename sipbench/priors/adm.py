"""Import of official guided-diffusion (ADM) checkpoints: `sipbench import-prior FILE` makes a diffusers folder of one.

The outputs are those of the official network to float rounding; the folder is a prior like any other from then on.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sipbench import checkpoints
from sipbench.checkpoints import WEIGHTS, write_json
from sipbench.errors import UserError
from sipbench.priors import adm_layout
from sipbench.priors.adm_layout import Layout
from sipbench.safety import sizes

NAMES = {
    "ffhq_10m": "ffhq-256",
    "celebahq_p2": "celebahq-p2",
    "256x256_diffusion_uncond": "imagenet-256",
    "lsun_bedroom": "lsun-bedroom-256",
}
WRAPPERS = ("ema", "state_dict", "model")
ELSEWHERE = ": out=FOLDER names another place"
BETAS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}


def import_prior(
    file: str,
    *,
    weights: str,
    name: str | None = None,
    out: str | None = None,
    image_size: int | None = None,
    keep_sigma: bool = True,
    head_channels: int = 64,
    schedule: str = "linear",
    force: bool = False,
) -> Path:
    """Convert a checkpoint once; the folder it now lies in.

    Args:
        weights: the folder of weights, in which a folder `name` is made; `out` names another place.
        name: of the folder; a known file has one, else it is the file's.
        image_size: of the images it was trained on; the usual one of such a network where not given.
        keep_sigma: keep the channels of the learned variance, which a prior here does not use.
        head_channels: of one attention head: the weights do not tell.
        schedule: of the noise it was trained with, 1000 steps: linear or cosine. The weights do not tell.
        force: write over what is there.
    """
    source = checkpoints.existing(file, "import-prior")
    name = name or NAMES.get(source.stem, source.stem.replace("_", "-"))
    target = (
        checkpoints.at_home(out)
        if out
        else checkpoints.at_home(weights) / checkpoints.own_name(name, weights, ELSEWHERE)
    )
    if target.exists() and not force and (target.is_file() or any(target.iterdir())):
        raise UserError(f"{target} is there already: say force=true to write over it, or name=... for another")
    if schedule not in BETAS:
        raise UserError(f"schedule {schedule!r} is not known: use {', '.join(BETAS)}")
    if head_channels < 1:
        raise UserError(f"head_channels must be 1 or more, not {head_channels}")
    try:
        state = read(source)
        layout = adm_layout.infer(state)
        size = layout.image_size if image_size is None else image_size
        if size is None:
            raise UserError("the size of its images cannot be told from its weights: say image_size=N")
        if size < 1 or size % layout.factor:
            raise UserError(f"image_size must be a multiple of {layout.factor} for this network, not {size}")
        content, renamed = convert(state, layout, size, head_channels, keep_sigma)
    except UserError as error:
        raise UserError(f"{source}: {error}") from error
    text = card(name, source, layout, content, renamed, schedule)
    _write(target, content, _scheduler(schedule, content), text, renamed)
    return target


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their names; nothing in it is run. Wrappers and common prefixes are taken off."""
    if path.suffix == ".safetensors":
        state: Any = checkpoints.load_state(path)
    else:
        try:
            state = sizes.weights(path)
        except (ValueError, pickle.UnpicklingError) as error:
            said = sizes.reason(error, 160)
            raise UserError(f"it is no file of weights, or holds more than weights ({said})") from error
    while isinstance(state, Mapping) and any(isinstance(state.get(key), Mapping) for key in WRAPPERS):
        state = next(state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping))
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"it is not a state dict: names with tensors, plain or under one of {', '.join(WRAPPERS)}")
    first = next((str(key) for key in state if str(key).endswith("input_blocks.0.0.weight")), "")
    prefix = first.removesuffix("input_blocks.0.0.weight")
    return {str(key).removeprefix(prefix): tensor for key, tensor in state.items()}


def convert(
    state: Mapping[str, Tensor], layout: Layout, image_size: int, head_channels: int = 64, keep_sigma: bool = True
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the weights of the `UNet2DModel` that computes the same."""
    if not keep_sigma:
        layout = replace(layout, out_channels=layout.in_channels)
        state = {k: v[: layout.in_channels] if k.startswith("out.2.") else v for k, v in state.items()}
    content = adm_layout.config(layout, image_size, head_channels)
    renamed = adm_layout.rename(state, layout, head_channels)
    adm_layout.check(state, renamed, layout, content)
    return content, renamed


def card(
    name: str, source: Path, layout: Layout, content: dict[str, Any], renamed: Mapping[str, Tensor], schedule: str
) -> str:
    """The model card: where the weights came from, and what network they are."""
    millions = sum(tensor.numel() for tensor in renamed.values()) / 1e6
    size, heads = content["sample_size"], content["attention_head_dim"]
    kinds = sorted({str(t.dtype).removeprefix("torch.") for t in renamed.values()})
    places = [str(size >> level) for level, attends in enumerate(layout.attention) if attends]
    sigma = "kept" if content["out_channels"] > layout.in_channels else "dropped"
    learned = f"; the learned variance is {sigma}" if layout.out_channels > layout.in_channels else ""
    lines = [
        f"# {name}",
        "",
        f"A diffusion prior (DDPM, predicts the noise), {size} x {size} pixels, {millions:.2f} million parameters, "
        f"{' and '.join(kinds)}. The weights belong to those who trained them, and so does their licence.",
        "",
        f"- converted from: {source.name}, a guided-diffusion checkpoint",
        f"- sha256 of that file: {checkpoints.sha256(source)}",
        f"- network: channels {', '.join(map(str, layout.channels))}, residual blocks {layout.res_blocks}, "
        f"attention at {', '.join(places) or 'the middle only'} pixels, heads of {heads} channels"
        f"{learned}",
        f"- noise: {schedule}, 1000 steps",
        "- made by: `sipbench import-prior`",
        "",
    ]
    return "\n".join(lines)


def _scheduler(schedule: str, content: dict[str, Any]) -> dict[str, Any]:
    learned = content["out_channels"] > content["in_channels"]
    return {
        "_class_name": "DDPMScheduler",
        "beta_end": 0.02,
        "beta_schedule": BETAS[schedule],
        "beta_start": 1e-4,
        "clip_sample": True,
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "variance_type": "learned_range" if learned else "fixed_small",
    }


def _write(
    target: Path, content: dict[str, Any], scheduler: dict[str, Any], text: str, renamed: dict[str, Tensor]
) -> None:
    """The folder; the weights come last and whole, since a folder with weights in it is a prior."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    part = target / f".{WEIGHTS[0]}.tmp"
    try:
        target.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.clone() for name, tensor in renamed.items()}, part)  # tensors that share memory too
        (target / WEIGHTS[0]).unlink(missing_ok=True)
        write_json(target / "config.json", content)
        write_json(target / "scheduler_config.json", scheduler)
        (target / "README.md").write_text(text, encoding="utf-8")
        os.chmod(part, 0o644)
        os.replace(part, target / WEIGHTS[0])
    except (OSError, SafetensorError) as error:
        raise UserError(f"{target} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
