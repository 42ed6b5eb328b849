"""Content: hash, look up and account real bytes, by layer, by file and by chunk.

The layer is that of the FAQ, 1 GiB of random bytes in 32 files, uncompressed, written to a file before the clock runs
and read once so that it is in the page cache. Ours is held against what it cannot do without: SHA-256 alone over the
same reads for layers; for files and chunks the sum of the stages, each alone over the same bytes. All of them run in
turns in one process, and of each the best round counts.
"""

from __future__ import annotations

import hashlib
import mmap
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyfastcdc import FastCDC

from quotasim.dedup import Chunking, ContentReport, measure
from quotasim.dedup.results import Level
from quotasim.model.digests import DigestTable
from quotasim.payload import random_layer, tar_pieces

from .conftest import FRACTIONS, Runner, bench_size, in_seconds

Race = Callable[..., Any]
Find = Callable[..., None]

PIECE = 2**18
BATCH = 4096
ROUNDS = 5
PEAK_BYTES = 64 * 2**20
REAL = Path(pytest.__file__).parent.parent


def write_random(path: Path, seed: int, size: int, files: int) -> Path:
    """An uncompressed layer of random files."""
    with path.open("wb") as file:
        for piece in tar_pieces(random_layer(seed, size, files=files)):
            file.write(piece)
    return path


@pytest.fixture(scope="module")
def size() -> int:
    return round(2**30 * FRACTIONS[bench_size()])


