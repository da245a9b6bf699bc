"""Latent priors: a model of the codes of an autoencoder."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from sipbench.priors.base import Prior


class LatentPrior(Prior):
    """x = decode(z) with z = c (code - b), where `inner` models z.

    Args:
        inner: a prior of the latents.
        codec: a diffusers `AutoencoderKL` or `VQModel`, or whatever has `encode(x)` and `decode(z)` to tensors.
        scale: the factor c that gives the codes unit variance.
        shift: their mean b.
    """

    kind: ClassVar[str] = "latent"

    def __init__(self, inner: Prior, codec: Any, *, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__(inner.schedule)
        self.inner, self.codec, self.scale, self.shift = inner, codec, scale, shift
        self.shape = inner.shape
        if hasattr(codec, "requires_grad_"):
            codec.requires_grad_(False).eval()

    @property
    def image_shape(self) -> tuple[int, ...]:
        config = getattr(self.codec, "config", None)
        if config is None:
            return self.codec.image_shape
        factor = 2 ** (len(config.block_out_channels) - 1)
        return (config.out_channels, *(factor * side for side in self.shape[1:]))

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.inner.denoise(x_t, t)

    def encode(self, x: Tensor) -> Tensor:
        """The mean of the code's distribution (`AutoencoderKL`), or the code before it is quantised (`VQModel`)."""
        out = self.codec.encode(x)
        code = out.latent_dist.mode() if hasattr(out, "latent_dist") else getattr(out, "latents", out)
        return self.scale * (code - self.shift)

    def decode(self, z: Tensor) -> Tensor:
        """The image; a `VQModel` quantises first, its gradient goes straight through."""
        out = self.codec.decode(z / self.scale + self.shift)
        return getattr(out, "sample", out)
