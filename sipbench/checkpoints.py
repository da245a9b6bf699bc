"""Where weights lie, whether they are all there, their hashes, and how they are written. Nothing is ever unpickled."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from sipbench.errors import UserError
from sipbench.safety import sizes
from sipbench.safety.whole import whole

SHIPPED = Path(__file__).resolve().parent / "weights"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "model.safetensors")


def places(name: str, weights: str | Path) -> list[Path]:
    """Where a checkpoint of this name is looked for, in this order."""
    own = [at_home(name), at_home(weights) / name, SHIPPED / name]
    return [*own, *_hub_snapshots(name)]


def find(name: str, weights: str | Path, how: str = "") -> Path:
    """The folder of a checkpoint, or an error that says where it was looked for and how to get it."""
    if not isinstance(name, str) or not name:
        raise UserError(f"path names a checkpoint, a folder or one below the weights, not {name!r}")
    for place in places(name, weights):
        if any((place / file).is_file() for file in (*WEIGHTS, *(f"unet/{w}" for w in WEIGHTS))):
            return place
    looked = ", ".join(str(p) for p in places(name, weights)[:3])
    how = _other(places(name, weights)) or _how(name, how)
    raise UserError(f"missing checkpoint {name!r}. Looked in: {looked}, and the hub cache. {how}")


def alike(name: str, part: str, weights: str | Path) -> list[str]:
    """The checkpoints here, shipped or of one's own, that are called as `name` is as far as `part` in it."""
    first, found, _ = name.partition(part)
    folders = [own for place in (at_home(weights), SHIPPED) for own in place.glob(f"{glob.escape(first)}-*")]
    return sorted({own.name for own in folders if found and any((own / file).is_file() for file in WEIGHTS)})


def weight_file(folder: Path) -> Path:
    """The weight file of a checkpoint folder, whichever layout it has."""
    for place in (folder / "unet", folder):
        for name in WEIGHTS:
            if (place / name).is_file():
                return place / name
    raise UserError(f"no {' or '.join(WEIGHTS)} in {folder}")


def codec_folder(folder: Path) -> Path | None:
    """Where the autoencoder of a latent model lies, if this is one."""
    return next((folder / name for name in ("vqvae", "vae") if (folder / name / "config.json").is_file()), None)


def own_name(name: object, folder: str | Path, else_: str = "") -> str:
    """The name of a folder that is made inside another one; one that leads out of it is refused."""
    if not isinstance(name, str) or not name or name.startswith(".") or re.search(r"[/\\\0]", name):
        raise UserError(f"name is that of a folder inside {folder}, without / and \\, not {name!r}{else_}")
    return name


def at_home(place: str | Path) -> Path:
    """A path whose first part may be `~` or `~NAME`, a home folder, as shells have it."""
    try:
        return Path(place).expanduser()
    except RuntimeError as error:
        who = Path(place).parts[0]
        raise UserError(f"{place}: there is no home folder {who} on this machine: name the whole path") from error


def existing(path: str, who: str) -> Path:
    """A file that a config names, or an error in a line."""
    found = at_home(path)
    if not found.is_file():
        raise UserError(f"{who}: no file {found.absolute()}")
    return found


def made_elsewhere(path: str | None, weights: str | Path, who: str, how: str = "") -> Path:
    """A network's file that was made elsewhere: as named or below the weights, or an error that says how to get it."""
    if not path:
        raise UserError(f"{who} is a network made elsewhere: name its file, as in path=network.pth")
    own = [at_home(path), at_home(weights) / path]
    found = next((place for place in own if place.is_file()), None)
    if found is None:
        looked = " and ".join(dict.fromkeys(map(str, own)))
        raise UserError(f"{who} waits for {path}. Looked for: {looked}. {f'To get it: {how}' if how else ''}".rstrip())
    return found.resolve()


def sha256(path: Path) -> str:
    """The hash of a file, read in pieces; read again where the file has changed since."""
    return _sha256(path, sizes.stamp(path))


@cache
def _sha256(path: Path, stamp: sizes.Stamp) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_sha256(path: Path) -> str:
    """The hash of the .json files beside a weight file: its network's config, its schedule, the scale of its codes."""
    folder = path.parent.parent if path.parent.name in ("unet", "vae", "vqvae") else path.parent
    return _settings_sha256(folder, tuple((p, sizes.stamp(p)) for p in sorted(folder.rglob("*.json"))))


@cache
def _settings_sha256(folder: Path, files: tuple[tuple[Path, sizes.Stamp], ...]) -> str:
    texts = [f"{p.relative_to(folder)}\n{_text(p)}" for p, _ in files]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _text(path: Path) -> str:
    try:
        sizes.regular(path)
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def load_state(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file, or an error that names a corrupt one."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # a damaged file raises anything
        raise UserError(f"corrupt checkpoint {path}: {sizes.reason(error)}. Get it again.") from error


def load_into(module: Any, path: Path) -> Any:
    """Load weights strictly: a missing, an unexpected or a misshapen tensor is an error."""
    state = {k: v.float() if v.is_floating_point() else v for k, v in load_state(path).items()}
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise UserError(f"checkpoint {path} does not fit its network: {text[:400]}") from error
    return module


def read_json(path: Path) -> dict[str, Any]:
    try:
        return sizes.json_object(path)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def write(folder: Path, network: Any, config: dict[str, Any]) -> None:
    """The network's config and its weights, as diffusers reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    save_half(network, folder / WEIGHTS[0])


def save_half(network: Any, path: Path) -> None:
    from safetensors.torch import save

    state = {k: _half(v).contiguous() if v.is_floating_point() else v for k, v in network.cpu().state_dict().items()}
    with whole(path, shared=False) as beside:
        beside.write_bytes(save(state))  # so that what the file system refuses is an OSError
        os.chmod(beside, 0o644)


def _half(v: Any) -> Any:
    """In half precision; in single where that has no room for the values, such as the norm of a map in large units."""
    half = v.half()
    return v.float() if (half - v).norm() > 0.01 * v.norm() else half


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _how(name: str, how: str) -> str:
    if how:
        return f"To get it: {how}"
    return f"To get it: hf download {name}" if name.count("/") == 1 else "Name a folder that holds it."


def _other(folders: list[Path]) -> str:
    """What lies in the place of weights, in a folder that is a checkpoint otherwise."""
    inside = [own for place in folders for own in (place / "unet", place) if (own / "config.json").is_file()]
    other = next(
        (file for own in inside for kind in ("safetensors", "bin") for file in sorted(own.glob(f"*.{kind}"))), None
    )
    return f"{other} is not read: weights are {WEIGHTS[0]}, in single or half precision" if other else ""


def _hub_snapshots(name: str) -> list[Path]:
    """Snapshots of a hub repository in the local cache; the network is not touched."""
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        return []
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots"
    return sorted(folder.glob("*"), key=lambda p: p.stat().st_mtime, reverse=True)
