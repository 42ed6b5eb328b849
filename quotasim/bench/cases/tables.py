"""Tables and frames: the path of ``quotasim import tables`` and ``quotasim df``, and the frames of a registry.

The tables hold the images and indexes of the workload, every image under a tag of its own and every index under one
more, numbered within their repository, so that everything is bound and all references are live. The answers are
checked against sums over the workload's columns that know neither digests, tags nor rows of ours.
"""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet as pq

from quotasim import snapshot
from quotasim.accounting.sharing import By
from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.cases.mark import cluttered_of
from quotasim.bench.cases.sharing import by_namespace, expected_pairs
from quotasim.bench.scratch import scratch
from quotasim.bench.workload import Workload, make_workload, workload_of
from quotasim.importers.load import engine_from_tables
from quotasim.importers.table_set import TableSet
from quotasim.importers.tables import read_tables
from quotasim.model.digests import DigestArray, encode_digests
from quotasim.profiles.distribution import DISTRIBUTION_2_8
from quotasim.registry import Registry, load

Longs = npt.NDArray[np.int64]
pa: Any = pyarrow  # its stubs do not know that arrays of numbers are numpy's


def write_tables(workload: Workload, directory: Path) -> None:
    """Write the workload as blobs, manifests, layers, tags and indexes."""
    images, indexes = np.arange(workload.manifest_count), np.arange(workload.index_size.size)
    degree, children = np.diff(workload.indptr), np.diff(workload.index_indptr)
    names = pa.array([f"namespace-{row:04}/app" for row in range(workload.namespace_count)])
    repository = names.take(pa.array(workload.namespace))
    parent = np.repeat(indexes, children)
    in_repository = numbers(
        np.concatenate((workload.namespace, workload.namespace[workload.index_child[workload.index_indptr[:-1]]]))
    )
    tag_names = pa.array([f"v{number}" for number in range(int(in_repository.max()) + 1)])
    tables = {
        "blobs": {
            "blob_id": np.arange(workload.blob_count, dtype=np.int32),
            "digest": digest_column(workload.blob_digest),
            "size": workload.blob_size,
        },
        "manifests": {
            "manifest_id": images.astype(np.int32),
            "manifest_digest": digest_column(workload.manifest_digest),
            "repository": repository,
        },
        "layers": {
            "manifest_id": np.repeat(images, degree).astype(np.int32),
            "position": (np.arange(workload.reference_count) - np.repeat(workload.indptr[:-1], degree)).astype(
                np.int16
            ),
            "blob_id": workload.target,
        },
        "tags": {
            "repository": pa.concat_arrays([repository, repository.take(pa.array(workload.index_child))]),
            "tag": tag_names.take(
                pa.array(np.concatenate((in_repository[images], in_repository[images.size + parent])))
            ),
            "manifest_id": np.concatenate((images, workload.index_child)).astype(np.int32),
            # A tag binds one manifest for each platform: those of an index need one each.
            "platform": pa.concat_arrays(
                [
                    pa.nulls(images.size, pa.string()),
                    pa.array([f"linux/{k}" for k in range(4)]).take(
                        pa.array(np.arange(parent.size) - np.repeat(workload.index_indptr[:-1], children))
                    ),
                ]
            ),
        },
        "indexes": {
            "index_digest": digest_column(workload.index_digest).take(pa.array(parent)),
            "manifest_id": workload.index_child,
        },
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), directory / f"{name}.parquet", compression="zstd")


def numbers(group: npt.NDArray[np.int32]) -> Longs:
    """Number the members of each group 0, 1, 2, ... in their order."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    number = np.empty(group.size, np.int64)
    number[order] = np.arange(group.size) - np.searchsorted(ordered, ordered)
    return number


def digest_column(words: npt.NDArray[np.uint64]) -> Any:
    """Digests as text."""
    data, offsets = encode_digests(DigestArray.sha256(words))
    return pa.StringArray.from_buffers(
        len(words), pa.py_buffer(np.ascontiguousarray(offsets, np.int32)), pa.py_buffer(data)
    )


def import_tables(directory: Path, saved: Path) -> Registry:
    """What ``quotasim import tables`` does between its arguments and its output."""
    registry = Registry.from_engine(engine_from_tables(read_tables(directory), DISTRIBUTION_2_8))
    snapshot.save(registry.engine, saved, overwrite=True)
    return registry


def df(saved: Path, by: By) -> tuple[Any, list[Any]]:
    """What ``quotasim df`` does between its arguments and its output."""
    registry = load(saved)
    return registry.usage(), registry.df(by)


@lru_cache(maxsize=1)
def files(references: int) -> tuple[Path, Path]:
    """(directory of the table set, its snapshot), both written; every kernel is compiled by then."""
    place = scratch() / str(references)
    if references > 10_000:
        _, saved = files.__wrapped__(10_000)
        for by in ("registry", "namespace", "repository", "image"):
            df(saved, by)
    directory, saved = place / "tables", place / "snapshot"
    if not directory.is_dir():
        directory.mkdir(parents=True)
        write_tables(make_workload(0.001) if references == 10_000 else workload_of(references), directory)
        import_tables(directory, saved)
    return directory, saved


def bytes_of(directory: Path) -> int:
    """Bytes of a directory's files."""
    return sum(file.stat().st_size for file in directory.iterdir())


