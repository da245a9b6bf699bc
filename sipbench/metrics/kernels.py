"""How alike two blur kernels are."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def kernel_similarity(k_hat: Tensor | None, k: Tensor) -> Tensor:
    """The maximum over shifts of the normalised cross-correlation of two kernels (B, 1, h, w), (B,), in [0, 1].

    max_s sum_i k_hat(i) k(i + s) / (||k_hat|| ||k||), the measure of Hu and Yang (ECCV 2012). The kernels may differ in
    size, because a shift of the image undoes a shift of the kernel. NaN where there is no k_hat.
    """
    if k_hat is None:
        return torch.full((len(k),), torch.nan, dtype=torch.float64)
    a, b = k_hat.detach().double().cpu(), k.detach().double().cpu()
    size = [m + n - 1 for m, n in zip(a.shape[-2:], b.shape[-2:], strict=True)]
    cross = torch.fft.irfft2(torch.fft.rfft2(a, s=size).conj() * torch.fft.rfft2(b, s=size), s=size)
    lengths = a.flatten(1).norm(dim=1) * b.flatten(1).norm(dim=1)
    return cross.flatten(1).amax(1).clamp(min=0) / lengths.clamp(min=1e-300)
