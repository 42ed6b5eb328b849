"""Replay: pushes and deletes in turn, each blob charged once in its namespace, and a limit that refuses.

Ours starts from raw ids, and keeps an event log with causes and every count of a registry; the dicts keep
what a user would need for the same figures, and start from lists made beforehand. References are those of
all events' manifests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from quotasim.engine import Engine, Outcome
from quotasim.kernels import layout
from quotasim.model.content import Content

from . import peers, subjects
from .conftest import Runner
from .workload import Workload, make_workload

Race = Callable[..., Any]


@pytest.fixture(scope="module")
def content(workload: Workload) -> Content:
    return subjects.load_content(workload)


@pytest.fixture(scope="module")
def ours(workload: Workload, content: Content) -> Runner:
    """Our replay on an empty engine, with every kernel compiled."""
    small = make_workload(0.001)
    subjects.replay(subjects.new_engine(small, subjects.load_content(small), int(small.limit[0])), small)
    return Runner(
        subjects.replay,
        lambda: (subjects.new_engine(workload, content, int(workload.limit[0])), workload),
    )


@pytest.fixture(scope="module")
def trace(workload: Workload) -> peers.Trace:
    return peers.plain_trace(workload)


@pytest.fixture(scope="module")
def engine(ours: Runner) -> Engine:
    """The engine after a replay."""
    replayed, workload = ours.setup()
    ours.function(replayed, workload)
    return replayed


def same_as_ours(engine: Engine, replayed: peers.Replayed) -> bool:
    """Whether a peer saw the same events, deltas and end."""
    refused = np.frombuffer(replayed.refused, np.uint8)
    charged = np.array(replayed.charged)
    # A delete of what was refused is no event of ours; every other event changes a charge or is refused.
    events = (refused != 0) | (charged != 0)
    log = engine.log
    return (
        np.array_equal(log.column("kind") == layout.EVENT_REFUSE, refused[events] != 0)
        and np.array_equal(log.column("charged_bytes"), charged[events])
        and np.array_equal(log.column("unique_bytes"), np.array(replayed.unique)[events])
        and np.array_equal(log.column("stored_bytes"), np.array(replayed.stored)[events])
        and engine.ledger.used() == replayed.used
        and np.array_equal(engine.state.read("holders")[: len(replayed.holders)], replayed.holders)
    )


@pytest.mark.benchmark(group="replay")
def test_quotasim(race: Race, ours: Runner, workload: Workload, engine: Engine) -> None:
    outcome: Outcome = race(
        ours,
        rounds=7,
        items=workload.references_replayed,
        **workload.sizes(),
        catalogue_bytes=engine.content.nbytes + engine.names.nbytes,
        state_bytes=engine.state.nbytes + engine.ledger.nbytes + engine.log.nbytes,
        refused=int(np.count_nonzero(engine.log.column("kind") == layout.EVENT_REFUSE)),
    )
    assert outcome.refused > 0
    assert engine.figures() == engine.recompute()


@pytest.mark.benchmark(group="replay")
@pytest.mark.parametrize("replay", [peers.replay_by_namespace, peers.replay_by_pair])
def test_dicts(
    race: Race,
    ours: Runner,
    workload: Workload,
    trace: peers.Trace,
    engine: Engine,
    replay: Callable[[peers.Trace], peers.Replayed],
) -> None:
    with peers.frozen_heap():
        replayed = race(
            Runner(replay, lambda: (trace,)),
            rounds=3,
            items=workload.references_replayed,
            ours=ours,
            target=17,
        )
    assert same_as_ours(engine, replayed)
