"""What `sipbench train prior` and `sipbench train net` train, and how a trained folder is laid down."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sipbench import checkpoints, configs, device
from sipbench.degradation import Degradation
from sipbench.priors.network import NetworkPrior
from sipbench.priors.sample import ddim
from sipbench.priors.schedules import prediction_of
from sipbench.problem import Rng
from sipbench.train import Schedule, denoising_loss, fit, restoration_loss

PRIORS = {
    "epsilon": "A diffusion prior (DDPM, predicts the noise)",
    "v_prediction": "A diffusion prior (DDPM, predicts the velocity)",
    "flow": "A flow prior (rectified flow, predicts noise minus image)",
    "edm_epsilon": "A diffusion prior (variance exploding, preconditioned as EDM)",
}


def train_prior(cfg: dict[str, Any], report: Callable[[str], None] = print) -> Path:
    """Train a diffusion prior and lay it down as a diffusers folder with its model card."""

    def sheet(average: nn.Module, path: Path) -> None:
        prior = NetworkPrior(average, cfg["scheduler"])
        z = Rng.of(0, "sheet", range(16), next(average.parameters()).device).normal(*prior.shape)
        save_sheet(ddim(prior, z, steps=50), path)

    return _train(cfg, denoising_loss(cfg["scheduler"]), sheet, {"scheduler_config.json": cfg["scheduler"]}, report)


def train_net(cfg: dict[str, Any], report: Callable[[str], None] = print) -> Path:
    """Train a restoration network on pairs of one degradation and lay it down with its model card."""
    degradation = Degradation.of(cfg["degradation"])
    dataset = configs.build(cfg["dataset"] | {"split": "validation"})

    def sheet(average: nn.Module, path: Path) -> None:
        x = dataset.load(range(5))
        at = next(average.parameters()).device
        y, f = degradation.measure(x.to(at), Rng.of(0, dataset.name, range(5), at))
        v = f.pinv(y)  # pyright: ignore
        with torch.no_grad():
            save_sheet(torch.cat([x.to(at), v, average(v)]), path, columns=5)

    return _train(cfg, restoration_loss(degradation, cfg["error"]), sheet, {}, report)


def _train(
    cfg: dict[str, Any],
    loss: Callable[[nn.Module, Tensor, Rng], Tensor],
    sheet: Callable[[nn.Module, Path], None],
    files: dict[str, Any],
    report: Callable[[str], None],
) -> Path:
    dataset = configs.build(cfg["dataset"])
    schedule = Schedule(**cfg["schedule"])
    at = device.choose(cfg["device"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        network = configs.build(cfg["network"])
    if cfg["init"]:
        checkpoints.load_into(network, checkpoints.weight_file(checkpoints.find(cfg["init"], cfg["weights"])))
    folder = Path(cfg["results"]) / "training" / cfg["name"]
    size = len(dataset)

    def images(numbers: range) -> Tensor:
        return dataset.load([n % size for n in numbers])

    average, facts = fit(network, loss, images, schedule, folder, device=at, sheet=sheet, report=report)
    target = Path(cfg["weights"]) / cfg["name"]
    target.mkdir(parents=True, exist_ok=True)
    _write_json(target / "config.json", _network_config(average, cfg["network"]))
    for name, content in files.items():
        _write_json(target / name, content)
    _save_half(average, target / "diffusion_pytorch_model.safetensors")
    sheet(average, target / "sheet.png")
    (target / "README.md").write_text(_card(cfg, facts, average, at), encoding="utf-8")
    report(f"trained: {target}")
    return target


def _save_half(network: nn.Module, path: Path) -> None:
    from safetensors.torch import save_file

    state = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in network.cpu().state_dict().items()}
    save_file(state, f"{path}.tmp")
    os.chmod(f"{path}.tmp", 0o644)
    os.replace(f"{path}.tmp", path)


def _network_config(network: Any, node: dict[str, Any]) -> dict[str, Any]:
    if hasattr(network, "config"):
        return {"_class_name": type(network).__name__, **dict(network.config)}
    return node


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _card(cfg: dict[str, Any], facts: dict[str, Any], network: nn.Module, at: torch.device) -> str:
    """The model card: what it is, what it saw, for how long, on what."""
    millions = sum(p.numel() for p in network.parameters()) / 1e6
    name = torch.cuda.get_device_name(at) if at.type == "cuda" else "CPU"
    degradation = cfg.get("degradation")
    what = f"Restores {degradation['name']}" if degradation else PRIORS[prediction_of(cfg["scheduler"])]
    lines = [
        f"# {cfg['name']}",
        "",
        f"{what}, {cfg['size']} x {cfg['size']} pixels, {millions:.2f} million parameters, "
        "half precision, the moving average of the weights.",
        "",
        f"- data: {cfg['dataset']['name']}, split {cfg['split']}, {facts['images']:,} images, each seen once",
        f"- steps: {facts['step']:,} of batch {cfg['schedule']['batch_size']}, Adam {cfg['schedule']['lr']}, "
        f"precision {cfg['schedule']['precision']}",
        *([f"- started from: {Path(cfg['init']).name}"] if cfg["init"] else []),
        f"- time: {facts['seconds'] / 60:.0f} minutes on a {name}",
        f"- final loss: {facts['loss']:.5f}",
        "- made by: `sipbench train " + ("net" if degradation else "prior") + "` (the architecture is in config.json)",
        "",
        "![what it can do](sheet.png)",
        "",
    ]
    return "\n".join(lines)


def save_sheet(x: Tensor, path: Path, columns: int = 4) -> None:
    """A sheet of images, written as PNG."""
    from torchvision.utils import make_grid, save_image

    save_image(make_grid((x.clamp(-1, 1) + 1) / 2, nrow=columns, padding=1), str(path))
