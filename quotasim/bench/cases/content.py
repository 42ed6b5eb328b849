"""Content: hash, look up and account real bytes, by layer, by file and by chunk; and making such bytes.

The layer is that of the FAQ: random bytes in 32 files, uncompressed, written to a file before the clock runs and read
once so that it is in the page cache. 10 M references stand for its 1 GiB, other sizes are in proportion. Ours is held
against what it cannot do without: SHA-256 alone over the same reads for layers; for files and chunks its stages, each
alone over the same bytes, one after the other.
"""

from __future__ import annotations

import hashlib
import mmap
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from quotasim.bench.case import SIZES, Case, Contender, Prepared
from quotasim.bench.scratch import scratch
from quotasim.dedup import Chunking, ContentReport, measure
from quotasim.dedup.results import Level
from quotasim.model.digests import DigestTable
from quotasim.payload import random_layer, tar_pieces

PIECE = 2**18
BATCH = 4096
FILES = 32
ZSTD_LEVEL = 3


def bytes_for(references: int) -> int:
    """Bytes of the layer at a size: 1 GiB at size M."""
    return max(round(2**30 * references / SIZES["M"]), 2**20)


@lru_cache(maxsize=4)
def layer_file(seed: int, size: int, files: int) -> Path:
    """An uncompressed layer of random files, in the page cache."""
    path = scratch() / f"{seed}-{size}-{files}.tar"
    if not path.exists():
        with path.open("wb") as file:
            for piece in tar_pieces(random_layer(seed, size, files=files)):
                file.write(piece)
    hash_alone(path)
    return path


def hash_alone(path: Path) -> str:
    """SHA-256 of a file, in the same reads as ours."""
    digest, room = hashlib.sha256(), memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(room):
            digest.update(room[:count])
    return digest.hexdigest()


class Stages:
    """Each stage of the work alone, over the bytes of one layer.

    What one stage needs of another (where files begin, where to cut, the digests) is made beforehand.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        with tarfile.open(path) as archive:
            self.files = [self.view[m.offset_data : m.offset_data + m.size] for m in archive if m.isreg()]
        chunking = Chunking()
        self.least = chunking.minimum
        chunker: Any = import_module("pyfastcdc").FastCDC
        self.cutter = chunker(chunking.average, min_size=chunking.minimum, max_size=chunking.maximum)
        self.lengths = [self.cut_file(file) for file in self.files]
        self.file_digests = b"".join(hashlib.sha256(file).digest() for file in self.files)
        self.chunk_digests = b"".join(self.hash_chunks())

    @property
    def chunks(self) -> int:
        """Chunks of all files."""
        return sum(bool(length) for lengths in self.lengths for length in lengths)

    def read(self) -> None:
        """Read the blob."""
        room = memoryview(bytearray(PIECE))
        with self.path.open("rb", buffering=0) as file:
            while file.readinto(room):
                pass

    def hash_blob(self) -> str:
        """Hash the blob."""
        return _hash(self.view).hex()

    def parse(self) -> None:
        """Parse the headers of the archive."""
        with self.path.open("rb") as file, tarfile.open(fileobj=file) as archive:
            for _ in archive:
                archive.members.clear()  # type: ignore[attr-defined]

    def hash_files(self) -> None:
        """Hash each file."""
        for file in self.files:
            _hash(file)

    def cut_file(self, file: memoryview) -> list[int]:
        """Return the lengths of a file's chunks."""
        return [chunk.length for chunk in self.cutter.cut_buf(file)] if len(file) > self.least else [len(file)]

    def cut(self) -> None:
        """Cut each file."""
        for file in self.files:
            self.cut_file(file)

    def hash_chunks(self) -> list[bytes]:
        """The digests of chunks of files that have several; of the others the file's own would do."""
        digests = []
        for file, lengths in zip(self.files, self.lengths, strict=True):
            start = 0
            if len(file) > self.least:
                for length in lengths:
                    digests.append(hashlib.sha256(file[start : start + length]).digest())
                    start += length
        return digests

    def look_up(self, digests: bytes) -> None:
        """Look digests up, in batches."""
        table, words = DigestTable(4), np.frombuffer(digests, np.uint64).reshape(-1, 4)
        for start in range(0, len(words), BATCH):
            table.intern(words[start : start + BATCH])

    def run(self, levels: tuple[Level, ...]) -> tuple[str, int]:
        """Run the stages that these levels need, one after the other; returns the blob's digest and the bytes of its
        files.
        """
        digest = self.hash_blob()
        needed: list[Callable[[], object]] = [self.read, self.parse]
        if "file" in levels:
            needed += [self.hash_files, partial(self.look_up, self.file_digests)]
        if "chunk" in levels:
            needed += [self.cut, self.hash_chunks, partial(self.look_up, self.chunk_digests)]
        for stage in needed:
            stage()
        return digest, sum(map(len, self.files))


def _hash(view: memoryview) -> bytes:
    digest = hashlib.sha256()
    for start in range(0, len(view), PIECE):
        digest.update(view[start : start + PIECE])
    return digest.digest()


