"""The bytes of a layer: read, checked, decompressed and handed on in bounded pieces, never the whole of anything."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import zstandard

from quotasim.dedup.clock import Clock
from quotasim.units import whole_number

__all__ = ["BlobFile", "Broken", "Limits", "TarStream", "open_regular"]

PIECE_BYTES: Final = 2**18

# A block of 128 KiB of one repeated byte takes 4 bytes of a zstd frame, so 2 KiB become 64 MiB at most, and a copy of
# them for a moment. Less would be slower (docs/content-dedup.md).
_ZSTD_BYTES: Final = 2048
_ZSTD_WINDOW: Final = 2**27
_GZIP: Final = 31
_MAGIC_BYTES: Final = 4


class Broken(Exception):
    """A layer that is not what it should be; becomes a `Problem` with the layer's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a layer may grow to while it is read; beyond that it is rejected. They bound time: memory is bounded anyway.

    Attributes
    ----------
    archive_bytes : the most that a layer may be uncompressed, and that its files may hold together, holes included.
    members : the most entries that its archive may have.
    header_bytes : the most that one extended header (a long name, or pax records) may have.
    """

    archive_bytes: int = 64 * 2**30
    members: int = 10_000_000
    header_bytes: int = 2**20

    def __post_init__(self) -> None:
        for name in ("archive_bytes", "members", "header_bytes"):
            whole_number(getattr(self, name), name=name, expected="a whole number from 0 on")


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, and nothing that pretends to be one: no link, no pipe, no device.

    Raises
    ------
    Broken : it is something else, or cannot be opened.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        message = f"cannot be opened: {error.strerror}"
        raise Broken(message) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        message = "is not a regular file"
        raise Broken(message)
    return os.fdopen(handle, "rb", buffering=0)


class BlobFile:
    """A layer's file, hashed while it is read.

    Attributes
    ----------
    size : bytes read so far.
    """

    def __init__(self, file: BinaryIO, clock: Clock, algorithm: str | None = None) -> None:
        self._file, self._clock = file, clock
        self._sha256 = hashlib.sha256()
        self._other = None if algorithm in (None, "sha256") else hashlib.new(str(algorithm))
        self._ahead = b""
        self.size = 0

    def peek(self) -> bytes:
        """The first four bytes, or fewer; to be called before anything is read."""
        self._ahead = self._file.read(_MAGIC_BYTES)
        return self._ahead

    def readinto(self, view: memoryview) -> int:
        """Fill the view from the front, perhaps not all of it; 0 at the end."""
        with self._clock("read") as stage:
            if self._ahead:
                count = min(len(self._ahead), len(view))
                view[:count], self._ahead = self._ahead[:count], self._ahead[count:]
            else:
                count = self._file.readinto(view)  # type: ignore[attr-defined]
            stage.bytes += count
        with self._clock("hash blobs") as stage:
            self._sha256.update(view[:count])
            if self._other is not None:
                self._other.update(view[:count])
            stage.bytes += count
        self.size += count
        return count

    def drain(self, view: memoryview) -> None:
        """Read to the end, with the view as room."""
        while self.readinto(view):
            pass

    @property
    def sha256(self) -> bytes:
        """Of all that was read."""
        return self._sha256.digest()

    def hexdigest(self, algorithm: str) -> str:
        """Of all that was read, by the algorithm that was asked for at the beginning."""
        chosen = self._sha256 if algorithm == "sha256" or self._other is None else self._other
        return chosen.hexdigest()


class _Fill(Protocol):
    def __call__(self, view: memoryview) -> int: ...


class _Gzip:
    """The text of all gzip members of a file, one after the other."""

    def __init__(self, blob: BlobFile, clock: Clock) -> None:
        self._blob, self._clock = blob, clock
        self._room = memoryview(bytearray(PIECE_BYTES))
        self._data: bytes = b""
        self._member = zlib.decompressobj(_GZIP)

    def __call__(self, view: memoryview) -> int:
        while True:
            if not self._data:
                count = self._blob.readinto(self._room)
                self._data = bytes(self._room[:count])
            if self._member.eof:
                if not self._data:
                    return 0
                self._member = zlib.decompressobj(_GZIP)
            at_end = not self._data
            with self._clock("decompress") as stage:
                try:
                    text = self._member.decompress(self._data, len(view))
                except zlib.error as error:
                    message = f"the gzip data is damaged near byte {self._blob.size:,}: {error}"
                    raise Broken(message) from None
                stage.bytes += len(text)
            self._data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if text:
                view[: len(text)] = text
                return len(text)
            if at_end and not self._member.eof:
                message = f"is cut off at byte {self._blob.size:,}, within its gzip data"
                raise Broken(message)


class _Zstd:
    """The text of all zstd frames of a file.

    ``stream_reader`` would do this too, but says nothing when the file ends inside a frame.
    """

    def __init__(self, blob: BlobFile, clock: Clock) -> None:
        self._blob, self._clock = blob, clock
        self._room = memoryview(bytearray(PIECE_BYTES))
        self._data = self._room[:0]
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._text = memoryview(b"")

    def __call__(self, view: memoryview) -> int:
        filled = 0
        while filled < len(view):
            if not self._text and not self._decompress():
                break
            count = min(len(view) - filled, len(self._text))
            view[filled : filled + count] = self._text[:count]
            self._text = self._text[count:]
            filled += count
        return filled

    def _decompress(self) -> bool:
        """Decompress the next 2 KiB; False at the end."""
        if not self._data:
            self._data = self._room[: self._blob.readinto(self._room)]
            if not self._data:
                if self._frame is not None:
                    message = f"is cut off at byte {self._blob.size:,}, within a zstd frame"
                    raise Broken(message)
                return False
        data = self._data[:_ZSTD_BYTES]
        if self._frame is None:
            self._frame = self._decompressor.decompressobj()
        with self._clock("decompress") as stage:
            try:
                text = self._frame.decompress(data)
            except zstandard.ZstdError as error:
                message = (
                    f"a zstd frame is damaged, or is none, near byte {self._blob.size - len(self._data):,}: {error}"
                )
                raise Broken(message) from None
            stage.bytes += len(text)
        unused = 0
        if self._frame.eof:
            unused, self._frame = len(self._frame.unused_data), None
        self._data = self._data[len(data) - unused :]
        self._text = memoryview(text)
        return True


def _filler(blob: BlobFile, clock: Clock) -> _Fill:
    """What gives the uncompressed bytes; which compression it is, the first bytes say."""
    magic = blob.peek()
    if magic[:2] == b"\x1f\x8b":
        return _Gzip(blob, clock)
    # A frame, or a frame to be skipped, of which any may come first.
    if magic == b"\x28\xb5\x2f\xfd" or (magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5):
        return _Zstd(blob, clock)
    return blob.readinto


class TarStream:
    """A layer's archive, uncompressed and read once from front to back: as much of a file as `tarfile` needs.

    Parameters
    ----------
    blob : the layer.
    see : called with every piece of the archive, in order.
    """

    def __init__(
        self, blob: BlobFile, clock: Clock, limits: Limits, see: Callable[[memoryview], None] | None = None
    ) -> None:
        self._fill = _filler(blob, clock)
        self._limits, self._see = limits, see
        self._room = memoryview(bytearray(PIECE_BYTES))
        self._rest = self._room[:0]
        self._position = 0
        self.size = 0
        """Bytes of the archive so far."""

    def tell(self) -> int:
        """How many bytes of the archive were given."""
        return self._position

    def seek(self, position: int) -> None:
        """Go forward.

        Raises
        ------
        Broken : the archive ends before, or the position lies behind.
        """
        if position < self._position:
            message = f"the archive is damaged: byte {position:,} is named after byte {self._position:,}"
            raise Broken(message)
        if position > self._position:
            for _ in self.pieces(position - self._position):
                pass

    def read(self, count: int) -> bytes:
        """At most ``count`` bytes of a header; fewer only at the end.

        Raises
        ------
        Broken : more than a header may have.
        """
        if not 0 <= count <= self._limits.header_bytes + 512:
            message = (
                f"a header of {count:,} bytes begins before byte {self._position:,} of the archive; "
                f"the limit is {self._limits.header_bytes:,}"
            )
            raise Broken(message)
        if count <= len(self._rest):
            return bytes(self._next(count))
        parts = []
        while count and (piece := self._next(count)):
            parts.append(bytes(piece))
            count -= len(piece)
        return b"".join(parts)

    def pieces(self, count: int) -> Iterator[memoryview]:
        """The next ``count`` bytes, each piece good until the next.

        Raises
        ------
        Broken : the archive ends before.
        """
        while count:
            piece = self._next(count)
            if not piece:
                message = f"is cut off: its archive ends at byte {self._position:,}, and {count:,} bytes are missing"
                raise Broken(message)
            count -= len(piece)
            yield piece

    def drain(self) -> None:
        """Read to the end."""
        while self._next(PIECE_BYTES):
            pass

    def _next(self, most: int) -> memoryview:
        if not self._rest:
            self._rest = self._room[: self._fill(self._room)]
            self.size += len(self._rest)
            if self.size > self._limits.archive_bytes:
                message = f"has more than {self._limits.archive_bytes:,} bytes uncompressed, which is the limit"
                raise Broken(message)
            if self._see is not None and self._rest:
                self._see(self._rest)
        piece, self._rest = self._rest[:most], self._rest[most:]
        self._position += len(piece)
        return piece
