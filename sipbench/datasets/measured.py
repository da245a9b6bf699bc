"""Measurements without their truth: saved ones, photographs to deblur, diffraction patterns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sipbench.checkpoints import at_home
from sipbench.datasets.base import Dataset
from sipbench.datasets.layouts import SUFFIXES, natural, no_folder, regular
from sipbench.datasets.reading import BadImage, read_whole
from sipbench.errors import UserError
from sipbench.problem import Rng
from sipbench.safety import sizes

VERSION = 1
ARRAYS = frozenset((".npy", ".safetensors"))


def save(path: Path, y: Tensor, key: str, about: dict[str, Any]) -> None:
    """One measurement (without a batch dimension), and the key of the streams that its forward map is drawn from."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"sipbench": json.dumps({"key": key, **about}, sort_keys=True)}
    save_file({"y": y.detach().cpu().contiguous()}, str(path), metadata)


def public(degradation: dict[str, Any]) -> dict[str, Any]:
    """What of a degradation decides its forward map, but for where files lie."""
    return {k: v for k, v in degradation["operator"].items() if k not in ("weights", "path")}


class Measured(Dataset):
    """A folder of measurements y, one file each, in natural order. There is no truth: only reference-free figures.

    A picture is read whole, in [-1, 1], three channels; an array (.npy, or the tensor `y` of a .safetensors) is taken
    as it is: (C, ...); a .npy of two dimensions is (H, W), one channel. A file saved by `sipbench measure` remembers
    the streams of its mask, kernel or matrix; other files get streams of their own from the seed.
    """

    name, measured = "measured", True

    def __init__(self, root: str, split: str = "test", size: int | None = None) -> None:
        folder = at_home(root)
        if not folder.is_dir():
            raise UserError(f"measured: {no_folder(folder)}: name one with dataset.root=FOLDER")
        kinds = SUFFIXES | ARRAYS
        found = [p for p in folder.iterdir() if p.suffix.lower() in kinds and p.name[0] != "." and regular(p)]
        self.paths = sorted(found, key=lambda p: natural(p.name))
        if not self.paths:
            raise UserError(f"measured: no picture, .npy or .safetensors in {folder.absolute()}")
        self.split, self.size = split, size

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first measurement."""
        return tuple(read(self.paths[0]).shape)

    @property
    def version(self) -> str:
        names = hashlib.sha256("/".join(self.fingerprint(i) for i in range(len(self))).encode()).hexdigest()[:12]
        return f"{self.name}-{VERSION}/{names}"

    def __len__(self) -> int:
        return len(self.paths)

    def load(self, indices: Sequence[int]) -> Tensor:
        """The measurements, (B, ...) float32."""
        found = [read(self._path(i)) for i in indices]
        for index, y in zip(indices, found, strict=True):
            if y.shape != found[0].shape:
                shapes = f"{tuple(y.shape)}, not {tuple(found[0].shape)} as {self._path(indices[0]).name}"
                raise BadImage(f"{self._path(index)}: is {shapes}: one shape a batch; set batch_size=1")
        return torch.stack(found)

    def streams(self, indices: Sequence[int], seed: int) -> Rng:
        """The root streams of these measurements."""
        keys = [_about(self._path(i)).get("key") for i in indices]
        plain = Rng.of(seed, self.name, [int(i) for i in indices]).keys
        return Rng([key or other for key, other in zip(keys, plain, strict=True)])

    def check(self, indices: Sequence[int], degradation: dict[str, Any]) -> None:
        """Refuse another forward map than a saved measurement was made with."""
        for index in indices:
            made = _about(self._path(index)).get("operator")
            if made is not None and made != public(degradation):
                raise UserError(
                    f"{self._path(index)} was measured with {made}, not {public(degradation)}: set degradation=... "
                    "and degradation.operator.... as then"
                )

    def brings(self, indices: Sequence[int], degradation: dict[str, Any]) -> bool:
        """Whether these measurements remember their noise, and it is that of the degradation."""
        return all(_about(self._path(i)).get("noise") == degradation["noise"] for i in indices)

    def unfit(self, indices: Sequence[int]) -> str | None:
        """Why what some of these files say of themselves cannot be read; None where all can."""
        for index in indices:
            try:
                _about(self._path(index))
            except BadImage as error:
                return f"measured: {error}"
        return None

    def fingerprint(self, index: int) -> str:
        """The sha256 of the file's bytes."""
        with self._path(index).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    def _path(self, index: int) -> Path:
        if not 0 <= index < len(self):
            raise UserError(f"measured: no measurement {index}: there are {len(self)}, 0 to {len(self) - 1}")
        return self.paths[index]


def read(path: Path) -> Tensor:
    """One measurement: a whole picture in [-1, 1], or an array as it is."""
    if path.suffix.lower() not in ARRAYS:
        return read_whole(path)
    try:
        y = _array(path)
    except Exception as error:
        raise BadImage(f"{path}: cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from error
    if y.ndim not in (2, 3) or not y.numel():
        raise BadImage(f"{path}: a measurement is (C, H, W) or (C, m), not {tuple(y.shape)}")
    if y.is_complex() or not (y := y.float()).isfinite().all():
        raise BadImage(f"{path}: a measurement is real and finite; a complex one is given as two channels")
    return y[None] if y.ndim == 2 and path.suffix.lower() == ".npy" else y


def _array(path: Path) -> Tensor:
    if path.suffix.lower() == ".npy":
        return torch.from_numpy(sizes.npy(path))
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        return file.get_tensor("y")


def _about(path: Path) -> dict[str, Any]:
    """What a saved measurement says of itself; of other files nothing is known."""
    if path.suffix.lower() != ".safetensors":
        return {}
    from safetensors import safe_open

    try:
        with safe_open(str(path), "pt") as file:
            about = json.loads((file.metadata() or {}).get("sipbench", "{}"))
    except Exception as error:  # a damaged file raises anything
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise BadImage(f"{path}: cannot be read: {reason}") from error
    for name, kind in (("key", str), ("operator", dict)):
        if not isinstance(about, dict) or not isinstance(about.get(name, kind()), kind):
            raise BadImage(f"{path}: what it says of itself is damaged ({name}): write it again with sipbench measure")
    return about
