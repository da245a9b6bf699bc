"""Which pixels of an image are kept: masks (B, 1, H, W), 1 where kept and 0 where removed, drawn once an image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
from torch import Tensor

from sipbench.checkpoints import at_home
from sipbench.problem import Rng
from sipbench.safety import shown, sizes

WORDS = "image prior network noise inverse problem kernel gradient random weights signal measure solve restore".split()
SIDES = ("left", "right", "top", "bottom")
Side = Literal["left", "right", "top", "bottom", "either"]


def pixels(shape: tuple[int, ...], rng: Rng, removed: float) -> Tensor:
    """Exactly floor(removed H W) pixels of each image go, drawn without replacement."""
    b, _, h, w = shape
    gone = rng.permutation(h * w)[:, : count(removed, h * w)]
    return torch.ones(b, h * w, device=rng.device).scatter_(1, gone, 0).view(b, 1, h, w)


def box(shape: tuple[int, ...], rng: Rng, side: float, margin: float) -> Tensor:
    """A box of floor(side H) x floor(side W) goes, its corner uniform among the whole pixels that keep the margin.

    As the published code has it, the corner stays below H - margin - side: at 256 with side 128 and margin 16, the
    offsets run from 16 to 111.
    """
    b, _, h, w = shape
    if not 0 < side < 1:
        raise ValueError(f"the box's side is a fraction of the image's, between 0 and 1, not {side}")
    if not 0 <= margin <= (1 - side) / 2:
        raise ValueError(
            f"a box of side {side} leaves a margin from 0 to {(1 - side) / 2:g} of the image, not {margin}"
        )
    if side * min(h, w) < 1:
        raise ValueError(f"a box of side {side} is less than a pixel of images of {h} x {w}")
    inside = []
    for n, chance in zip((h, w), rng.uniform(2, dtype=torch.float64).unbind(1), strict=True):
        length, least = math.floor(side * n), math.floor(margin * n)
        first = least + (chance * max(1, n - 2 * least - length)).long()[:, None]
        at = torch.arange(n, device=rng.device)
        inside.append((at >= first) & (at < first + length))
    return (~(inside[0][:, :, None] & inside[1][:, None])).float()[:, None]


def half(shape: tuple[int, ...], rng: Rng, side: Side) -> Tensor:
    """One half goes: left, right, top or bottom; or `either`, left or right with equal chance. Odd sizes round down."""
    b, _, h, w = shape
    rows, columns = torch.arange(h, device=rng.device)[:, None], torch.arange(w, device=rng.device)
    kept = torch.stack(
        [x.expand(h, w) for x in (columns >= w // 2, columns < w - w // 2, rows >= h // 2, rows < h - h // 2)]
    )
    coin = (rng.uniform(1, dtype=torch.float64)[:, 0] * 2).long()
    which = coin if side == "either" else torch.full_like(coin, SIDES.index(side))
    return kept[which].float()[:, None]


def lines(shape: tuple[int, ...], rng: Rng, removed: float, width: float) -> Tensor:
    """Straight lines cross the image until exactly floor(removed H W) pixels are gone; the last line is cut short.

    Angle and distance from the middle are uniform, up to half the diagonal; a line takes the pixels within width / 2 of
    it. The width is a fraction of the image's longer side, at least one pixel.
    """
    b, _, h, w = shape
    if not 0 < width < 1:
        raise ValueError(f"the lines' width is a fraction of the image's side, between 0 and 1, not {width}")
    wanted, reach = count(removed, h * w), max(1.0, width * max(h, w)) / 2
    i, j = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in (h, w))
    unmet = torch.iinfo(torch.int32).max
    met, drawn = torch.full((b, h, w), unmet, dtype=torch.int32), 0
    while bool(((met < unmet).flatten(1).sum(1) < wanted).any()):
        angle, offset = rng.uniform(2, 16, dtype=torch.float64).cpu().unbind(1)
        offset = (offset - 0.5) * math.hypot(h, w)
        rows, columns = (
            angle.mul(torch.pi).sin()[..., None] * i - offset[..., None],
            angle.mul(torch.pi).cos()[..., None] * j,
        )
        for k in range(16):
            inside = (rows[:, k, :, None] + columns[:, k, None]).abs() <= reach
            met = torch.where(inside & (met == unmet), drawn, met)
            drawn += 1
    gone = torch.argsort(met.flatten(1), dim=1, stable=True)[:, :wanted]
    return torch.ones(b, h * w).scatter_(1, gone, 0).view(b, 1, h, w).to(rng.device)


def text(shape: tuple[int, ...], rng: Rng, height: float) -> Tensor:
    """Lines of words cross the image: the pixels of their letters go. Words and the first line's place are drawn.

    The letters are Pillow's bitmap font, 11 pixels high, enlarged by the whole number that brings a line the nearest to
    `height` of the image's longer side: so every machine has the same mask.
    """
    b, _, h, w = shape
    if not 0 < height < 1:
        raise ValueError(f"the height of a line is a fraction of the image's side, between 0 and 1, not {height}")
    font, line = ImageFont.load_default_imagefont(), 11
    scale = max(1, round(height * max(h, w) / line))
    rows, columns = -(-h // scale), -(-w // scale)
    lines, words = rows // line + 2, columns // 12 + 2
    chance = rng.uniform(2 + lines * words, dtype=torch.float64).cpu()
    drawn = []
    for first, shift, *others in chance.tolist():
        page = Image.new("1", (columns, rows), 1)
        for i in range(lines):
            said = " ".join(WORDS[int(c * len(WORDS))] for c in others[i * words : (i + 1) * words])
            at = (-int(shift * 24) - i % 3 * 8, i * line - int(first * line))
            ImageDraw.Draw(page).text(at, said, fill=0, font=font)
        drawn.append(torch.from_numpy(np.asarray(page, dtype=np.float32)))
    kept = torch.stack(drawn).repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    return kept[:, None, :h, :w].contiguous().to(rng.device)


def picture(shape: tuple[int, ...], rng: Rng, path: str | None, threshold: float) -> Tensor:
    """The mask in an image file, the same for every image: white is kept, what is darker than the threshold goes."""
    b, _, h, w = shape
    if not 0 < threshold < 1:
        raise ValueError(f"the threshold is a grey between 0 (black) and 1 (white), not {threshold}")
    grey = _ring(h, w) if path is None else _read(at_home(path))
    if grey.shape != (h, w):
        raise ValueError(f"the mask {path} is {grey.shape[0]} x {grey.shape[1]}, but the images are {h} x {w}")
    if not (grey >= threshold).any():
        raise ValueError(f"the mask {path} keeps no pixel: white is kept, below {threshold} of white is removed")
    return torch.from_numpy(grey >= threshold).float().to(rng.device).repeat(b, 1, 1, 1)


def _read(path: Path) -> np.ndarray:
    """Grey values in [0, 1]."""
    try:
        with sizes.picture(path) as image:
            if (deep := shown.grey_16(image)) is not None:
                return deep.astype(np.float64) / shown.WHITE_16
            if image.mode in ("I", "F"):
                raise ValueError(f"pixels of kind {image.mode} say of no number that it is white: save it in 8 bits")
            return np.asarray(shown.upright(image).convert("L"), dtype=np.float64) / 255
    except FileNotFoundError as error:
        raise ValueError(f"no mask image {path}: say degradation.operator.path=FILE") from error
    except UnidentifiedImageError as error:
        raise ValueError(f"{path} is not an image: a mask is a black and white picture, white where kept") from error
    except Exception as error:  # decoders of damaged files raise anything
        raise ValueError(f"{path} cannot be read: {sizes.reason(error)}") from error


def _ring(h: int, w: int) -> np.ndarray:
    """What stands in for a file: black between a fifth and a third of the side from the middle."""
    i, j = np.ogrid[:h, :w]
    radius = np.hypot((i - (h - 1) / 2) / h, (j - (w - 1) / 2) / w)
    return 1.0 - ((radius > 1 / 5) & (radius < 1 / 3))


def count(removed: float, pixels: int) -> int:
    """floor(removed pixels), for a fraction removed between 0 and 1."""
    if not 0 < removed < 1:
        raise ValueError(f"the removed fraction lies between 0 and 1, not {removed}")
    if not (gone := math.floor(removed * pixels + 1e-9)):
        raise ValueError(f"a removed fraction of {removed} is less than one of {pixels} pixels")
    return gone
