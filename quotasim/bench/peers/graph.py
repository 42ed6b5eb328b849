"""Mark and sweep over plain columns, sets and tables."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.bench.workload import Workload

Bytes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Images and indexes over one numbering of blobs: layers, then each image's own, then each index's own.

    Attributes
    ----------
    indptr, target : int64[M + 1], int32[E]; layers of each image.
    own, index_own : int32[M], int32[I]; the blob that each is.
    index_indptr, index_child : int64[I + 1], int32[C]; images of each index.
    blob_size : int64[B + M + I], bytes.
    """

    indptr: npt.NDArray[np.int64]
    target: npt.NDArray[np.int32]
    own: npt.NDArray[np.int32]
    index_indptr: npt.NDArray[np.int64]
    index_child: npt.NDArray[np.int32]
    index_own: npt.NDArray[np.int32]
    blob_size: Bytes


def plain_graph(workload: Workload) -> Graph:
    """The workload's images and indexes as plain columns."""
    layers, images, indexes = workload.blob_count, workload.manifest_count, workload.index_size.size
    return Graph(
        workload.indptr,
        workload.target,
        np.arange(layers, layers + images, dtype=np.int32),
        workload.index_indptr,
        workload.index_child,
        np.arange(layers + images, layers + images + indexes, dtype=np.int32),
        np.concatenate((workload.blob_size, workload.manifest_size, workload.index_size)),
    )


def with_numpy(
    graph: Graph,
    image_root: Flags,
    index_root: Flags,
    stored: Flags,
) -> tuple[npt.NDArray[np.int64], int]:
    """Mark from the roots, indexes first, and list what is stored and not marked.

    Parameters
    ----------
    image_root, index_root : bool[M], bool[I]; linked and tagged.
    stored : bool[B + M + I].

    Returns
    -------
    The blobs to go, ascending, and their bytes.
    """
    kept = image_root.copy()
    kept[graph.index_child[np.repeat(index_root, np.diff(graph.index_indptr))]] = True
    marked = np.zeros(stored.size, np.bool_)
    marked[graph.target[np.repeat(kept, np.diff(graph.indptr))]] = True
    marked[graph.own[kept]] = True
    marked[graph.index_own[index_root]] = True
    swept = np.flatnonzero(stored & ~marked)
    return swept, int(graph.blob_size[swept].sum())


def with_scipy(
    matrix: Any, graph: Graph, image_root: Flags, index_root: Flags, stored: Flags
) -> tuple[npt.NDArray[np.int64], int]:
    """The same by a product of a sparse matrix (images x blobs, float32) with the images to keep."""
    kept = image_root.copy()
    kept[graph.index_child[np.repeat(index_root, np.diff(graph.index_indptr))]] = True
    named = matrix.T @ kept.astype(np.float32)
    marked = np.zeros(stored.size, np.bool_)
    marked[: named.size] = named > 0
    marked[graph.own[kept]] = True
    marked[graph.index_own[index_root]] = True
    swept = np.flatnonzero(stored & ~marked)
    return swept, int(graph.blob_size[swept].sum())


def sparse_matrix(graph: Graph, layers: int) -> Any:
    """Which image names which layer, as SciPy's matrix for :func:`with_scipy`."""
    sparse: Any = import_module("scipy.sparse")
    ones = np.ones(graph.target.size, np.float32)
    return sparse.csr_matrix((ones, graph.target, graph.indptr), shape=(graph.own.size, layers))


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """The graph as Python's lists, for :func:`with_sets`."""

    layers: list[list[int]]
    own: list[int]
    children: list[list[int]]
    index_own: list[int]
    blob_size: list[int]
    image_root: list[int]
    index_root: list[int]
    stored: set[int]


def plain_lists(graph: Graph, image_root: Flags, index_root: Flags, stored: Flags) -> Lists:
    """Turn the columns into lists, and what is stored into a set."""

    def rows(indptr: Bytes, target: npt.NDArray[np.int32]) -> list[list[int]]:
        values = target.tolist()
        return [values[start:stop] for start, stop in itertools.pairwise(indptr.tolist())]

    return Lists(
        rows(graph.indptr, graph.target),
        graph.own.tolist(),
        rows(graph.index_indptr, graph.index_child),
        graph.index_own.tolist(),
        graph.blob_size.tolist(),
        np.flatnonzero(image_root).tolist(),
        np.flatnonzero(index_root).tolist(),
        set(np.flatnonzero(stored).tolist()),
    )