@pytest.fixture(scope="module")
def layer(size: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = write_random(tmp_path_factory.mktemp("content") / "layer.tar", 1, size, 32)
    hash_alone(path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def halves(size: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    folder = tmp_path_factory.mktemp("halves")
    paths = [write_random(folder / f"{seed}.tar", seed, size // 2, 16) for seed in (2, 3)]
    for path in paths:
        hash_alone(path)
    yield paths
    for path in paths:
        path.unlink()


@pytest.fixture(scope="module")
def installed(size: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python packages that the benchmarks run with, as one layer of thousands of small files."""
    path = tmp_path_factory.mktemp("installed") / "layer.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(REAL.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.add(file, str(file.relative_to(REAL)), recursive=False)
            if archive.offset > size // 4:
                break
    hash_alone(path)
    yield path
    path.unlink()


def hash_alone(path: Path) -> str:
    """SHA-256 of a file, in the same reads."""
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
        self.cutter = FastCDC(chunking.average, min_size=chunking.minimum, max_size=chunking.maximum)
        self.lengths = [self.cut_file(file) for file in self.files]
        self.file_digests = b"".join(hashlib.sha256(file).digest() for file in self.files)
        self.chunk_digests = b"".join(self.hash_chunks())

    def read(self) -> None:
        room = memoryview(bytearray(PIECE))
        with self.path.open("rb", buffering=0) as file:
            while file.readinto(room):
                pass

    def hash_blob(self) -> None:
        _hash(self.view)

    def parse(self) -> None:
        with self.path.open("rb") as file, tarfile.open(fileobj=file) as archive:
            for _ in archive:
                archive.members.clear()

    def hash_files(self) -> None:
        for file in self.files:
            _hash(file)

    def cut_file(self, file: memoryview) -> list[int]:
        return [chunk.length for chunk in self.cutter.cut_buf(file)] if len(file) > self.least else [len(file)]

    def cut(self) -> None:
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
        table, words = DigestTable(4), np.frombuffer(digests, np.uint64).reshape(-1, 4)
        for start in range(0, len(words), BATCH):
            table.intern(words[start : start + BATCH])

    def of(self, levels: tuple[Level, ...]) -> dict[str, Callable[[], object]]:
        """The stages that these levels need."""
        needed: dict[str, Callable[[], object]] = {"read": self.read, "hash blob": self.hash_blob, "parse": self.parse}
        if "file" in levels:
            needed |= {"hash files": self.hash_files, "look up files": lambda: self.look_up(self.file_digests)}
        if "chunk" in levels:
            needed |= {"cut": self.cut, "hash chunks": self.hash_chunks}
            needed |= {"look up chunks": lambda: self.look_up(self.chunk_digests)}
        return needed


def _hash(view: memoryview) -> bytes:
    digest = hashlib.sha256()
    for start in range(0, len(view), PIECE):
        digest.update(view[start : start + PIECE])
    return digest.digest()


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.benchmark(group="content, layers")
def test_layer(race: Race, layer: Path) -> None:
    ours: list[ContentReport] = []
    runner = Runner(lambda path: ours.append(measure([path], levels=["layer"])), lambda: (layer,))
    digest = race(
        Runner(hash_alone, lambda: (layer,)), rounds=2 * ROUNDS, items=layer.stat().st_size, ours=runner, target=0.91
    )
    assert ours[0].layers[0].digest == f"sha256:{digest}"
    assert ours[0].level("layer").total_bytes == layer.stat().st_size


@pytest.mark.parametrize("levels", [("file",), ("chunk",), ("layer", "file", "chunk")], ids="-".join)
@pytest.mark.parametrize("content", ["layer", "installed"])
@pytest.mark.benchmark(group="content, files and chunks")
def test_stages(
    benchmark: Any, find: Find, request: pytest.FixtureRequest, content: str, levels: tuple[Level, ...]
) -> None:
    """Ours by the sum of its stages alone: 1 would be the stages, and nothing between them."""
    path = request.getfixturevalue(content)
    stages = Stages(path)
    needed = stages.of(levels)
    best = dict.fromkeys(needed, float("inf"))
    whole: list[float] = []
    reports: list[ContentReport] = []

    def setup() -> tuple[tuple[()], dict[str, Any]]:
        for name, stage in needed.items():
            best[name] = min(best[name], timed(stage))
        return (), {}

    def ours() -> None:
        whole.append(timed(lambda: reports.append(measure([path], levels=levels))))

    benchmark.pedantic(ours, setup=setup, rounds=ROUNDS if content == "layer" else 2 * ROUNDS)
    report = reports[-1]
    ratio = min(whole) / sum(best.values())
    benchmark.extra_info.update(
        size=bench_size(),
        bytes=path.stat().st_size,
        files=report.layers[0].files,
        by_stages=round(ratio, 3),
        stages={name: round(seconds, 4) for name, seconds in best.items()},
        peak_memory_bytes=report.peak_memory_bytes,
        dedup_ratio={found.level: found.dedup_ratio for found in report.levels},
    )
    rate = path.stat().st_size / min(whole) / 1e6
    find(f"{ratio:.2f} times its stages alone ({in_seconds(min(whole))}, {rate:.0f} MB/s)", "1.15 times")
    if "file" in levels:
        assert report.level("file").count == len(stages.files)
    if "chunk" in levels:
        assert report.level("chunk").count == sum(bool(length) for lengths in stages.lengths for length in lengths)


@pytest.mark.benchmark(group="content, two threads that only hash")
def test_threads_alone(race: Race, halves: list[Path]) -> None:
    """What a second worker could gain on this machine just now, with what else runs on it."""
    with ThreadPoolExecutor(2) as pool:
        two = Runner(lambda: list(pool.map(hash_alone, halves)), lambda: ())
        one = Runner(lambda: list(map(hash_alone, halves)), lambda: ())
        race(one, rounds=2 * ROUNDS, items=sum(path.stat().st_size for path in halves), ours=two)


@pytest.mark.parametrize("levels", [("layer",), ("file",), ("layer", "file", "chunk")], ids="-".join)
@pytest.mark.parametrize("zstd_level", [None, 3], ids=["plain", "zstd"])
@pytest.mark.benchmark(group="content, workers")
def test_workers(race: Race, halves: list[Path], levels: tuple[Level, ...], zstd_level: int | None) -> None:
    """One worker by two, on two layers of half the size."""
    if zstd_level is not None and levels == ("layer",):
        pytest.skip("compresses what the last case compresses as well")
    reports: dict[int, ContentReport] = {}

    def run(workers: int) -> None:
        reports[workers] = measure(halves, levels=levels, workers=workers, zstd_level=zstd_level)

    two = Runner(run, lambda: (2,))
    race(Runner(run, lambda: (1,)), rounds=ROUNDS, items=sum(path.stat().st_size for path in halves), ours=two)
    assert reports[1] == reports[2]


def measure_in_process(path: Path, workers: int) -> int:
    """The peak of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.bench_content", str(path), str(workers)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what is resident in /proc")
@pytest.mark.benchmark(group="content, memory")
def test_memory(race: Race, find: Find, benchmark: Any, layer: Path) -> None:
    peak = race(Runner(measure_in_process, lambda: (layer, 1)), rounds=1, items=layer.stat().st_size)
    benchmark.extra_info["peak_memory_bytes"] = peak
    find(f"memory: {peak / 2**20:.1f} MiB at all three levels", f"{PEAK_BYTES / 2**20:.0f} MiB")
    assert peak < PEAK_BYTES


if __name__ == "__main__":
    print(measure([sys.argv[1]], workers=int(sys.argv[2])).peak_memory_bytes)  # noqa: T201
