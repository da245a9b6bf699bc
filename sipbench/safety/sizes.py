"""Files from elsewhere: what they claim to hold is asked before memory is taken, and nothing in them is run.

All that is wrong with a file is a ValueError with the reason; whoever reads it says which file it was. Only
`UnpicklingError`, of weights that hold more than tensors, is left as it is.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import stat
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "DIB", "GIF", "WEBP", "PPM")
"""Pictures that are read. Pillow knows others, of which EPS is a program, and looks at no file's name."""
MOST_PIXELS = 10**8
MOST_JSON = 64 * 2**20
Stamp = tuple[int, int, int, int]


@contextmanager
def picture(file: Path | IO[bytes]) -> Iterator[ImageFile]:
    """A picture, opened and not yet decoded, of a kind that is data and of a size that is sane."""
    from PIL import Image

    if isinstance(file, Path):
        regular(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is said below
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                size = f"{image.width:,} x {image.height:,}"
                raise ValueError(f"it claims to be {size}: pictures of up to {MOST_PIXELS:,} pixels are read")
            yield image


def regular(path: Path) -> None:
    """Refuse what is no regular file: a pipe has no end, and neither has a device."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")


def npy(path: Path) -> Any:
    """The array of an .npy file in this machine's byte order: as long as its header says, and without objects."""
    import numpy as np

    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"an .npy of version {version} is not read: save it again as plain numbers")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        there = os.fstat(file.fileno()).st_size - file.tell()
    if dtype.hasobject or dtype.kind not in "biufc":
        raise ValueError(f"it holds {dtype}, not numbers")
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed > there:
        raise ValueError(f"it claims to hold {claimed:,} bytes of numbers, and holds {there:,}")
    return np.load(path, allow_pickle=False).astype(dtype.newbyteorder("="), copy=False)


def room(shape: tuple[int, ...], itemsize: int = 8) -> None:
    """Refuse an array that this machine has no room for."""
    needed, have = math.prod(shape) * itemsize, memory()
    if needed > have // 2:
        raise ValueError(f"it claims an array of {shape}, {needed / 2**30:,.1f} GiB: too much for this machine")


def memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def weights(path: Path, device: Any = "cpu") -> Any:
    """What torch.save wrote, by torch's reader of bare weights; no tensor is larger than what the file holds of it."""
    import torch

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                    raise ValueError("it is compressed, as torch.save never writes: unpack it, and save it again")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location=device, weights_only=True)
        _refuse_hollow(found)
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged file raises anything
        raise ValueError(reason(error)) from error
    return found


def json_object(path: Path) -> dict[str, Any]:
    """The names and values of a .json file."""
    regular(path)
    if (size := path.stat().st_size) > MOST_JSON:
        raise ValueError(f"it has {size:,} bytes: settings have fewer")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it holds no names with values")
    return found


def stamp(path: Path) -> Stamp:
    """What changes with a file's content: its times, of which nobody can set the second, its size and its place."""
    said = os.stat(path)
    return said.st_mtime_ns, said.st_ctime_ns, said.st_size, said.st_ino


def reason(error: BaseException, most: int = 200) -> str:
    """What went wrong, in a short line."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def _refuse_hollow(node: Any, depth: int = 20) -> None:
    """A tensor of a size that its storage has no bytes for, or without any: using it would take memory from nothing."""
    import torch

    if isinstance(node, torch.Tensor):
        plain = node.layout is torch.strided and node.device.type != "meta"
        if not plain or node.numel() * node.element_size() > node.untyped_storage().nbytes():
            raise ValueError(f"a tensor of {tuple(node.shape)} is not in the file")
    elif depth == 0:
        raise ValueError("it is nested too deeply")
    elif isinstance(node, Mapping):
        for value in node.values():
            _refuse_hollow(value, depth - 1)
    elif isinstance(node, list | tuple | set):
        for value in node:
            _refuse_hollow(value, depth - 1)