def unique_bytes(references: int) -> int:
    """Bytes of all blobs that are named: manifests have no size in this layout."""
    holders = expected_pairs(references)[2]
    return int(workload_of(references).blob_size[holders > 0].sum())


def importing(references: int) -> Prepared:
    """Read, check and load a table set, and write the snapshot."""
    workload = workload_of(references)
    directory, saved = files(references)
    manifests = workload.manifest_count + workload.index_size.size
    unique, target = unique_bytes(references), saved.with_name("again")

    def right(registry: Registry) -> bool:
        usage, figures = registry.usage(), registry.engine.figures()
        return usage.unique_bytes == usage.charged_bytes == usage.stored_bytes == unique and (
            figures["live_manifests"] == figures["bindings"] == figures["unknown_size_count"] == manifests
        )

    ours = Contender(
        name="quotasim", role="ours", run=import_tables, setup=lambda: (directory, target), check=right, rounds=3
    )
    size = bytes_of(directory)
    return Prepared(items=workload.reference_count, bytes=size, figures=workload.sizes(), contenders=(ours,))


def reading(references: int) -> Prepared:
    """Read and check a table set."""
    workload = workload_of(references)
    directory, _ = files(references)

    def right(tables: TableSet) -> bool:
        return (
            np.array_equal(tables.manifests.layer, workload.target)
            and np.array_equal(tables.blobs.digest.words256, workload.blob_digest)
            and np.array_equal(tables.indexes.child, workload.index_child)
        )

    ours = Contender(name="quotasim", role="ours", run=read_tables, setup=lambda: (directory,), check=right, rounds=3)
    size = bytes_of(directory)
    return Prepared(items=workload.reference_count, bytes=size, figures=workload.sizes(), contenders=(ours,))


def shares(references: int, *, by: By) -> Prepared:
    """Load a snapshot and say where its bytes are."""
    workload = workload_of(references)
    _, saved = files(references)
    where, blob, holders = expected_pairs(references)
    namespace = np.repeat(workload.namespace.astype(np.int64), np.diff(workload.indptr))
    logical = by_namespace(workload, namespace, workload.blob_size[workload.target])
    unique = by_namespace(workload, where, workload.blob_size[blob])
    alone = holders[blob] == 1
    exclusive = by_namespace(workload, where[alone], workload.blob_size[blob[alone]])
    total = unique_bytes(references)

    def right(answer: Any) -> bool:
        usage, rows = answer
        if usage.unique_bytes != total or sum(row.attributed_bytes for row in rows) != total:
            return False
        if by == "registry":
            return len(rows) == 1 and rows[0].logical_bytes == int(logical.sum())
        there = np.flatnonzero(logical)
        return all(
            [getattr(row, name) for row in rows] == column[there].tolist()
            for name, column in (("logical_bytes", logical), ("unique_bytes", unique), ("exclusive_bytes", exclusive))
        )

    ours = Contender(name="quotasim", role="ours", run=df, setup=lambda: (saved, by), check=right, rounds=3)
    size = bytes_of(saved)
    return Prepared(items=workload.reference_count, bytes=size, figures=workload.sizes(), contenders=(ours,))


def loading(references: int) -> Prepared:
    """Load a snapshot."""
    workload = workload_of(references)
    _, saved = files(references)
    total = unique_bytes(references)

    def right(registry: Registry) -> bool:
        figures = registry.engine.figures()
        return figures == registry.engine.recompute() and figures["unique_bytes"] == total

    ours = Contender(name="quotasim", role="ours", run=load, setup=lambda: (saved,), check=right, rounds=3)
    size = bytes_of(saved)
    return Prepared(items=workload.reference_count, bytes=size, figures=workload.sizes(), contenders=(ours,))


def frame(references: int, *, name: str) -> Prepared:
    """Make one frame of a registry."""
    workload = workload_of(references)
    registry = Registry.from_engine(cluttered_of(references).engine)
    rows = {"events": len(registry.engine.log), "blobs": int((registry.engine.state.read("stored") != 0).sum())}

    def right(found: Any) -> bool:
        size = registry.engine.figures()["unique_bytes"]
        counted = {"events": "unique_bytes", "blobs": "size"}[name]
        return len(found) == rows[name] and int(found[counted].sum()) == size

    ours = Contender(name="quotasim", role="ours", run=getattr(registry, name), setup=lambda: (), check=right, rounds=3)
    return Prepared(items=rows[name], figures=workload.sizes(), contenders=(ours,))


CASES = (
    Case(name="import", suite="tables", title="import a table set", unit="references", prepare=importing),
    Case(name="read", suite="tables", title="read and check a table set", unit="references", prepare=reading),
    Case(name="load", suite="tables", title="load a snapshot", unit="references", prepare=loading),
    *(
        Case(
            name=f"df-{by}",
            suite="tables",
            title=f"load a snapshot, and df by {by}",
            unit="references",
            prepare=partial(shares, by=by),
        )
        for by in ("registry", "namespace", "repository")
    ),
    *(
        Case(
            name=f"frame-{name}",
            suite="frames",
            title=f"a frame of {name}",
            unit="rows",
            prepare=partial(frame, name=name),
        )
        for name in ("events", "blobs")
    ),
)
