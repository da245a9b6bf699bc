"""Self-validation: an autoencoder that learns the recent iterates tells when they leave what is easy to code.

T. Li, Z. Zhuang, H. Liang, L. Peng, H. Wang, J. Sun: Self-Validation: Early Stopping for Single-Instance Deep
Generative Priors, BMVC 2021, https://arxiv.org/abs/2110.12271
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sipbench.problem import Rng

BATCH, CODE, STRIDE = 32, 4, 37


class SelfValidation:
    """The score |x - AE(x)| of the newest iterate, before the autoencoder of its image learns the last `window` ones.

    At each iteration the autoencoder, in training mode, takes `epochs` passes over the window in batches of 32 by Adam
    at 1e-3; one pass is published, at 29 times the cost of the deep image prior's own step. It works on [0, 1], on
    square images with a side of 4 2^n (that nearest to `side`, or to the image's), to which others are resized; the
    code is 4 x 4 and passes through four linear layers. The order of the window is a fixed stride, the same in every
    batch of images.
    """

    def __init__(
        self, like: Tensor, rng: Rng | None, window: int = 256, epochs: float = 1.0, side: int | None = None
    ) -> None:
        if rng is None:
            raise ValueError("self_validation draws an autoencoder: give make_stopper an rng")
        b, c = like.shape[:2]
        self.depth = max(1, round(math.log2((side or max(like.shape[-2:])) / CODE)))
        side = CODE * 2**self.depth
        self.ring = torch.zeros(window, b * c, side, side, dtype=like.dtype, device=like.device)  # pyright: ignore
        self.autoencoder = Autoencoder(rng.child("autoencoder").portable, c, self.depth, like.dtype)
        self.adam = torch.optim.Adam(self.autoencoder.parameters(), lr=1e-3)
        self.batches = epochs * window / BATCH
        self.images, self.seen, self.next, self.due = b, 0, 0, 0.0

    def __call__(self, x: Tensor, loss: Tensor | None = None) -> Tensor | None:
        newest = self._coded(x)
        window = len(self.ring)
        self.ring[self.seen % window] = newest[0]
        self.seen += 1
        if self.seen < window:
            return None
        with torch.no_grad():
            rest = newest - self.autoencoder.eval()(newest)
        score = rest.view(self.images, -1).double().norm(dim=1)
        self._learn()
        return score

    def _coded(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] as one image of B C channels in [0, 1], of the autoencoder's size."""
        x = ((x + 1) / 2).clamp(0, 1)
        if x.shape[-2:] != self.ring.shape[-2:]:
            x = F.interpolate(x, self.ring.shape[-2:], mode="bilinear", antialias=True)
        return x.reshape(1, -1, *x.shape[-2:])

    def _learn(self) -> None:
        self.due += self.batches
        self.autoencoder.train()
        while self.due >= 1:
            self.due -= 1
            order = torch.arange(self.next, self.next + BATCH, device=self.ring.device)
            self.next += BATCH
            x = self.ring[order * STRIDE % len(self.ring)]
            with torch.enable_grad():
                loss = (self.autoencoder(x) - x).square().mean((0, 2, 3)).sum()
                self.adam.zero_grad()
                loss.backward()
            self.adam.step()


class Autoencoder(nn.Module):
    """One autoencoder an image, side by side in groups of channels: (n, B C, s, s) -> (n, B C, s, s) in [0, 1]."""

    def __init__(self, rng: Rng, c: int, depth: int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.rng, self.images, self.dtype = rng, len(rng), dtype
        widths = [c, 32, 64, *[128] * (depth - 2)][:depth]
        down = [layer for a, b in zip(widths, [*widths[1:], 1], strict=True) for layer in self._block(a, b, stride=2)]
        ends = zip([1, *widths[:0:-1]], widths[::-1], strict=True)
        up = [layer for a, b in ends for layer in self._block(a, b, up=True)]
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up[:-1], nn.Sigmoid())
        n = CODE**2
        linear = [rng.uniform(n, n, dtype=dtype) for _ in range(4)]
        self.bottleneck = nn.ParameterList([nn.Parameter((2 * w - 1) * n**-0.5) for w in linear])
        del self.rng

    def forward(self, x: Tensor) -> Tensor:
        code = self.encoder(x)
        flat = code.flatten(2).transpose(0, 1)
        for W in self.bottleneck:
            flat = flat @ W
        return self.decoder(flat.transpose(0, 1).view_as(code))

    def _block(self, c_in: int, c_out: int, *, stride: int = 1, up: bool = False) -> list[nn.Module]:
        b = self.images
        conv = nn.Conv2d(b * c_in, b * c_out, 3, stride, padding=1, groups=b, bias=False)
        bound = (9 * c_in) ** -0.5
        drawn = bound * (2 * self.rng.uniform(c_out, c_in, 3, 3, dtype=self.dtype) - 1)
        conv.weight = nn.Parameter(drawn.flatten(0, 1))
        norm = nn.BatchNorm2d(b * c_out, device=drawn.device, dtype=drawn.dtype)
        first: list[nn.Module] = [nn.Upsample(scale_factor=2, mode="bilinear")] if up else []
        return [*first, conv, norm, nn.ReLU()]
