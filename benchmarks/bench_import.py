"""A table set into a snapshot, and ``df`` on it: the path of ``quotasim import tables`` and ``quotasim df``.

The tables hold the images and indexes of the workload, every image under a tag of its own and every index under
one more, numbered within their repository, so that everything is bound and all references are live. The answers are
checked against sums over the workload's columns that know neither digests, tags nor rows of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quotasim import snapshot
from quotasim.accounting.sharing import By
from quotasim.importers.load import engine_from_tables
from quotasim.importers.table_set import TableSet
from quotasim.importers.tables import read_tables
from quotasim.model.digests import DigestArray, encode_digests
from quotasim.profiles.distribution import DISTRIBUTION_2_8
from quotasim.registry import Registry, load

from .conftest import Runner
from .workload import Workload, make_workload

Race = Callable[..., Any]
Longs = npt.NDArray[np.int64]

TARGET_SECONDS = 5
"""What "within a few seconds" is taken to be, for an import and for a df."""


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


def digest_column(words: npt.NDArray[np.uint64]) -> pa.Array:
    """Digests as text."""
    data, offsets = encode_digests(DigestArray.sha256(words))
    return pa.StringArray.from_buffers(
        len(words), pa.py_buffer(np.ascontiguousarray(offsets, np.int32)), pa.py_buffer(data)
    )


@dataclass(frozen=True, slots=True)
class Expected:
    """Bytes of every namespace, int64[N], and of the registry."""

    logical: Longs
    unique: Longs
    exclusive: Longs
    registry_unique: int


@pytest.fixture(scope="module")
def expected(workload: Workload) -> Expected:
    """The answers, by sorting (namespace, blob) pairs."""
    namespace = np.repeat(workload.namespace.astype(np.int64), np.diff(workload.indptr))
    count, blobs = workload.namespace_count, workload.blob_count
    pair = np.sort(namespace * blobs + workload.target)
    pair = pair[np.append(True, pair[1:] != pair[:-1])]
    where, blob = pair // blobs, pair % blobs
    holders = np.bincount(blob, minlength=blobs)

    def by_namespace(of: Longs, size: Longs) -> Longs:
        out = np.zeros(count, np.int64)
        np.add.at(out, of, size)
        return out

    alone = holders[blob] == 1
    return Expected(
        logical=by_namespace(namespace, workload.blob_size[workload.target]),
        unique=by_namespace(where, workload.blob_size[blob]),
        exclusive=by_namespace(where[alone], workload.blob_size[blob[alone]]),
        registry_unique=int(workload.blob_size[holders > 0].sum()),
    )


@pytest.fixture(scope="module")
def directory(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table set, written."""
    directory = tmp_path_factory.mktemp("tables")
    write_tables(workload, directory)
    return directory


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile, or load, every kernel before the clock runs."""
    small, saved = tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("saved") / "snapshot"
    write_tables(make_workload(0.001), small)
    import_tables(small, saved)
    for by in ("registry", "namespace", "repository", "image"):
        df(saved, by)


def import_tables(directory: Path, saved: Path) -> Registry:
    """What ``quotasim import tables`` does between its arguments and its output."""
    registry = Registry.from_engine(engine_from_tables(read_tables(directory), DISTRIBUTION_2_8))
    snapshot.save(registry.engine, saved, overwrite=True)
    return registry


def df(saved: Path, by: By) -> tuple[Any, list[Any]]:
    """What ``quotasim df`` does between its arguments and its output."""
    registry = load(saved)
    return registry.usage(), registry.df(by)


@pytest.fixture(scope="module")
def saved(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of the imported tables."""
    saved = tmp_path_factory.mktemp("snapshots") / "snapshot"
    import_tables(directory, saved)
    return saved


def bytes_of(directory: Path) -> int:
    """Bytes of a directory's files."""
    return sum(file.stat().st_size for file in directory.iterdir())


@pytest.mark.benchmark(group="import tables")
def test_import(race: Race, workload: Workload, expected: Expected, directory: Path, tmp_path: Path) -> None:
    registry: Registry = race(
        Runner(import_tables, lambda: (directory, tmp_path / "snapshot")),
        rounds=3,
        items=workload.reference_count,
        target=TARGET_SECONDS,
        table_bytes=bytes_of(directory),
        **workload.sizes(),
    )
    usage = registry.usage()
    assert usage.logical_bytes == int(expected.logical.sum())
    assert usage.unique_bytes == usage.charged_bytes == usage.stored_bytes == expected.registry_unique
    figures = registry.engine.figures()
    manifests = workload.manifest_count + workload.index_size.size
    # Manifests have no size in this layout, and a tag of every image and index is bound.
    assert figures["live_manifests"] == figures["bindings"] == figures["unknown_size_count"] == manifests


@pytest.mark.benchmark(group="import tables: reading and checking alone")
def test_read(race: Race, workload: Workload, directory: Path) -> None:
    tables: TableSet = race(
        Runner(read_tables, lambda: (directory,)), rounds=3, items=workload.reference_count, **workload.sizes()
    )
    assert np.array_equal(tables.manifests.layer, workload.target)
    assert np.array_equal(tables.blobs.digest.words256, workload.blob_digest)
    assert np.array_equal(tables.indexes.child, workload.index_child)


@pytest.mark.benchmark(group="df")
@pytest.mark.parametrize("by", ["registry", "namespace", "repository"])
def test_df(race: Race, workload: Workload, expected: Expected, saved: Path, by: By) -> None:
    usage, rows = race(
        Runner(df, lambda: (saved, by)),
        rounds=3,
        items=workload.reference_count,
        target=TARGET_SECONDS,
        snapshot_bytes=bytes_of(saved),
        **workload.sizes(),
    )
    assert usage.unique_bytes == expected.registry_unique
    assert sum(row.attributed_bytes for row in rows) == expected.registry_unique
    if by == "registry":
        (row,) = rows
        assert row.logical_bytes == int(expected.logical.sum())
        assert row.exclusive_bytes == row.unique_bytes == expected.registry_unique
    else:
        # Rows come in name order, which is the order of the namespaces.
        assert [row.logical_bytes for row in rows] == expected.logical.tolist()
        assert [row.unique_bytes for row in rows] == expected.unique.tolist()
        assert [row.exclusive_bytes for row in rows] == expected.exclusive.tolist()


@pytest.mark.benchmark(group="load a snapshot")
def test_load(race: Race, workload: Workload, expected: Expected, saved: Path) -> None:
    registry: Registry = race(
        Runner(load, lambda: (saved,)), rounds=3, items=workload.reference_count, **workload.sizes()
    )
    assert registry.engine.figures() == registry.engine.recompute()
    assert registry.engine.figures()["unique_bytes"] == expected.registry_unique


@pytest.mark.benchmark(group="bytes by namespace, of a registry that is loaded")
def test_sharing(race: Race, workload: Workload, expected: Expected, saved: Path) -> None:
    registry = load(saved)
    rows = race(
        Runner(registry.df, lambda: ("namespace",)), rounds=7, items=workload.reference_count, **workload.sizes()
    )
    assert [row.unique_bytes for row in rows] == expected.unique.tolist()
