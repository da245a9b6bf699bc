"""A prior of images as one of codes, with an autoencoder that loses nothing: for methods made for latents."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sipbench import configs
from sipbench.priors.base import Prior
from sipbench.priors.latent import LatentPrior


class Shuffle:
    """Four neighbouring pixels become four channels."""

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        self.image_shape = tuple(image_shape)
        _, h, w = self.image_shape
        if h % 2 or w % 2:
            raise ValueError(f"the codes are those of images with even sides, not of {h} x {w}: use an even size")

    def encode(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_unshuffle(x, 2)

    def decode(self, z: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(z, 2)


class Recoded(Prior):
    """An image prior as one of codes: a permutation of the pixels leaves white noise white."""

    def __init__(self, images: Prior, codec: Shuffle) -> None:
        super().__init__(images.schedule)
        c, h, w = images.image_shape
        self.images, self.codec, self.shape = images, codec, (4 * c, h // 2, w // 2)

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.codec.encode(self.images.denoise(self.codec.decode(x_t), t))


def coded(of: dict[str, Any], **options: Any) -> LatentPrior:
    """The prior `of` these options, a node with a `_target_`, as one of codes."""
    images = configs.build(of | options)
    codec = Shuffle(images.image_shape)
    return LatentPrior(Recoded(images, codec), codec)
