"""Measure layers: hash, look up and compress, at up to three levels, several layers at a time."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Final, get_args

import numpy as np
import zstandard

from quotasim.dedup.archive import Archive, Entry
from quotasim.dedup.chunking import Chunker, Chunking
from quotasim.dedup.clock import STAGES, Clock, PeakMemory
from quotasim.dedup.results import ContentReport, LayerContent, Level, Stage
from quotasim.dedup.sources import Layer, check_blob, layers_of
from quotasim.dedup.streams import PIECE_BYTES, BlobFile, Broken, Limits, TarStream, open_regular
from quotasim.dedup.tally import Batch, Tally
from quotasim.errors import InputRejected, InvalidValue, Problem
from quotasim.model.digests import SHA256, DigestTable, format_digest
from quotasim.units import whole_number

__all__ = ["measure"]

SMALL_BYTES: Final = 2**18
"""A file up to here waits in memory for its look-up, and is compressed only if it is new."""


def measure(
    layers: Iterable[str | os.PathLike[str] | Layer],
    *,
    levels: Sequence[Level] = ("layer", "file", "chunk"),
    workers: int = 1,
    chunking: Chunking | None = None,
    zstd_level: int | None = None,
    limits: Limits | None = None,
) -> ContentReport:
    """What deduplication of layers saves, at each level, and what it costs.

    Parameters
    ----------
    layers : files of layers (tar, plain or compressed with gzip or zstd, told apart by their first bytes), directories
        of OCI image layouts, or `Layer` objects.
    levels : of ``layer``, ``file`` and ``chunk``. With ``layer`` alone nothing is decompressed.
    workers : layers that are measured at a time, in threads: reading, hashing, cutting and compressing let each other
        run.
    chunking : sizes of chunks; `Chunking()` by default. Every file is cut by itself, so that equal files have equal
        chunks and no chunk has bytes of two files.
    zstd_level : compress every distinct object with zstd, 1 to 22; None compresses nothing. A file above 256 KiB and an
        archive are compressed as they come, before it is known whether they are new.
    limits : what a layer may grow to; `Limits()` by default: 64 GiB.

    Returns
    -------
    Sizes and counts that depend on the content alone, and neither on ``workers`` nor on the order of layers; with times
    and memory beside them.

    Raises
    ------
    InputRejected : with a problem for each layer that is cut off, damaged, not what its descriptor says, or beyond a
        limit.
    InvalidValue : an argument is not of that form.

    Notes
    -----
    Nothing is extracted, and each byte is read once. A worker holds a few MiB; the look-up holds 32 bytes and a slot
    for each distinct object.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "layer"
    >>> _ = path.write_bytes(bytes(10_240))
    >>> report = measure([path, path])
    >>> report.level("layer").dedup_ratio, report.level("file").count
    (2.0, 0)
    """
    chosen = tuple(level for level in get_args(Level) if level in levels)
    if not chosen or set(levels) - set(chosen):
        raise InvalidValue("levels", levels, "some of layer, file and chunk")
    if whole_number(workers, name="workers", expected="a whole number from 1 on") < 1:
        raise InvalidValue("workers", workers, "a whole number from 1 on")
    if zstd_level is not None and not 1 <= zstd_level <= zstandard.MAX_COMPRESSION_LEVEL:
        raise InvalidValue("zstd_level", zstd_level, f"from 1 to {zstandard.MAX_COMPRESSION_LEVEL}")
    given = [layer for source in layers for layer in layers_of(source)]
    work = _Work(
        chosen, Chunking() if chunking is None else chunking, zstd_level, Limits() if limits is None else limits
    )
    # The kernel of the look-up is loaded before memory and time count.
    DigestTable(4).intern(np.zeros((1, 4), np.uint64))
    start = time.perf_counter()
    with PeakMemory() as memory:
        if workers == 1:
            done = [work.measure(layer) for layer in given]
        else:
            with ThreadPoolExecutor(workers, "quotasim-dedup") as pool:
                done = list(pool.map(work.measure, given))
    seconds = time.perf_counter() - start
    if problems := [found for found, _ in done if isinstance(found, Problem)]:
        raise InputRejected(problems)
    totals = [
        Stage(
            name=name,
            bytes=sum(clock(name).bytes for _, clock in done),
            seconds=sum(clock(name).seconds for _, clock in done),
        )
        for name in STAGES
    ]
    contents = tuple(found for found, _ in done if isinstance(found, LayerContent))
    distinct = {found.digest: found.tar_bytes or 0 for found in contents}
    return ContentReport(
        layers=contents,
        levels=tuple(tally.content() for tally in work.tallies.values()),
        tar_bytes=sum((found.tar_bytes or 0) * found.mentions for found in contents),
        unique_tar_bytes=sum(distinct.values()),
        workers=workers,
        seconds=seconds,
        stages=tuple(stage for stage in totals if stage.bytes),
        peak_memory_bytes=memory.growth,
    )


class _Work:
    """What all workers share: the settings, and one tally a level."""

    def __init__(self, levels: tuple[Level, ...], chunking: Chunking, zstd_level: int | None, limits: Limits) -> None:
        self.tallies = {level: Tally(level, zstd_level is not None) for level in levels}
        self.chunking, self.zstd_level, self.limits = chunking, zstd_level, limits

    def measure(self, layer: Layer) -> tuple[LayerContent | Problem, Clock]:
        clock = Clock()
        try:
            with open_regular(layer.path) as file:
                algorithm = None if layer.digest is None else layer.digest.partition(":")[0]
                blob = BlobFile(file, clock, algorithm)
                return _Reader(self, layer, blob, clock).read(), clock
        except Broken as error:
            return Problem(layer.title, None, None, str(error)), clock
        except OSError as error:
            return Problem(layer.title, None, None, f"cannot be read: {error.strerror}"), clock


class _Reader:
    """One layer, read from front to back by one worker."""

    def __init__(self, work: _Work, layer: Layer, blob: BlobFile, clock: Clock) -> None:
        self._work, self._layer, self._blob, self._clock = work, layer, blob, clock
        compressor = None if work.zstd_level is None else zstandard.ZstdCompressor(level=work.zstd_level)
        self._files, self._chunks = (
            Batch(work.tallies[level], clock, layer.mentions, compressor) if level in work.tallies else None
            for level in ("file", "chunk")
        )
        self._chunker = Chunker(work.chunking, self._take_chunks, clock("cut chunks"))

    def read(self) -> LayerContent:
        tally, clock = self._work.tallies.get("layer"), self._clock
        stream = archive = files = file_bytes = frame = None
        if self._layer.is_archive and (self._files or self._chunks or self._work.zstd_level is not None):
            if tally is not None and self._work.zstd_level is not None:
                frame = _Frame(self._work.zstd_level, clock)
            stream = TarStream(self._blob, clock, self._work.limits, None if frame is None else frame.feed)
            if self._files or self._chunks:
                archive = Archive(stream, self._work.limits)
                files, file_bytes = self._read_files(archive)
            else:
                stream.drain()
        self._blob.drain(memoryview(bytearray(PIECE_BYTES)))
        check_blob(self._layer, self._blob)
        for batch in (self._files, self._chunks):
            if batch is not None:
                batch.flush()
        digest = self._blob.sha256
        if tally is not None:
            with clock("look up") as stage:
                new = tally.add(digest, [self._blob.size], self._layer.mentions)
                stage.bytes += len(digest)
            if new and frame is not None and stream is not None:
                tally.add_compressed(stream.size, frame.finish())
        return LayerContent(
            name=self._layer.title,
            digest=format_digest(SHA256, digest),
            size=self._blob.size,
            mentions=self._layer.mentions,
            tar_bytes=None if stream is None else stream.size,
            files=files,
            file_bytes=file_bytes,
            ended=None if archive is None else archive.ended,
        )

    def _read_files(self, archive: Archive) -> tuple[int, int]:
        files = file_bytes = 0
        for entry in archive.files():
            files += 1
            file_bytes += entry.size
            self._read_file(entry)
        return files, file_bytes

    def _read_file(self, entry: Entry) -> None:
        # FastCDC leaves what is not longer than the least chunk whole: its digest is the file's.
        is_chunk = entry.size <= self._work.chunking.minimum
        cuts = self._chunks is not None and not is_chunk
        file_hash = hashlib.sha256() if self._files is not None or is_chunk else None
        kept: list[bytes] = []
        frame = None
        if self._work.zstd_level is not None and entry.size > SMALL_BYTES and self._files is not None:
            frame = _Frame(self._work.zstd_level, self._clock, entry.size)
        keeps = self._work.zstd_level is not None and entry.size <= SMALL_BYTES
        for piece in entry.pieces:
            if file_hash is not None:
                with self._clock("hash files") as stage:
                    file_hash.update(piece)
                    stage.bytes += len(piece)
            if cuts and len(piece) == entry.size:
                self._chunker.cut_whole(piece)
            elif cuts:
                self._chunker.feed(piece)
            if frame is not None:
                frame.feed(piece)
            elif keeps:
                kept.append(bytes(piece))
        if cuts:
            self._chunker.finish()
        content = b"".join(kept)
        if self._files is not None and file_hash is not None:
            self._files.add(file_hash.digest(), entry.size, content if frame is None else frame.finish())
        if self._chunks is not None and file_hash is not None and is_chunk and entry.size:
            self._chunks.add(file_hash.digest(), entry.size, content)

    def _take_chunks(self, window: memoryview, lengths: list[int]) -> None:
        assert self._chunks is not None
        self._clock("cut chunks").bytes += sum(lengths)
        digests, contents, start = bytearray(), [], 0
        with self._clock("hash chunks") as stage:
            for length in lengths:
                digests += hashlib.sha256(window[start : start + length]).digest()
                start += length
            stage.bytes += start
        if self._work.zstd_level is not None:
            ends = accumulate(lengths)
            contents = [bytes(window[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
        self._chunks.extend(digests, lengths, contents)


class _Frame:
    """One zstd frame of which only the size is kept."""

    def __init__(self, level: int, clock: Clock, size: int = -1) -> None:
        self._frame = zstandard.ZstdCompressor(level=level).compressobj(size=size)
        self._clock, self._size = clock, 0

    def feed(self, piece: memoryview) -> None:
        with self._clock("compress") as stage:
            self._size += len(self._frame.compress(piece))
            stage.bytes += len(piece)

    def finish(self) -> int:
        """Bytes of the whole frame."""
        with self._clock("compress"):
            return self._size + len(self._frame.flush())
