"""The regular files of a layer's archive, one after the other. Nothing is extracted, and no name is used as a path."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final, cast

from quotasim.dedup.streams import PIECE_BYTES, Broken, Limits, TarStream

__all__ = ["Entry", "regular_files"]

_ZEROS: Final = memoryview(bytes(PIECE_BYTES))

# What tarfile lets through where a header says nonsense.
_NONSENSE: Final = (tarfile.TarError, ValueError, OverflowError, IndexError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file: its size, holes included, and its bytes, to be read before the next entry.

    Attributes
    ----------
    size : bytes.
    pieces : its content, each piece good until the next; holes come as zeros.
    """

    size: int
    pieces: Iterator[memoryview]


def regular_files(stream: TarStream, limits: Limits) -> Iterator[Entry]:
    """Every regular file of an archive, in its order: ustar, pax and GNU, sparse files included.

    Links, directories, devices and unknown types have no content and are passed over. Names are not looked at: an
    absolute path or a ``..`` in them leads nowhere.

    Raises
    ------
    Broken : the archive is damaged or cut off, goes past a limit, or does not end with a block of zeros.

    Notes
    -----
    `tarfile` reads the headers, one at a time. Its own iterator would keep every member, and ends without an error at a
    damaged header.
    """
    count, content = 0, 0
    archive, member = _first(stream)
    while member is not None:
        count += 1
        if count > limits.members:
            message = f"its archive has more than {limits.members:,} entries, which is the limit"
            raise Broken(message)
        end = archive.offset
        if member.size < 0 or end < stream.tell():
            message = f"the header at byte {member.offset:,} of the archive has a negative size"
            raise Broken(message)
        if member.isreg():
            content += member.size
            if content > limits.archive_bytes:
                message = f"its files have more than {limits.archive_bytes:,} bytes, which is the limit"
                raise Broken(message)
            extents = _extents(member, end)
            stream.seek(member.offset_data)
            yield Entry(member.size, _content(stream, extents, member.size))
        stream.seek(end)
        member = _next(archive)
    stream.drain()


def _first(stream: TarStream) -> tuple[tarfile.TarFile, tarfile.TarInfo | None]:
    """The archive, and its first header; None if there is none."""
    try:
        # It reads the first header at once, from what has as much of a file as that needs.
        archive = tarfile.TarFile(fileobj=cast("IO[bytes]", stream), mode="r", errorlevel=2)
    except _NONSENSE as error:
        message = f"is not a tar archive: {error}"
        raise Broken(message) from None
    return archive, archive.firstmember  # type: ignore[attr-defined]


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    """The next header; None at the block of zeros that ends the archive."""
    start = archive.offset
    try:
        return tarfile.TarInfo.fromtarfile(archive)
    except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
        return None
    except (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError):  # type: ignore[attr-defined]
        message = f"is cut off: its archive ends at byte {start:,}, without the block of zeros that ends one"
    except _NONSENSE as error:
        message = f"the header at byte {start:,} of the archive is damaged: {error}"
    raise Broken(message)


def _extents(member: tarfile.TarInfo, end: int) -> list[tuple[int, int]]:
    """Where the data of a file lies in it, as (offset, size), ascending; all of it if it has no holes."""
    sparse = cast("list[tuple[int, int]] | None", member.sparse)
    if sparse is None:
        return [(0, member.size)]
    position = stored = 0
    for offset, size in sparse:
        if size < 0 or offset < position or offset + size > member.size:
            message = f"the map of the sparse file at byte {member.offset:,} of the archive contradicts itself"
            raise Broken(message)
        position, stored = offset + size, stored + size
    if stored > end - member.offset_data:
        message = f"the map of the sparse file at byte {member.offset:,} of the archive names more than is there"
        raise Broken(message)
    return sparse


def _content(stream: TarStream, extents: list[tuple[int, int]], size: int) -> Iterator[memoryview]:
    position = 0
    for offset, count in extents:
        yield from _hole(offset - position)
        yield from stream.pieces(count)
        position = offset + count
    yield from _hole(size - position)


def _hole(size: int) -> Iterator[memoryview]:
    while size > 0:
        yield _ZEROS[:size]
        size -= PIECE_BYTES
