"""Mark and sweep over images and indexes, 60 % and 70 % of them tagged."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.bench import limits, subjects
from quotasim.bench.case import SIZES, Case, Contender, Prepared
from quotasim.bench.peers import distribution, frozen_heap
from quotasim.bench.peers import graph as peers
from quotasim.bench.scratch import scratch
from quotasim.bench.workload import START, make_workload, workload_of
from quotasim.engine import Engine, operations
from quotasim.gc.marking import Garbage, find_garbage
from quotasim.kernels import layout
from quotasim.profiles.distribution import DISTRIBUTION_2_8


def collect(cluttered: subjects.Cluttered, threads: int = 1) -> Garbage:
    """Find the garbage of an engine under its own policy."""
    engine = cluttered.engine
    return find_garbage(engine.inventory(), engine.profile.gc, engine.state.now, threads=threads)


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
            Contender(
                name="quotasim, two threads",
                role="peer",
                run=collect,
                setup=lambda: (cluttered, 2),
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


def mark_as_distribution(references: int) -> Prepared:
    """Mark as distribution 2.8 does, every link a root; 40 % of the images are deleted, and their bytes are left."""
    compiled()
    workload = workload_of(references)
    kept = np.random.default_rng(1).random(workload.manifest_count) < subjects.IMAGE_ROOTS
    engine = Engine(DISTRIBUTION_2_8, START, subjects.load_content(workload))
    engine.names.add_repositories([f"namespace-{row:04}/app" for row in range(workload.namespace_count)])
    subjects.push_all(engine, workload)
    gone = np.flatnonzero(~kept).astype(np.int32)
    link = engine.names.links.find_all(workload.namespace[gone], gone)
    engine.apply(operations(np.full(gone.size, layout.OP_DELETE), np.full(gone.size, engine.state.now), link=link))
    marked = np.unique(workload.target[np.repeat(kept, np.diff(workload.indptr))]).size + int(kept.sum())
    stored = np.unique(workload.target).size + workload.manifest_count

    def run() -> Garbage:
        return find_garbage(engine.inventory(), engine.profile.gc, engine.state.now)

    @cache
    def tree() -> distribution.Tree:
        return distribution.write_tree(workload, kept, scratch() / str(references))

    return Prepared(
        items=run().visited_references,
        figures=workload.sizes() | {"linked": int(kept.sum())},
        contenders=(
            Contender(
                name="quotasim",
                role="ours",
                run=run,
                setup=lambda: (),
                check=lambda garbage: garbage.blobs.size == stored - marked,
            ),
            Contender(
                name="docker-registry garbage-collect --dry-run (reads files)",
                role="peer",
                run=distribution.collect,
                setup=lambda: (tree(),),
                # One config more, which all images of the tree have.
                check=lambda found: found == (marked + 1, stored - marked),
                rounds=3,
                programs=(distribution.PROGRAM,),
            ),
        ),
    )


CASES = (
    Case(name="mark", suite="gc", title="mark and sweep", unit="references visited", prepare=mark),
    Case(
        name="mark-distribution",
        suite="gc",
        title="mark as distribution 2.8 does",
        unit="references visited",
        prepare=mark_as_distribution,
        largest=SIZES["S"],
    ),
)
