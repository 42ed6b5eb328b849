"""Generating ten million references: what `quotasim.workloads` takes for a registry's worth of pushes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quotasim import workloads
from quotasim.importers.trace_table import TraceTable

from .conftest import FRACTIONS, Runner, bench_size
from .workload import FULL_REFERENCES

Race = Callable[..., Any]

TARGET_SECONDS = 10

SIZES: dict[str, Callable[[float], TraceTable]] = {
    "hub_like": lambda fraction: workloads.hub_like(manifests=max(round(1_080_000 * fraction), 1), repositories=5_000),
    "ci": lambda fraction: workloads.ci(services=max(round(3_900 * fraction), 1), branches=5, builds=2.0, days=48),
}
"""Each draws about ten million references at the full size."""


@pytest.mark.benchmark(group="workloads")
@pytest.mark.parametrize("name", SIZES)
def test_generating(race: Race, name: str) -> None:
    fraction = FRACTIONS[bench_size()]
    SIZES[name](0.001)  # compiles, or loads, the kernels
    stream: TraceTable = race(
        Runner(SIZES[name], lambda: (fraction,)),
        rounds=3,
        items=round(FULL_REFERENCES * fraction),
        target=TARGET_SECONDS,
    )
    references = stream.manifests.target.size
    assert 0.9 < references / (FULL_REFERENCES * fraction) < 1.2
    # Every digest is drawn once, whatever the number of them.
    assert np.unique(stream.blobs.digest.words256[:, 0]).size == len(stream.blobs.digest)
