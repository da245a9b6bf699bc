"""What a dataset is: pictures, or measurements, by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from torch import Tensor

Split = Literal["train", "validation", "test"]
ENDLESS = 1_000_000  # images: a split as long as this is drawn by formula, and a subset of it is a stretch


@runtime_checkable
class Dataset(Protocol):
    """One split of a dataset. Inherit it: the last three have an answer that serves most.

    Attributes:
        name: of the dataset; its images' random streams are named by it.
        shape: of one image, (C, H, W).
        version: changes when the images do; part of a cell's name.
        measured: whether it holds measurements; their truth, where it is known too, is what `Paired` says.
    """

    name: ClassVar[str]
    measured: ClassVar[bool] = False
    shape: Any

    @property
    def version(self) -> str: ...

    def __len__(self) -> int: ...

    def load(self, indices: Sequence[int]) -> Tensor:
        """The images, (B, C, H, W) float32 in [-1, 1]. Half the size is the same scene; none is beyond the end.

        An index below 0, or from len(self) on, is an IndexError, or a UserError that says how many images there are.
        """
        ...

    def fingerprint(self, index: int) -> str:
        """What tells an image from all others, for its row."""
        ...

    def missing(self, indices: Sequence[int] | None = None) -> list[str]:
        """Which files of these images are absent. Nothing is opened."""
        return []

    def unfit(self, indices: Sequence[int]) -> str | None:
        """Why these images cannot serve, such as one that is too small, in a line; None where all can."""
        return None


@runtime_checkable
class Paired(Protocol):
    """What a dataset of measurements has besides where the truth is known. No solver sees it: it joins at the score.

    Attributes:
        with_kernels: whether the blur kernels are known too, of all measurements.
    """

    @property
    def with_kernels(self) -> bool: ...

    def references(self, index: int) -> Sequence[Tensor]:
        """Each x that an estimate may be held against, (C, H, W); mostly one. Of several the nearest counts."""
        ...

    def kernel(self, index: int) -> Tensor:
        """The blur kernel (1, kh, kw) of a true convolution, where kernels are known."""
        ...
