"""A plain stack of convolutions that estimates what is wrong with an image (DnCNN): a denoiser, or a restorer.

Zhang, Zuo, Chen, Meng, Zhang: Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising, IEEE TIP
2017, https://arxiv.org/abs/1608.03981; the noise map is that of Zhang, Zuo, Zhang: FFDNet, IEEE TIP 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.common.algebra import each


class DnCNN(nn.Module):
    """x - n(x), or x - n(x, sigma): the network returns the noise, and works on intensities, [0, 1].

    Without normalisation over the batch, as the released networks are once theirs is merged into the convolutions; its
    weights have their names. It starts as the identity.

    Args:
        channels: of the image.
        width: channels between.
        depth: convolutions.
        noise_map: whether sigma is handed over as one more channel; else the network is blind to it.
    """

    def __init__(self, channels: int = 3, width: int = 64, depth: int = 17, noise_map: bool = False) -> None:
        super().__init__()
        self.noise_map = noise_map
        widths = [channels + noise_map, *[width] * (depth - 1), channels]
        convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, widths[1:], strict=False)]
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)  # pyright: ignore
        nn.init.zeros_(convolutions[-1].weight)
        layers = [layer for convolution in convolutions for layer in (convolution, nn.ReLU())]
        self.model = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor, sigma: Tensor | None = None) -> Tensor:
        """The image, of x on [-1, 1] with noise of standard deviation sigma, (B,), which a noise map needs."""
        v = (x + 1) / 2
        if self.noise_map:
            assert sigma is not None, "a DnCNN with a noise map is called with the noise level"
            v = torch.cat([v, each(sigma.to(v) / 2, v).expand(-1, 1, *v.shape[-2:])], 1)
        return x - 2 * self.model(v)
