"""Reading table sets: what is read, and as what."""

from __future__ import annotations

import csv
import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quotasim.importers.digest_columns import text
from quotasim.importers.table_schema import TABLES
from quotasim.importers.table_set import Op
from quotasim.importers.tables import read_tables
from quotasim.importers.tag_history import LinkState, history_links, resolve_tags
from quotasim.model.digests import format_digests

from .table_sets import (
    NULL,
    WRITERS,
    assert_equal,
    sha256,
    small_set,
    tags_of,
    the_problem,
    write_csv,
    write_parquet,
)


@WRITERS
def test_a_small_set_is_read(tmp_path, write):
    tables = read_tables(write(tmp_path, small_set()))
    assert format_digests(tables.blobs.digest) == [sha256("a"), sha256("b"), sha256("c")]
    assert tables.blobs.size.tolist() == [10, 20, 30]
    assert tables.blobs.media_type.tolist() == [NULL] * 3
    assert tables.blobs.uploaded_at.tolist() == [NULL] * 3
    assert tables.repositories == ("team/app", "team/tool")
    assert tables.manifests.repository.tolist() == [0, 1]
    assert tables.manifests.indptr.tolist() == [0, 2, 4]
    assert tables.manifests.layer.tolist() == [0, 1, 0, 2]
    assert not tables.manifests.has_config.any()
    assert tables.is_history
    assert tables.bindings.op.tolist() == [Op.CREATE, Op.UPDATE, Op.CREATE]
    assert tables.bindings.batch.tolist() == [0, 1, 1]
    assert tables.bindings.time.tolist() == [1_704_067_200_000_000] + [1_704_153_600_000_000] * 2
    assert tables.bindings.manifest.tolist() == [0, 1, 0]
    assert tables.bindings.previous.tolist() == [NULL, 0, NULL]
    assert tables.bindings.platform.tolist() == [NULL] * 3
    assert tables.indexes.indptr.tolist() == [0]
    types = {
        "size": np.int64,
        "media_type": np.int32,
        "uploaded_at": np.int64,
    }
    assert {name: getattr(tables.blobs, name).dtype for name in types} == types


def test_csv_and_parquet_read_alike(tmp_path, root):
    parquet = tmp_path / "parquet"
    parquet.mkdir()
    for path in (root / "data" / "tables").glob("*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        columns = {}
        for column in TABLES.get(path.stem, ()):
            if column.name not in rows[0]:
                continue
            cells = [row[column.name] or None for row in rows]
            if column.name.endswith(("_id", "size", "position")):
                columns[column.name] = pa.array([None if cell is None else int(cell) for cell in cells])
            elif column.name.endswith("_at"):
                columns[column.name] = pa.array(cells).cast(pa.timestamp("s", "UTC"))
            else:
                # Few distinct values are often written as a dictionary.
                columns[column.name] = pa.array(cells).dictionary_encode()
        if columns:
            pq.write_table(pa.table(columns), parquet / f"{path.stem}.parquet")
    assert_equal(read_tables(parquet), read_tables(root / "data" / "tables"))


@WRITERS
def test_ids_need_be_neither_dense_nor_sorted_and_layers_neither(tmp_path, write):
    plain = read_tables(write(tmp_path / "plain", small_set()))
    tables = small_set()
    blob_ids, manifest_ids = [2**62, 7, 0], [10**15, 3]
    tables["blobs"]["blob_id"] = blob_ids
    tables["manifests"]["manifest_id"] = manifest_ids
    order = [3, 0, 2, 1]
    layers = small_set()["layers"]
    tables["layers"] = {
        "manifest_id": [manifest_ids[layers["manifest_id"][k]] for k in order],
        "position": [5 * layers["position"][k] for k in order],
        "blob_id": [blob_ids[layers["blob_id"][k]] for k in order],
    }
    events = tables["tag_events"]
    events["manifest_id"] = [manifest_ids[row] for row in events["manifest_id"]]
    events["prev_manifest_id"] = [None if row is None else manifest_ids[row] for row in events["prev_manifest_id"]]
    assert_equal(read_tables(write(tmp_path / "sparse", tables)), plain)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
)
def test_any_integer_type_will_do(tmp_path, kind):
    tables = read_tables(write_parquet(tmp_path, small_set(), blobs_blob_id=kind, blobs_size=kind))
    assert tables.blobs.size.tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        (pa.timestamp("s"), 1),
        (pa.timestamp("ms", "+02:00"), 10**3),
        (pa.timestamp("us"), 10**6),
        (pa.timestamp("ns", "UTC"), 10**9),
    ],
)
def test_times_of_every_unit_become_microseconds(tmp_path, kind, unit):
    tables = small_set()
    directory = write_parquet(tmp_path, tables)
    blobs = pq.read_table(directory / "blobs.parquet")
    cells = pa.array([unit, None, 3 * unit], pa.int64()).cast(kind)
    pq.write_table(blobs.append_column("uploaded_at", cells), directory / "blobs.parquet")
    assert read_tables(directory).blobs.uploaded_at.tolist() == [10**6, NULL, 3 * 10**6]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 00:00:01.5", 1_500_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_times_in_csv(tmp_path, cell, expected):
    tables = small_set()
    tables["blobs"]["uploaded_at"] = [None, cell, None]
    assert read_tables(write_csv(tmp_path, tables)).blobs.uploaded_at.tolist() == [NULL, expected, NULL]


