"""Pretrained generative models behind one small interface."""

from sipbench.priors.base import Prior

__all__ = ["Prior"]
