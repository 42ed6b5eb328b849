"""A branch of a full registry, and the first change after it, which copies the columns that it writes.

The registry is the engine after the replay: a million links, two million blobs, its ledger and its log.
Branching shares all of it; the first write pays for what branching saved, and is measured for that reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quotasim.engine import Engine, Outcome, operations
from quotasim.kernels import layout

from . import subjects
from .conftest import Runner
from .workload import Workload

Race = Callable[..., Any]

TARGET_SECONDS = 0.001


@pytest.fixture(scope="module")
def engine(workload: Workload) -> Engine:
    """The engine after a replay."""
    replayed = subjects.new_engine(workload, subjects.load_content(workload), int(workload.limit[0]))
    subjects.replay(replayed, workload)
    return replayed


@pytest.fixture(scope="module")
def link(engine: Engine) -> int:
    """A link to delete: the first that is there."""
    return int(np.flatnonzero(engine.state.read("linked"))[0])


def delete(engine: Engine, link: int) -> Outcome:
    """Delete one link of an engine."""
    return engine.apply(
        operations(np.array([layout.OP_DELETE], np.uint8), np.array([engine.state.now]), link=np.array([link]))
    )


def delete_in_branch(engine: Engine, link: int) -> Engine:
    """Branch, and delete one link in the branch."""
    branched = engine.branch()
    delete(branched, link)
    return branched


@pytest.mark.benchmark(group="branch")
def test_branch(race: Race, workload: Workload, engine: Engine) -> None:
    branched: Engine = race(
        Runner(Engine.branch, lambda: (engine,)),
        rounds=200,
        items=1,
        target=TARGET_SECONDS,
        shared_bytes=engine.state.nbytes + engine.ledger.nbytes + engine.log.nbytes,
        **workload.sizes(),
    )
    assert branched.figures() == engine.figures()
    assert np.shares_memory(branched.state.read("holders"), engine.state.read("holders"))
    assert np.array_equal(branched.log.column("time"), engine.log.column("time"))


@pytest.mark.benchmark(group="first change after a branch")
def test_first_change(race: Race, workload: Workload, engine: Engine, link: int) -> None:
    before, events = engine.figures(), len(engine.log)
    branched: Engine = race(Runner(delete_in_branch, lambda: (engine, link)), rounds=7, items=1, **workload.sizes())
    manifest = int(engine.names.links.second[link])
    freed = int(engine.content.graph().logical[manifest])
    assert branched.figures()["links"] == before["links"] - 1
    assert branched.figures()["logical_bytes"] == before["logical_bytes"] - freed
    assert branched.figures() == branched.recompute()
    assert (engine.figures(), len(engine.log)) == (before, events)
    assert engine.recompute() == before


@pytest.mark.benchmark(group="next change in a branch")
def test_next_change(race: Race, workload: Workload, engine: Engine, link: int) -> None:
    linked = np.flatnonzero(engine.state.read("linked"))
    branched = delete_in_branch(engine, link)
    gone = [link]

    def setup() -> tuple[Engine, int]:
        gone.append(int(linked[len(gone)]))
        return branched, gone[-1]

    race(Runner(delete, setup), rounds=50, items=1, **workload.sizes())
    expected = engine.state.read("linked").copy()
    expected[gone] = 0
    assert np.array_equal(branched.state.read("linked"), expected)
    assert branched.figures() == branched.recompute()
