"""How a trained folder is laid down: a config, half-precision weights, a sheet of pictures and a model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sipbench.priors.schedules import prediction_of
from sipbench.safety.text import counted

PRIORS = {
    "epsilon": "A diffusion prior (DDPM, predicts the noise)",
    "v_prediction": "A diffusion prior (DDPM, predicts the velocity)",
    "flow": "A flow prior (rectified flow, predicts noise minus image)",
    "edm_epsilon": "A diffusion prior (variance exploding, preconditioned as EDM)",
}


def architecture(network: Any, node: dict[str, Any]) -> dict[str, Any]:
    """The config of a diffusers network, or the node that another one was built from."""
    if hasattr(network, "config"):
        return {"_class_name": type(network).__name__, **dict(network.config)}
    return node


def save_sheet(x: Tensor, path: Path, columns: int = 4) -> None:
    """A sheet of images, written as PNG."""
    from torchvision.utils import make_grid, save_image

    save_image(make_grid((x.clamp(-1, 1) + 1) / 2, nrow=columns, padding=1), str(path))


def card(kind: str, cfg: dict[str, Any], facts: dict[str, Any], network: nn.Module, at: torch.device) -> str:
    """The model card: what it is, what it saw, for how long, on what."""
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    name = torch.cuda.get_device_name(at) if at.type == "cuda" else "CPU"
    lines = [
        f"# {cfg['name']}",
        "",
        f"{_what(kind, cfg)}, {cfg['size']} x {cfg['size']} pixels, {millions:.2f} million parameters, "
        "half precision, the moving average of the weights.",
        "",
        f"- data: {cfg['dataset']['name']}, split {cfg['split']}, {seen(facts['images'], facts['of'])}",
        f"- steps: {facts['step']:,} of batch {cfg['schedule']['batch_size']}, Adam {cfg['schedule']['lr']}, "
        f"precision {cfg['schedule']['precision']}",
        *([f"- started from: {Path(cfg['init']).name}"] if cfg["init"] else []),
        *(f"- {key}: {value}" for key, value in facts.get("more", {}).items()),
        f"- time: {facts['seconds'] / 60:.0f} minutes on a {name}",
        f"- final loss: {facts['loss']:.5f}",
        *(
            [f"- best on validation images: {facts['best']:.5f}, at step {facts['best_step']:,}"]
            if "best" in facts
            else []
        ),
        f"- made by: `sipbench train {kind}` (the architecture is in config.json)",
        "",
        "![what it can do](sheet.png)",
        "",
    ]
    return "\n".join(lines)


def memory_card(cfg: dict[str, Any], facts: dict[str, Any]) -> str:
    """The card of training images that are kept as they are."""
    many = counted(facts["images"], "image")
    which = f"{many} of {cfg['dataset']['name']}, split {cfg['split']}, subset {cfg['subset']}"
    lines = [
        f"# {cfg['name']}",
        "",
        f"{which}, {cfg['size']} x {cfg['size']} pixels, 8 bits a value: {cfg['part']} of {cfg['method']['name']}.",
        "",
        "- made by: `sipbench train net`",
        "",
        "![the first of them](sheet.png)",
        "",
    ]
    return "\n".join(lines)


def seen(shown: int, of: int) -> str:
    """How often the training showed each of the split's images; it goes through them in order, again and again."""
    if shown <= of:
        return f"{shown:,} of its {counted(of, 'image')}, each seen once"
    times, more = divmod(shown, of)
    often = f"{times:,} or {times + 1:,} times" if more else f"{times:,} times"
    return f"all of its {counted(of, 'image')}, each seen {often}"


def _what(kind: str, cfg: dict[str, Any]) -> str:
    if kind == "net":
        goal = (cfg["method"].get("training") or {}).get(cfg["part"], "restoration")
        task = f", for {cfg['degradation']['name']}" if goal == "restoration" else ""
        return f"{cfg['part']} of {cfg['method']['name']}{task}"
    if kind == "autoencoder":
        return "An autoencoder"
    prior = PRIORS[prediction_of(cfg["scheduler"])]
    return f"{prior} of the codes of {Path(cfg['codec']).name}" if cfg["codec"] else prior
