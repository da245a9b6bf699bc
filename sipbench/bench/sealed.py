"""Parquet files with a seal: no byte of one can change without being noticed where its numbers are read.

The seal stands in the file's own metadata: where the heavy columns begin, the hash of those, and the hash of all the
rest, the metadata included. So the numbers are verified without reading the pictures. A file without a seal was not
written here: by pandas, say, or by sipbench before there were seals.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

NAME = b"sipbench.seal"
EMPTY = b"0" * 140  # 12 digits of a place, two hashes
SEAL = re.compile(re.escape(NAME) + rb".{3}([0-9a-f]{140})", re.DOTALL)
END = 8  # bytes after the metadata: its length, and a magic word
MAGIC = b"PAR1"
ROOM, TIMES = 64 * 2**20, 64  # what a file may unpack to: so many bytes, and so many times its own


class Damaged(Exception):
    """A file that does not hold what was written; the message says what is wrong with it."""


def sealed(table: Any, heavy: Collection[str] = (), said: Mapping[bytes, bytes] | None = None) -> bytes:
    """An Arrow table as the content of a file, its heavy columns last; `said` goes into its metadata."""
    from pyarrow import BufferReader, parquet

    names = table.column_names
    table = table.select([*(n for n in names if n not in heavy), *(n for n in names if n in heavy)])
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **(said or {}), NAME: EMPTY})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, write_page_checksum=True, store_schema=True)
    content = buffer.getvalue()
    footer = _footer(content)
    return seal(content, _heavy_at(parquet.read_metadata(BufferReader(content)), heavy, footer))


def seal(plain: bytes, at: int | None = None) -> bytes:
    """The content of a file with room for a seal, sealed; its heavy columns, if any, begin at this place."""
    content, footer = bytearray(plain), max(0, _footer(plain))
    at = footer if at is None else at
    found = SEAL.search(content, footer)
    assert found, "the metadata of Parquet files is not laid out as it was"
    place = found.start(1)
    content[place : place + 12] = b"%012d" % at
    content[place + 12 : place + 76] = _hash(content[at:footer])
    content[place + 76 : place + 140] = _hash(content[:at], content[footer:])
    return bytes(content)


def _footer(content: bytes) -> int:
    """Where the metadata begins."""
    return len(content) - END - int.from_bytes(content[-END:-4], "little")


def read(
    path: Path,
    columns: Sequence[str] | None,
    heavy: Collection[str] = (),
    misfit: Callable[[Any], str] = lambda schema: "",
) -> Any:
    """The Arrow table of a file: these of its columns that it has, or all but the heavy ones.

    `misfit` says what is wrong with the kinds of all of its columns, if anything. What it returns is what was verified.
    Damaged is raised where the file is not as it was written.
    """
    from pyarrow import ArrowException, BufferReader, parquet

    content = _verified(path, columns is not None and bool({*columns} & {*heavy}))
    try:
        with parquet.ParquetFile(BufferReader(content), page_checksum_verification=True) as file:
            if why := misfit(file.schema_arrow):
                raise Damaged(why)
            names = file.schema_arrow.names
            names = [n for n in names if (n in columns if columns is not None else n not in heavy)]
            return _unpacked(file, names, len(content))
    except (ValueError, TypeError, KeyError, OSError, ArrowException, MemoryError) as error:
        raise Damaged(" ".join(str(error).split())[:200]) from error


def _unpacked(file: Any, names: list[str], size: int) -> Any:
    """These columns, piece by piece: one value that stands for many is refused before memory is full of it."""
    from pyarrow import Table

    pieces, taken = [], 0
    for piece in file.iter_batches(max(64, size // 256), columns=names):
        pieces.append(piece)
        taken += piece.nbytes
        if taken > ROOM + TIMES * size:
            raise Damaged(f"its {size:,} bytes unpack to more than {taken:,}")
    schema = pieces[0].schema if pieces else file.read(columns=names).schema
    return Table.from_batches(pieces, schema.with_metadata(file.schema_arrow.metadata))


def _verified(path: Path, whole: bool) -> bytes:
    """The content of a file; of a sealed one whose heavy columns are not wanted, nothing stands in their place."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Damaged("it is no regular file")
        with open(path, "rb") as file:
            return _as_sealed(file, whole)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"it cannot be read: {error.strerror or error}") from error


def _as_sealed(file: Any, whole: bool) -> bytes:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - END))
    end = file.read()
    footer = size - END - int.from_bytes(end[:4], "little")
    if end[4:] != MAGIC or footer < 4:
        raise Damaged("it is cut off, or no Parquet file")
    file.seek(footer)
    about = bytearray(file.read())
    found = SEAL.search(about)
    file.seek(0)
    if found is None:
        raise Damaged("its seal is broken" if NAME in about else "it has no seal: sipbench did not write it so")
    place, at = found.start(1), int(found[1][:12]) if found[1][:12].isdigit() else -1
    if not 0 <= at <= footer:
        raise Damaged("its seal is broken")
    said, of_heavy = found[1][76:], found[1][12:76]
    light, plain = file.read(at), bytes(about)
    about[place + 76 : place + 140] = EMPTY[:64]
    if _hash(light, about) != said:
        raise Damaged("its content is not what was written")
    rest = file.read(footer - at) if whole else bytes(footer - at)
    if whole and _hash(rest) != of_heavy:
        raise Damaged("its images are not what was written")
    return b"".join((light, rest, plain))


def _heavy_at(metadata: Any, heavy: Collection[str], end: int) -> int:
    """Where the first heavy column begins."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    own = [column for column in columns if column.path_in_schema.split(".")[0] in heavy]
    return min([end, *(column.dictionary_page_offset or column.data_page_offset for column in own)])


def _hash(*parts: bytes | bytearray) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()
