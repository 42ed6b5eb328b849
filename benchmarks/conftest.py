"""What all benchmarks share: the workload, the clock, and what came out beside what was aimed for.

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

WARM_BYTES = 1_500_000_000

_FINDINGS = pytest.StashKey["list[Finding]"]()


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


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the summary: what was measured, and what was aimed for at full size ("" where nothing was)."""

    name: str
    measured: str
    target: str


@pytest.fixture
def find(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Put a line into the summary: ``find(measured, target)``, both as text."""

    def add(measured: str, target: str = "") -> None:
        request.config.stash[_FINDINGS].append(Finding(request.node.name, measured, target))

    return add


@pytest.fixture
def race(benchmark: Any, find: Callable[..., None]) -> Callable[..., Any]:
    """Time a function in rounds, each on fresh arguments; returns its last result.

    ``race(runner, rounds=..., items=..., **figures)`` puts the function alone on the clock, and its rate and
    the figures into ``extra_info``. With ``ours=Runner(...)`` the function is a peer, and ours runs once
    before each of its rounds, each on warm memory: other work on the machine then slows both, and ``extra_info`` says
    how many times slower the peer was, by best round and by median. ``target`` is how many times slower a peer should
    be, or how many seconds a function alone may take, at full size; the summary prints it and nothing asserts it.
    """

    def run(
        runner: Runner,
        *,
        rounds: int,
        items: int,
        ours: Runner | None = None,
        target: float | None = None,
        **figures: object,
    ) -> Any:
        our_times: list[float] = []

        def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
            if ours is not None:
                arguments = ours.setup()
                warm_memory()
                start = time.perf_counter()
                ours.function(*arguments)
                our_times.append(time.perf_counter() - start)
                del arguments
            theirs = runner.setup()
            if ours is not None:
                warm_memory()
            return theirs, {}

        result = benchmark.pedantic(runner.function, setup=setup, rounds=rounds)
        benchmark.extra_info.update(size=bench_size(), items=items, **figures)
        if benchmark.stats is None:  # --benchmark-disable: run once, not timed
            return result
        times = benchmark.stats.stats
        benchmark.extra_info["million_items_per_second"] = round(items / times.min / 1e6, 3)
        if ours is not None:
            best, median = times.min / min(our_times), times.median / statistics.median(our_times)
            benchmark.extra_info.update(slower_by_best=round(best, 2), slower_by_median=round(median, 2))
            find(
                f"{benchmark.group}: {best:.2f} times as long as ours (medians: {median:.2f})",
                "" if target is None else f"{target:g} times",
            )
        elif target is not None:
            find(f"{benchmark.group}: {in_seconds(times.min)} (median: {in_seconds(times.median)})", in_seconds(target))
        if target is not None:
            benchmark.extra_info["target"] = target
        return result

    return run


def warm_memory() -> None:
    """Have the machine give more memory than a round needs, and give it back at once.

    A virtual machine hands memory that was free for seconds back to its host, and waits when it is asked for again:
    2 s a GB were seen. A function that is timed every tenth second would pay for that, one timed in a row would not.
    """
    np.ones(round(WARM_BYTES * FRACTIONS[bench_size()]), np.uint8)


def in_seconds(seconds: float) -> str:
    """A time with three digits: ``1.25 s``, ``0.41 ms``."""
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{seconds * 1e3:.3g} ms"


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FINDINGS] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was measured, a peer in turns with ours, and what was aimed for."""
    findings = config.stash[_FINDINGS]
    if not findings:
        return
    size = bench_size()
    terminalreporter.section(f"measured at size {size}, and the target at size M; a peer runs in turns with ours")
    names, measured = (max(len(getattr(found, what)) for found in findings) for what in ("name", "measured"))
    for found in findings:
        target = f"target {found.target}" if found.target else ""
        terminalreporter.write_line(f"{found.name:{names}}  {found.measured:{measured}}  {target}".rstrip())


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Keep what a figure depends on beside it."""
    machine_info["usable_cpus"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    machine_info["libraries"] = {
        "numpy": np.__version__,
        "numba": numba.__version__,
        "pyarrow": pyarrow.__version__,
        "python": platform.python_version(),
    }
