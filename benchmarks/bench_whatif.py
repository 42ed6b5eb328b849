"""Six scenarios over the whole real history, beside the base. Skipped where the real data are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import quotasim as qs
from quotasim.registry import as_trace
from quotasim.whatif import Runs, Scenario, run_scenarios
from tests.conftest import real_data  # noqa: F401  a fixture


def keeping(*rules: qs.KeepNewest | qs.KeepYounger) -> Scenario:
    """A policy that is applied every day."""
    return Scenario(retention=qs.RetentionPolicy(rules))


SCENARIOS = {
    "newest 1": keeping(qs.KeepNewest(1)),
    "newest 10": keeping(qs.KeepNewest(10)),
    "younger than 90 days": keeping(qs.KeepYounger("90d")),
    "newest 5 or younger than 30 days": keeping(qs.KeepNewest(5), qs.KeepYounger("30d")),
    "harbor": Scenario.under("harbor"),
    "limit": Scenario(limit="200 GiB"),
}


@pytest.mark.benchmark
def test_six_scenarios_over_the_real_history(benchmark: Any, real_data: Path) -> None:  # noqa: F811
    trace = as_trace(real_data / "repo_info")
    start = qs.format_time(int(trace.time[0]))

    def fresh() -> tuple[tuple[qs.Registry], dict[str, Any]]:
        return (qs.Registry("acr-premium", start=start),), {}

    def live(base: qs.Registry) -> Runs:
        return run_scenarios(base, SCENARIOS, operations=trace, every="7d")

    runs = benchmark.pedantic(live, setup=fresh, rounds=3, warmup_rounds=1)
    whole = qs.replay(trace, profile="acr-premium")
    assert runs.registries[runs.base].engine.figures() == whole.engine.figures()
    for registry in runs.registries.values():
        assert registry.recompute() == registry.engine.figures()
    benchmark.extra_info["operations"] = int(trace.time.size)
