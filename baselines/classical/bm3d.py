"""Block-matching and 3-D filtering: the denoiser that networks were long measured against.

Dabov, Foi, Katkovnik, Egiazarian: Image Denoising by Sparse 3-D Transform-Domain Collaborative Filtering, IEEE TIP
2007; the package is that of Makinen, Azzari, Foi: Collaborative Filtering of Correlated Noise, IEEE TIP 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.block_matching import Profile, block_matching
from sipbench.problem import Problem


@torch.no_grad()
def bm3d(problem: Problem, *, profile: Profile = "np", strength: float = 1.0) -> Tensor:
    """x = BM3D(y), for y = x + sigma n: similar blocks stacked, thresholded, and filtered by Wiener's formula.

    It works on [0, 1], in double precision on the CPU, one image after another. Cost: some seconds an image, most of
    them for small images before it looks at them.

    Args:
        profile: the package's settings: np (normal), refilter, vn (very noisy) or high.
        strength: factor on the sigma that is told; 1 is the published choice.
    """
    denoise, images = block_matching(profile), ((problem.y + 1) / 2).double().cpu()
    for k in problem.steps(len(images)):
        images[k] = denoise(images[k], strength * problem.sigma / 2)
    return (2 * images - 1).to(problem.y)
