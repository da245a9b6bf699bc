"""The drawing of a portrait: every layer is a formula of continuous coordinates, painted back to front.

Coordinates run over [-1, 1] with y pointing down. (x, y) belong to the picture, (u, v) to the head, which is turned,
scaled and moved. Edges are softened over one drawn pixel; textures are coarser than two pixels at size 64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

TILE = 32  # side of the random lattice each image carries; value noise repeats after so many cells

SKINS = (
    (0.99, 0.86, 0.78),
    (0.96, 0.78, 0.66),
    (0.90, 0.69, 0.54),
    (0.80, 0.57, 0.41),
    (0.65, 0.43, 0.29),
    (0.49, 0.31, 0.21),
    (0.36, 0.22, 0.15),
)
HAIRS = (
    (0.10, 0.08, 0.08),
    (0.22, 0.14, 0.10),
    (0.38, 0.23, 0.13),
    (0.55, 0.22, 0.10),
    (0.78, 0.38, 0.14),
    (0.85, 0.66, 0.34),
    (0.93, 0.85, 0.66),
    (0.62, 0.62, 0.64),
    (0.90, 0.90, 0.90),
    (0.80, 0.25, 0.50),
    (0.16, 0.40, 0.62),
    (0.30, 0.55, 0.38),
)
# One row a hair style: thickness on the skull, length and thickness behind the head, height of the hairline,
# its curvature, lowest point beside the ears, curl, wave, bun, presence in front, presence behind.
STYLES = (
    (0.07, 0.00, 0.02, 0.30, 1.7, 0.06, 0.0, 0.00, 0.0, 1.0, 0.0),  # short
    (0.12, 0.00, 0.04, 0.24, 0.9, -0.02, 0.0, 0.02, 0.0, 1.0, 0.0),  # quiff
    (0.08, 0.75, 0.09, 0.33, 1.9, 0.30, 0.0, 0.00, 0.0, 1.0, 1.0),  # long
    (0.10, 0.62, 0.15, 0.30, 1.7, 0.30, 0.0, 0.05, 0.0, 1.0, 1.0),  # long, wavy
    (0.08, 0.30, 0.10, 0.17, 0.1, 0.36, 0.0, 0.00, 0.0, 1.0, 1.0),  # bob with a fringe
    (0.05, 0.00, 0.02, 0.31, 1.8, 0.10, 0.0, 0.00, 1.0, 1.0, 0.0),  # bun
    (0.18, 0.12, 0.24, 0.27, 1.2, 0.06, 1.0, 0.00, 0.0, 1.0, 1.0),  # curly, large
    (0.09, 0.00, 0.04, 0.27, 1.2, 0.06, 1.0, 0.00, 0.0, 1.0, 0.0),  # curly, short
    (0.00, 0.00, 0.00, 0.30, 1.7, 0.00, 0.0, 0.00, 0.0, 0.0, 0.0),  # bald
)


class Dice:
    """Hands out the uniform numbers of a batch of images one after another, so each trait owns a fixed number."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.used = values, 0

    def take(self, count: int) -> Tensor:
        """The next `count` numbers of every image, shape (B, count)."""
        self.used += count
        return self.values[:, self.used - count : self.used]

    def uniform(self, low: float, high: float) -> Tensor:
        """A number of [low, high) for every image, shape (B, 1, 1)."""
        return (low + (high - low) * self.take(1))[..., None]

    def chance(self, probability: float) -> Tensor:
        """One with this probability, zero otherwise, shape (B, 1, 1)."""
        return (self.take(1) < probability).to(self.values.dtype)[..., None]

    def pick(self, count: int) -> Tensor:
        """A whole number below `count` for every image, shape (B,)."""
        return (self.take(1)[:, 0] * count).long().clamp(max=count - 1)

    def colour(self, saturation: tuple[float, float], value: tuple[float, float]) -> Tensor:
        """A colour of any hue, shape (B, 3, 1, 1)."""
        hue, s, v = self.uniform(0, 6), self.uniform(*saturation), self.uniform(*value)
        ramps = torch.stack([((hue + k) % 6 - 3).abs() - 1 for k in (0, 4, 2)], 1).clamp(0, 1)
        return v[:, None] * (1 - s[:, None] * (1 - ramps))


