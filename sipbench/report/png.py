"""Pictures as PNG, with 8 or 16 bits a channel (Pillow writes colours with 8 alone)."""

from __future__ import annotations

import struct
import zlib

import torch
from torch import Tensor

GREY, COLOUR = 0, 2  # the kinds of pixel, as the format numbers them


def encode(picture: Tensor, bits: int = 8) -> bytes:
    """A picture (1 or 3, h, w) in [0, 1] as PNG."""
    levels = (picture.detach().cpu().double().clamp(0, 1) * (2**bits - 1)).round().to(torch.int32)
    channels, height, width = levels.shape
    pixels = levels.permute(1, 2, 0).reshape(height, width * channels).numpy().astype(">u2" if bits == 16 else "u1")
    header = struct.pack(">IIBBBBB", width, height, bits, GREY if channels == 1 else COLOUR, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # each row begins with the number of its filter: none
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
