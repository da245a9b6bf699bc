"""A picture as a viewer shows it, for masks and kernels: upright, one alone, opaque, in its full depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageOps

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

WHITE_16 = 65535
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # of TIFF: Pillow heeds it in 8 bits, and not in 16


def upright(image: ImageFile) -> Image:
    """The picture, turned as its EXIF says; a ValueError where what is to be seen is not said."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise ValueError(f"it holds {frames} pictures: save the one that is meant")
    turned = ImageOps.exif_transpose(image)
    if turned.has_transparency_data and _least_opaque(turned) < 255:
        raise ValueError("a part of it is transparent: flatten it on a background of your choice")
    return turned


def _least_opaque(image: Image) -> int:
    """The least alpha, up to 255; of 16 bits, which have a transparent colour alone, 0."""
    return 0 if image.mode.startswith("I") else int(np.asarray(image.convert("RGBA").getchannel("A")).min())


def grey_16(image: ImageFile) -> np.ndarray | None:
    """The values of a grey picture of 16 bits, from 0, black, to 65535, white, (H, W); None of any other kind."""
    if not (image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))):
        return None
    values = np.asarray(upright(image), dtype=np.float32)
    inverted = image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO  # pyright: ignore
    return WHITE_16 - values if inverted else values
