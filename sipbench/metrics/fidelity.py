"""How close the pixels are: PSNR and SSIM, one value per image, on intensities in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

WINDOW = 7
LUMA = (65.481, 128.553, 24.966)  # of red, green and blue: BT.601 on 16 to 235
BORDER = 4
C1, C2 = 0.01**2, 0.03**2


def intensity(x: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1] in double precision, clipped; never stretched to an image's own range."""
    return ((x.double() + 1) / 2).clamp(0, 1)


@torch.no_grad()
def psnr(x_hat: Tensor, x: Tensor) -> Tensor:
    """-10 log10(mean (x_hat - x)^2) of each image, (B,). Identical images give inf.

    It is torchmetrics' to the last bit, which has 10 / ln 10 in single precision, without the seconds of its import.
    """
    a, b = _pair(x_hat, x)
    squares = (a - b).square().sum((1, 2, 3))
    return -torch.log(squares / a[0].numel()) * (10 / torch.log(torch.tensor(10.0, device=a.device)))


@torch.no_grad()
def psnr_y(x_hat: Tensor, x: Tensor) -> Tensor:
    """PSNR of the luma of each colour image, (B,), as tables of super-resolution have it.

    Y = 16 + 65.481 R + 128.553 G + 24.966 B (BT.601, from 16 to 235) of intensities, peak 255, without the outer four
    pixels. Nothing is rounded.
    """
    a, b = (v[..., BORDER:-BORDER, BORDER:-BORDER] for v in _pair(x_hat, x))
    if a.shape[1] != 3 or not a.numel():
        raise ValueError(f"the luma PSNR needs three channels and more than {2 * BORDER} pixels, not {tuple(x.shape)}")
    difference = ((a - b) * a.new_tensor(LUMA)[:, None, None]).sum(1)
    return -10 * torch.log10((difference / 255).square().mean((1, 2)))


@torch.no_grad()
def ssim(x_hat: Tensor, x: Tensor) -> Tensor:
    """SSIM of each image, (B,), with the uniform 7 x 7 window of scikit-image, the variant of most published tables.

    The mean over channels and over the windows that lie inside the image of
    (2 m_a m_b + C1) (2 c_ab + C2) / ((m_a^2 + m_b^2 + C1) (v_a + v_b + C2)),
    with the window's means m, sample variances v and sample covariance c (49 pixels, divided by 48).
    """
    a, b = _pair(x_hat, x)
    if min(a.shape[-2:]) < WINDOW:
        raise ValueError(f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, not {tuple(a.shape[-2:])}")
    m_a, m_b = _mean(a), _mean(b)
    sample = WINDOW**2 / (WINDOW**2 - 1)
    v_a, v_b = sample * (_mean(a * a) - m_a**2), sample * (_mean(b * b) - m_b**2)
    c_ab = sample * (_mean(a * b) - m_a * m_b)
    s = (2 * m_a * m_b + C1) * (2 * c_ab + C2) / ((m_a**2 + m_b**2 + C1) * (v_a + v_b + C2))
    return s.mean(dim=(1, 2, 3))


@torch.no_grad()
def ssim_gaussian(x_hat: Tensor, x: Tensor) -> Tensor:
    """SSIM of each image, (B,), with an 11 x 11 Gaussian window of width 1.5 and mirrored borders (torchmetrics).

    In single precision, good to about 1e-5: the double convolution takes 15 times as long on a CPU.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    a, b = (v.float() for v in _pair(x_hat, x))
    return torch.as_tensor(structural_similarity_index_measure(a, b, data_range=1.0, reduction="none"))


def _mean(a: Tensor) -> Tensor:
    """The mean over each window that lies inside the image."""
    return avg_pool2d(a, WINDOW, stride=1)


def _pair(x_hat: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Both as intensities, after a look at their shapes."""
    if x_hat.shape != x.shape or x.ndim != 4:
        raise ValueError(f"expected two (B, C, H, W) of one shape, not {tuple(x_hat.shape)} and {tuple(x.shape)}")
    return intensity(x_hat), intensity(x)
