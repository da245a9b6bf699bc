"""Faces: portraits drawn by formula from a seed, at any size from 32 to 256 pixels.

Nobody's picture is in it, nothing is downloaded, and there are as many test images as one likes. The pictures are rich
in edges, strands and patterns, because an inverse problem is only interesting when something fine can be lost.
This file holds the data set, the features of the face and the order of the layers; `portrait` holds all the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from sipbench.datasets.base import Dataset, Split
from sipbench.datasets.portrait import (
    TILE,
    Canvas,
    Dice,
    Head,
    background,
    body,
    hair_behind,
    hair_colour,
    hair_front,
    lattice,
    noise,
    smooth,
)
from sipbench.errors import UserError

VERSION = 2  # part of the protocol hash of results: any change of a drawn pixel raises it
SPLITS = {"test": 0, "validation": 10_000_000, "train": 20_000_000}  # first global index of each split
SPLIT_LENGTH = 10_000_000
TRAIN_LENGTH = 2**40
SIZES = (32, 256)
TRAITS = 200  # uniform numbers behind one portrait, some of them spare
CHUNK = 8  # images drawn at once, few enough to stay in the cache

# Freeing one large block teaches glibc to keep memory of this size instead of handing it back to the system after every
# operation, which doubles the speed of drawing.
torch.empty(31 << 20, dtype=torch.uint8)


def tint(like: Tensor, *rgb: float) -> Tensor:
    """A constant colour, shape (1, 3, 1, 1)."""
    return torch.tensor(rgb, dtype=like.dtype).view(1, 3, 1, 1)


def ears(c: Canvas, head: Head, d: Dice) -> None:
    """Two ears, the nearer one hidden a little by the turn of the head, some with an earring."""
    side = c.u.abs() - head.w * (1.0 + 0.06 * head.yaw * c.u.sign())
    level = c.v - 0.04
    ear = (torch.hypot(side / 0.075, level / 0.125) - 1) * 0.08
    c.paint(head.skin * 0.88, c.fill(ear))
    c.shade(0.4 * c.fill((torch.hypot((side - 0.01) / 0.045, level / 0.085) - 1).abs() * 0.05 - 0.009))
    ring = (torch.hypot(side - 0.03, level - 0.17) - 0.035).abs() - 0.012
    c.paint(d.colour((0.2, 0.6), (0.8, 1.0)), c.fill(ring) * d.chance(0.25))


def skin(c: Canvas, head: Head, d: Dice, outline: Tensor) -> None:
    """The face itself: light from one side, blush, eye sockets, freckles, pores and the lines of age."""
    face = c.fill(outline)
    a, b = 0.9 * c.u / head.w, 0.9 * c.v / head.h
    round_ = (1 - a * a - b * b).clamp(min=0.04).sqrt()
    light = 0.60 + 0.45 * (a * head.light - 0.35 * b + 0.75 * round_)
    c.paint((head.skin * light[:, None]).clamp(0, 1), face)
    u = c.u - 0.07 * head.yaw
    cheek = torch.exp(-((u.abs() - 0.22) ** 2 + (c.v - 0.15) ** 2) * 70) * d.uniform(0.0, 0.35)
    c.paint(head.skin * tint(u, 1.0, 0.62, 0.58), cheek * face)
    socket = torch.exp(-((u.abs() - 0.16) ** 2 * 60 + (c.v + 0.04) ** 2 * 160)) * d.uniform(0.08, 0.28)
    grain = noise(c.tile, c.u * 25 + c.v * 15, c.v * 25 - c.u * 15)
    freckle = c.fill(0.72 - grain, 0.2) * torch.exp(-(((c.v - 0.1) / 0.17) ** 2)) * d.chance(0.3) * 0.2
    furrow = torch.sin((c.v + 0.15 * u * u) * 80).clamp(min=0) * smooth(-c.v, 0.17, 0.24)
    furrow = furrow * smooth(-u.abs(), -0.25, -0.1)
    fold = torch.hypot(u.abs() - 0.05, (c.v - 0.28) * 0.8) - 0.16
    fold = c.fill(fold.abs() - 0.008, 0.025) * smooth(c.v, 0.12, 0.18) * smooth(-c.v, -0.36, -0.26)
    old = smooth(head.age, 0.55, 1.0)
    c.shade((socket + freckle + 0.12 * (grain - 0.5) + old * (0.22 * furrow + 0.35 * fold)) * face)


def eyes(c: Canvas, head: Head, d: Dice) -> None:
    """Both eyes at once, in a coordinate that runs from the inner corner (-1) to the outer one (1)."""
    u = c.u - 0.07 * head.yaw
    side = u.sign()
    wide = d.uniform(0.085, 0.11) * (1 + 0.12 * head.yaw * -side)
    m = (u.abs() - d.uniform(0.155, 0.18)) / wide
    v = c.v + d.uniform(0.01, 0.05) + d.uniform(-0.012, 0.022) * m
    lid = 1 - m * m
    opening, gaze = d.uniform(0.035, 0.066), d.uniform(-0.025, 0.025)
    upper, lower = v + opening * lid, 0.035 * lid - v
    inside = c.fill(-torch.minimum(upper, lower))
    c.paint(torch.full_like(head.skin, 0.92), inside)
    x, y = m * wide - gaze * side, v + 0.008
    r, size = torch.hypot(x, y), d.uniform(0.042, 0.05)
    iris = d.colour((0.25, 0.75), (0.3, 0.75))
    iris = torch.where(d.chance(0.55)[:, None] > 0, tint(u, 0.30, 0.17, 0.08), iris)
    c.paint(
        iris * (0.45 + 0.75 * c.fill(r - 0.75 * size, 0.02) + 6 * y)[:, None].clamp(0.2, 1.3), c.fill(r - size) * inside
    )
    c.paint(torch.full_like(head.skin, 0.03), c.fill(r - 0.5 * size) * inside)
    c.shade(0.45 * c.fill(upper - 0.012, 0.02) * inside)
    glint = torch.hypot(x - 0.018 * side * head.light.sign(), y + 0.02) - 0.015
    c.paint(torch.ones_like(head.skin), c.fill(glint) * c.fill(-upper))
    lash, wing = d.uniform(0.008, 0.022) * (1 - 0.5 * head.man), smooth(m, 0.2, 1.1)
    line = (upper - 0.004 + 0.02 * wing).abs() - lash * (0.6 + 0.6 * wing)
    c.paint(head.hair * 0.2, c.fill(torch.maximum(line, (m.abs() - 1.12) * 0.1)))
    crease = (v + (opening + 0.035) * lid + 0.01).abs() - 0.006
    c.shade(0.45 * c.fill(torch.maximum(crease, (m.abs() - 0.95) * 0.1)))
    c.shade(0.25 * c.fill(torch.maximum(lower.abs() - 0.006, (m.abs() - 0.95) * 0.1)))
    brows(c, head, d, m, v)


def brows(c: Canvas, head: Head, d: Dice, m: Tensor, v: Tensor) -> None:
    """Brows of slanted hairs, arched, raised or frowning."""
    arch = v + d.uniform(0.115, 0.155) + d.uniform(0.0, 0.05) * (1 - (m - 0.2) ** 2) + d.uniform(-0.03, 0.02) * m
    thick = d.uniform(0.012, 0.03) * (1.1 - 0.45 * smooth(m, -0.4, 1.2))
    hairs = noise(c.tile, m * 4.2 + 16 * v, v * 4 + 9)
    shape = torch.maximum(arch.abs() - thick - 0.012 * (hairs - 0.5), (m.abs() - 1.15) * 0.1)
    c.paint(head.hair * (0.3 + 0.6 * hairs)[:, None], 0.92 * c.fill(shape))


def nose(c: Canvas, head: Head, d: Dice) -> None:
    """A bridge shaded on the dark side, a lit tip, wings and nostrils."""
    tip, wide, base = 0.12 * head.yaw, d.uniform(0.06, 0.09), d.uniform(0.14, 0.18)
    t = smooth(c.v, -0.1, 0.15)
    u = c.u - 0.07 * head.yaw * (1 - t) - tip * t
    dark = -head.light.sign()
    flank = u * dark - 0.03 - 0.035 * t
    along = smooth(c.v, -0.12, 0.06) * c.fill(c.v - base, 0.04)
    c.shade(0.30 * c.fill(flank.abs() - 0.022, 0.03) * along)
    c.shade(-0.22 * c.fill((u + 0.01 * dark).abs() - 0.016, 0.035) * along)
    under = torch.hypot(u / wide, (c.v - base) / 0.045) - 1
    c.shade(0.32 * c.fill(under * 0.045, 0.02) * smooth(c.v - base, -0.015, 0.015))
    wing = (torch.hypot((u.abs() - wide * 0.8) / 0.8, c.v - base + 0.01) - 0.032).abs() - 0.006
    c.shade(0.4 * c.fill(wing) * smooth(u.abs() - wide * 0.8, -0.01, 0.01))
    c.shade(0.65 * c.fill(torch.hypot((u.abs() - wide * 0.5) / 1.5, c.v - base - 0.012) - 0.014))
    c.shade(-0.4 * c.fill(torch.hypot(u + 0.015 * dark, c.v - base + 0.045) - 0.016, 0.03))


def beard(c: Canvas, head: Head, d: Dice, outline: Tensor) -> None:
    """Stubble, a full beard or a moustache, made of short hairs that run downwards."""
    hairs = noise(c.tile, c.u * 15 + 2 * torch.sin(3 * c.u), c.v * 5 + 4)
    u = c.u - 0.1 * head.yaw
    ragged = 0.06 * (hairs - 0.5)
    gap = torch.hypot(u / 1.5, (c.v - 0.29) / 0.8) - 0.085
    jaw = 0.16 - 0.5 * (u.abs() - 0.16).clamp(min=0) + 0.6 * (0.16 - u.abs()).clamp(min=0) - c.v
    full = torch.maximum(torch.maximum(jaw - ragged, -gap), outline - d.uniform(0.0, 0.07) + ragged)
    lip = torch.maximum(
        (c.v - 0.225 - 0.8 * u * u - 0.2 * u.abs()).abs() - 0.032 + 0.1 * u.abs() + ragged * 0.5,
        u.abs() - d.uniform(0.13, 0.19),
    )
    colour = hair_colour(c, head, hairs, torch.zeros_like(hairs)) * 0.85
    stubble = torch.maximum(outline, jaw)
    kind = d.uniform(0, 1)
    c.paint(head.hair * 0.6, c.fill(stubble, 0.06) * (0.25 + 0.5 * hairs) * (kind < 0.4) * head.man * 0.6)
    c.paint(colour, c.fill(full) * (kind > 0.4) * (kind < 0.8) * head.man)
    c.paint(colour, c.fill(lip) * (kind > 0.3) * head.man)


def mouth(c: Canvas, head: Head, d: Dice) -> None:
    """Lips that smile or sulk, closed or open over teeth."""
    u, wide = c.u - 0.1 * head.yaw, d.uniform(0.10, 0.155)
    m = u / wide
    lid, smile = (1 - m * m), d.uniform(-0.018, 0.06)
    v = c.v - 0.285 - smile * (0.6 - m * m)
    gape = (d.uniform(-0.05, 0.065)).clamp(min=0) * lid
    full, side = d.uniform(0.02, 0.038), (m.abs() - 1.02) * wide
    bow = full * lid * (0.85 + 0.25 * torch.cos(m * 7).clamp(max=0.3))
    top, bottom = -v - 0.4 * gape, v - gape
    lipstick = d.colour((0.6, 0.9), (0.45, 0.85)) * tint(u, 1.0, 0.25, 0.4)
    made_up = d.uniform(-0.5, 0.9).clamp(min=0) * (1 - head.man)
    red = torch.lerp(head.skin * tint(u, 0.78, 0.5, 0.48), lipstick, made_up[:, None])
    lips = torch.maximum(torch.maximum(top - bow, bottom - 1.25 * full * lid), side)
    c.paint(red * (0.85 + 4 * v)[:, None].clamp(0.7, 1.15), c.fill(lips))
    gloss = torch.hypot(m + 0.1 - 0.3 * head.light, (bottom - 0.6 * full) * 16) - 0.3
    c.shade(-0.35 * c.fill(gloss, 0.3) * c.fill(lips))
    hole = torch.maximum(torch.maximum(top, bottom), side)
    c.paint(red * 0.18, c.fill(hole) * (gape > 0))
    teeth = torch.maximum(hole + 0.004, v + 0.4 * gape - 0.034 * lid)
    gaps = 1 - 0.3 * c.fill((torch.sin(m * 9)).abs() * 0.02 - 0.003)
    c.paint(0.95 * gaps[:, None].expand(-1, 3, -1, -1), c.fill(teeth) * (gape > 0))
    c.paint(red * 0.3, c.fill(torch.maximum(bottom.abs() - 0.005, side)) * (1 - d.uniform(0, 0.3)))
    c.shade(0.2 * c.fill(torch.hypot(m * 0.09, v - gape - 0.075) - 0.025, 0.05))


def glasses(c: Canvas, head: Head, d: Dice) -> None:
    """Round or square frames with a bridge, temples and a streak of reflection; a few are sunglasses."""
    u, worn, square = c.u - 0.08 * head.yaw, d.chance(0.28), d.uniform(0.0, 0.07)
    size, frame = d.uniform(0.115, 0.14), d.uniform(0.009, 0.017)
    a, b = u.abs() - 0.175, (c.v + 0.02) * 1.12
    rim = torch.hypot((a.abs() - square).clamp(min=0), (b.abs() - 0.7 * square).clamp(min=0)) + square - size
    dark = torch.where(d.chance(0.2) > 0, 0.85, 0.06)
    c.paint(d.colour((0.0, 0.5), (0.05, 0.3)), c.fill(rim) * dark * worn)
    streak = c.fill((a + b + 0.02).abs() - 0.018) * c.fill(rim + 0.02)
    c.paint(torch.ones_like(head.skin), streak * worn * d.uniform(0.1, 0.4))
    bridge = torch.maximum((b + 0.03 - u * u).abs() - frame, u.abs() - 0.07)
    temple = torch.maximum((b + 0.04).abs() - frame, torch.maximum(0.28 - u.abs(), c.u.abs() - head.w))
    line = torch.minimum(torch.minimum(rim.abs() - frame, torch.maximum(bridge, -rim)), torch.maximum(temple, -rim))
    c.paint(d.colour((0.2, 0.9), (0.05, 0.6)), c.fill(line) * worn)


def portrait(values: Tensor, tile: Tensor, size: int) -> Tensor:
    """Paint every layer of a few portraits, back to front, at twice the size, and look through a lens; range [0, 1]."""
    d, fine = Dice(values), 2 * size
    line = (torch.arange(fine, dtype=values.dtype) + 0.5) * (2 / fine) - 1
    y, x = (t.expand(len(values), -1, -1).contiguous() for t in torch.meshgrid(line, line, indexing="ij"))
    middle, level = d.uniform(-0.1, 0.1), d.uniform(-0.1, 0.08)
    scale, turn = d.uniform(0.9, 1.2), d.uniform(-0.2, 0.2)
    cos, sin = turn.cos() / scale, turn.sin() / scale
    u, v = (x - middle) * cos + (y - level) * sin, (y - level) * cos - (x - middle) * sin
    c = Canvas(values.new_zeros(len(values), 3, fine, fine), x, y, u, v, 2 / fine, tile)
    head = Head.roll(d)
    background(c, d)
    over, locks = hair_behind(c, head, d), c.rgb
    low, at = c.window(-1, -0.05, 1, 1)
    body(low, head, d, 0.8 * middle, level + scale * head.h)
    low.paint(locks[at], over[at] * d.chance(0.6))
    c.rgb[at] = low.rgb
    outline = head.outline(c)
    near, at = c.window(-0.78, -0.85, 0.78, 0.85)
    ears(near, head, d)
    near.shade(0.35 * c.fill(outline[at] - 0.03, 0.06) * smooth(near.v, 0.1, 0.35))
    skin(near, head, d, outline[at])
    beard(near, head, d, outline[at])
    c.rgb[at] = near.rgb
    face, at = c.window(-0.62, -0.6, 0.62, 0.74)
    nose(face, head, d)
    mouth(face, head, d)
    eyes(face, head, d)
    c.rgb[at] = face.rgb
    hair_front(c, head, d, outline)
    glasses(c, head, d)
    return lens(lens(c.rgb.clamp(0, 1)).mT).mT


def lens(fine: Tensor) -> Tensor:
    """Halve the rows through a Gaussian of 0.55 pixels.

    At 64 pixels the power spectrum then falls as that of shrunken photographs does; an average of 2 x 2 drawn pixels
    leaves 2.5 to 4.5 times their power in the upper half of the frequencies.
    """
    weights = torch.exp(-((torch.arange(6, dtype=fine.dtype) - 2.5) ** 2) / (2 * 1.1**2))
    padded = torch.cat([fine[..., :1, :].expand(-1, -1, 2, -1), fine, fine[..., -1:, :].expand(-1, -1, 2, -1)], 2)
    rows = fine.shape[2] - 1
    return sum(w * padded[..., k : k + rows : 2, :] for k, w in enumerate((weights / weights.sum()).tolist()))  # pyright: ignore


def _numbers(index: int) -> Tensor:
    """All random numbers of one portrait, from a private generator seeded by the version and the index."""
    seed = hashlib.sha256(f"faces-{VERSION}/{index}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(seed[:7], "big"))
    return torch.rand(TRAITS + TILE * TILE, generator=generator, dtype=torch.float64)


@torch.no_grad()
def draw(indices: Sequence[int], size: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Portraits of these global indices, (B, 3, size, size) in [-1, 1], in the 256 steps of a photograph.

    In float64 a picture is the same bit for bit whatever the batch; float32 is faster and serves training.
    """
    if not len(indices):
        return torch.empty(0, 3, size, size)
    numbers = torch.stack([_numbers(int(i)) for i in indices]).to(dtype)
    parts = [portrait(n[:, :TRAITS], lattice(n[:, TRAITS:]), size) for n in numbers.split(CHUNK)]
    return ((torch.cat(parts) * 255).round() / 255 * 2 - 1).float()


