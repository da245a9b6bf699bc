"""Block-matching and 3-D filtering (BM3D), by its authors' package, which is for non-commercial use only."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Profile = Literal["np", "refilter", "vn", "high"]
PROFILES = {"np": "BM3DProfile", "refilter": "BM3DProfileRefilter", "vn": "BM3DProfileVN", "high": "BM3DProfileHigh"}
SMALLEST = 16  # the package ends the process on images of its blocks' size, 8: smaller sides are continued


def block_matching(profile: Profile = "np") -> Callable[[Tensor, float], Tensor]:
    """BM3D of one image (C, H, W) with noise of a level, both on [0, 1], in double precision on the CPU.

    Images of three channels are matched in their luminance (CBM3D); others are denoised channel by channel. On one
    thread, since with more the package rounds differently each time.
    """
    package = load()
    settings = getattr(package, PROFILES[profile])()
    settings.num_threads = 1

    def denoise(image: Tensor, level: float) -> Tensor:
        h, w = image.shape[-2:]
        wide = F.pad(image, (0, max(0, SMALLEST - w), 0, max(0, SMALLEST - h)), mode="replicate")
        return _denoised(package, wide, max(level, 1e-6), settings)[:, :h, :w]

    return denoise


def _denoised(package: Any, image: Tensor, level: float, settings: Any) -> Tensor:
    if len(image) == 3:
        return torch.from_numpy(package.bm3d_rgb(image.permute(1, 2, 0).numpy(), level, settings)).permute(2, 0, 1)
    return torch.stack([torch.from_numpy(package.bm3d(c.numpy(), level, settings)).squeeze(-1) for c in image])


def load() -> Any:
    try:
        return importlib.import_module("bm3d")
    except ImportError as error:
        raise ModuleNotFoundError(
            "BM3D needs the package bm3d, which is for non-commercial use only: pip install 'sipbench[bm3d]'"
        ) from error
