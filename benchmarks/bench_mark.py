"""Garbage collection: mark from tags through indexes to blobs, and list what is stored and not marked.

Every image and index of the workload is linked and stored; 60 % of the images and 70 % of the indexes are
tagged. Ours works on the engine's state, the peer on plain columns without repositories. References are
those that marking visits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quotasim.gc.plan import Garbage, find_garbage
from quotasim.model.content import Content
from quotasim.registry import Registry
from quotasim.results import GcResult

from . import peers, subjects
from .conftest import Runner
from .workload import Workload, make_workload

Race = Callable[..., Any]


@pytest.fixture(scope="module")
def content(workload: Workload) -> Content:
    return subjects.load_content(workload, indexes=True)


@pytest.fixture(scope="module")
def cluttered(workload: Workload, content: Content) -> subjects.Cluttered:
    return subjects.cluttered_engine(workload, content)


def collect(cluttered: subjects.Cluttered) -> Garbage:
    """Find the garbage of an engine."""
    engine = cluttered.engine
    return find_garbage(engine.inventory(), engine.profile.gc, engine.state.now)


@pytest.fixture(scope="module")
def ours(cluttered: subjects.Cluttered) -> Runner:
    small = make_workload(0.001)
    collect(subjects.cluttered_engine(small, subjects.load_content(small, indexes=True)))
    return Runner(collect, lambda: (cluttered,))


@pytest.mark.benchmark(group="mark and sweep")
def test_quotasim(race: Race, ours: Runner, workload: Workload, cluttered: subjects.Cluttered) -> None:
    visited = collect(cluttered).visited_references
    garbage = race(ours, rounds=15, items=visited, **workload.sizes())
    assert garbage.links.size > 0
    assert garbage.blobs.size > 0


@pytest.mark.benchmark(group="mark and sweep")
def test_numpy(race: Race, ours: Runner, workload: Workload, cluttered: subjects.Cluttered) -> None:
    graph = peers.plain_graph(workload)
    stored = cluttered.engine.state.read("stored") != 0
    garbage = collect(cluttered)
    swept, freed = race(
        Runner(peers.mark_and_sweep, lambda: (graph, cluttered.image_root, cluttered.index_root, stored)),
        rounds=15,
        items=garbage.visited_references,
        ours=ours,
        target=1.7,
    )
    assert np.array_equal(swept, garbage.blobs)
    assert freed == int(cluttered.engine.content.graph().size[garbage.blobs].sum())


def plan_and_apply(cluttered: subjects.Cluttered) -> GcResult:
    """Plan a collection with its names, and carry it out, on a branch of its own."""
    registry = Registry.from_engine(cluttered.engine.branch())
    return registry.apply(registry.plan_gc())


@pytest.mark.benchmark(group="plan and apply")
def test_plan_and_apply(race: Race, workload: Workload, cluttered: subjects.Cluttered) -> None:
    before = cluttered.engine.figures()["stored_bytes"]
    visited = collect(cluttered).visited_references
    result = race(Runner(plan_and_apply, lambda: (cluttered,)), rounds=3, items=visited, **workload.sizes())
    assert result.freed_stored_bytes == int(cluttered.engine.content.graph().size[collect(cluttered).blobs].sum())
    assert cluttered.engine.figures()["stored_bytes"] == before
