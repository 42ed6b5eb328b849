"""Deduplication the plain way: whole blobs and whole files in memory, a dict a level, and nothing of quotasim's."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from pyfastcdc.py import FastCDC


@dataclass
class PlainLevel:
    count: int = 0
    total: int = 0
    sizes: dict[bytes, int] = field(default_factory=dict)

    def add(self, content: bytes) -> None:
        self.count += 1
        self.total += len(content)
        self.sizes[hashlib.sha256(content).digest()] = len(content)

    @property
    def figures(self) -> tuple[int, int, int, int]:
        """Objects, distinct ones, their bytes, and the distinct ones' bytes."""
        return self.count, len(self.sizes), self.total, sum(self.sizes.values())


def plain(blob: bytes) -> bytes:
    """The archive of a layer."""
    if blob.startswith(b"\x1f\x8b"):
        return gzip.decompress(blob)
    if blob.startswith(b"\x28\xb5\x2f\xfd"):
        with zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True) as reader:
            return reader.read()
    return blob


def contents(blob: bytes) -> list[bytes]:
    """What the regular files of a layer hold."""
    # umoci leaves out the last padding and the blocks of zeros, without which tarfile refuses an archive.
    content = plain(blob)
    content += bytes(-len(content) % 512 + 1024)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return [archive.extractfile(member).read() for member in archive if member.isreg()]


def chunks(content: bytes, minimum: int, average: int, maximum: int) -> list[bytes]:
    """The chunks of a file, cut by the Python twin of the chunker, all of it in one buffer."""
    cutter = FastCDC(average, min_size=minimum, max_size=maximum)
    return [bytes(chunk.data) for chunk in cutter.cut_buf(content)]


def measure_plainly(
    paths: list[Path], minimum: int, average: int, maximum: int
) -> dict[str, tuple[int, int, int, int]]:
    """The figures of each level. A path that is given twice counts twice."""
    levels = {"layer": PlainLevel(), "file": PlainLevel(), "chunk": PlainLevel()}
    for path in paths:
        blob = path.read_bytes()
        levels["layer"].add(blob)
        for content in contents(blob):
            levels["file"].add(content)
            for chunk in chunks(content, minimum, average, maximum):
                levels["chunk"].add(chunk)
    return {name: level.figures for name, level in levels.items()}
