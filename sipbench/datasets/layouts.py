"""Which files a dataset's folder holds, and in which order. Names are listed; no image is opened."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sipbench.errors import UserError

SPLITS = ("train", "validation", "test")
SUFFIXES = frozenset(".png .jpg .jpeg .webp .bmp .tif .tiff .ppm .pgm .gif".split())
FFHQ_TRAIN, FFHQ_TOTAL = 60_000, 70_000


@dataclass(frozen=True)
class Listing:
    """The files of one split.

    Attributes:
        folder: where the names start.
        names: one file an index, in order, whether it is there or not.
        found: those that are there.
        convention: the public rule that fixes which image has which index, or None where only the files themselves do.
    """

    folder: Path
    names: tuple[str, ...]
    found: frozenset[str]
    convention: str | None = None

    @cached_property
    def identity(self) -> str:
        """What tells this list of images from another: the convention, else a digest of names and file sizes."""
        if self.convention is not None:
            return self.convention
        lines = (f"{name}\t{_size(self.folder / name)}" for name in self.names)
        return f"files-{hashlib.sha256(os.fsencode(chr(10).join(lines))).hexdigest()[:12]}"


def plain(root: Path, split: str, recursive: bool = False) -> Listing:
    """Any images: those of the sub-folder named as the split where there are such, else all, as split `test`.

    They come in natural order: 2.png before 10.png.
    """
    folder = _existing(root)
    parts = {name for name in SPLITS if (root / name).is_dir()}
    if parts:
        folder = root / split
        if split not in parts:
            raise UserError(f"no folder {folder.absolute()} for split {split!r}; there is {', '.join(sorted(parts))}.")
    elif split != "test":
        raise UserError(f"{_where(root)} is all split 'test'; put the images of split {split!r} in {root / split}.")
    names = sorted(_images(folder, recursive), key=natural)
    if not names:
        deeper = "" if recursive else " itself (images in its sub-folders count with dataset.recursive=true)"
        raise UserError(f"no images in {_where(folder)}{deeper}.")
    return Listing(folder, tuple(names), frozenset(names))


def celeba(root: Path, split: str) -> Listing:
    """CelebA's official layout, in the order of its partition file (0 train, 1 validation, 2 test), or a plain folder.

    The partition is list_eval_partition.txt (or .csv) beside img_align_celeba or in Eval.
    """
    _existing(root)
    if root.name == "img_align_celeba":
        root = root.parent
    folders = [root / "img_align_celeba" / "img_align_celeba", root / "img_align_celeba", root / "Img/img_align_celeba"]
    lists = [root / place / f"list_eval_partition.{end}" for place in ("", "Eval") for end in ("txt", "csv")]
    folder = next((f for f in folders if f.is_dir()), None)
    partition = next((f for f in lists if f.is_file()), None)
    if folder is None and partition is None:
        return plain(root, split)
    if folder is None:
        raise UserError(f"no folder img_align_celeba in {_where(root)}, though there is {partition}.")
    if partition is None:
        raise UserError(f"no list_eval_partition.txt in {_where(root)}, though there is {folder}.")
    names = tuple(_partition(partition, split))
    return _present(Listing(folder, names, frozenset(_images(folder)) & set(names), "official"), split)


def ffhq(root: Path, split: str, test_start: int = FFHQ_TRAIN, test_count: int = 1000) -> Listing:
    """FFHQ by the numbers in its file names, flat or in thousand-folders: 00000.png, 69000/69000.png.

    Train is 0..59999 and validation 60000..69999, as usual; both without the test part, which is `test_count` images
    from `test_start` on.
    """
    if not (0 <= test_start and 0 < test_count and test_start + test_count <= FFHQ_TOTAL):
        raise UserError(f"test_start {test_start} and test_count {test_count} leave 0..{FFHQ_TOTAL - 1}.")
    _existing(root)
    test = range(test_start, test_start + test_count)
    whole = {"train": range(FFHQ_TRAIN), "validation": range(FFHQ_TRAIN, FFHQ_TOTAL), "test": test}[split]
    wanted = [n for n in whole if split == "test" or n not in test]
    folder, numbered = root, _numbered(root)
    if not numbered and (root / "images1024x1024").is_dir():
        folder = root / "images1024x1024"
        numbered = _numbered(folder)
    if not numbered:
        raise UserError(f"no images named by a number in {_where(folder)} or in its thousand-folders.")
    names = tuple(numbered.get(n, _ffhq_name(n, numbered)) for n in wanted)
    found = frozenset(numbered[n] for n in wanted if n in numbered)
    return _present(Listing(folder, names, found, f"test-{test_start}-{test_count}"), split)


def natural(name: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """A sort key: digits by their value, letters without case; the same on every file system."""
    plain_name = unicodedata.normalize("NFC", name).casefold()
    pieces = re.findall(r"([^0-9]*)([0-9]*)", plain_name.replace("/", "\0"))
    return tuple((text, int(digits or -1)) for text, digits in pieces), name


def _images(folder: Path, recursive: bool = False) -> Iterator[str]:
    """The names of the image files, relative to the folder; hidden files are passed over."""
    try:
        entries = [e for e in os.scandir(folder) if not e.name.startswith(".")]
    except OSError as error:
        raise UserError(f"cannot list {_where(folder)}: {error.strerror}.") from error
    for entry in entries:
        if recursive and entry.is_dir(follow_symlinks=False):
            yield from (f"{entry.name}/{name}" for name in _images(folder / entry.name, recursive))
        elif Path(entry.name).suffix.lower() in SUFFIXES and regular(entry.path):
            yield entry.name


def regular(path: str | os.PathLike[str]) -> bool:
    """Whether it is a file, or a link that leads nowhere. What is read from a pipe or a device never ends."""
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))


def no_folder(path: Path) -> str:
    """What is said of a path that is no folder."""
    return f"{path.absolute()} is a file, not a folder" if path.exists() else f"no folder {path.absolute()}"


def _partition(path: Path, split: str) -> Iterator[str]:
    """The file names of a split, in the order of CelebA's partition file."""
    wanted = str(SPLITS.index(split))
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.replace(",", " ").split()
        if not words or words == ["image_id", "partition"]:
            continue
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise UserError(f"line {number} of {path} is {line[:60]!r}, not a file name and 0, 1 or 2.")
        if words[1] == wanted:
            yield words[0]


