"""One image file as a square in [-1, 1]: converted where that is safe, else refused with the reason."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from sipbench.errors import UserError
from sipbench.safety import shown, sizes

EIGHT_BITS = ("1", "L", "P", "RGB", "YCbCr", "LA", "PA", "RGBA")
SIXTEEN_BITS = re.compile(r"'(I|L|LA|RGB|RGBA|RGBX);16")  # how Pillow names the raw pixels of such a file
LEVELS_16 = 257  # 65535 / 255


class BadImage(UserError):
    """A file that cannot serve as a truth, and why."""


def read(path: Path, size: int, crop: int | None = None, upsample: bool = False) -> Tensor:
    """The centre square of an image, (3, size, size) float32 in [-1, 1].

    The square has `crop` pixels a side, or the shorter side of the image. It is resized by Pillow's antialiased Lanczos
    filter, as the makers of FFHQ do: in 8 bits, so that every machine gets the same bytes, or in floating point for
    16-bit images. A square that is already `size` pixels wide is left untouched.
    """
    bands = _decode(path)
    square = [_square(band, path, size, crop, upsample) for band in bands]
    image = torch.from_numpy(np.stack([np.asarray(band, dtype=np.float32) for band in square]))
    return image.clamp(0, 255) / 127.5 - 1


def dimensions(path: Path) -> tuple[int, int] | None:
    """Width and height by the file's header, or None where it cannot be told without reading it."""
    try:
        with sizes.picture(path) as image:
            return image.size
    except Exception:  # decoders of damaged files raise anything; reading it says what is wrong
        return None


def read_whole(path: Path) -> Tensor:
    """A whole picture, (3, H, W) float32 in [-1, 1]."""
    image = torch.from_numpy(np.stack([np.asarray(band, dtype=np.float32) for band in _decode(path)]))
    return image.clamp(0, 255) / 127.5 - 1


def _decode(path: Path) -> list[Image.Image]:
    """Three bands in 0..255, upright: of mode L, or F where the file has 16 bits."""
    try:
        with sizes.picture(path) as image:
            return _bands(image, path)
    except BadImage:
        raise
    except FileNotFoundError as error:
        raise BadImage(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise BadImage(f"{path}: not an image, or damaged at its beginning") from error
    except Exception as error:  # decoders of damaged files raise anything
        raise BadImage(f"{path}: cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from error


def _bands(image: ImageFile.ImageFile, path: Path) -> list[Image.Image]:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise BadImage(f"{path}: holds {frames} pictures: save the one that is meant")
    if image.mode == "I" or SIXTEEN_BITS.search(str(image.tile)):
        return _bands_16(image, path)
    if image.mode not in EIGHT_BITS:
        raise BadImage(f"{path}: pixels of kind {image.mode} have no safe conversion: save it as RGB")
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        _refuse_transparent(np.asarray(upright.getchannel("A")), 255, path)
    return list(upright.convert("RGB").split())


def _bands_16(image: ImageFile.ImageFile, path: Path) -> list[Image.Image]:
    if "transparency" in image.info:
        raise BadImage(f"{path}: has a transparent colour: save it without")
    if (grey := shown.grey_16(image)) is not None:
        pixels = grey[..., None].repeat(3, axis=2)
    elif image.format == "PNG" and image.tile[0].args in ("RGB;16B", "RGBA;16B"):
        pixels = _colours_16(image, path)
    elif image.format == "PNG" and image.tile[0].args == "LA;16B":
        pixels = _grey_alpha_16(image)
    else:
        raise BadImage(f"{path}: cannot be read in its full depth: save it as a PNG of 16 bits, grey or RGB, or 8 bits")
    if pixels.shape[2] == 4:
        _refuse_transparent(pixels[..., 3], 65535, path)
    return [Image.fromarray(np.ascontiguousarray(pixels[..., i]) / LEVELS_16) for i in range(3)]


def _colours_16(image: ImageFile.ImageFile, path: Path) -> np.ndarray:
    """Pillow keeps one byte of each 16-bit colour: the high one, or the low one when told the other byte order."""
    with sizes.picture(path) as other:
        other.tile = [tile._replace(args=str(tile.args).replace("16B", "16L")) for tile in other.tile]
        high, low = (np.asarray(ImageOps.exif_transpose(i), dtype=np.float32) for i in (image, other))
    return 256 * high + low


def _grey_alpha_16(image: ImageFile.ImageFile) -> np.ndarray:
    """Grey three times, then alpha. Pillow keeps a byte of each, unless told that the four of a pixel are RGBA."""
    image.tile = [tile._replace(args="RGBA") for tile in image.tile]
    values = np.asarray(ImageOps.exif_transpose(image), dtype=np.float32)
    grey, alpha = (256 * values[..., i] + values[..., i + 1] for i in (0, 2))
    return np.stack([grey, grey, grey, alpha], axis=2)


def _refuse_transparent(alpha: np.ndarray, opaque: int, path: Path) -> None:
    share = float((alpha < opaque).mean())
    if share > 0:
        raise BadImage(f"{path}: {100 * share:.3g} % of it is transparent: flatten it on a background of your choice")


def _square(band: Image.Image, path: Path, size: int, crop: int | None, upsample: bool) -> Image.Image:
    """The centre square, resized."""
    width, height = band.size
    side = min(width, height) if crop is None else crop
    if side > min(width, height):
        raise BadImage(f"{path}: is {width}x{height}, too small for a crop of {side}")
    if side < size and not upsample:
        small = f"its square of {side} pixels is smaller than {size}"
        raise BadImage(f"{path}: {small}: ask for size={side} or dataset.upsample=true")
    left, top = (width - side) // 2, (height - side) // 2
    band = band.crop((left, top, left + side, top + side))
    return band if side == size else band.resize((size, size), Image.Resampling.LANCZOS)
