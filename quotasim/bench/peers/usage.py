"""Bytes of each namespace, each blob once in it, counted from scratch over live images."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.bench.workload import Workload

Longs = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]


def by_sorting(workload: Workload) -> Longs:
    """Bytes of the layers of each namespace, each blob once, int64[N]: pairs in one word each, sorted.

    One word of 32 bits sorts twice as fast as one of 64; np.unique instead of a sort and a comparison takes several
    times as long as both.
    """
    bits = int(workload.blob_count - 1).bit_length()
    word: Any = np.uint32 if workload.namespace_count << bits < 2**32 else np.uint64
    key = np.repeat(workload.namespace.astype(word) << word(bits), np.diff(workload.indptr))
    key |= workload.target.astype(word)
    key.sort()
    first = np.ones(key.size, np.bool_)
    np.not_equal(key[1:], key[:-1], out=first[1:])
    key = key[first]
    start = np.searchsorted(key, np.arange(workload.namespace_count + 1).astype(word) << word(bits))
    total = np.concatenate(([0], np.cumsum(workload.blob_size[key & word((1 << bits) - 1)])))
    return np.asarray(total[start[1:]] - total[start[:-1]])


def by_stamping(workload: Workload) -> Longs:
    """The same, one namespace after another: a blob counts where its last mention is. No sort of references."""
    order = np.argsort(workload.namespace, kind="stable")
    degree = np.diff(workload.indptr)[order]
    ends = np.cumsum(degree)
    target = workload.target[np.arange(ends[-1]) + np.repeat(workload.indptr[:-1][order] - (ends - degree), degree)]
    manifests = np.bincount(workload.namespace, minlength=workload.namespace_count)
    cuts = np.concatenate(([0], ends))[np.concatenate(([0], np.cumsum(manifests)))]
    last = np.empty(workload.blob_count, np.int32)
    place = np.arange(int(np.diff(cuts).max()), dtype=np.int32)
    out = np.zeros(workload.namespace_count, np.int64)
    for namespace in range(workload.namespace_count):
        blob = target[cuts[namespace] : cuts[namespace + 1]]
        at = place[: blob.size]
        last[blob] = at
        out[namespace] = workload.blob_size[blob[last[blob] == at]].sum()
    return out


def with_scipy(namespace: Ids, blob: Ids, size: Longs, namespaces: int) -> Longs:
    """A sparse matrix of namespaces by blobs whose repeats are summed up, and then set to 1."""
    sparse: Any = import_module("scipy.sparse")
    ones = np.ones(blob.size, np.int8)
    matrix = sparse.coo_matrix((ones, (namespace, blob)), shape=(namespaces, size.size)).tocsr()
    sums = np.add.reduceat(np.append(size[matrix.indices], 0), matrix.indptr[:-1])
    return np.asarray(sums * (np.diff(matrix.indptr) > 0))


def with_pandas(frame: Any, size: Longs, namespaces: int) -> Longs:
    """Drop repeated rows of a frame of (namespace, blob), and sum by namespace."""
    distinct = frame.drop_duplicates()
    sums = distinct.assign(size=size[distinct["blob"].to_numpy()]).groupby("namespace")["size"].sum()
    return np.asarray(sums.reindex(range(namespaces), fill_value=0).to_numpy(np.int64))


def with_polars(frame: Any, sizes: Any, namespaces: int) -> Longs:
    """Unique rows of a frame of (namespace, blob), joined with sizes, summed by namespace, on all cores."""
    polars: Any = import_module("polars")
    sums = (
        frame.lazy()
        .unique()
        .join(sizes.lazy(), on="blob")
        .group_by("namespace")
        .agg(polars.col("size").sum())
        .collect()
    )
    out = np.zeros(namespaces, np.int64)
    out[sums["namespace"].to_numpy()] = sums["size"].to_numpy()
    return out


def with_duckdb(connection: Any, namespaces: int) -> Longs:
    """The same as SQL, on all cores."""
    query = "select namespace, sum(size)::bigint as size from (select distinct namespace, blob from refs) "
    sums = connection.execute(query + "join blobs using (blob) group by namespace").fetchnumpy()
    out = np.zeros(namespaces, np.int64)
    out[np.asarray(sums["namespace"])] = np.asarray(sums["size"], np.int64)
    return out


def with_sets(references: list[tuple[int, list[int]]], size: list[int], namespaces: int) -> list[int]:
    """One set of blobs a namespace, filled image by image: (namespace, blobs)."""
    held: list[set[int]] = [set() for _ in range(namespaces)]
    for namespace, blobs in references:
        held[namespace].update(blobs)
    return [sum([size[blob] for blob in blobs]) for blobs in held]


def frames(namespace: Ids, blob: Ids, size: Longs, library: str) -> tuple[Any, Any]:
    """(references, sizes) as frames of pandas or polars."""
    frame: Any = import_module(library).DataFrame
    return (
        frame({"namespace": namespace, "blob": blob}),
        frame({"blob": np.arange(size.size, dtype=np.int32), "size": size}),
    )


def duckdb_tables(namespace: Ids, blob: Ids, size: Longs) -> Any:
    """A connection with the tables for :func:`with_duckdb`."""
    duckdb: Any = import_module("duckdb")
    connection = duckdb.connect()
    for name, frame in zip(("refs", "blobs"), frames(namespace, blob, size, "pandas"), strict=True):
        connection.register("frame", frame)
        connection.execute(f"create table {name} as select * from frame")
        connection.unregister("frame")
    return connection
