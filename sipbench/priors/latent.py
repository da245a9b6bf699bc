"""Latent priors: a model of the codes of an autoencoder."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from sipbench.priors.base import Prior


class Codec(Protocol):
    """An autoencoder, from images to codes and back."""

    @property
    def image_shape(self) -> tuple[int, ...]: ...

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, z: Tensor) -> Tensor: ...


class LatentPrior(Prior):
    """x = decode(z), where `inner` models z."""

    kind: ClassVar[str] = "latent"

    def __init__(self, inner: Prior, codec: Codec) -> None:
        super().__init__(inner.schedule)
        self.inner, self.codec, self.shape = inner, codec, inner.shape

    @property
    def image_shape(self) -> tuple[int, ...]:
        return self.codec.image_shape

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.inner.denoise(x_t, t)

    def encode(self, x: Tensor) -> Tensor:
        return self.codec.encode(x)

    def decode(self, z: Tensor) -> Tensor:
        return self.codec.decode(z)


class Autoencoder:
    """A diffusers `AutoencoderKL` or `VQModel` with codes z = c (code - b) of about unit variance.

    `image_shape` is what its config says. The code is the mean of its distribution (`AutoencoderKL`), or what comes
    before it is quantised (`VQModel`, whose
    decoder quantises it; the gradient goes straight through).

    Args:
        scale: the factor c, `scaling_factor` in its config; by `latents_std` one a channel, (1, C, 1, 1).
        shift: the offset b, `shift_factor` in its config; by `latents_mean` one a channel.
    """

    def __init__(self, network: Any, *, scale: float | Tensor = 1.0, shift: float | Tensor = 0.0) -> None:
        self.network = network.requires_grad_(False).eval()
        self.scale, self.shift = scale, shift
        self._dtype: torch.dtype = next(network.parameters()).dtype
        side = network.config.sample_size
        self.image_shape = (network.config.out_channels, side, side)

    @property
    def factor(self) -> int:
        """By how much the sides of a code are shorter than those of the image."""
        return 2 ** (len(self.network.config.block_out_channels) - 1)

    def encode(self, x: Tensor) -> Tensor:
        out = self.network.encode(x.to(self._dtype))
        code = out.latent_dist.mode() if hasattr(out, "latent_dist") else out.latents
        scale, shift = self._units(x)
        return scale * (code.to(x.dtype) - shift)

    def decode(self, z: Tensor) -> Tensor:
        scale, shift = self._units(z)
        return self.network.decode((z / scale + shift).to(self._dtype)).sample.to(z.dtype)

    def _units(self, like: Tensor) -> tuple[float | Tensor, float | Tensor]:
        """Factor and offset where this tensor is, and in its precision."""
        scale, shift = (n.to(like) if isinstance(n, Tensor) else n for n in (self.scale, self.shift))
        return scale, shift
