"""Mark and sweep over images and indexes, 60 % and 70 % of them tagged."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.bench import limits, subjects
from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.peers import frozen_heap
from quotasim.bench.peers import graph as peers
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
    swept, freed = peers.with_numpy(graph, cluttered.image_root, cluttered.index_root, stored)

    def ours_is_right(garbage: Garbage) -> bool:
        return np.array_equal(garbage.blobs, swept) and garbage.links.size > 0

    def right(answer: Any) -> bool:
        return np.array_equal(answer[0], swept) and int(answer[1]) == freed

    plain = (graph, cluttered.image_root, cluttered.index_root, stored)
    kept = np.repeat(np.isin(np.arange(workload.manifest_count), _kept(cluttered)), np.diff(workload.indptr))
    visited = workload.target[kept]

    def peer(name: str, run: Any, setup: Any, target: float, *needs: str, rounds: int = 5) -> Contender:
        """One of the others; ``setup`` is called once."""
        once = cache(setup)
        around = frozen_heap if name == "sets" else nullcontext
        return Contender(
            name=name,
            role="peer",
            run=run,
            setup=once,
            check=right,
            rounds=rounds,
            target=target,
            around=around,
            needs=needs,
        )

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
            peer("numpy", peers.with_numpy, lambda: plain, 1.7, rounds=15),
            peer(
                "scipy.sparse",
                peers.with_scipy,
                lambda: (peers.sparse_matrix(graph, workload.blob_count), *plain),
                1.5,
                "scipy",
            ),
            peer("pandas", peers.with_pandas, lambda: (peers.pandas_tables(*plain),), 8),
            peer("polars", peers.with_polars, lambda: (peers.polars_tables(*plain),), 7, "polars"),
            peer("DuckDB", peers.with_duckdb, lambda: (peers.duckdb_tables(*plain),), 15, "duckdb"),
            peer("sets", peers.with_sets, lambda: (peers.plain_lists(*plain),), 60, rounds=3),
            Contender(
                name="gather-increment of the layers visited",
                role="limit",
                run=limits.gathered,
                setup=lambda: (visited, np.zeros(workload.blob_count, np.int32)),
                check=lambda counts: int(counts.sum()) == visited.size,
                rounds=15,
            ),
        ),
    )


def _kept(cluttered: subjects.Cluttered) -> npt.NDArray[np.int64]:
    """Images that stay."""
    workload_images = cluttered.image_root.size
    removed = collect(cluttered).links
    manifests = cluttered.engine.names.links.second[removed]
    kept = np.ones(workload_images, bool)
    kept[manifests[manifests < workload_images]] = False
    return np.flatnonzero(kept)


CASES = (Case(name="mark", suite="gc", title="mark and sweep", unit="references visited", prepare=mark),)
