"""Folders of images: CelebA, FFHQ, and any of your own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import index as as_index
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from sipbench.checkpoints import at_home
from sipbench.datasets import layouts
from sipbench.datasets.base import Dataset, Split
from sipbench.datasets.layouts import FFHQ_TRAIN, Listing
from sipbench.datasets.reading import BadImage, dimensions, read
from sipbench.errors import UserError
from sipbench.safety.text import are, counted

VERSION = 1  # of the treatment of an image; it enters the protocol hash


@dataclass(kw_only=True)
class _Images(Dataset):
    """Files in order, each a centre square of `crop` pixels (None: the shorter side) resized to `size`.

    An image smaller than `size` is refused, unless `upsample`.
    """

    name: ClassVar[str]
    how: ClassVar[str]

    root: str
    split: Split = "test"
    size: int = 256
    crop: int | None = None
    upsample: bool = False
    _listing: Listing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for key, pixels in (("size", self.size), ("crop", self.crop)):
            if pixels is not None and not (isinstance(pixels, int) and pixels > 0):
                raise UserError(f"{self.name}: {key} must be a whole number of pixels, not {pixels!r}.")
        if not self.root:
            raise UserError(f"{self.name}: no folder is named. {self.how}")
        try:
            self._listing = self._list(at_home(self.root))
        except UserError as error:
            raise UserError(f"{self.name}: {error} {self.how}") from error
        except OSError as error:
            raise UserError(f"{self.name}: cannot list {self.root}: {error}. {self.how}") from error

    def _list(self, root: Path) -> Listing:
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    @property
    def version(self) -> str:
        """The treatment, and what fixes which image has which index; part of the protocol of a result."""
        crop = "square" if self.crop is None else f"crop-{self.crop}"
        up = "-upsampled" if self.upsample else ""
        return f"{self.name}-{VERSION}/{crop}/{self.size}{up}/{self._listing.identity}"

    def __len__(self) -> int:
        return len(self._listing.names)

    def path(self, index: int) -> Path:
        """The file of an index of this split."""
        number = as_index(index)
        if not 0 <= number < len(self):
            have = f"{counted(len(self), 'image')}, 0 to {len(self) - 1}"
            raise UserError(f"{self.name}: no image {number}: split {self.split!r} has {have}.")
        return self._listing.folder / self._listing.names[number]

    def load(self, indices: Sequence[int]) -> Tensor:
        """The images, (B, 3, size, size) float32 in [-1, 1]; BadImage names the first file that cannot serve."""
        paths = [self.path(index) for index in indices]
        images = [read(path, self.size, self.crop, self.upsample) for path in paths]
        return torch.stack(images) if images else torch.empty(0, *self.shape)

    def fingerprint(self, index: int) -> str:
        """The sha256 of the file's bytes."""
        path = self.path(index)
        try:
            with path.open("rb") as file:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError as error:
            raise BadImage(f"{path}: {error.strerror or 'cannot be read'}") from error

    def missing(self, indices: Sequence[int] | None = None) -> list[str]:
        """The files that the split (or these indices of it) names and the folder lacks. Nothing is opened."""
        wanted = range(len(self)) if indices is None else indices
        paths = [(self.path(i), self._listing.names[i]) for i in wanted]
        return [str(path) for path, name in paths if name not in self._listing.found]

    def unfit(self, indices: Sequence[int]) -> str | None:
        """Why some of these images are too small, and what would do; None where all will do. Headers alone are read."""
        enlarge = "or dataset.upsample=true to enlarge them"
        if self.crop and self.crop < self.size and not self.upsample:
            return f"{self.name}: dataset.crop={self.crop} is less than size={self.size}: size={self.crop}, {enlarge}"
        least = self.crop or (0 if self.upsample else self.size)
        found = {path: sides for path in map(self.path, indices) if (sides := dimensions(path))}
        small = {path: sides for path, sides in found.items() if min(sides) < least}
        if not small:
            return None
        path, sides = min(small.items(), key=lambda item: min(item[1]))
        fits = max(8, min(sides) // 8 * 8)
        need, do = (f"crop={self.crop}", f"dataset.crop={fits}") if self.crop else (f"size={self.size}", f"size={fits}")
        many = f"{len(small)} of {counted(len(indices), 'image')} {are(len(small))} too small for {need}"
        example = f"{path} has {sides[0]} x {sides[1]} pixels"
        return f"{self.name}: {many} ({example}): {do}{'' if self.crop else f', {enlarge}'}"


@dataclass(kw_only=True)
class Folder(_Images):
    """Any images, in natural order: all in split `test`, or in sub-folders train, validation and test."""

    name: ClassVar[str] = "folder"
    how: ClassVar[str] = "Name a folder of images: dataset.root=FOLDER."
    recursive: bool = False

    def _list(self, root: Path) -> Listing:
        return layouts.plain(root, self.split, self.recursive)


@dataclass(kw_only=True)
class CelebA(_Images):
    """CelebA, aligned (178 x 218) with its official partition, or a plain folder such as CelebA-HQ.

    The whole width is kept: a centre square of 178 pixels, enlarged to 256 where that is asked with `upsample`. Others
    crop to 140 or 148 pixels, around the face alone: `crop=148`.
    """

    name: ClassVar[str] = "celeba"
    how: ClassVar[str] = (
        "Get CelebA at https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html: the root holds img_align_celeba/ and "
        "list_eval_partition.txt, or plain images; name another with dataset.root=FOLDER."
    )

    def _list(self, root: Path) -> Listing:
        return layouts.celeba(root, self.split)


@dataclass(kw_only=True)
class FFHQ(_Images):
    """FFHQ at any size, flat or in its thousand-folders; an index is a number in the file names.

    Train is 0..59999 and validation 60000..69999. The test part is `test_count` images from `test_start` on, taken out
    of the other two: by default the first 1000 of the validation range. DPS and its prior hold out the first 1000 of
    all: `test_start=0`.
    """

    name: ClassVar[str] = "ffhq"
    how: ClassVar[str] = (
        "Get FFHQ at https://github.com/NVlabs/ffhq-dataset (1024, or any smaller copy that keeps the numbers): the "
        "root holds 00000.png ... or 00000/00000.png ...; name another with dataset.root=FOLDER. Have only a few "
        "of them? Set dataset.test_start to the first, or use dataset=folder."
    )
    test_start: int = FFHQ_TRAIN
    test_count: int = 1000

    def _list(self, root: Path) -> Listing:
        return layouts.ffhq(root, self.split, self.test_start, self.test_count)
