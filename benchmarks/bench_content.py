"""Real bytes by layer, file and chunk; random layers made. The cases are those of `quotasim bench`.

Real content is more than random bytes in a few files: the packages that the benchmarks run with, as one layer of
thousands of small ones, are timed here alone.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quotasim.bench.case import SIZES, Case
from quotasim.bench.cases.content import Stages, bytes_for, hash_alone, layer_file
from quotasim.bench.tables import seconds
from quotasim.dedup import measure
from quotasim.dedup.results import Level

from .conftest import bench_size, contenders_of

ROUNDS = 10
PEAK_BYTES = 64 * 2**20
REAL = Path(pytest.__file__).parent.parent
"""The Python packages that the benchmarks run with."""


@pytest.mark.benchmark
@pytest.mark.parametrize(("case", "contender"), contenders_of(["content"]))
def test_content(contend: Callable[[Case, str], None], case: Case, contender: str) -> None:
    contend(case, contender)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages as one layer."""
    path = tmp_path_factory.mktemp("installed") / "layer.tar"
    with tarfile.open(path, "w") as archive:
        for file in sorted(REAL.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.add(file, str(file.relative_to(REAL)), recursive=False)
            if archive.offset > bytes_for(SIZES[bench_size()]) // 4:
                break
    hash_alone(path)
    return path


@pytest.mark.parametrize("levels", [("file",), ("chunk",), ("layer", "file", "chunk")], ids="-".join)
@pytest.mark.benchmark(group="files and chunks of installed packages")
def test_small_files(benchmark: Any, find: Callable[..., None], installed: Path, levels: tuple[Level, ...]) -> None:
    """Ours by the sum of its stages alone, in turns: 1 would be the stages, and nothing between them."""
    stages = Stages(installed)
    alone: list[float] = []

    def setup() -> tuple[tuple[()], dict[str, Any]]:
        start = time.perf_counter()
        stages.run(levels)
        alone.append(time.perf_counter() - start)
        return (), {}

    report = benchmark.pedantic(lambda: measure([installed], levels=levels), setup=setup, rounds=ROUNDS)
    if "file" in levels:
        assert report.level("file").count == len(stages.files)
    if "chunk" in levels:
        assert report.level("chunk").count == stages.chunks
    benchmark.extra_info.update(bytes=installed.stat().st_size, files=len(stages.files))
    if benchmark.stats is not None:
        best = benchmark.stats.stats.min
        find(f"{best / min(alone):.2f} times its stages alone ({seconds(best)})", "1.15 times")


def measure_in_process(path: Path, workers: int) -> int:
    """The peak of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.bench_content", str(path), str(workers)]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what is resident in /proc")
@pytest.mark.benchmark(group="content, memory")
def test_memory(find: Callable[..., None], benchmark: Any) -> None:
    layer = layer_file(1, bytes_for(SIZES[bench_size()]), 32)
    peak = benchmark.pedantic(measure_in_process, args=(layer, 1), rounds=1)
    benchmark.extra_info["peak_memory_bytes"] = peak
    find(f"memory: {peak / 2**20:.1f} MiB at all three levels", f"{PEAK_BYTES / 2**20:.0f} MiB")
    assert peak < PEAK_BYTES


if __name__ == "__main__":
    print(measure([sys.argv[1]], workers=int(sys.argv[2])).peak_memory_bytes)  # noqa: T201
