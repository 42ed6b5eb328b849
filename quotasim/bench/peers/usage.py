"""Bytes of each namespace, each blob once in it, counted from scratch over live images."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]


def with_numpy(namespace: Ids, blob: Ids, size: Longs, namespaces: int) -> Longs:
    """Sort (namespace, blob) pairs, keep where a pair differs from the one before, and sum by namespace.

    Parameters
    ----------
    namespace, blob : int32[E], of each reference of a live image.
    size : int64[B], bytes of each blob.
    namespaces : N.

    Returns
    -------
    int64[N].
    """
    pair = namespace.astype(np.int64) * size.size + blob
    pair.sort()
    pair = pair[np.append(True, pair[1:] != pair[:-1])]
    where = pair // size.size
    total = np.append(0, np.cumsum(size[pair - where * size.size]))
    edges = np.searchsorted(where, np.arange(namespaces + 1))
    return np.asarray(total[edges[1:]] - total[edges[:-1]])


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
