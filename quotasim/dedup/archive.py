"""The regular files of a layer's archive, one after the other. Nothing is extracted, and no name is used as a path."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final, cast

from quotasim.dedup.streams import PIECE_BYTES, Broken, Limits, TarStream

__all__ = ["Archive", "Entry"]

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


class Archive:
    """A layer's archive, read once from front to back.

    Parameters
    ----------
    stream : its bytes.
    limits : how many entries, and how many bytes of files, it may have.

    Attributes
    ----------
    ended : whether a block of zeros ended it, as tar has it. umoci writes none, so that layers without one are common;
        nothing but its digest tells such an archive from one that was cut off between two entries.

    Notes
    -----
    `tarfile` reads the headers, one at a time. Its own iterator would keep every member, and ends without an error at a
    damaged header.
    """

    def __init__(self, stream: TarStream, limits: Limits) -> None:
        self._stream, self._limits = stream, limits
        self.ended = False

    def files(self) -> Iterator[Entry]:
        """Every regular file, in the archive's order: ustar, pax and GNU, sparse files included. To be called once.

        Links, directories, devices and unknown types have no content and are passed over. Names are not looked at: an
        absolute path or a ``..`` in them leads nowhere.

        Raises
        ------
        Broken : the archive is damaged, goes past a limit, or is cut off within a header or a file.
        """
        stream, limits, count, content = self._stream, self._limits, 0, 0
        archive, member = self._first()
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
                pieces = _sparse_pieces(stream, member, end)
                stream.seek(member.offset_data)
                yield Entry(member.size, stream.pieces(member.size) if pieces is None else pieces)
                # The padding of the last entry may be missing, as may the blocks that should follow it.
                if end - stream.tell() < tarfile.BLOCKSIZE:
                    stream.read(end - stream.tell())
                    end = stream.tell()
            stream.seek(end)
            member = self._next(archive)
        stream.drain()

    def _first(self) -> tuple[tarfile.TarFile, tarfile.TarInfo | None]:
        """The archive, and its first header; None if there is none."""
        try:
            # It reads the first header at once, from what has as much of a file as that needs.
            archive = tarfile.TarFile(fileobj=cast("IO[bytes]", self._stream), mode="r", errorlevel=2)
        except _NONSENSE as error:
            message = f"is not a tar archive: {error}"
            raise Broken(message) from None
        first = cast("tarfile.TarInfo | None", archive.firstmember)  # type: ignore[attr-defined]
        self.ended = first is None
        return archive, first

    def _next(self, archive: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next header; None where the archive ends."""
        start = self._stream.tell()
        try:
            return tarfile.TarInfo.fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            self.ended = True
            return None
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            return None
        except tarfile.TruncatedHeaderError:  # type: ignore[attr-defined]
            message = f"is cut off: its archive ends within the header at byte {start:,}"
        except _NONSENSE as error:
            message = f"the header at byte {start:,} of the archive is damaged: {error}"
        raise Broken(message)


def _sparse_pieces(stream: TarStream, member: tarfile.TarInfo, end: int) -> Iterator[memoryview] | None:
    """The content of a sparse file, as its map says; None for a file without holes."""
    extents = cast("list[tuple[int, int]] | None", member.sparse)
    if extents is None:
        return None
    position = stored = 0
    for offset, size in extents:
        if size < 0 or offset < position or offset + size > member.size:
            message = f"the map of the sparse file at byte {member.offset:,} of the archive contradicts itself"
            raise Broken(message)
        position, stored = offset + size, stored + size
    if stored > end - member.offset_data:
        message = f"the map of the sparse file at byte {member.offset:,} of the archive names more than is there"
        raise Broken(message)
    return _with_holes(stream, extents, member.size)


def _with_holes(stream: TarStream, extents: list[tuple[int, int]], size: int) -> Iterator[memoryview]:
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
