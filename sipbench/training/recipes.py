"""What `sipbench train` trains: a prior, an autoencoder for a prior of latents, or a restoration network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sipbench import checkpoints, configs, device
from sipbench.bench.lesson import RESTORATION, Lesson, heard, objective
from sipbench.bench.lesson import architecture as lesson_architecture
from sipbench.bench.options import resolve
from sipbench.errors import UserError, unknown
from sipbench.metrics import as_image
from sipbench.priors.latent import Autoencoder
from sipbench.priors.load import autoencoder
from sipbench.priors.network import NetworkPrior
from sipbench.priors.sample import ddim
from sipbench.problem import Rng
from sipbench.training import folder
from sipbench.training.lessons import Training, first, pictures
from sipbench.training.loop import Loss, Schedule, fit
from sipbench.training.losses import autoencoder_loss, denoising_loss
from sipbench.training.memory import remember
from sipbench.training.state import writable

Report = Callable[[str], None]
Sheet = Callable[[nn.Module, Path], None]


def train_prior(cfg: dict[str, Any], report: Report = print) -> Path:
    """Train a prior, of images or of an autoencoder's codes, and lay it down as a diffusers folder."""
    checkpoints.own_name(cfg["name"], cfg["weights"])
    at = device.choose(cfg["device"])
    place = checkpoints.find(cfg["codec"], cfg["weights"]) if cfg["codec"] else None
    codec = autoencoder(place, lambda network: network.to(at)) if place else None

    def loss(network: nn.Module, x: Tensor, rng: Rng) -> Tensor:
        if codec is not None:
            with torch.no_grad():
                x = codec.encode(x)
        return inner(network, x, rng)

    def sheet(average: nn.Module, path: Path) -> None:
        prior = NetworkPrior(average, cfg["scheduler"])
        z = Rng.of(0, "sheet", range(16), next(average.parameters()).device).normal(*prior.shape)
        x = ddim(prior, z, steps=50, clip=codec is None)
        folder.save_sheet(codec.decode(x) if codec else x, path)

    inner = denoising_loss(cfg["scheduler"])
    average, facts, target = _fit(cfg, loss, sheet, at, report)
    model, schedule = (target / "unet", target / "scheduler") if place else (target, target)
    checkpoints.write(model, average, folder.architecture(average, cfg["network"]))
    checkpoints.write_json(schedule / "scheduler_config.json", cfg["scheduler"])
    if place:
        shutil.copytree(place, target / "vae", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.png", "*.md"))
    return _present("prior", cfg, average, facts, sheet, at, report)


def train_autoencoder(cfg: dict[str, Any], report: Report = print) -> Path:
    """Train an autoencoder; the factor that gives its codes unit variance is measured at the end."""
    checkpoints.own_name(cfg["name"], cfg["weights"])
    held_out = configs.build(cfg["dataset"] | {"split": "validation"})
    at = device.choose(cfg["device"])

    def sheet(average: nn.Module, path: Path) -> None:
        x = first(held_out, 8).to(at)
        codec = Autoencoder(average)
        with torch.no_grad():
            folder.save_sheet(torch.cat([x, codec.decode(codec.encode(x))]), path, columns=8)

    average, facts, target = _fit(cfg, autoencoder_loss(cfg["kl"], cfg["edges"]), sheet, at, report)
    codec, x = Autoencoder(average), first(held_out, 128).to(at)
    with torch.no_grad():
        z = codec.encode(x)
        error = ((codec.decode(z) - x).clamp(-2, 2) / 2).square().flatten(1).mean(1)
    scaled = {"scaling_factor": float(1 / z.std()), "shift_factor": float(z.mean())}
    facts |= {"more": {f"PSNR on {len(x)} validation images": f"{float(-10 * error.log10().mean()):.2f} dB"}}
    checkpoints.write(target, average, folder.architecture(average, cfg["network"]) | scaled)
    return _present("autoencoder", cfg, average, facts, sheet, at, report)


def train_net(cfg: dict[str, Any], report: Report = print) -> Path:
    """Train a method's network: through its solver, on pairs of one degradation, or for what its config says."""
    cfg = _named(cfg)
    lesson, schedule, at = _lesson(cfg), Schedule.of(cfg["schedule"]), device.choose(cfg["device"])
    if lesson.objective == "memory":
        return _stored(cfg, lesson, report)
    training = Training.of(lesson, schedule.seed)
    if cfg["init"]:
        checkpoints.load_into(training.network, checkpoints.weight_file(checkpoints.find(cfg["init"], cfg["weights"])))

    def sheet(average: nn.Module, path: Path) -> None:
        folder.save_sheet(pictures(lesson, average, training.held_out[:5].to(at)), path, columns=5)

    place = Path(cfg["results"]) / "training" / cfg["name"]
    writable(Path(cfg["weights"]), "weights")
    made_of = {k: v for k, v in lesson.made_of.items() if k not in ("schedule", "error")} | {"init": cfg["init"]}
    average, facts = training.fit(place, schedule, at, about=made_of, sheet=sheet, report=report)
    target = Path(cfg["weights"]) / cfg["name"]
    checkpoints.write(target, average, folder.architecture(average, lesson.network))
    return _present("net", cfg, average, facts | {"of": training.images.size}, sheet, at, report)


def _stored(cfg: dict[str, Any], lesson: Lesson, report: Report) -> Path:
    """Training images laid down as they are, with a sheet of the first and a card."""
    writable(Path(cfg["weights"]), "weights")
    network, facts = remember(lesson, report)
    target = Path(cfg["weights"]) / cfg["name"]
    checkpoints.write(target, network, folder.architecture(network, lesson.network))
    folder.save_sheet(as_image(network.recall(slice(0, 16), torch.float32)), target / "sheet.png")  # pyright: ignore
    (target / "README.md").write_text(folder.memory_card(cfg, facts), encoding="utf-8")
    report(f"stored: {target}")
    return target


def _lesson(cfg: dict[str, Any]) -> Lesson:
    """What `sipbench train net` was asked for."""
    _only_training(cfg)
    method, part = cfg["method"], cfg["part"]
    goal, options = objective(method, part), {}
    if goal == RESTORATION:
        profile = (cfg.get("profile") or {}).get("name", "none")
        options = resolve(method, cfg["degradation"]["name"], profile, cfg["tuned"], cfg.get("typed") or {}).values
    degradation = heard(cfg["degradation"] | ({"noise": cfg["noise"]} if cfg.get("noise") else {}))
    return Lesson(
        part,
        goal,
        lesson_architecture(method["networks"][part]),
        {k: v for k, v in cfg["dataset"].items() if k != "split"},
        cfg["size"],
        images=cfg["images"],
        subset=cfg["subset"],
        method=method if goal == RESTORATION else None,
        options=options,
        degradation=degradation if goal == RESTORATION else None,
        unknown=(degradation.get("unknown") or "image") if goal != RESTORATION else "image",
        schedule=cfg["schedule"],
        error=cfg["error"],
        target=cfg["target"],
        validation=cfg["validation"],
    )


def _named(cfg: dict[str, Any]) -> dict[str, Any]:
    """With the network that is trained, and the name that the method looks for its weights by."""
    networks = cfg["method"].get("networks") or {}
    if not networks:
        raise UserError(f"{cfg['method']['name']} has no network to train: see sipbench list methods")
    part = cfg["part"] or next(iter(networks))
    if part not in networks:
        raise unknown(f"network of {cfg['method']['name']}", part, networks)
    own, named = cfg["dataset"]["name"], cfg["trained_on"]
    if named != own and named in configs.names("dataset"):
        raise UserError(f"it learns from {own}, and trained_on={named} would name it after another: dataset={named}")
    if "get" in networks[part] and not cfg["name"]:  # its name is that of another training, or of its makers
        how = networks[part]["get"]
        raise UserError(f"{cfg['method']['name']} takes its weights from elsewhere: {how}; name=NAME trains others")
    name = cfg["name"] or Path(str(networks[part].get("weights", part))).name
    return cfg | {"part": part, "name": checkpoints.own_name(name, cfg["weights"])}


TRAINEES = {"prior": train_prior, "autoencoder": train_autoencoder, "net": train_net}


def _fit(
    cfg: dict[str, Any], loss: Loss, sheet: Sheet, at: torch.device, report: Report
) -> tuple[nn.Module, dict[str, Any], Path]:
    """The averaged network, the facts of its training, and the folder it belongs in."""
    dataset, schedule = _training_images(cfg), Schedule.of(cfg["schedule"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        network = configs.build(cfg["network"])
    if cfg["init"]:
        checkpoints.load_into(network, checkpoints.weight_file(checkpoints.find(cfg["init"], cfg["weights"])))
    place = Path(cfg["results"]) / "training" / cfg["name"]
    size = len(dataset)
    writable(Path(cfg["weights"]), "weights")

    def images(numbers: range) -> Tensor:
        return dataset.load([n % size for n in numbers])

    about = _about(cfg, dataset)
    average, facts = fit(network, loss, images, schedule, place, device=at, about=about, sheet=sheet, report=report)
    return average, facts | {"of": size}, Path(cfg["weights"]) / cfg["name"]


def _training_images(cfg: dict[str, Any]) -> Any:
    """The dataset, of its training split alone."""
    _only_training(cfg)
    return configs.build(cfg["dataset"])


def _only_training(cfg: dict[str, Any]) -> None:
    for split in (cfg["split"], cfg["dataset"].get("split", "train")):
        if split != "train":
            why = "test images are for the table, validation images for choosing settings"
            raise UserError(f"training takes split=train, not {split}: {why}")


def _about(cfg: dict[str, Any], dataset: Any) -> dict[str, Any]:
    """What a run that goes on must have begun with. What of the loss may change as it goes (`error`) is not in it."""

    def own(node: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in node.items() if k not in ("root", *configs.META)} | {"name": node.get("name")}

    kept: dict[str, Any] = {k: own(cfg[k]) for k in ("dataset", "degradation", "network") if cfg.get(k)}
    kept["dataset"] |= {"version": dataset.version, "images": len(dataset)}
    kept |= {k: cfg[k] for k in ("scheduler", "kl", "edges", "init") if cfg.get(k) is not None}
    codec = checkpoints.find(cfg["codec"], cfg["weights"]) if cfg.get("codec") else None
    kept |= {"codec": checkpoints.sha256(checkpoints.weight_file(codec))} if codec else {}
    return kept


def _present(
    kind: str,
    cfg: dict[str, Any],
    average: nn.Module,
    facts: dict[str, Any],
    sheet: Sheet,
    at: torch.device,
    report: Report,
) -> Path:
    """The sheet and the card beside the weights."""
    target = Path(cfg["weights"]) / cfg["name"]
    sheet(average.to(at), target / "sheet.png")
    (target / "README.md").write_text(folder.card(kind, cfg, facts, average, at), encoding="utf-8")
    report(f"trained: {target}")
    return target