def _numbered(folder: Path) -> dict[int, str]:
    """The images named by a number, in the folder and in its sub-folders that are named by one."""
    inner = sorted(p.name for p in folder.iterdir() if p.name.isdecimal() and p.is_dir())
    names = [*_images(folder), *(f"{place}/{name}" for place in inner for name in _images(folder / place))]
    numbered: dict[int, str] = {}
    for name in sorted(names):
        match = re.fullmatch(r"(?:img|ffhq_)?([0-9]+)", Path(name).stem)
        other = numbered.setdefault(int(match[1]), name) if match else name
        if other != name:
            raise UserError(f"{other} and {name} in {_where(folder)} have the same number: keep one of them.")
    return numbered


def _ffhq_name(number: int, numbered: dict[int, str]) -> str:
    """The name that an absent image would have, beside those that are there."""
    place = f"{number // 1000 * 1000:05d}/" if "/" in next(iter(numbered.values())) else ""
    return f"{place}{number:05d}.png"


def _present(listing: Listing, split: str) -> Listing:
    """The listing, unless nothing of it is there."""
    if listing.found:
        return listing
    first, last = (listing.names[0], listing.names[-1]) if listing.names else ("none", "none")
    raise UserError(f"no image of split {split!r} ({first} to {last}) in {_where(listing.folder)}.")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _existing(root: Path) -> Path:
    if not root.exists():
        raise UserError(f"no folder {_where(root)}.")
    if not root.is_dir():
        raise UserError(f"{_where(root)} is a file, not a folder.")
    return root


def _where(path: Path) -> str:
    return str(path.absolute())
