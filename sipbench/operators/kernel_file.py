"""Blur kernels from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sipbench.checkpoints import at_home
from sipbench.safety import shown, sizes

KINDS = "a picture (.png, .tif, .jpg, ...), .npy, .pt or .safetensors"


def read(path: str) -> Tensor:
    """Kernels (N, 1, kh, kw) in double precision, each summing to 1.

    A picture is one kernel, its colours averaged. An array has the shape (kh, kw), (N, kh, kw) or (N, 1, kh, kw); of a
    file of named arrays the one called `kernel` is taken, or the only one.
    """
    file = at_home(path)
    if not file.is_file():
        raise ValueError(f"no file {file} to read a kernel from: give {KINDS}")
    try:
        array = _array(file)
    except Exception as error:  # a damaged file raises anything
        raise ValueError(f"{file} cannot be read as a kernel, {KINDS}: {sizes.reason(error)}") from error
    return _normalised(array, file)


def _array(file: Path) -> Tensor:
    if file.suffix == ".npy":
        return _double(torch.from_numpy(sizes.npy(file)))
    if file.suffix in (".pt", ".pth"):
        return _only(sizes.weights(file))
    if file.suffix == ".safetensors":
        return _only(_safetensors(file))
    return _picture(file)


def _safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(file)


def _picture(file: Path) -> Tensor:
    with sizes.picture(file) as picture:
        if (deep := shown.grey_16(picture)) is not None:
            return torch.from_numpy(deep.astype(np.float64))
        upright, grey = shown.upright(picture), picture.mode in ("1", "L", "F", "I")
        pixels = np.asarray(upright if grey else upright.convert("RGB"), dtype=np.float64)
    return torch.from_numpy(pixels if grey else pixels.mean(2))


def _only(found: Any) -> Tensor:
    if isinstance(found, dict):
        found = found["kernel"] if "kernel" in found or len(found) != 1 else next(iter(found.values()))
    if not isinstance(found, Tensor):
        raise ValueError(f"it holds a {type(found).__name__}, not an array")
    return _double(found)


def _double(array: Tensor) -> Tensor:
    if array.is_complex():
        raise ValueError("a kernel is real, not complex")
    return array.double()


def _normalised(array: Tensor, file: Path) -> Tensor:
    shape = tuple(array.shape)
    if array.ndim in (2, 3):
        array = array[None, None] if array.ndim == 2 else array[:, None]
    if array.ndim != 4 or array.shape[1] != 1 or not array.numel():
        raise ValueError(f"{file} holds an array of {shape}, not a kernel: (kh, kw), (N, kh, kw) or (N, 1, kh, kw)")
    total = array.sum((1, 2, 3), keepdim=True)
    if not (array.isfinite().all() and (total > 0).all()):
        raise ValueError(f"{file} is no kernel: its samples must be finite numbers with a positive sum")
    return array / total
