"""Block-matching and 3-D filtering: the denoiser that networks were long measured against.

Dabov, Foi, Katkovnik, Egiazarian: Image Denoising by Sparse 3-D Transform-Domain Collaborative Filtering, IEEE TIP
2007; the package is that of Makinen, Azzari, Foi: Collaborative Filtering of Correlated Noise, IEEE TIP 2020.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sipbench.problem import Problem

PROFILES = {"np": "BM3DProfile", "refilter": "BM3DProfileRefilter", "vn": "BM3DProfileVN", "high": "BM3DProfileHigh"}
SMALLEST = 16  # the package ends the process on images of its blocks' size, 8: smaller sides are continued


@torch.no_grad()
def bm3d(problem: Problem, *, profile: Literal["np", "refilter", "vn", "high"] = "np", strength: float = 1.0) -> Tensor:
    """x = BM3D(y), for y = x + sigma n: similar blocks stacked, thresholded, and filtered by Wiener's formula.

    Images of three channels are matched in their luminance (CBM3D); others are denoised channel by channel. It works
    on [0, 1], in double precision on the CPU, one image after another and on one thread, since with more the package
    rounds differently each time. Cost: some seconds an image, most of them for small images before it looks at them.

    Args:
        profile: the package's settings: np (normal), refilter, vn (very noisy) or high.
        strength: factor on the sigma that is told; 1 is the published choice.
    """
    package = load()
    settings = getattr(package, PROFILES[profile])()
    settings.num_threads = 1
    noisy = ((problem.y + 1) / 2).double().cpu()
    h, w = noisy.shape[-2:]
    wide = F.pad(noisy, (0, max(0, SMALLEST - w), 0, max(0, SMALLEST - h)), mode="replicate")
    level = max(strength * problem.sigma / 2, 1e-6)
    for k in problem.steps(len(noisy)):
        noisy[k] = denoised(package, wide[k], level, settings)[:, :h, :w]
    return (2 * noisy - 1).to(problem.y)


def denoised(package: Any, image: Tensor, level: float, settings: Any) -> Tensor:
    """One image (C, H, W) on [0, 1]."""
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