def with_sets(lists: Lists) -> tuple[npt.NDArray[np.int64], int]:
    """The same with Python's sets of ints."""
    kept = set(lists.image_root)
    marked = {lists.index_own[index] for index in lists.index_root}
    for index in lists.index_root:
        kept.update(lists.children[index])
    for image in kept:
        marked.add(lists.own[image])
        marked.update(lists.layers[image])
    swept = sorted(lists.stored - marked)
    return np.array(swept, np.int64), sum([lists.blob_size[blob] for blob in swept])


def _columns(graph: Graph, image_root: Flags, index_root: Flags, stored: Flags) -> dict[str, dict[str, Any]]:
    """The graph as the columns of five tables."""
    images, indexes = np.arange(graph.own.size), np.arange(graph.index_own.size)
    return {
        "layers": {"image": np.repeat(images, np.diff(graph.indptr)).astype(np.int32), "blob": graph.target},
        "images": {"image": images.astype(np.int32), "blob": graph.own, "root": image_root},
        "children": {
            "index": np.repeat(indexes, np.diff(graph.index_indptr)).astype(np.int32),
            "image": graph.index_child,
        },
        "indexes": {"index": indexes.astype(np.int32), "blob": graph.index_own, "root": index_root},
        "stored": {"blob": np.flatnonzero(stored).astype(np.int32), "size": graph.blob_size[stored]},
    }


def pandas_tables(graph: Graph, image_root: Flags, index_root: Flags, stored: Flags) -> dict[str, Any]:
    """The tables for :func:`with_pandas`."""
    pandas: Any = import_module("pandas")
    return {
        name: pandas.DataFrame(columns) for name, columns in _columns(graph, image_root, index_root, stored).items()
    }


def with_pandas(tables: dict[str, Any]) -> tuple[npt.NDArray[np.int64], int]:
    """The same with frames and `isin`."""
    images, indexes, stored = tables["images"], tables["indexes"], tables["stored"]
    roots = indexes[indexes["root"]]
    children = tables["children"]
    below = children.loc[children["index"].isin(roots["index"]), "image"]
    kept = images[images["root"] | images["image"].isin(below)]
    layers = tables["layers"]
    named = layers.loc[layers["image"].isin(kept["image"]), "blob"]
    gone = stored[
        ~(stored["blob"].isin(named) | stored["blob"].isin(kept["blob"]) | stored["blob"].isin(roots["blob"]))
    ]
    return gone["blob"].to_numpy(np.int64), int(gone["size"].sum())


def polars_tables(graph: Graph, image_root: Flags, index_root: Flags, stored: Flags) -> dict[str, Any]:
    """The tables for :func:`with_polars`."""
    polars: Any = import_module("polars")
    return {
        name: polars.DataFrame(columns) for name, columns in _columns(graph, image_root, index_root, stored).items()
    }


def with_polars(tables: dict[str, Any]) -> tuple[npt.NDArray[np.int64], int]:
    """The same as one lazy query of semi and anti joins, on all cores."""
    polars: Any = import_module("polars")
    images, indexes, children, layers, stored = (
        tables[name].lazy() for name in ("images", "indexes", "children", "layers", "stored")
    )
    roots = indexes.filter(polars.col("root"))
    below = children.join(roots, on="index", how="semi")
    kept = polars.concat(
        [
            images.filter(polars.col("root")).select("image", "blob"),
            images.filter(~polars.col("root")).join(below, on="image", how="semi").select("image", "blob"),
        ]
    )
    named = layers.join(kept, on="image", how="semi").select("blob")
    marked = polars.concat([named, kept.select("blob"), roots.select("blob")])
    gone = stored.join(marked, on="blob", how="anti").sort("blob").collect()
    return gone["blob"].to_numpy().astype(np.int64), int(gone["size"].sum())


def duckdb_tables(graph: Graph, image_root: Flags, index_root: Flags, stored: Flags) -> Any:
    """A connection with the tables for :func:`with_duckdb`."""
    duckdb: Any = import_module("duckdb")
    connection = duckdb.connect()
    for name, frame in pandas_tables(graph, image_root, index_root, stored).items():
        connection.register("frame", frame)
        connection.execute(f"create table {name} as select * from frame")
        connection.unregister("frame")
    return connection


def with_duckdb(connection: Any) -> tuple[npt.NDArray[np.int64], int]:
    """The same as one query of semi and anti joins, on all cores."""
    gone = connection.execute(
        """
        with kept as (
            select image, blob from images
            where root or image in (select image from children semi join (from indexes where root) using (index))
        ), marked as (
            select blob from layers semi join kept using (image)
            union all select blob from kept
            union all select blob from indexes where root
        )
        select blob, size from stored anti join marked using (blob) order by blob
        """
    ).fetchnumpy()
    return np.asarray(gone["blob"], np.int64), int(gone["size"].sum())
