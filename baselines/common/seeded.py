"""Code that draws from the global random state, given the stream of one image, and the state put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from sipbench.problem import Rng


@contextmanager
def seeded(rng: Rng) -> Iterator[int]:
    """Within it torch and numpy draw from a seed of the first image's stream; yields the seed, which is not 0."""
    seed = int(rng.child("seeded").keys[0][:7], 16) + 1
    before = np.random.get_state()
    devices = [rng.device] if rng.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield seed
        finally:
            np.random.set_state(before)