@dataclass
class Canvas:
    """The picture so far, its coordinates, the width of one drawn pixel and the random lattice of each image."""

    rgb: Tensor
    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor
    px: float
    tile: Tensor

    def fill(self, distance: Tensor, soft: float = 0.0) -> Tensor:
        """Coverage of the region where `distance` is negative, with an edge one pixel (or `soft`) wide."""
        return (0.5 - distance * (1 / max(self.px, soft))).clamp(0, 1)

    def paint(self, colour: Tensor, alpha: Tensor) -> None:
        """Lay a colour, one per image or one per pixel, over the picture."""
        self.rgb = torch.lerp(self.rgb, colour, alpha[:, None])

    def shade(self, amount: Tensor) -> None:
        """Darken (positive) or brighten (negative) by a fraction."""
        self.rgb = self.rgb * (1 - amount)[:, None]

    def stripes(self, x: Tensor, period: Tensor) -> Tensor:
        """Sharp stripes along x, band-limited at the pixel."""
        return (0.5 + torch.sin(x * (2 * math.pi / period)) * period / (2 * math.pi * self.px)).clamp(0, 1)

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[Canvas, Any]:
        """A part of the picture to draw on, and where it belongs: most layers are small, and drawing them is dear."""
        n = self.x.shape[-1]
        cut = [max(0, min(n, round((edge + 1) * n / 2))) for edge in (left, top, right, bottom)]
        at = (..., slice(cut[1], cut[3]), slice(cut[0], cut[2]))
        rgb, x, y, u, v = (t[at].contiguous() for t in (self.rgb, self.x, self.y, self.u, self.v))
        return Canvas(rgb, x, y, u, v, self.px, self.tile), at

    def only(self, rows: Tensor) -> Canvas:
        """The canvas of some images of the batch."""
        return Canvas(self.rgb[rows], self.x[rows], self.y[rows], self.u[rows], self.v[rows], self.px, self.tile[rows])


def lattice(numbers: Tensor) -> Tensor:
    """The lattice of each image, one row and column longer than its period: neighbours lie at a fixed offset."""
    square = numbers.view(-1, 1, TILE, TILE)
    return torch.nn.functional.pad(square, (0, 1, 0, 1), mode="circular").flatten(1)


def address(i: Tensor, j: Tensor) -> Tensor:
    """Where lattice cell (i, j) is stored."""
    return ((i.long() & (TILE - 1)) * (TILE + 1) + (j.long() & (TILE - 1))).flatten(1)


