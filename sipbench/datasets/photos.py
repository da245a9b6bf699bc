"""The photographs that scikit-image brings: real pictures without a download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from sipbench.datasets.folder import _Images
from sipbench.datasets.layouts import Listing
from sipbench.errors import UserError

PHOTOS = {
    "test": (
        "astronaut.png",
        "camera.png",
        "chelsea.png",
        "coffee.png",
        "rocket.jpg",
        "motorcycle_left.png",
        "coins.png",
        "moon.png",
    ),
    "validation": ("retina.jpg", "ihc.png", "hubble_deep_field.jpg", "brick.png", "grass.png", "gravel.png"),
}
LUMA = (0.299, 0.587, 0.114)  # of BT.601


@dataclass(kw_only=True)
class Photos(_Images):
    """Eight test and six validation photographs, centre squares, in colour or in grey. There is no training split.

    All have 300 pixels a side at least, and most 400; one that is smaller than asked for is refused, unless `upsample`.
    """

    name: ClassVar[str] = "photos"
    how: ClassVar[str] = "They come with scikit-image: pip install 'sipbench[photos]'."

    root: str = ""
    grey: bool = False

    def __post_init__(self) -> None:
        self.root = self.root or _packaged()
        super().__post_init__()

    def _list(self, root: Path) -> Listing:
        if self.split not in PHOTOS:
            raise UserError(f"there is no split {self.split!r} of so few photographs; there is {', '.join(PHOTOS)}.")
        names = PHOTOS[self.split]
        return Listing(root, names, frozenset(n for n in names if (root / n).is_file()), f"scikit-image-{self.split}")

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1 if self.grey else 3, self.size, self.size)

    @property
    def version(self) -> str:
        return f"{super().version}{'/grey' if self.grey else ''}"

    def load(self, indices: Sequence[int]) -> Tensor:
        images = super().load(indices) if len(indices) else torch.empty(0, 3, self.size, self.size)
        return (images * images.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True) if self.grey else images


def _packaged() -> str:
    """Where scikit-image has its pictures; empty where it is not installed. It is not imported."""
    found = find_spec("skimage")
    return str(Path(found.origin).parent / "data") if found and found.origin else ""
