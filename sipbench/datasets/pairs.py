"""Measurements whose truth is known too: photographs blurred and sharp, noisy and clean, a pattern and its object."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sipbench.checkpoints import at_home
from sipbench.datasets.arrays import Place, kernel, picture, pixels, shades, variable
from sipbench.datasets.base import Dataset
from sipbench.datasets.layouts import SPLITS, no_folder
from sipbench.datasets.orientation import explains_better
from sipbench.datasets.reading import BadImage
from sipbench.datasets.releases import LAYOUTS, Pair
from sipbench.errors import UserError, unknown

VERSION = 1


class Pairs(Dataset):
    """A folder of measurements y and their truths x, with the blur kernels where they are known.

    A solver gets y, and of f and the noise what the degradation says; x and the kernel join at the score alone. A
    picture is read whole; `crop` takes the middle square of so many pixels of both, `grey` one channel of three.
    """

    name, measured = "pairs", True

    def __init__(
        self,
        root: str,
        split: str = "test",
        layout: str = "folder",
        grey: bool | None = None,
        crop: int | None = None,
    ) -> None:
        if layout not in LAYOUTS:
            raise unknown("dataset.layout", layout, LAYOUTS)
        if crop is not None and not (type(crop) is int and crop > 0):
            raise UserError(f"pairs: crop is a whole number of pixels, not {crop!r}")
        self.layout, self.kind, self.crop, self.split = layout, LAYOUTS[layout], crop, split
        self.grey = self.kind.grey if grey is None else grey
        self._kernels: dict[int, Tensor] = {}
        self.root = _folder(at_home(root), split)
        try:
            self.pairs = list(self.kind.pairs(self.root))
        except UserError as error:
            raise UserError(f"pairs: {error}") from error
        if not self.pairs:
            raise UserError(
                f"pairs: nothing of layout {layout!r} in {self.root.absolute()}: it holds {self.kind.holds}; "
                "name another folder with dataset.root=FOLDER"
            )

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first measurement."""
        return tuple(self.load([0]).shape[1:])

    @property
    def version(self) -> str:
        how = f"{'grey' if self.grey else 'colour'}{f'/crop-{self.crop}' if self.crop else ''}"
        return f"{self.name}-{VERSION}/{self.layout}/{how}/{self._files}"

    @cached_property
    def _files(self) -> str:
        """A digest of the names of all pairs and of the sizes of their files."""
        places = [place for pair in self.pairs for place in (pair.y, pair.x, pair.kernel) if place is not None]
        sizes = {path: path.stat().st_size for path in {place.path for place in places}}
        lines = (f"{p.path.relative_to(self.root)}\t{p.variable}\t{p.entry}\t{sizes[p.path]}" for p in places)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, indices: Sequence[int]) -> Tensor:
        """The measurements, (B, ...) float32."""
        found = [self._cropped(picture(self._pair(i).y, self.grey), i) for i in indices]
        for index, y in zip(indices, found, strict=True):
            if y.shape != found[0].shape:
                raise BadImage(f"{self._pair(index).y.path}: {tuple(y.shape)} among others: set batch_size=1")
        return torch.stack(found)

    def references(self, index: int) -> Sequence[Tensor]:
        """The truth; of a trajectory each frame."""
        x = self._pair(index).x
        if self._pair(index).frames:
            return Frames(x, lambda frame: self._cropped(shades(frame, self.grey), index))
        return [self._cropped(picture(x, self.grey), index)]

    @property
    def with_kernels(self) -> bool:
        """Whether the kernels are known: a layout has them of all pairs or of none."""
        return all(pair.kernel is not None for pair in self.pairs)

    def kernel(self, index: int) -> Tensor:
        """The kernel (1, kh, kw), turned where the release may have it the other way round and y says so."""
        pair = self._pair(index)
        if pair.kernel is None:
            raise UserError(f"pairs: no kernel is known of pair {pair.name}")
        if index not in self._kernels:
            k = kernel(pair.kernel)
            x, y = (picture(place, True) for place in (pair.x, pair.y)) if self.kind.either_way else (None, None)
            turned = x is not None and y is not None and explains_better(k.flip(-2, -1), k, x, y)
            self._kernels[index] = k.flip(-2, -1) if turned else k
        return self._kernels[index]

    def check(self, indices: Sequence[int], degradation: dict[str, Any]) -> None:
        """Any degradation may be tried: nothing here says how these were measured."""

    def brings(self, indices: Sequence[int], degradation: dict[str, Any]) -> bool:
        """No noise level is known of them but the one that is typed."""
        return False

    def fingerprint(self, index: int) -> str:
        """The sha256 of the measurement as it is read."""
        y = self.load([index])[0].contiguous()
        return f"sha256:{hashlib.sha256(y.numpy().tobytes()).hexdigest()}"

    def _pair(self, index: int) -> Pair:
        if not 0 <= index < len(self):
            raise UserError(f"pairs: no pair {index}: there are {len(self)}, 0 to {len(self) - 1}")
        return self.pairs[index]

    def _cropped(self, image: Tensor, index: int) -> Tensor:
        """The middle square of `crop` pixels, where one is asked for."""
        if self.crop is None:
            return image
        h, w = image.shape[-2:]
        if self.crop > min(h, w):
            raise BadImage(f"pair {self._pair(index).name} has {h} x {w} pixels, too few for dataset.crop={self.crop}")
        top, left = (h - self.crop) // 2, (w - self.crop) // 2
        return image[..., top : top + self.crop, left : left + self.crop]


class Frames(Sequence[Tensor]):
    """What a camera could have seen at each point of its way, out of one array (H, W, C, N)."""

    def __init__(self, place: Place, treat: Callable[[Tensor], Tensor]) -> None:
        self.array, self.treat = variable(place), treat
        if self.array.ndim != 4:
            raise BadImage(f"{place.path}: its {place.variable} is (H, W, C, frames), not {self.array.shape}")

    def __len__(self) -> int:
        return self.array.shape[3]

    def __getitem__(self, k: Any) -> Any:
        if k >= len(self):
            raise IndexError(k)
        return self.treat(pixels(self.array[..., k]))


def _folder(root: Path, split: str) -> Path:
    """The folder of a split: its sub-folder of that name where there are such, else all is test."""
    if not root.is_dir():
        raise UserError(f"pairs: {no_folder(root)}: name one with dataset.root=FOLDER")
    parts = [name for name in SPLITS if (root / name).is_dir()]
    if split in parts:
        return root / split
    if parts or split != "test":
        there = ", ".join(parts) or "test"
        raise UserError(f"pairs: no split {split!r} in {root.absolute()}: there is {there}")
    return root
