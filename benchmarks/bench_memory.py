"""Memory: what a process holds of a full registry beyond the libraries that it has imported.

A fresh process maps the workload from files, loads the catalogue and replays the trace. Its anonymous memory
(``RssAnon``) is read after the libraries are imported and the kernels loaded, and again at the end: mapped files,
and with them the workload, are no part of it. What it grew by is compared with what the columns say they hold.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quotasim.bench import subjects
from quotasim.bench.case import SIZES
from quotasim.bench.workload import Workload, make_workload, workload_of

from .conftest import bench_size

TARGET_BYTES = 400_000_000
STATUS = Path("/proc/self/status")

SLACK = 30_000_000
"""Bytes that allocators, compiled kernels and Python's own objects may add to or take from what columns hold."""


def resident_bytes() -> int:
    """Anonymous memory of this process that is in RAM."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def map_workload(directory: Path) -> Workload:
    """The workload that was saved to a directory; its columns are mapped, not read."""
    # Copy on write, and plain arrays: a read-only one, or a memmap, is another type for numba.
    return Workload(
        **{
            field.name: np.asarray(np.load(directory / f"{field.name}.npy", mmap_mode="c"))
            for field in dataclasses.fields(Workload)
        }
    )


class Peak:
    """The most that was resident between ``with`` and its end, looked at every 5 ms; kernels let it look."""

    def __enter__(self) -> Peak:
        self.value = resident_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.value = max(self.value, resident_bytes())

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.value = max(self.value, resident_bytes())


def measure(directory: Path) -> dict[str, int]:
    """Load and replay in this process, and say what that took, in bytes."""
    small = make_workload(0.001)
    imported = resident_bytes()
    subjects.replay(subjects.new_engine(small, subjects.load_content(small), int(small.limit[0])), small)
    gc.collect()
    workload = map_workload(directory)
    before = resident_bytes()
    with Peak() as peak:
        content = subjects.load_content(workload)
        gc.collect()
        loaded = resident_bytes()
        engine = subjects.new_engine(workload, content, int(workload.limit[0]))
        subjects.replay(engine, workload)
    gc.collect()
    resident = min(resident_bytes(), peak.value)
    assert engine.figures() == engine.recompute()
    return {
        "imported_bytes": imported,
        "kernels_bytes": before - imported,
        "catalogue_resident_bytes": loaded - before,
        "state_resident_bytes": resident - loaded,
        "resident_bytes": resident - before,
        "peak_bytes": peak.value - before,
        "catalogue_bytes": content.nbytes + engine.names.nbytes,
        "columns_bytes": engine.state.nbytes,
        "ledger_bytes": engine.ledger.nbytes,
        "log_bytes": engine.log.nbytes,
        "events": len(engine.log),
        "links": engine.figures()["links"],
    }


def measure_in_process(directory: Path) -> dict[str, int]:
    """What :func:`measure` says in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.bench_memory", str(directory)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    figures: dict[str, int] = json.loads(done.stdout)
    return figures


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not say what is resident in /proc")
@pytest.mark.benchmark(group="memory")
def test_memory(find: Callable[..., None], benchmark: Any, tmp_path: Path) -> None:
    workload = workload_of(SIZES[bench_size()])
    for field in dataclasses.fields(Workload):
        np.save(tmp_path / f"{field.name}.npy", getattr(workload, field.name))
    figures = benchmark.pedantic(measure_in_process, args=(tmp_path,), rounds=1)
    benchmark.extra_info.update(size=bench_size(), **workload.sizes() | figures)
    find(
        f"memory: {figures['resident_bytes'] / 1e6:.0f} MB, of it catalogue and names "
        f"{figures['catalogue_resident_bytes'] / 1e6:.0f} MB (peak: {figures['peak_bytes'] / 1e6:.0f} MB)",
        f"{TARGET_BYTES / 1e6:.0f} MB",
    )
    held = sum(figures[f"{part}_bytes"] for part in ("catalogue", "columns", "ledger", "log"))
    # Room that was never touched is not resident, and memory that was freed may be: far more would be held uncounted.
    assert 0.75 * held - SLACK <= figures["resident_bytes"] <= 1.15 * held + SLACK
    assert figures["peak_bytes"] >= figures["resident_bytes"]
    assert 0 < figures["links"] < workload.manifest_count
    assert figures["events"] <= workload.event_count


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(Path(sys.argv[1]))))
