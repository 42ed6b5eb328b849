"""Collections planned and carried out: a whole registry's at full size, and each kind's own at a tenth of it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.cases.mark import cluttered_of, collect, swept_by_numpy
from quotasim.bench.workload import workload_of
from quotasim.engine import operations
from quotasim.kernels import layout
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
    swept, freed = swept_by_numpy(references, cluttered.image_root, cluttered.index_root)
    garbage = collect(cluttered)

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
    figures = workload.sizes() | {"removed": garbage.links.size, "swept": swept.size}
    return Prepared(items=garbage.visited_references, figures=figures, contenders=(ours,))


@lru_cache(maxsize=1)
def deleted_from(references: int) -> tuple[Registry, npt.NDArray[np.bool_]]:
    """The same registry after every second image was deleted that has no tag and is in no index; which are left."""
    workload, cluttered = workload_of(references), cluttered_of(references)
    left = cluttered.image_root.copy()
    left[workload.index_child] = True
    left[np.flatnonzero(~left)[::2]] = True
    gone = np.flatnonzero(~left).astype(np.int32)
    engine = cluttered.engine.branch()
    link = engine.names.links.find_all(workload.namespace[gone], gone)
    engine.apply(operations(np.full(gone.size, layout.OP_DELETE), np.full(gone.size, engine.state.now), link=link))
    return Registry.from_engine(engine), left


def of_kind(references: int, *, kind: str) -> Prepared:
    """Plan and apply the own policy of one kind, past every grace: of what is untagged, and of what deletions left.

    What the kind would have collected by itself by then waits for the run, so that all kinds have as much to do as
    their policies let them.
    """
    workload, cluttered = workload_of(references), cluttered_of(references)
    source, left = deleted_from(references)
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
    registry = source.under(told)
    registry.advance(AFTER_ALL_GRACE)
    roots = (cluttered.image_root, cluttered.index_root)
    if profile.gc.roots == "ALL":
        roots = (left, np.ones_like(cluttered.index_root))
    swept, freed = swept_by_numpy(references, *roots)

    def right(answer: tuple[Registry, GcResult]) -> bool:
        stored = answer[0].engine.state.read("stored")
        gone = np.flatnonzero((registry.engine.state.read("stored") != 0) & (stored == 0))
        return np.array_equal(gone, swept) and answer[1].freed_stored_bytes == freed

    ours = Contender(
        name="quotasim",
        role="ours",
        run=plan_and_apply,
        setup=lambda: (registry.branch(),),
        check=right,
        rounds=3,
    )
    plan = registry.plan_gc()
    figures = workload.sizes() | {"removed": plan.links.size, "swept": swept.size}
    return Prepared(items=plan.visited_references, figures=figures, contenders=(ours,))


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
