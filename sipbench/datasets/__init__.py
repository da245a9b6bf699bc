"""Images to pose problems with: drawn on the fly, or read from folders."""

from sipbench.datasets.base import Dataset

__all__ = ["Dataset"]