class Faces(Dataset):
    """Portraits drawn by formula: endless, free of rights, of any size, and the same on every machine.

    Test and validation hold ten million pictures each, training goes on without end, and no picture is in two splits.
    """

    name = "faces"

    def __init__(self, split: Split = "test", size: int = 64) -> None:
        if not SIZES[0] <= size <= SIZES[1]:
            raise ValueError(f"size {size} is outside {SIZES[0]}..{SIZES[1]} pixels")
        self.split, self.size, self.shape = split, size, (3, size, size)

    @property
    def version(self) -> str:
        """Name and version of the drawing, part of the protocol of a result."""
        return f"{self.name}-{VERSION}"

    def __len__(self) -> int:
        return TRAIN_LENGTH if self.split == "train" else SPLIT_LENGTH

    def load(self, indices: Sequence[int]) -> Tensor:
        """The pictures of these indices of the split, (B, 3, size, size) in [-1, 1]."""
        for index in indices:
            if not 0 <= index < len(self):
                raise UserError(f"index {index} is outside the {len(self)} pictures of split {self.split!r}")
        dtype = torch.float32 if self.split == "train" else torch.float64
        return draw([SPLITS[self.split] + int(i) for i in indices], self.size, dtype)

    def fingerprint(self, index: int) -> str:
        """What identifies a picture; it is drawn, so its name says all."""
        return f"{self.version}/{self.split}/{index}"
