"""Collections planned and carried out: a whole registry's at full size, and each kind's own at a tenth of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.cases.mark import cluttered_of, collect
from quotasim.bench.workload import workload_of
from quotasim.profiles import PROFILES, by_name
from quotasim.registry import Registry
from quotasim.results import GcResult

AFTER_ALL_GRACE = "400d"


def plan_and_apply(registry: Registry) -> tuple[Registry, GcResult]:
    """Plan a collection with its names, and carry it out."""
    return registry, registry.apply(registry.plan_gc())


def whole(references: int) -> Prepared:
    """Plan and apply on a branch of the registry that is marked and swept."""
    workload, cluttered = workload_of(references), cluttered_of(references)
    garbage = collect(cluttered)
    freed = int(cluttered.engine.content.graph().size[garbage.blobs].sum())

    def right(answer: tuple[Registry, GcResult]) -> bool:
        return answer[1].freed_stored_bytes == freed and answer[0].usage().reclaimable_bytes == 0

    ours = Contender(
        name="quotasim",
        role="ours",
        run=plan_and_apply,
        setup=lambda: (Registry.from_engine(cluttered.engine.branch()),),
        check=right,
        rounds=3,
    )
    figures = workload.sizes() | {"removed": garbage.links.size, "swept": garbage.blobs.size}
    return Prepared(items=garbage.visited_references, figures=figures, contenders=(ours,))


def of_kind(references: int, *, kind: str) -> Prepared:
    """Plan and apply the own policy of one kind, past every grace, on a branch of the same registry under that kind.

    What the kind would have collected by itself by then waits for the run, so that all kinds have as much to do as
    their policies let them.
    """
    workload, cluttered = workload_of(references), cluttered_of(references)
    profile = by_name(kind)
    by_tag = "manifest" if profile.delete_by_tag == "expire" else profile.delete_by_tag
    told = replace(
        profile,
        collection="manual",
        delete_by_tag=by_tag,
        untagged_after=None,
        restorable_for=None,
        loose_blobs_after=None,
    )
    registry = Registry.from_engine(cluttered.engine.branch()).under(told)
    registry.advance(AFTER_ALL_GRACE)
    garbage = registry.plan_gc()
    # What is left has no garbage, and what goes is what was planned: sums over the content alone.
    size = registry.engine.content.graph().size
    freed = int(size[garbage.blobs].sum())

    def right(answer: Any) -> bool:
        after, result = answer
        stored = after.engine.state.read("stored")
        gone = not np.any(stored[garbage.blobs])
        return gone and result.freed_stored_bytes == freed

    ours = Contender(
        name="quotasim",
        role="ours",
        run=plan_and_apply,
        setup=lambda: (registry.branch(),),
        check=right,
        rounds=3,
    )
    figures = workload.sizes() | {"removed": garbage.links.size, "swept": garbage.blobs.size}
    return Prepared(items=max(garbage.visited_references, 1), figures=figures, contenders=(ours,))


CASES = (
    Case(
        name="plan-and-apply",
        suite="gc",
        title="plan and apply a collection",
        unit="references visited",
        prepare=whole,
    ),
    *(
        Case(
            name=f"plan-and-apply-{kind}",
            suite="gc-kinds",
            title=f"plan and apply as {kind} does",
            unit="references visited",
            prepare=partial(of_kind, kind=kind),
            largest=10_000_000,
        )
        for kind in PROFILES
    ),
)
