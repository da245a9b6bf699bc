"""One array out of a file: a picture, an .npy, a .safetensors, or what a MATLAB file holds under a name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sipbench.datasets import matlab, measured
from sipbench.datasets.photos import LUMA
from sipbench.datasets.reading import BadImage
from sipbench.operators import kernel_file
from sipbench.safety import sizes as sizes_of


@dataclass(frozen=True)
class Place:
    """Where an array lies.

    Attributes:
        variable: its name within a .mat.
        entry: of an array of many pictures which one, by its first indices.
    """

    path: Path
    variable: str = ""
    entry: tuple[int, ...] = ()


def picture(place: Place, grey: bool = False) -> Tensor:
    """(C, H, W) float32: a picture in [-1, 1], an .npy or .safetensors as it is, of a complex one two channels."""
    if place.variable:
        return shades(pixels(variable(place)[place.entry]), grey)
    found = _complex(place.path) if place.path.suffix.lower() == ".npy" else None
    return shades(measured.read(place.path), grey) if found is None else found


def pixels(array: np.ndarray) -> Tensor:
    """A picture (H, W) or (H, W, C) of MATLAB's, 8 or 16 bits or real numbers in [0, 1], as (C, H, W) in [-1, 1]."""
    most = np.iinfo(array.dtype).max if array.dtype.kind == "u" else 1
    image = torch.from_numpy(np.asarray(array, dtype=np.float32) / most)
    return 2 * (image[None] if image.ndim == 2 else image.permute(2, 0, 1)) - 1


def shades(image: Tensor, grey: bool) -> Tensor:
    """Its luma where one channel is wanted of three; three that are alike give themselves."""
    if not grey or len(image) != 3:
        return image
    return image[:1] if (image == image[:1]).all() else (image * image.new_tensor(LUMA).view(3, 1, 1)).sum(0)[None]


def kernel(place: Place) -> Tensor:
    """A blur kernel (1, kh, kw) that sums to 1."""
    if place.variable:
        k = torch.from_numpy(np.asarray(variable(place), dtype=np.float64))
        if k.ndim != 2 or not k.isfinite().all() or not k.sum() > 0:
            raise BadImage(f"{place.path}: its {place.variable} is no kernel: numbers (kh, kw) with a positive sum")
        return (k / k.sum())[None].float()
    try:
        found = kernel_file.read(str(place.path))
    except ValueError as error:
        raise BadImage(str(error)) from error
    if len(found) > 1:
        raise BadImage(f"{place.path}: holds {len(found)} kernels, and one image has one")
    return found[0].float()


def variable(place: Place) -> np.ndarray:
    """What a MATLAB file holds under a name; the last one read is kept, as many pictures may lie in it."""
    try:
        return _variable(place.path, place.path.stat().st_mtime_ns, place.variable)
    except FileNotFoundError as error:
        raise BadImage(f"{place.path}: no such file") from error


def sizes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of what a MATLAB file holds, by name."""
    return _matlab(path, matlab.shapes, path)


@lru_cache(maxsize=2)  # x and y
def _variable(path: Path, changed: int, name: str) -> np.ndarray:
    found = _matlab(path, matlab.read, path, name)
    if found is None:
        raise BadImage(f"{path}: holds no array {name!r}")
    return found


def _matlab(path: Path, call: Any, *args: Any) -> Any:
    """What is read of a MATLAB file; whatever is wrong with it in a line."""
    try:
        return call(*args)
    except matlab.Newer as error:
        raise BadImage(f"{path}: is of MATLAB 7.3, which is HDF5: save it in MATLAB with -v7") from error
    except Exception as error:  # a damaged file raises anything
        raise BadImage(f"{path}: cannot be read: {sizes_of.reason(error, 160)}") from error


def _complex(path: Path) -> Tensor | None:
    """Real and imaginary part of a complex .npy (H, W); None of any other, which is read as a measurement is."""
    try:
        array = sizes_of.npy(path)
    except Exception:  # whoever reads it as a measurement says what is wrong
        return None
    if not np.iscomplexobj(array):
        return None
    if array.ndim != 2 or not np.isfinite(array).all():
        raise BadImage(f"{path}: a complex image is (H, W), of finite numbers, not {array.shape}")
    return torch.from_numpy(np.stack([array.real, array.imag]).astype(np.float32))
