"""Who holds what: figures counted from scratch, and logical, unique, exclusive and attributed bytes of groups."""

from __future__ import annotations

import itertools
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.accounting.basis import Basis, Scope, basis_bytes
from quotasim.accounting.sharing import By, SharingRow
from quotasim.bench import subjects
from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.cases.mark import cluttered_of
from quotasim.bench.peers import peer
from quotasim.bench.peers import usage as peers
from quotasim.bench.workload import Workload, workload_of
from quotasim.engine import Engine
from quotasim.registry import Registry

Longs = npt.NDArray[np.int64]


@lru_cache(maxsize=1)
def expected_pairs(references: int) -> tuple[Longs, Longs, Longs]:
    """(namespace, blob) pairs, sorted, and how many namespaces hold each blob; no images' or indexes' own bytes."""
    workload = workload_of(references)
    namespace = np.repeat(workload.namespace.astype(np.int64), np.diff(workload.indptr))
    pair = np.sort(namespace * workload.blob_count + workload.target)
    pair = pair[np.append(True, pair[1:] != pair[:-1])]
    where, blob = pair // workload.blob_count, pair % workload.blob_count
    return where, blob, np.bincount(blob, minlength=workload.blob_count)


def by_namespace(workload: Workload, where: npt.NDArray[Any], size: Longs) -> Longs:
    """Sum sizes by namespace, int64[N]."""
    out = np.zeros(workload.namespace_count, np.int64)
    np.add.at(out, where, size)
    return out


def own_bytes(workload: Workload) -> Longs:
    """Bytes of images and indexes themselves, int64[N]: nobody shares those."""
    first = workload.index_child[workload.index_indptr[:-1]]
    images = by_namespace(workload, workload.namespace, workload.manifest_size)
    return np.asarray(images + by_namespace(workload, workload.namespace[first], workload.index_size))


def recount(references: int) -> Prepared:
    """Count every figure of a registry from scratch."""
    workload, engine = workload_of(references), cluttered_of(references).engine
    _, _, holders = expected_pairs(references)
    unique = int(workload.blob_size[holders > 0].sum()) + int(own_bytes(workload).sum())

    def right(figures: dict[str, int]) -> bool:
        return figures == engine.figures() and figures["unique_bytes"] == unique

    ours = Contender(name="quotasim", role="ours", run=Engine.recompute, setup=lambda: (engine,), check=right, rounds=5)
    return Prepared(items=workload.reference_count, figures=workload.sizes(), contenders=(ours,))


def rows(references: int, *, by: By) -> Prepared:
    """Logical, unique, exclusive, shared and attributed bytes of each row."""
    workload = workload_of(references)
    registry = Registry.from_engine(cluttered_of(references).engine)
    where, blob, holders = expected_pairs(references)
    own = own_bytes(workload)
    alone = holders[blob] == 1
    unique = by_namespace(workload, where, workload.blob_size[blob]) + own
    exclusive = by_namespace(workload, where[alone], workload.blob_size[blob[alone]]) + own
    total = int(workload.blob_size[holders > 0].sum()) + int(own.sum())
    # An image without a tag is no row where an index lists it: it counts in that index's.
    untagged_children = int(np.count_nonzero(~cluttered_of(references).image_root[workload.index_child]))
    of_image = np.add.reduceat(workload.blob_size[workload.target], workload.indptr[:-1]) + workload.manifest_size
    tagged = cluttered_of(references).image_root[workload.index_child]
    # A tagged one that an index lists counts in both rows.
    logical = int(of_image.sum() + workload.index_size.sum() + of_image[workload.index_child[tagged]].sum())

    def right(found: list[SharingRow]) -> bool:
        if sum(row.attributed_bytes for row in found) != total:
            return False
        if by == "image":  # what is tagged or in no index, each with what it names
            roots = workload.manifest_count + workload.index_size.size - untagged_children
            return len(found) == roots and sum(row.logical_bytes for row in found) == logical
        # Rows come in name order, which is the order of the namespaces; each has one repository.
        there = np.flatnonzero(unique)
        found_unique, found_exclusive = (
            [getattr(row, f"{name}_bytes") for row in found] for name in ("unique", "exclusive")
        )
        return bool(found_unique == unique[there].tolist() and found_exclusive == exclusive[there].tolist())

    ours = Contender(name="quotasim", role="ours", run=registry.df, setup=lambda: (by,), check=right, rounds=3)
    return Prepared(items=workload.reference_count, figures=workload.sizes(), contenders=(ours,))


