"""The look-up: which objects of a level are new, and what they come to. Shared by all workers."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import zstandard

from quotasim.dedup.clock import Clock
from quotasim.dedup.results import Level, LevelContent
from quotasim.model.digests import DigestTable

__all__ = ["Batch", "Tally"]

DIGEST_BYTES = 32
BATCH_OBJECTS = 4096
BATCH_BYTES = 2**20


class Tally:
    """The objects of one level so far: 32 bytes and a slot for each distinct one, whatever their number and size.

    Parameters
    ----------
    level : its name.
    compresses : whether `add_compressed` will be called.
    """

    def __init__(self, level: Level, compresses: bool) -> None:
        self.level = level
        self._table = DigestTable(DIGEST_BYTES // 8)
        self._lock = threading.Lock()
        self._count = self._total = self._unique = self._plain = self._compressed = 0
        self._compresses = compresses

    def add(self, digests: bytes | bytearray, sizes: Sequence[int], mentions: int) -> list[int]:
        """Count objects; give the positions of those that were not there before, each digest's first.

        Parameters
        ----------
        digests : 32 bytes of sha256 each, one after the other.
        sizes : bytes of each.
        mentions : how often each counts.
        """
        words = np.frombuffer(digests, np.uint64).reshape(-1, DIGEST_BYTES // 8)
        with self._lock:
            known = len(self._table)
            rows = self._table.intern(words)
            # Rows are given in order of first appearance, so that a new one is larger than all before it.
            highest = np.maximum.accumulate(np.concatenate((np.array([known - 1], np.int32), rows)))
            new: list[int] = np.flatnonzero(highest[1:] > highest[:-1]).tolist()
            self._count += len(sizes) * mentions
            self._total += sum(sizes) * mentions
            self._unique += sum(sizes[position] for position in new)
        return new

    def add_compressed(self, plain: int, compressed: int) -> None:
        """Count what new objects were before and after compression."""
        with self._lock:
            self._plain += plain
            self._compressed += compressed

    def content(self) -> LevelContent:
        """What it has come to."""
        return LevelContent(
            level=self.level,
            count=self._count,
            unique_count=len(self._table),
            total_bytes=self._total,
            unique_bytes=self._unique,
            plain_bytes=self._plain if self._compresses else None,
            compressed_bytes=self._compressed if self._compresses else None,
        )


class Batch:
    """Objects of one worker's layer that are looked up together, since a look-up of one costs as much as of a hundred.

    With a compressor it keeps their content until then, at most 1 MiB and one object, and compresses what is new.
    """

    def __init__(self, tally: Tally, clock: Clock, mentions: int, compressor: zstandard.ZstdCompressor | None) -> None:
        self._tally, self._clock, self._mentions, self._compressor = tally, clock, mentions, compressor
        self._digests = bytearray()
        self._sizes: list[int] = []
        self._contents: list[bytes | int] = []
        self._held = 0

    def add(self, digest: bytes, size: int, content: bytes | int) -> None:
        """Add an object, with its content, or with the size that a stream of it was compressed to."""
        self.extend(digest, (size,), (content,))

    def extend(self, digests: bytes | bytearray, sizes: Sequence[int], contents: Sequence[bytes | int]) -> None:
        """Add objects: their digests one after the other, and a content for each where they are to be compressed."""
        self._digests += digests
        self._sizes.extend(sizes)
        if self._compressor is not None:
            self._contents.extend(contents)
            self._held += sum(len(content) for content in contents if isinstance(content, bytes))
        if len(self._sizes) >= BATCH_OBJECTS or self._held >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Look up what was added."""
        if not self._sizes:
            return
        with self._clock("look up") as stage:
            new = self._tally.add(self._digests, self._sizes, self._mentions)
            stage.bytes += len(self._digests)
        if self._compressor is not None:
            plain = compressed = 0
            with self._clock("compress") as stage:
                for position in new:
                    content = self._contents[position]
                    if isinstance(content, bytes):
                        stage.bytes += len(content)
                        compressed += len(self._compressor.compress(content))
                    else:
                        compressed += content
                    plain += self._sizes[position]
            self._tally.add_compressed(plain, compressed)
        self._digests, self._sizes, self._contents, self._held = bytearray(), [], [], 0
