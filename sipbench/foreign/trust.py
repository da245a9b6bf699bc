"""Files that are code, and the one place where they are loaded: only when they are said to be trusted."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from sipbench.errors import UserError
from sipbench.safety import sizes

Kind = Literal["TorchScript", "torch.export", "pickle", "safetensors", "ONNX"]
CODE: tuple[Kind, ...] = ("TorchScript", "torch.export")
SAFE_SINCE = (2, 6)  # before, torch's reader of bare weights could be made to run code (CVE-2025-32434)


def kind_of(path: Path) -> Kind:
    """What a file is, by its content; ONNX by its name, since nothing in it says so."""
    if path.suffix.lower() == ".onnx":
        return "ONNX"
    if (names := _archived(path)) is not None:
        if any(name.startswith("code/") or name == "constants.pkl" for name in names):
            return "TorchScript"
        exported = ("archive_format", "serialized_exported_program.json")
        return "torch.export" if any(name in exported or name.startswith("models/") for name in names) else "pickle"
    with open(path, "rb") as file:
        head = file.read(9)
    return "safetensors" if head[8:] == b"{" else "pickle"


def _archived(path: Path) -> list[str] | None:
    """The names in an archive, without the folder that all lie in; None of a file that is none."""
    try:
        if not zipfile.is_zipfile(path):
            return None
        with zipfile.ZipFile(path) as archive:
            return [name.partition("/")[2] or name for name in archive.namelist()]
    except Exception as error:  # a damaged archive raises anything, and being asked whether it is one may too
        raise damaged(path, error) from error


def code(path: Path, *, trusted: bool) -> nn.Module:
    """The module that a file of code holds: TorchScript, a program of torch.export, or a pickled module."""
    kind = kind_of(path)
    if kind in ("safetensors", "ONNX"):
        raise UserError(f"{path} is {kind}: it holds no module of torch")
    found = pickled(path, trusted=trusted) if kind == "pickle" else _program(path, kind, trusted=trusted)
    if not isinstance(found, nn.Module):
        raise UserError(f"{path} holds {type(found).__name__}, not a network: weights alone need an architecture")
    return found


def pickled(path: Path, *, trusted: bool) -> Any:
    """What a file of torch.save holds: tensors by torch's own reader of bare weights; whatever else only if trusted."""
    if torch_version() < SAFE_SINCE:
        ask(path, "is a pickle, and this torch is older than 2.6, whose reader of bare weights can run code", trusted)
    try:
        return sizes.weights(path)
    except pickle.UnpicklingError:
        ask(path, "is a pickle that holds more than weights, or is damaged", trusted)
    except Exception as error:
        raise damaged(path, error) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"{path} was saved with code that is not here: {error}. Install or name its package."
        ) from error
    except Exception as error:
        raise damaged(path, error) from error


def _program(path: Path, kind: Kind, *, trusted: bool) -> nn.Module:
    ask(path, f"is {kind}", trusted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated, and people's files are what they are
            return (
                torch.jit.load(path, map_location="cpu") if kind == "TorchScript" else torch.export.load(path).module()
            )
    except Exception as error:
        raise damaged(path, error) from error


def ask(path: Path, what: str, trusted: bool) -> None:
    """Refuse code, unless it is said to be trusted."""
    if not trusted:
        raise UserError(
            f"{path} {what}. Loading it runs what its maker wrote, with your rights: it could read, change or send "
            "your files. If you trust who made it, say trusted=true; weights as .safetensors, and ONNX, need no trust."
        )


def damaged(path: Path, error: Exception) -> UserError:
    """A file that cannot be read, in a line."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"{path} cannot be read: {reason}. Is it whole? Get it again.")


def torch_version() -> tuple[int, ...]:
    return tuple(int(n) for n in torch.__version__.split("+")[0].split(".")[:2])