def exclusive_of_a_set(references: int) -> Prepared:
    """Bytes that go if exactly every tenth image goes."""
    workload = workload_of(references)
    engine = cluttered_of(references).engine
    registry = Registry.from_engine(engine)
    chosen = np.arange(0, workload.manifest_count, 10)
    named = np.zeros(workload.manifest_count, bool)
    named[chosen] = True
    # An image that an index lists stays with it.
    named[workload.index_child] = False
    chosen = np.flatnonzero(named)
    names = engine.names.repositories.values
    digests = engine.content.digests(engine.content.graph().own[chosen])
    wanted = [
        f"{names[namespace]}@{digest}"
        for namespace, digest in zip(workload.namespace[chosen].tolist(), digests, strict=True)
    ]
    left = np.repeat(~named, np.diff(workload.indptr))
    kept = np.zeros(workload.blob_count, bool)
    kept[workload.target[left]] = True
    gone = np.zeros(workload.blob_count, bool)
    gone[workload.target[~left]] = True
    expected = int(workload.blob_size[gone & ~kept].sum()) + int(workload.manifest_size[named].sum())

    def right(found: Any) -> bool:
        return int(found) == expected

    ours = Contender(
        name="quotasim", role="ours", run=registry.exclusive_bytes, setup=lambda: (wanted,), check=right, rounds=3
    )
    items = int(np.diff(workload.indptr)[chosen].sum())
    return Prepared(items=items, figures=workload.sizes() | {"images": chosen.size}, contenders=(ours,))


def usage(references: int) -> Prepared:
    """Bytes of each namespace from scratch, each blob once in it, of images alone."""
    workload = workload_of(references)
    images = _images_of(references)
    content = images.content
    where, blob, _ = expected_pairs(references)
    layers = by_namespace(workload, where, workload.blob_size[blob])
    expected = layers + by_namespace(workload, workload.namespace, workload.manifest_size)
    namespace = np.repeat(workload.namespace, np.diff(workload.indptr))
    plain = (namespace, workload.target, workload.blob_size)
    count = workload.namespace_count

    def ours_is_right(found: list[int]) -> bool:
        return bool(found == expected.tolist())

    def right(found: Any) -> bool:
        return np.array_equal(np.asarray(found), layers)

    def lists() -> tuple[list[tuple[int, list[int]]], list[int], int]:
        ends, target = workload.indptr.tolist(), workload.target.tolist()
        rows = [target[start:stop] for start, stop in itertools.pairwise(ends)]
        return list(zip(workload.namespace.tolist(), rows, strict=True)), workload.blob_size.tolist(), count

    return Prepared(
        items=workload.reference_count,
        figures=workload.sizes(),
        contenders=(
            Contender(
                name="quotasim",
                role="ours",
                run=lambda: basis_bytes(content, images.names, images.state, Scope.NAMESPACE, Basis.REFERENCED),
                setup=lambda: (),
                check=ours_is_right,
            ),
            peer("numpy sort and diff", peers.by_sorting, lambda: (workload,), right, target=1.5, rounds=7),
            peer("numpy stamps", peers.by_stamping, lambda: (workload,), right, target=1.5, rounds=7),
            peer("scipy.sparse", peers.with_scipy, lambda: (*plain, count), right, needs=("scipy",)),
            peer(
                "pandas",
                peers.with_pandas,
                lambda: (peers.frames(*plain, "pandas")[0], workload.blob_size, count),
                right,
            ),
            peer(
                "polars", peers.with_polars, lambda: (*peers.frames(*plain, "polars"), count), right, needs=("polars",)
            ),
            peer("DuckDB", peers.with_duckdb, lambda: (peers.duckdb_tables(*plain), count), right, needs=("duckdb",)),
            peer("sets", peers.with_sets, lists, right, rounds=3, plain=True),
        ),
    )


@lru_cache(maxsize=1)
def _images_of(references: int) -> Engine:
    """A registry of images alone, each in its namespace; the last one is kept."""
    workload = workload_of(references)
    engine = subjects.new_engine(workload, subjects.load_content(workload), None)
    return subjects.push_all(engine, workload)


CASES = (
    Case(
        name="usage-namespace",
        suite="sharing",
        title="bytes of each namespace from scratch",
        unit="references",
        prepare=usage,
    ),
    Case(name="recount", suite="sharing", title="count all figures anew", unit="references", prepare=recount),
    *(
        Case(
            name=f"rows-{by}",
            suite="sharing",
            title=f"exclusive and attributed bytes by {by}",
            unit="references",
            prepare=partial(rows, by=by),
        )
        for by in ("namespace", "repository", "image")
    ),
    Case(
        name="exclusive",
        suite="sharing",
        title="exclusive bytes of a tenth of all images",
        unit="references",
        prepare=exclusive_of_a_set,
    ),
)