def cell(tile: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """The random number of lattice cell (i, j)."""
    return tile.gather(1, address(i, j)).view(i.shape)


def noise(tile: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Smooth value noise in [0, 1] with cells of size one."""
    i, j = x.floor(), y.floor()
    a, b = x - i, y - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    index = address(i, j)
    here, right, below, across = (tile[:, k:].gather(1, index).view(x.shape) for k in (0, TILE + 1, 1, TILE + 2))
    return torch.lerp(torch.lerp(here, right, a), torch.lerp(below, across, a), b)


def smooth(x: Tensor, low: float, high: float) -> Tensor:
    """A smooth step from 0 at `low` to 1 at `high`."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def table(rows: tuple, index: Tensor, like: Tensor) -> Tensor:
    """Rows of a constant table, one for every image."""
    return torch.tensor(rows, dtype=like.dtype)[index]


Texture = Callable[[Canvas, Tensor, Tensor, Tensor], Tensor]


def _gradient(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    return 0.5 + 0.4 * y + 0.5 * (noise(c.tile, x * 1.5, y * 1.5) - 0.5)


def _stripes(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    return c.stripes(x, size)


def _checks(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    a, b = c.stripes(x, 1.4 * size), c.stripes(y, 1.4 * size)
    return 0.5 * (a + b)


def _dots(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    row = (y / size).floor()
    x = x / size + 0.5 * (row % 2)
    return c.fill((torch.hypot(x - x.floor() - 0.5, y / size - row - 0.5) - 0.3) * size)


def _foliage(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    warp = noise(c.tile, x * 2.5, y * 2.5)
    a, b = (x + 0.5 * warp) / size, (y - 0.4 * warp) / size
    leaf = noise(c.tile, a * 1.1, b * 2.2)
    return 0.45 * warp + 0.9 * ((leaf - 0.45) * 3 + 0.4).clamp(0, 1) - 0.1


def _bokeh(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    light = 0.25 * noise(c.tile, x * 2, y * 2)
    for scale in (1.8, 2.7):
        a, b = x / (scale * size), y / (scale * size) + scale
        i, j = a.floor(), b.floor()
        r = cell(c.tile, i, j)
        ring = torch.hypot(a - i - 0.5 + 0.2 * (r - 0.5), b - j - 0.5) * scale * size
        disc = c.fill(ring - (0.2 + 0.2 * r) * scale * size)
        light = light + 0.7 * disc * (r * 3 % 1) * (0.6 + 0.4 * c.fill((0.15 + 0.2 * r) * scale * size - ring))
    return light


def _brick(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    row = (y / size).floor()
    a, b = x / (2.2 * size) + 0.5 * (row % 2), y / size - row
    i = a.floor()
    joint = torch.minimum((0.5 - (a - i - 0.5).abs()) * 2.2 * size, (0.5 - (b - 0.5).abs()) * size)
    return c.fill(0.018 - joint) * (0.45 + 0.55 * cell(c.tile, i, row))


def _books(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    shelf = (y / 0.55).floor()
    a = x / (0.7 * size) + 5 * shelf
    i, b = a.floor(), y / 0.55 - shelf
    r = cell(c.tile, i, shelf)
    spine = c.fill((0.08 - (0.5 - (a - i - 0.5).abs())) * size) * c.fill((0.1 + 0.25 * r - b) * 0.55)
    return spine * (0.25 + 0.75 * (r * 7 % 1)) * (1 - 0.5 * c.fill((b - 0.55).abs() * 0.55 - 0.03))


def _knit(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    column = x / size
    lean = (column - column.floor() - 0.5).abs()
    return 0.5 + 0.5 * torch.sin(2 * math.pi * (y / (0.75 * size) - 1.1 * lean)) * (1 - 0.8 * lean)


def _weave(c: Canvas, x: Tensor, y: Tensor, size: Tensor) -> Tensor:
    fold = noise(c.tile, 3 * x + y, 1.5 * y)
    return 0.3 + 0.5 * fold + 0.25 * noise(c.tile, (x + y) / (0.45 * size), (x - y) / (1.8 * size))


BACKGROUNDS: tuple[Texture, ...] = (_gradient, _stripes, _checks, _dots, _foliage, _gradient, _bokeh, _brick, _books)
CLOTHS: tuple[Texture, ...] = (_stripes, _checks, _dots, _knit, _weave, _knit)


def textured(c: Canvas, kinds: tuple[Texture, ...], kind: Tensor, angle: Tensor, size: Tensor, move: Tensor) -> Tensor:
    """The texture of each image, (B, H, W); every kind is computed only for the images that wear it."""
    out = torch.empty_like(c.x)
    for number, texture in enumerate(kinds):
        rows = (kind == number).nonzero()[:, 0]
        if len(rows):
            part, cos, sin = c.only(rows), angle[rows].cos(), angle[rows].sin()
            x, y = part.x + move[rows], part.y + 1.7 * move[rows]
            out[rows] = texture(part, x * cos + y * sin, y * cos - x * sin, size[rows])
    return out.clamp(0, 1)


def background(c: Canvas, d: Dice) -> None:
    """Paint what is behind the person: a backdrop of two colours, a pattern, foliage, lights, bricks or books."""
    dark, light = d.colour((0.15, 0.7), (0.12, 0.5)), d.colour((0.05, 0.55), (0.45, 0.95))
    kind, size, turn = d.pick(len(BACKGROUNDS)), d.uniform(0.15, 0.32), d.uniform(-0.8, 0.8)
    turn = torch.where((kind > 5)[:, None, None], 0.1 * turn, turn)
    pattern = textured(c, BACKGROUNDS, kind, turn, size, d.uniform(3, 9))
    pattern = 0.5 + (pattern - 0.5) * d.uniform(0.2, 0.65)
    lamp = 1 - 0.3 * (c.x * d.uniform(-1, 1) + c.y * d.uniform(-1, 0.5))
    c.rgb = torch.lerp(dark, light, pattern[:, None]) * lamp[:, None]


@dataclass
class Head:
    """The traits shared by several layers."""

    w: Tensor
    h: Tensor
    jaw: Tensor
    square: Tensor
    yaw: Tensor
    skin: Tensor
    hair: Tensor
    light: Tensor
    style: Tensor
    man: Tensor
    age: Tensor

    @classmethod
    def roll(cls, d: Dice) -> Head:
        """Draw the traits of every image."""
        tone, like = d.uniform(0, len(SKINS) - 1.001), d.values
        at = tone[:, 0, 0].long()
        skin = torch.lerp(table(SKINS, at, like), table(SKINS, at + 1, like), tone[:, 0] % 1)
        hair = table(HAIRS, d.pick(len(HAIRS)), like)
        hair = (hair * (0.85 + 0.3 * d.take(1))).clamp(0, 1)
        skin = (skin * (0.96 + 0.08 * d.take(3))).clamp(0, 1)
        style = table(STYLES, d.pick(len(STYLES)), like)[..., None, None]
        man = d.chance(0.6) * (style[:, 1] < 0.2) * (style[:, 8] < 0.5)
        return cls(
            d.uniform(0.36, 0.43),
            d.uniform(0.49, 0.56),
            d.uniform(0.12, 0.36),
            d.uniform(0.9, 2.1),
            d.uniform(-1, 1),
            skin[..., None, None],
            hair[..., None, None],
            d.uniform(-0.75, 0.75),
            style,
            man,
            d.uniform(0, 1),
        )

    def outline(self, c: Canvas) -> Tensor:
        """Signed distance to the edge of the skull and jaw."""
        a = (c.u / (self.w * (1 - self.jaw * smooth(c.v, 0.0, 0.6)))) ** 2
        b = (c.v / self.h) ** 2
        return ((a * a + b * b + self.square * a * b).sqrt().sqrt() - 1) * self.w


def body(c: Canvas, head: Head, d: Dice, middle: Tensor, chin: Tensor) -> None:
    """Neck, shoulders and cloth."""
    t = c.x - middle
    neck = torch.maximum(t.abs() - d.uniform(0.15, 0.2) - 0.5 * smooth(c.y - chin, 0.0, 0.5) * c.y.clamp(min=0), -c.y)
    c.paint(head.skin * 0.86, c.fill(neck))
    c.shade(c.fill(neck) * (0.45 * (1 - smooth(c.y - chin, -0.05, 0.16)) + 0.3 * (t * head.light).clamp(-0.3, 0.3)))
    t = t.abs()
    top = chin + d.uniform(0.03, 0.12)
    shoulder = torch.maximum(top + d.uniform(0.2, 0.5) * t * t + 0.5 * t**6 - c.y, t - d.uniform(0.8, 1.2))
    depth, width = d.uniform(0.06, 0.32), d.uniform(0.17, 0.24)
    pointed = d.chance(0.5)
    hole = pointed * (1 - t / width) + (1 - pointed) * (1 - (t / (1.25 * width)) ** 2)
    hole = c.y - top - depth * hole
    cover = c.fill(torch.maximum(shoulder, -hole * 0.6))
    size, turn = d.uniform(0.13, 0.2), d.uniform(-0.8, 0.8)
    pattern = textured(c, CLOTHS, d.pick(len(CLOTHS)), turn, size, d.uniform(3, 9))
    dark, light = d.colour((0.3, 0.85), (0.1, 0.45)), d.colour((0.05, 0.7), (0.5, 1.0))
    cloth = torch.lerp(dark, light, 0.5 + (pattern[:, None] - 0.5) * d.uniform(0.3, 0.75)[:, None])
    fold = 0.75 + 0.45 * noise(c.tile, 2.5 * c.x + 0.8 * c.y + 3, 1.3 * c.y)
    c.paint(cloth * fold[:, None].clamp(max=1.1), cover)
    trim = c.fill((hole * 0.6 - 0.03).abs() - 0.028) * cover * d.chance(0.7)
    c.paint(torch.where(pointed[:, None] > 0, light, dark), trim)
    c.shade(0.4 * c.fill(hole - 0.1, 0.16) * cover)


def curls(c: Canvas, phase: Tensor) -> Tensor:
    """Brightness of curly hair: a spiral in every cell of a bent lattice."""
    a = c.u * 6.3 + 1.6 * noise(c.tile, c.u * 4 + phase, c.v * 4)
    b = c.v * 6.3 + noise(c.tile, c.u * 4, c.v * 4 + phase)
    j = b.floor()
    a = a + 0.5 * (j % 2)
    i = a.floor()
    x, y = a - i - 0.5, b - j - 0.5
    return 0.5 + 0.5 * torch.cos(10 * torch.hypot(x, y) + torch.atan2(y, x) + 6 * cell(c.tile, i, j))


def strands(c: Canvas, head: Head, d: Dice, behind: bool) -> Tensor:
    """Brightness of the hair: locks that fall from the crown, or curls, in [0, 1]."""
    phase, part = d.uniform(0, 6), d.uniform(-0.3, 0.3)
    u = c.u + head.style[:, 7] * torch.sin(c.v * 14 + phase)
    if behind:
        across = u * 17 + 7 * phase
    else:
        across = torch.atan2(u - part, c.v + 0.8 + 0.1 * head.style[:, 8]) * 10.5 + 7 * phase
    lock = 0.7 * noise(c.tile, across, c.v * 2.2) + 0.3 * noise(c.tile, across * 2.6, c.v * 3)
    curl = curls(c, phase)
    return torch.lerp(((lock - 0.5) * 1.9 + 0.5).clamp(0, 1), curl, head.style[:, 6])


def hair_colour(c: Canvas, head: Head, lock: Tensor, shine: Tensor) -> Tensor:
    """Colour of the hair: dark between the locks, with a band of shine."""
    bright = 0.45 + 0.85 * lock + 0.25 * head.light * c.u / head.w
    return (head.hair * bright[:, None] + (shine * lock)[:, None] * (0.12 + 0.35 * head.hair)).clamp(0, 1)


def hair_behind(c: Canvas, head: Head, d: Dice) -> Tensor:
    """Hair behind the head, and the bun. Returns its coverage, for locks that fall over the clothes."""
    thick, long = head.style[:, 2] * d.uniform(0.8, 1.2), head.style[:, 1] * d.uniform(0.75, 1.2)
    lock = strands(c, head, d, behind=True)
    radius = head.w + thick
    high = torch.where(c.v < 0, c.v * radius / (head.h + thick), (c.v - long).clamp(min=0))
    ripple = (lock - 0.5) * (0.03 + 0.05 * head.style[:, 6])
    cover = c.fill(torch.hypot(c.u, high) - radius - ripple) * head.style[:, 10]
    knot = torch.hypot(c.u - 0.1 * head.yaw, c.v + head.h + 0.08) - d.uniform(0.14, 0.19) - ripple
    cover = torch.maximum(cover, c.fill(knot) * head.style[:, 8])
    shine = 0.3 * torch.sin(c.v * 6 + 1).clamp(min=0)
    c.paint(hair_colour(c, head, lock, shine) * (0.8 - 0.15 * c.fill(c.u.abs() - head.w, 0.2))[:, None], cover)
    return cover * smooth(c.u.abs() / head.w, 0.8, 0.9)


def hair_front(c: Canvas, head: Head, d: Dice, outline: Tensor) -> None:
    """Hair on the skull, down to a hairline that is parted, curved or a straight fringe."""
    style = head.style
    lock = strands(c, head, d, behind=False)
    part = d.uniform(-0.1, 0.1) * (style[:, 3] > 0.2)
    line = style[:, 3] * d.uniform(0.92, 1.1) - style[:, 4] * (c.u - part) ** 2
    edge = torch.maximum(c.v + line - 0.07 * (lock - 0.5), c.v - style[:, 5] - 0.08 * (lock - 0.5))
    rise = style[:, 0] * (0.35 + 0.65 * smooth(-c.v, -0.1, 0.4)) * d.uniform(0.8, 1.25)
    cover = torch.maximum(outline - rise - (0.04 + 0.05 * style[:, 6]) * (lock - 0.5), edge)
    c.shade(0.3 * c.fill(edge - 0.05, 0.12) * c.fill(outline) * style[:, 9])
    shine = (1 - ((c.v + 0.38 + 0.5 * c.u * c.u) / 0.1) ** 2).clamp(min=0) * d.uniform(0.2, 1.0)
    c.paint(hair_colour(c, head, lock, shine), c.fill(cover) * style[:, 9])
