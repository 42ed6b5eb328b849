"""Content-defined chunks of a stream, with FastCDC: cut points follow the content, and so survive an insertion."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from pyfastcdc import FastCDC

from quotasim.errors import InvalidValue
from quotasim.units import whole_number

__all__ = ["WINDOW_BYTES", "Chunker", "Chunking", "is_compiled"]

WINDOW_BYTES: Final = 2**18
"""How much of a stream is cut at a time. Small enough for the second-level cache, as it is hashed right after."""

_BOUNDS: Final = {"minimum": (64, 2**20), "average": (256, 2**22), "maximum": (1024, 2**24)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """Sizes of chunks, in bytes.

    Attributes
    ----------
    minimum : no chunk but a file's last is smaller; 64 to 1 MiB.
    average : the size around which cutting gets easier; a power of two from 256 to 4 MiB. Chunks of random content are
        ``average + minimum`` long in the mean.
    maximum : no chunk is larger; 1 KiB to 16 MiB.

    Raises
    ------
    InvalidValue : an attribute is out of its bounds, or they are not in this order.
    """

    minimum: int = 4_096
    average: int = 16_384
    maximum: int = 65_536

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            expected = f"from {least:,} to {most:,}"
            if whole_number(getattr(self, name), name=name, expected=expected, most=most) < least:
                raise InvalidValue(name, getattr(self, name), expected)
        if self.average & (self.average - 1):
            raise InvalidValue("average", self.average, "a power of two")
        if not self.minimum <= self.average <= self.maximum:
            raise InvalidValue("average", self.average, f"from {self.minimum:,} to {self.maximum:,}")


def is_compiled() -> bool:
    """Whether the chunker is the compiled one; its twin in Python is some hundred times slower.

    Examples
    --------
    >>> is_compiled()
    True
    """
    return FastCDC.__module__ != "pyfastcdc.py.fastcdc" and not hasattr(FastCDC.__init__, "__code__")


class Chunker:
    """Cuts one stream after another, fed in pieces of any size; cut points are those of the whole stream in one buffer.

    Whether to cut depends on the next ``maximum`` bytes alone, so a window is cut while so many of its bytes are left,
    and the rest is carried over to the front of the next one. Holds `WINDOW_BYTES` and one chunk more.

    Parameters
    ----------
    chunking : the sizes.
    take : called with a view of the window and the chunks' lengths, which the view begins with, in order; both are good
        until it returns.
    timed : entered around the copying and cutting, and left before ``take`` is called.

    Examples
    --------
    >>> lengths = []
    >>> chunker = Chunker(Chunking(), lambda window, cut: lengths.extend(cut))
    >>> chunker.feed(bytes(100_000)), chunker.feed(bytes(50_000)), chunker.finish()
    (None, None, None)
    >>> lengths
    [65536, 65536, 18928]
    """

    def __init__(
        self,
        chunking: Chunking,
        take: Callable[[memoryview, list[int]], None],
        timed: AbstractContextManager[object] | None = None,
    ) -> None:
        self._maximum = chunking.maximum
        self._fastcdc = FastCDC(chunking.average, min_size=chunking.minimum, max_size=chunking.maximum)
        self._take = take
        self._timed = nullcontext() if timed is None else timed
        self._window = memoryview(bytearray(WINDOW_BYTES + chunking.maximum))
        self._filled = 0

    def feed(self, piece: bytes | memoryview) -> None:
        """Go on with the stream."""
        piece = memoryview(piece)
        while piece:
            count = min(len(piece), len(self._window) - self._filled)
            with self._timed:
                self._window[self._filled : self._filled + count] = piece[:count]
            self._filled += count
            piece = piece[count:]
            if self._filled == len(self._window):
                self._cut(self._filled - self._maximum)

    def finish(self) -> None:
        """End the stream: what is left is cut as well. The next piece begins another stream."""
        if self._filled:
            self._cut(self._filled)

    def cut_whole(self, content: memoryview) -> None:
        """Cut a stream that is whole in memory, without copying it; between two others, not within one."""
        with self._timed:
            lengths = [chunk.length for chunk in self._fastcdc.cut_buf(content)]
        self._take(content, lengths)

    def _cut(self, sure: int) -> None:
        """Take the chunks that begin at ``sure`` or before, and keep the rest."""
        filled = self._window[: self._filled]
        lengths: list[int] = []
        done = 0
        with self._timed:
            for chunk in self._fastcdc.cut_buf(filled):
                if done > sure:
                    break
                lengths.append(chunk.length)
                done += chunk.length
        self._take(filled, lengths)
        rest = self._filled - done
        if rest:
            self._window[:rest] = bytes(filled[done:])
        self._filled = rest
