"""What files hold: seeded bytes that compress by a set ratio and repeat a set share of a shared pool.

Bytes come in blocks of 4 KiB, each of them random at its beginning and zero after that, as fio does it for its option
``buffer_compress_percentage``: how much does not compress is set exactly, whatever the compressor. The random part is
the raw output of a bit generator, which NumPy promises to keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from quotasim.errors import InvalidValue
from quotasim.model.oci import MAX_SIZE
from quotasim.units import whole_number

__all__ = ["BLOCK_BYTES", "PIECE_BYTES", "FilePayload", "Pool", "file_pieces"]

BLOCK_BYTES: Final = 4096
PIECE_BYTES: Final = 2**20
"""The largest piece that any generator of this package gives: what it holds of a layer at a time."""

MOST_RATIO: Final = 64.0
"""Of a block at least 64 bytes are random, so that no two blocks are equal by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Content that many files repeat.

    Attributes
    ----------
    seed : pools of one seed hold the same.
    extents : how many distinct pieces it has, from 1 on.
    extent_bytes : size of each, a multiple of 4,096; to be found by content-defined chunking it should be several
        times the largest chunk.

    Raises
    ------
    InvalidValue : an attribute is not of that form.
    """

    seed: int = 0
    extents: int = 64
    extent_bytes: int = 2**18

    def __post_init__(self) -> None:
        for name, least in (("seed", 0), ("extents", 1), ("extent_bytes", 1)):
            expected = f"a whole number from {least} on"
            if whole_number(getattr(self, name), name=name, expected=expected) < least:
                raise InvalidValue(name, getattr(self, name), expected)
        if self.extent_bytes % BLOCK_BYTES:
            raise InvalidValue("extent_bytes", self.extent_bytes, f"a multiple of {BLOCK_BYTES:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePayload:
    """One regular file of a layer. Equal payloads but for the name are equal content.

    Attributes
    ----------
    name : its path in the layer, without a leading slash.
    size : bytes.
    seed : whole numbers that name the content; another seed is other content.
    ratio : by how much it compresses, 1 to 64: uncompressed by compressed size. gzip stays within 5 % of it up to a
        ratio of 8 and falls short by a sixth at 64, zstd within 2 % and 7 %: zeros are not free.
    pool_share : the share of its extents that are drawn from the pool, 0 to 1, spread evenly.
    pool : where those come from; needed where ``pool_share`` is not 0.

    Raises
    ------
    InvalidValue : an attribute is not of that form.
    """

    name: str
    size: int
    seed: tuple[int, ...]
    ratio: float = 1.0
    pool_share: float = 0.0
    pool: Pool | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith("/"):
            raise InvalidValue("name", self.name, "a path that does not begin with a slash")
        whole_number(self.size, name="size", expected="bytes from 0 to 2**63 - 1", most=MAX_SIZE)
        if not self.seed or any(not isinstance(number, int) or number < 0 for number in self.seed):
            raise InvalidValue("seed", self.seed, "a tuple of whole numbers from 0 on")
        check_ratio(self.ratio)
        check_share("pool_share", self.pool_share)
        if self.pool_share and self.pool is None:
            raise InvalidValue("pool", None, "given where pool_share is not 0")


def check_ratio(ratio: float) -> None:
    """Refuse a compression ratio outside 1 to 64.

    Raises
    ------
    InvalidValue : it is outside.
    """
    if not 1 <= ratio <= MOST_RATIO:
        raise InvalidValue("ratio", ratio, f"from 1 to {MOST_RATIO:g}")


def check_share(name: str, share: float) -> None:
    """Refuse a share outside 0 to 1, as the argument ``name``.

    Raises
    ------
    InvalidValue : it is outside.
    """
    if not 0 <= share <= 1:
        raise InvalidValue(name, share, "from 0 to 1")


def generator(use: str, *seed: int) -> np.random.SFC64:
    """A bit generator for one use of a seed: another use, or another seed, gives an independent stream."""
    named = hashlib.sha256(repr((use, *map(int, seed))).encode()).digest()
    return np.random.SFC64(np.random.SeedSequence(int.from_bytes(named)))


def is_shared(index: int, share: float) -> bool:
    """Whether the item of this index is one of the ``share`` that is spread evenly over 0, 1, 2, ...

    Of the first n items, floor(n * share) are.

    Examples
    --------
    >>> [is_shared(index, 0.4) for index in range(5)]
    [False, False, True, False, True]
    """
    return int((index + 1) * share) > int(index * share)


def file_pieces(file: FilePayload) -> Iterator[memoryview]:
    """The file's bytes, in order, in pieces of at most 1 MiB.

    Equal payloads give equal bytes, on every machine and in every process. Holds a few MiB, whatever the size; about
    a second for 2 GB.

    Examples
    --------
    >>> file = FilePayload(name="data", size=10_000, seed=(7,), ratio=4.0)
    >>> content = b"".join(file_pieces(file))
    >>> len(content), content[:1024] == bytes(1024), content[1024:4096] == bytes(3072)
    (10000, False, True)
    """
    own = _Blocks(generator("file", *file.seed), file.ratio)
    if not file.pool_share or file.pool is None:
        yield from own.take(file.size)
        return
    pool, draws = file.pool, generator("draws", *file.seed)
    for index, start in enumerate(range(0, file.size, pool.extent_bytes)):
        count = min(pool.extent_bytes, file.size - start)
        if is_shared(index, file.pool_share):
            drawn = int(draws.random_raw()) % pool.extents
            yield from _Blocks(generator("pool", pool.seed, drawn), file.ratio).take(count)
        else:
            yield from own.take(count)


class _Blocks:
    """An endless stream of blocks; each call goes on with a new block."""

    def __init__(self, generator: np.random.SFC64, ratio: float) -> None:
        self._generator = generator
        # Whole words, so that the stream does not depend on how it is cut into pieces.
        self._random_bytes = min(BLOCK_BYTES, max(64, round(BLOCK_BYTES / ratio / 8) * 8))

    def take(self, count: int) -> Iterator[memoryview]:
        while count > 0:
            blocks = min(PIECE_BYTES // BLOCK_BYTES, -(-count // BLOCK_BYTES))
            raw = self._generator.random_raw(blocks * self._random_bytes // 8).astype("<u8", copy=False).view(np.uint8)
            if self._random_bytes < BLOCK_BYTES:
                content = np.zeros((blocks, BLOCK_BYTES), np.uint8)
                content[:, : self._random_bytes] = raw.reshape(blocks, self._random_bytes)
                raw = content.reshape(-1)
            piece = raw.data[:count]
            count -= len(piece)
            yield piece
