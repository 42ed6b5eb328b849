"""Mark and sweep over images and indexes, 60 % and 70 % of them tagged."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

from quotasim.bench import peers, subjects
from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.workload import make_workload, workload_of
from quotasim.gc.marking import Garbage, find_garbage


def collect(cluttered: subjects.Cluttered) -> Garbage:
    """Find the garbage of an engine under its own policy."""
    engine = cluttered.engine
    return find_garbage(engine.inventory(), engine.profile.gc, engine.state.now)


@cache
def compiled() -> None:
    """Compile, or load, every kernel before the clock runs."""
    small = make_workload(0.001)
    collect(subjects.cluttered_engine(small, subjects.load_content(small, indexes=True)))


@lru_cache(maxsize=1)
def cluttered_of(references: int) -> subjects.Cluttered:
    """The registry that is marked and swept; the last one is kept."""
    compiled()
    workload = workload_of(references)
    return subjects.cluttered_engine(workload, subjects.load_content(workload, indexes=True))


def mark(references: int) -> Prepared:
    """Find what is garbage."""
    workload, cluttered = workload_of(references), cluttered_of(references)
    graph = peers.plain_graph(workload)
    stored = cluttered.engine.state.read("stored") != 0
    # Ours is held to NumPy's answer, and NumPy's to sets in tests/test_benchmarks.py.
    swept, freed = peers.mark_and_sweep(graph, cluttered.image_root, cluttered.index_root, stored)

    def ours_is_right(garbage: Garbage) -> bool:
        return np.array_equal(garbage.blobs, swept) and garbage.links.size > 0

    def right(answer: Any) -> bool:
        return np.array_equal(answer[0], swept) and int(answer[1]) == freed

    return Prepared(
        items=collect(cluttered).visited_references,
        figures=workload.sizes() | {"freed_bytes": freed},
        contenders=(
            Contender(
                name="quotasim",
                role="ours",
                run=collect,
                setup=lambda: (cluttered,),
                check=ours_is_right,
                rounds=15,
            ),
            Contender(
                name="numpy",
                role="peer",
                run=peers.mark_and_sweep,
                setup=lambda: (graph, cluttered.image_root, cluttered.index_root, stored),
                check=right,
                rounds=15,
                target=1.7,
            ),
        ),
    )


CASES = (Case(name="mark", suite="gc", title="mark and sweep", unit="references visited", prepare=mark),)
