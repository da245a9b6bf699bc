"""Arrays of numbers in MATLAB's files up to version 7: what is there, and one of them by its name.

Written here because the readers of others, which are compiled, crash on files that are damaged. Structures, cells, text
and code are passed over. The format: "MAT-File Format", The MathWorks.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sipbench.safety import sizes

TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
OLD_TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")
MATRIX, COMPRESSED, NUMBERS = 14, 15, range(6, 16)  # an element's two kinds; the classes of arrays that are numbers
HEAD = 4096  # bytes in which the head of an array lies: its flags, its shape, its name
COMPLEX = 0x800


class Newer(ValueError):
    """A file of version 7.3, which is HDF5."""


@dataclass(frozen=True)
class Array:
    """One array of a file.

    Attributes:
        kind: its class; numbers are 6 to 15.
        content: its bytes as they lie in the file, of which `head` are read.
        packed: whether they are compressed.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    complex: bool
    head: int
    content: bytes
    packed: bool
    order: str


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of what a file holds, by name."""
    return {array.name: array.shape for array in _arrays(path.read_bytes())}


def read(path: Path, name: str) -> np.ndarray | None:
    """The array of this name, in the type that it was saved in; None where there is none, or no real numbers."""
    found = next((array for array in _arrays(path.read_bytes()) if array.name == name), None)
    if found is None or found.kind not in NUMBERS or found.complex:
        return None
    sizes.room(found.shape)
    content = found.content
    if found.packed:
        most = found.head + 8 * math.prod(found.shape) + 64
        content = zlib.decompressobj().decompress(content, most)
    type_, data, _ = _element(content, found.head, found.order)
    return _numbers(data, TYPES.get(type_, ""), found)


def _numbers(data: bytes, type_: str, array: Array) -> np.ndarray:
    if not type_:
        raise ValueError(f"its {array.name} is of no type of numbers")
    dtype = np.dtype(f"{array.order}{type_}")
    wanted = math.prod(array.shape) * dtype.itemsize
    if len(data) != wanted:
        raise ValueError(f"its {array.name} {array.shape} has {len(data):,} bytes, not {wanted:,}")
    return np.frombuffer(data, dtype).astype(dtype.newbyteorder("=")).reshape(array.shape, order="F")


def _arrays(content: bytes) -> Iterator[Array]:
    if 0 in content[:4]:
        yield from _old(content)
        return
    if len(content) < 128 or content[126:128] not in (b"IM", b"MI"):
        raise ValueError("it is no file of MATLAB, or damaged at its beginning")
    order = "<" if content[126:128] == b"IM" else ">"
    if struct.unpack(f"{order}H", content[124:126])[0] >> 8 == 2:
        raise Newer
    at = 128
    while at < len(content):
        type_, data, after = _element(content, at, order)
        packed = type_ == COMPRESSED
        if type_ == MATRIX or packed:
            array = _array(data, packed, order)
            if array is not None:
                yield array
        at += 8 + len(data) if packed else after - at


def _array(data: bytes, packed: bool, order: str) -> Array | None:
    """What the head of an array says; None of one that is empty."""
    start = 0
    content = zlib.decompressobj().decompress(data, HEAD) if packed else data
    if packed:
        if struct.unpack(f"{order}I", content[:4])[0] != MATRIX:
            return None
        start = 8
    if len(content) <= start:
        return None
    _, flags, at = _element(content, start, order)
    _, dims, at = _element(content, at, order)
    _, name, at = _element(content, at, order)
    shape = tuple(int(n) for n in np.frombuffer(dims, f"{order}i4"))
    word = struct.unpack(f"{order}I", flags[:4])[0]
    if not shape or min(shape) < 0 or len(shape) > 32:
        raise ValueError("the shape of an array is damaged")
    return Array(name.decode("latin-1"), shape, word & 0xFF, bool(word & COMPLEX), at, data, packed, order)


def _element(content: bytes, at: int, order: str) -> tuple[int, bytes, int]:
    """The type and the bytes of an element, and where the next one begins."""
    tag = content[at : at + 8]
    if len(tag) < 8:
        raise ValueError("it ends too early")
    type_, size = struct.unpack(f"{order}II", tag)
    if type_ >> 16:  # a small one: its bytes lie within the tag
        return type_ & 0xFFFF, tag[4 : 4 + min(type_ >> 16, 4)], at + 8
    data = content[at + 8 : at + 8 + size]
    if len(data) < size:
        raise ValueError(f"it ends too early: {size:,} bytes are said to follow, and {len(data):,} do")
    return type_, data, at + 8 + size + -size % 8


def _old(content: bytes) -> Iterator[Array]:
    """The matrices of a file of version 4, with the head and the class of those of today."""
    at = 0
    while at + 20 <= len(content):
        order = "<" if struct.unpack("<i", content[at : at + 4])[0] in range(5000) else ">"
        form, rows, columns, imaginary, length = struct.unpack(f"{order}5i", content[at : at + 20])
        if form not in range(5000) or min(rows, columns, length) < 0 or form // 10 % 10 >= len(OLD_TYPES):
            raise ValueError("it is no file of MATLAB, or damaged at its beginning")
        type_ = OLD_TYPES[form // 10 % 10]
        size, begin = rows * columns * int(type_[1]), at + 20 + length
        if begin + size > len(content):
            raise ValueError("it ends too early")
        name = content[at + 20 : begin].rstrip(b"\0").decode("latin-1")
        code = next(code for code, known in TYPES.items() if known == type_)
        body = struct.pack(f"{order}II", code, size) + content[begin : begin + size]
        full = form % 10 == 0
        yield Array(name, (rows, columns), 6 if full else 5, bool(imaginary), 0, body, False, order)
        at = begin + size * (2 if imaginary else 1)
