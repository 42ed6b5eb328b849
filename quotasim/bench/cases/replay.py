"""Replay: pushes and deletes in turn, each blob charged once in its scope, and a limit that refuses.

Ours starts from raw ids, and keeps an event log with causes and every count of a registry; the dicts keep what a user
would need for the same figures, and start from lists made beforehand. References are those of all events' manifests.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from quotasim.accounting.basis import Scope
from quotasim.bench import compiled as c
from quotasim.bench import subjects
from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.peers import peer
from quotasim.bench.peers import replay as peers
from quotasim.bench.scratch import scratch
from quotasim.bench.workload import Workload, make_workload, workload_of
from quotasim.engine import Engine, Outcome
from quotasim.kernels import layout
from quotasim.kernels.layout import Operations
from quotasim.model.content import Content


@cache
def compiled() -> None:
    """Compile, or load, every kernel before the clock runs."""
    small = make_workload(0.001)
    subjects.replay(subjects.new_engine(small, subjects.load_content(small), int(small.limit[0])), small)


def same_as_ours(engine: Engine, replayed: peers.Replayed | c.PairReplay) -> bool:
    """Whether another replay saw the same events, deltas and end."""
    refused = np.frombuffer(replayed.refused, np.uint8)
    charged = np.asarray(replayed.charged)
    # A delete of what was refused is no event of ours; every other event changes a charge or is refused.
    events = (refused != 0) | (charged != 0)
    log = engine.log
    return (
        np.array_equal(log.column("kind") == layout.EVENT_REFUSE, refused[events] != 0)
        and np.array_equal(log.column("charged_bytes"), charged[events])
        and np.array_equal(log.column("unique_bytes"), np.asarray(replayed.unique)[events])
        and np.array_equal(log.column("stored_bytes"), np.asarray(replayed.stored)[events])
        and np.array_equal(engine.ledger.used(), replayed.used)
        and np.array_equal(engine.state.read("holders")[: len(replayed.holders)], replayed.holders)
    )


def _ours(workload: Workload, content: Content, limit: int | None, scope: Scope) -> tuple[Contender, Engine]:
    """Our replay, and an engine that has lived through it."""

    def setup() -> tuple[Engine, Workload]:
        return subjects.new_engine(workload, content, limit, scope), workload

    engine, _ = setup()
    subjects.replay(engine, workload)

    def right(outcome: Outcome) -> bool:
        refused = np.count_nonzero(engine.log.column("kind") == layout.EVENT_REFUSE)
        return outcome.refused == refused and (refused > 0) == (limit is not None)

    assert engine.figures() == engine.recompute()
    return Contender(name="quotasim", role="ours", run=subjects.replay, setup=setup, check=right, rounds=7), engine


def _prepare(references: int, *, scope: Scope, share: float | None) -> Prepared:
    """A replay with a limit that is a share of what the whole would use without one."""
    compiled()
    workload = workload_of(references)
    content = subjects.load_content(workload)
    limit = None if share is None else int(workload.limit[0])
    if share is not None and scope is Scope.REGISTRY:
        limit = int(share * (int(workload.blob_size.sum()) + int(workload.manifest_size.sum())))
    ours, engine = _ours(workload, content, limit, scope)
    contenders = [ours]
    if scope is Scope.NAMESPACE and share is not None:
        trace = cache(lambda: peers.plain_trace(workload))

        def right(replayed: peers.Replayed) -> bool:
            return same_as_ours(engine, replayed)

        def arguments() -> tuple[peers.Trace]:
            return (trace(),)

        contenders += [
            peer(
                "dicts, one a namespace", peers.replay_by_namespace, arguments, right, target=20, rounds=3, plain=True
            ),
            peer("one dict of pairs", peers.replay_by_pair, arguments, right, target=20, rounds=3, plain=True),
            peer(
                "SimPy with the same dicts",
                peers.replay_with_simpy,
                arguments,
                right,
                needs=("simpy",),
                rounds=3,
                plain=True,
            ),
        ]
    figures = {
        **workload.sizes(),
        "catalogue_bytes": engine.content.nbytes + engine.names.nbytes,
        "state_bytes": engine.state.nbytes + engine.ledger.nbytes + engine.log.nbytes,
        "refused": int(np.count_nonzero(engine.log.column("kind") == layout.EVENT_REFUSE)),
    }
    return Prepared(items=workload.references_replayed, figures=figures, contenders=tuple(contenders))


def namespace(references: int) -> Prepared:
    """A limit in each namespace."""
    return _prepare(references, scope=Scope.NAMESPACE, share=1.0)


def registry(references: int) -> Prepared:
    """One limit for the registry."""
    return _prepare(references, scope=Scope.REGISTRY, share=0.2)


def unlimited(references: int) -> Prepared:
    """No limit."""
    return _prepare(references, scope=Scope.NAMESPACE, share=None)


def push(references: int) -> Prepared:
    """Pushes alone, each a batch of its own, into an empty registry without a limit."""
    compiled()
    workload = workload_of(references)
    content = subjects.load_content(workload)

    def right(engine: Engine) -> bool:
        return engine.figures()["links"] == workload.manifest_count and engine.figures() == engine.recompute()

    ours = Contender(
        name="quotasim",
        role="ours",
        run=subjects.push_all,
        setup=lambda: (subjects.new_engine(workload, content, None), workload),
        check=right,
    )
    return Prepared(items=workload.reference_count, figures=workload.sizes(), contenders=(ours,))


def numbered(references: int) -> Prepared:
    """The same trace where links and pairs have their numbers already: the event loop alone, beside one in C."""
    compiled()
    workload = workload_of(references)
    content = subjects.load_content(workload)
    limit = int(workload.limit[0])

    def setup() -> tuple[Engine, Operations]:
        engine = subjects.new_engine(workload, content, limit)
        return engine, subjects.trace(engine, workload)

    after, operations = setup()
    refused = after.apply(operations).refused
    contenders = [
        Contender(
            name="quotasim",
            role="ours",
            run=Engine.apply,
            setup=setup,
            check=lambda outcome: outcome.refused == refused > 0,
            rounds=7,
        )
    ]
    if (c.HERE / "replay.c").is_file():

        @cache
        def prepared() -> tuple[Any, ...]:
            pair, pairs = c.number_pairs(workload)
            return (c.compile_c("replay", scratch()), workload, pair, *c.new_outcome(workload, pairs))

        def fresh() -> tuple[Any, ...]:
            arguments = prepared()
            c.clear(*arguments[3:])
            return arguments

        def right(found: int) -> bool:
            return found == refused and same_as_ours(after, prepared()[3])

        contenders.append(
            Contender(
                name="C with prefetches, no log",
                role="limit",
                run=c.replay_pairs,
                setup=fresh,
                check=right,
                rounds=7,
                target=0.8,
                programs=(c.COMPILER,),
            )
        )
    return Prepared(items=workload.references_replayed, figures=workload.sizes(), contenders=tuple(contenders))


CASES = (
    Case(
        name="replay-numbered",
        suite="replay",
        title="replay where links and pairs are numbered",
        unit="references",
        prepare=numbered,
    ),
    Case(
        name="replay-namespace",
        suite="replay",
        title="replay with a limit in each namespace",
        unit="references",
        prepare=namespace,
    ),
    Case(
        name="replay-registry",
        suite="replay",
        title="replay with one limit for the registry",
        unit="references",
        prepare=registry,
    ),
    Case(name="replay-unlimited", suite="replay", title="replay without a limit", unit="references", prepare=unlimited),
    Case(name="push", suite="replay", title="push", unit="references", prepare=push),
)
