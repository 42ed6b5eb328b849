"""What all benchmarks share: a case of `quotasim.bench` is prepared once, and pytest-benchmark is its clock.

``QUOTASIM_BENCH_SIZE=S`` is 10^5 references, ``M`` (the default) 10^7, ``L`` and ``XL`` more.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pytest

from quotasim.bench import cases
from quotasim.bench.case import SIZES, Case, Contender, Prepared, missing
from quotasim.bench.clock import MOST_WARM_BYTES, time_once, warm_memory
from quotasim.bench.machine import machine_info as this_machine
from quotasim.bench.tables import seconds

_FINDINGS = pytest.StashKey["list[Finding]"]()

SMALL = 10_000
"""References of the size at which contenders are listed: their names are those of any size."""


def bench_size() -> str:
    """The size asked for."""
    size = os.environ.get("QUOTASIM_BENCH_SIZE", "M")
    if size not in SIZES:
        message = f"QUOTASIM_BENCH_SIZE is {size!r}, and may be {', '.join(SIZES)}"
        raise pytest.UsageError(message)
    return size


@lru_cache(maxsize=1)
def prepared(name: str) -> Prepared:
    """A case at the size asked for; the last one is kept."""
    return cases.by_name(name).prepare(SIZES[bench_size()])


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the summary: what was measured, and what was aimed for at size M ("" where nothing was)."""

    name: str
    measured: str
    target: str


@pytest.fixture
def find(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Put a line into the summary: ``find(measured, target)``, both as text."""

    def add(measured: str, target: str = "") -> None:
        request.config.stash[_FINDINGS].append(Finding(request.node.name, measured, target))

    return add


def contenders_of(suites: Sequence[str]) -> list[Any]:
    """Parameters (case, contender) of a file: every contender of every case of some suites."""
    found = []
    for suite in suites:
        for case in cases.of_suite(suite):
            found += [
                pytest.param(case, contender.name, id=f"{case.name}-{contender.name}")
                for contender in case.prepare(SMALL).contenders
            ]
    return found


@pytest.fixture
def contend(benchmark: Any, find: Callable[..., None]) -> Callable[[Case, str], None]:
    """Time one contender of a case and check its answer; a peer in turns with ours.

    ``extra_info`` has the sizes, the rate, and how many times as long as ours a peer took, by best round and by median.
    The summary prints that beside the target; nothing asserts it.
    """

    def run(case: Case, name: str) -> None:
        if case.largest is not None and SIZES[bench_size()] > case.largest:
            pytest.skip(f"{case.name} is not run beyond {case.largest:,} references")
        built = prepared(case.name)
        ours = built.contenders[0]
        contender = next(one for one in built.contenders if one.name == name)
        if absent := missing(contender):
            pytest.skip(f"{name} needs {', '.join(absent)}, of the group bench")
        benchmark.group = case.title
        with contender.around():
            _measure(benchmark, find, built, ours, contender)

    return run


def _measure(benchmark: Any, find: Callable[..., None], built: Prepared, ours: Contender, contender: Contender) -> None:
    our_times: list[float] = []
    warm = round(MOST_WARM_BYTES * SIZES[bench_size()] / SIZES["M"])

    def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
        if contender is not ours:
            our_times.append(time_once(ours, warm)[0])
        arguments = contender.setup()
        warm_memory(warm)
        return arguments, {}

    answer = benchmark.pedantic(contender.run, setup=setup, rounds=contender.rounds)
    assert contender.check(answer)
    benchmark.extra_info.update(size=bench_size(), items=built.items, **built.figures)
    if benchmark.stats is None:  # --benchmark-disable: run once, not timed
        return
    times = benchmark.stats.stats
    benchmark.extra_info["million_items_per_second"] = round(built.items / times.min / 1e6, 3)
    if contender.target is not None:
        benchmark.extra_info["target"] = contender.target
    if contender is ours:
        find(f"{benchmark.group}: {seconds(times.min)} (median: {seconds(times.median)})")
        return
    best, median = times.min / min(our_times), times.median / statistics.median(our_times)
    benchmark.extra_info.update(slower_by_best=round(best, 3), slower_by_median=round(median, 3))
    target = "" if contender.target is None else f"{contender.target:g} times"
    find(f"{benchmark.group}: {best:.3g} times as long as ours (medians: {median:.3g})", target)


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
    machine_info["quotasim"] = this_machine()