def layers(references: int) -> Prepared:
    """Hash, look up and account a layer whole."""
    size = bytes_for(references)
    path = layer_file(1, size, FILES)
    digest = hash_alone(path)

    def right(report: ContentReport) -> bool:
        found = report.layers[0].digest == f"sha256:{digest}"
        return found and report.level("layer").total_bytes == path.stat().st_size

    return Prepared(
        items=path.stat().st_size,
        bytes=path.stat().st_size,
        contenders=(
            Contender(
                name="quotasim",
                role="ours",
                run=lambda: measure([path], levels=["layer"]),
                setup=lambda: (),
                check=right,
            ),
            Contender(
                name="SHA-256 alone",
                role="limit",
                run=hash_alone,
                setup=lambda: (path,),
                check=lambda found: found == digest,
                rounds=10,
                target=0.91,
            ),
        ),
    )


def parts(references: int, *, levels: tuple[Level, ...]) -> Prepared:
    """Hash, look up and account files or chunks, on one worker."""
    size = bytes_for(references)
    path = layer_file(1, size, FILES)
    stages, digest = Stages(path), hash_alone(path)

    def right(report: ContentReport) -> bool:
        files = "file" not in levels or report.level("file").count == len(stages.files)
        return files and ("chunk" not in levels or report.level("chunk").count == stages.chunks)

    return Prepared(
        items=path.stat().st_size,
        bytes=path.stat().st_size,
        figures={"files": len(stages.files), "chunks": stages.chunks},
        contenders=(
            Contender(
                name="quotasim",
                role="ours",
                run=lambda: measure([path], levels=levels),
                setup=lambda: (),
                check=right,
            ),
            Contender(
                name="its stages, each alone",
                role="limit",
                run=stages.run,
                setup=lambda: (levels,),
                check=lambda found: found == (digest, size),
                target=0.87,
            ),
        ),
    )


def workers(references: int) -> Prepared:
    """Two layers on two workers; one worker is the peer, two threads that only hash are the limit."""
    size = bytes_for(references)
    halves = [layer_file(seed, size // 2, FILES // 2) for seed in (2, 3)]
    expected = measure(halves, workers=1)
    hashes = [hash_alone(path) for path in halves]
    pool = ThreadPoolExecutor(2)

    def run(count: int) -> ContentReport:
        return measure(halves, workers=count)

    return Prepared(
        items=sum(path.stat().st_size for path in halves),
        bytes=sum(path.stat().st_size for path in halves),
        contenders=(
            Contender(name="quotasim", role="ours", run=run, setup=lambda: (2,), check=lambda found: found == expected),
            Contender(
                name="one worker", role="peer", run=run, setup=lambda: (1,), check=lambda found: found == expected
            ),
            Contender(
                name="two threads that only hash",
                role="limit",
                run=lambda: list(pool.map(hash_alone, halves)),
                setup=lambda: (),
                check=lambda found: found == hashes,
            ),
        ),
    )


def make(references: int) -> Prepared:
    """Make the bytes of a random layer, whole tar and all."""
    size = bytes_for(references)
    spec = random_layer(1, size, files=FILES)
    digest = hash_alone(layer_file(1, size, FILES))

    def run() -> Any:
        found = hashlib.sha256()
        for piece in tar_pieces(spec):
            found.update(piece)
        return found.hexdigest()

    return Prepared(
        items=size,
        bytes=size,
        contenders=(
            Contender(name="quotasim", role="ours", run=run, setup=lambda: (), check=lambda found: found == digest),
            Contender(
                name="SHA-256 alone",
                role="limit",
                run=hash_alone,
                setup=lambda: (layer_file(1, size, FILES),),
                check=lambda found: found == digest,
            ),
        ),
    )


def compress(references: int) -> Prepared:
    """Find the distinct chunks of a layer and compress them."""
    size = bytes_for(references) // 4
    path = layer_file(4, size, FILES)
    stages = Stages(path)

    def alone() -> int:
        compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        return sum(len(compressor.compress(file)) for file in stages.files)

    least = alone()

    def right(report: ContentReport) -> bool:
        found = report.level("file")
        # Frames of a stream say less of their length than frames of a whole.
        return found.count == len(stages.files) and abs((found.compressed_bytes or 0) - least) < least / 100

    return Prepared(
        items=path.stat().st_size,
        bytes=path.stat().st_size,
        contenders=(
            Contender(
                name="quotasim",
                role="ours",
                run=lambda: measure([path], levels=["file"], zstd_level=ZSTD_LEVEL),
                setup=lambda: (),
                check=right,
            ),
            Contender(
                name="zstd alone",
                role="limit",
                run=alone,
                setup=lambda: (),
                check=lambda found: found == least,
            ),
        ),
    )


CASES = (
    Case(name="content-layer", suite="content", title="hash and account a layer", unit="bytes", prepare=layers),
    *(
        Case(
            name=f"content-{name}",
            suite="content",
            title=f"hash and account {name}s",
            unit="bytes",
            prepare=partial(parts, levels=(name,)),
        )
        for name in ("file", "chunk")
    ),
    Case(
        name="content-workers",
        suite="content",
        title="layers, files and chunks on two workers",
        unit="bytes",
        prepare=workers,
    ),
    Case(
        name="content-compress",
        suite="content",
        title="account and compress files, zstd 3",
        unit="bytes",
        prepare=compress,
    ),
    Case(name="payload", suite="content", title="make a random layer and hash it", unit="bytes", prepare=make),
)
