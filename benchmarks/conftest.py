"""What all benchmarks share: the workload, the clock, and how much slower than ours each peer was.

``QUOTASIM_BENCH_SIZE=S`` makes everything a hundredth of the full size, ``M`` (the default) is the full size.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pyarrow
import pytest

from .workload import Workload, make_workload

FRACTIONS = {"S": 0.01, "M": 1.0}

_RATIOS = pytest.StashKey["list[tuple[str, str, float, float]]"]()


def bench_size() -> str:
    """The size asked for, S or M."""
    size = os.environ.get("QUOTASIM_BENCH_SIZE", "M")
    if size not in FRACTIONS:
        message = f"QUOTASIM_BENCH_SIZE is {size!r}, and may be {' or '.join(FRACTIONS)}"
        raise pytest.UsageError(message)
    return size


@pytest.fixture(scope="session")
def workload() -> Workload:
    """The one workload, drawn once a session."""
    return make_workload(FRACTIONS[bench_size()])


@dataclass(frozen=True, slots=True)
class Runner:
    """A function, and what makes its arguments anew for every round."""

    function: Callable[..., Any]
    setup: Callable[[], tuple[Any, ...]]


@pytest.fixture
def race(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Time a function in rounds, each on fresh arguments; returns its last result.

    ``race(runner, rounds=..., items=..., **figures)`` puts the function alone on the clock, and its rate and
    the figures into ``extra_info``. With ``ours=Runner(...)`` the function is a peer, and ours runs once
    before each of its rounds: other work on the machine then slows both, and ``extra_info`` says how many
    times slower the peer was, by best round and by median.
    """

    def run(runner: Runner, *, rounds: int, items: int, ours: Runner | None = None, **figures: object) -> Any:
        our_times: list[float] = []

        def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
            if ours is not None:
                arguments = ours.setup()
                start = time.perf_counter()
                ours.function(*arguments)
                our_times.append(time.perf_counter() - start)
            return runner.setup(), {}

        result = benchmark.pedantic(runner.function, setup=setup, rounds=rounds)
        benchmark.extra_info.update(size=bench_size(), items=items, **figures)
        if benchmark.stats is None:  # --benchmark-disable: run once, not timed
            return result
        times = benchmark.stats.stats
        benchmark.extra_info["million_items_per_second"] = round(items / times.min / 1e6, 3)
        if ours is not None:
            best, median = times.min / min(our_times), times.median / statistics.median(our_times)
            benchmark.extra_info.update(slower_by_best=round(best, 2), slower_by_median=round(median, 2))
            request.config.stash[_RATIOS].append((benchmark.group, request.node.name, best, median))
        return result

    return run


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RATIOS] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how many times slower than ours each peer was."""
    if config.stash[_RATIOS]:
        terminalreporter.section(f"peers, in turns with ours, size {bench_size()}")
    for group, name, best, median in config.stash[_RATIOS]:
        terminalreporter.write_line(
            f"{group}: {name} takes {best:.2f} times as long (best rounds; medians: {median:.2f})"
        )


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Keep what a figure depends on beside it."""
    machine_info["usable_cpus"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    machine_info["libraries"] = {
        "numpy": np.__version__,
        "numba": numba.__version__,
        "pyarrow": pyarrow.__version__,
        "python": platform.python_version(),
    }