def test_sha512_digests_are_read_and_told_apart(tmp_path):
    wide = [f"sha512:{hashlib.sha512(label).hexdigest()}" for label in (b"x", b"y")]
    # The second differs from the first in its last digit only.
    wide[1] = wide[0][:-1] + ("0" if wide[0][-1] != "0" else "1")
    tables = small_set()
    tables["blobs"]["digest"] = [wide[0], sha256("b"), wide[1]]
    assert format_digests(read_tables(write_csv(tmp_path, tables)).blobs.digest) == tables["blobs"]["digest"]
    tables["blobs"]["digest"][2] = wide[0]
    assert the_problem(write_csv(tmp_path, tables))[0] == ("blobs.csv", 2, "digest")


def test_digests_that_share_their_first_words_are_told_apart(tmp_path):
    tables = small_set()
    tables["blobs"]["digest"] = [f"sha256:{'0' * 63}{digit}" for digit in "012"]
    assert format_digests(read_tables(write_csv(tmp_path, tables)).blobs.digest) == tables["blobs"]["digest"]


def test_the_hand_made_state_is_read(root):
    tables = read_tables(root / "data" / "tables-tags")
    assert not tables.is_history
    assert tables.blobs.size[9] == NULL
    assert tables.manifests.same_as.tolist() == [0, 0, 2, 3, 4, 5, 6, 7, 8]
    assert np.diff(tables.manifests.indptr).tolist() == [4, 4, 5, 2, 2, 2, 2, 2, 0]
    # os, runtime, empty, shop hotfix, empty: the repeat is kept and in its place.
    assert tables.manifests.layer[8:13].tolist() == [0, 1, 2, 4, 2]
    assert tables.manifests.config_size.tolist() == [4097, 4097, 4098, 3001, 3002, 999, NULL, 3000, 2]
    assert tables.manifests.has_config.tolist() == [True] * 6 + [False] + [True] * 2
    name = text(tables.manifests.digest, 5)
    assert text(tables.manifests.config, 5) == sha256(f"config of {name}")
    assert text(tables.manifests.config, 0) == text(tables.manifests.config, 1)
    assert tables.bindings.time.tolist()[-2:] == [NULL, NULL]


def test_a_config_digest_goes_before_a_made_one(tmp_path):
    tables = small_set()
    tables["manifests"] |= {"config_digest": [sha256("config"), None], "config_size": [7, 8]}
    manifests = read_tables(write_csv(tmp_path, tables)).manifests
    assert format_digests(manifests.config) == [sha256("config"), sha256(f"config of {sha256('m1')}")]
    assert manifests.config_size.tolist() == [7, 8]


def test_no_tags_at_all_is_a_set_too(tmp_path):
    tables = small_set()
    tables.pop("tag_events")
    tables = read_tables(write_csv(tmp_path, tables))
    assert resolve_tags(tables).tag.size == 0
    links = history_links(tables)
    assert links.state.tolist() == [LinkState.NEVER_TAGGED] * 2
    assert links.index.size == 0


def test_a_tag_without_platform_takes_the_manifests(tmp_path):
    tables = tags_of(small_set(), repository=["team/app"] * 2, tag=["v1"] * 2, manifest_id=[0, 1])
    assert the_problem(write_csv(tmp_path, tables))[0] == ("tags.csv", 1, "tag")
    tables["manifests"]["platform"] = ["linux/amd64", "linux/arm64"]
    tables = read_tables(write_csv(tmp_path, tables))
    assert [tables.platforms[code] for code in tables.bindings.platform] == ["linux/amd64", "linux/arm64"]
