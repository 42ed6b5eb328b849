"""Small table sets, made on the spot and written as CSV or Parquet."""

from __future__ import annotations

import csv
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quotasim.errors import InputRejected
from quotasim.importers.tables import read_tables
from quotasim.model.digests import format_digests

NULL = -1


def sha256(label):
    return f"sha256:{hashlib.sha256(label.encode()).hexdigest()}"


def small_set():
    """Two images on one base, in two repositories, told by two events; as rows of Python values."""
    return {
        "blobs": {
            "blob_id": [0, 1, 2],
            "digest": [sha256("a"), sha256("b"), sha256("c")],
            "size": [10, 20, 30],
        },
        "manifests": {
            "manifest_id": [0, 1],
            "manifest_digest": [sha256("m0"), sha256("m1")],
            "repository": ["team/app", "team/tool"],
        },
        "layers": {"manifest_id": [0, 0, 1, 1], "position": [0, 1, 0, 1], "blob_id": [0, 1, 0, 2]},
        "tag_events": {
            "observed_at": ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "2024-01-02T00:00:00Z"],
            "repository": ["team/app", "team/app", "team/tool"],
            "tag": ["v1", "v1", "v1"],
            "op": ["create", "update", "create"],
            "manifest_id": [0, 1, 0],
            "prev_manifest_id": [None, 0, None],
            "scan_commit": ["s1", "s2", "s2"],
        },
    }


def tags_of(tables, **columns):
    """The same set with ``tags`` in the place of events."""
    tables.pop("tag_events")
    tables["tags"] = {"repository": ["team/app"], "tag": ["v1"], "manifest_id": [0]} | columns
    return tables


TYPES = {"observed_at": pa.timestamp("ms", "UTC"), "tagged_at": pa.timestamp("ms", "UTC")}


def write_csv(directory, tables):
    directory.mkdir(exist_ok=True)
    for name, columns in tables.items():
        with (directory / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(
                ["" if cell is None else cell for cell in row] for row in zip(*columns.values(), strict=True)
            )
    return directory


def write_parquet(directory, tables, **types):
    directory.mkdir(exist_ok=True)
    for name, columns in tables.items():
        arrays = {}
        for column, cells in columns.items():
            kind = types.get(f"{name}_{column}")
            if kind is None and column in TYPES:
                arrays[column] = (
                    pa.array([cell and cell.removesuffix("Z") for cell in cells])
                    .cast(pa.timestamp("ms"))
                    .cast(TYPES[column])
                )
            else:
                arrays[column] = pa.array(cells, kind)
        pq.write_table(pa.table(arrays), directory / f"{name}.parquet")
    return directory


WRITERS = pytest.mark.parametrize("write", [write_csv, write_parquet])


def problems_of(directory):
    with pytest.raises(InputRejected) as caught:
        read_tables(directory)
    return [(problem.file, problem.row, problem.column, problem.message) for problem in caught.value.problems]


def the_problem(directory):
    """File, row and column of the only problem, and its message."""
    problems = problems_of(directory)
    assert len(problems) == 1, problems
    return problems[0][:3], problems[0][3]


def assert_equal(one, other):
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif hasattr(one, "words256"):
        assert format_digests(one) == format_digests(other)
    elif hasattr(one, "__slots__"):
        for name in one.__slots__:
            assert_equal(getattr(one, name), getattr(other, name))
    else:
        assert one == other
