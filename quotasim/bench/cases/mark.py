"""Mark and sweep over images and indexes, 60 % and 70 % of them tagged."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.bench import limits, subjects
from quotasim.bench.case import SIZES, Case, Contender, Prepared
from quotasim.bench.peers import distribution, peer
from quotasim.bench.peers import graph as peers
from quotasim.bench.scratch import scratch
from quotasim.bench.workload import START, make_workload, workload_of
from quotasim.engine import Engine, operations
from quotasim.gc.marking import Garbage, find_garbage
from quotasim.kernels import layout
from quotasim.profiles.distribution import DISTRIBUTION_2_8

Flags = npt.NDArray[np.bool_]


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


def swept_by_numpy(references: int, image_root: Flags, index_root: Flags) -> tuple[npt.NDArray[np.int64], int]:
    """What a sweep takes off the disk if these are the roots, and its bytes: NumPy's answer, which ours is held to.
    tests/test_benchmarks.py holds it to sets.
    """
    stored = cluttered_of(references).engine.state.read("stored") != 0
    return peers.with_numpy(peers.plain_graph(workload_of(references)), image_root, index_root, stored)


def mark(references: int) -> Prepared:
    """Find what is garbage."""
    workload, cluttered = workload_of(references), cluttered_of(references)
    stored = cluttered.engine.state.read("stored") != 0
    plain = (peers.plain_graph(workload), cluttered.image_root, cluttered.index_root, stored)
    swept, freed = swept_by_numpy(references, cluttered.image_root, cluttered.index_root)
    kept = np.ones(workload.manifest_count, bool)
    removed = cluttered.engine.names.links.second[collect(cluttered).links]
    kept[removed[removed < workload.manifest_count]] = False
    visited = workload.target[np.repeat(kept, np.diff(workload.indptr))]
    counted = np.bincount(visited, minlength=workload.blob_count)

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
            peer("quotasim, two threads", collect, lambda: (cluttered, 2), ours_is_right, rounds=15),
            peer("numpy", peers.with_numpy, lambda: plain, right, target=1.7, rounds=15),
            peer(
                "scipy.sparse",
                peers.with_scipy,
                lambda: (peers.sparse_matrix(plain[0], workload.blob_count), *plain),
                right,
                needs=("scipy",),
            ),
            peer("pandas", peers.with_pandas, lambda: (peers.pandas_tables(*plain),), right),
            peer(
                "polars", peers.with_polars, lambda: (peers.polars_tables(*plain),), right, target=7, needs=("polars",)
            ),
            peer(
                "DuckDB", peers.with_duckdb, lambda: (peers.duckdb_tables(*plain),), right, target=15, needs=("duckdb",)
            ),
            peer("sets", peers.with_sets, lambda: (peers.plain_lists(*plain),), right, target=60, rounds=3, plain=True),
            Contender(
                name="gather-increment of the layers visited",
                role="limit",
                run=limits.gathered,
                setup=lambda: (visited, np.zeros(workload.blob_count, np.int32)),
                check=lambda counts: np.array_equal(counts, counted),
                rounds=15,
            ),
        ),
    )


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
    layers = np.zeros((2, workload.blob_count), bool)  # named by what is kept, and by any
    layers[0, workload.target[np.repeat(kept, np.diff(workload.indptr))]] = True
    layers[1, workload.target] = True
    marked = int(layers[0].sum() + kept.sum())
    # Rows of blobs: the layers, then each image's own.
    swept = np.concatenate((np.flatnonzero(layers[1] & ~layers[0]), workload.blob_count + gone))

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
                check=lambda garbage: np.array_equal(garbage.blobs, swept),
            ),
            Contender(
                name="docker-registry garbage-collect --dry-run (reads files)",
                role="peer",
                run=distribution.collect,
                setup=lambda: (tree(),),
                # One config more, which all images of the tree have.
                check=lambda found: found == (marked + 1, swept.size),
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
