"""Reading table sets: what is read, what is refused, and what the tags amount to."""

from __future__ import annotations

import csv
import hashlib
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.errors import InputRejected
from quotasim.importers.digest_columns import text
from quotasim.importers.table_schema import TABLES
from quotasim.importers.table_set import Op
from quotasim.importers.tables import read_tables
from quotasim.importers.tag_history import LinkState, Target, final_bindings, history_links, resolve_tags
from quotasim.model.digests import format_digests

NULL = -1


def sha256(label):
    return f"sha256:{hashlib.sha256(label.encode()).hexdigest()}"


# -- small sets, made on the spot ---------------------------------------------------------------------


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


# -- what is read -------------------------------------------------------------------------------------


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
    events["prev_manifest_id"] = [
        None if row is None else manifest_ids[row] for row in events["prev_manifest_id"]
    ]
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


# -- what is refused ----------------------------------------------------------------------------------


def test_every_problem_of_every_file_is_told_at_once(tmp_path):
    tables = small_set()
    tables["blobs"]["size"] = [10, -1, "x"]
    tables["blobs"]["digest"][0] = "sha256:short"
    tables["manifests"]["repository"][1] = "Team/Tool"
    tables["layers"]["blob_id"][3] = 99
    tables["tag_events"]["op"][1] = "rename"
    assert [problem[:3] for problem in problems_of(write_csv(tmp_path, tables))] == [
        ("blobs.csv", 0, "digest"),
        ("blobs.csv", 1, "size"),
        ("blobs.csv", 2, "size"),
        ("manifests.csv", 1, "repository"),
        ("layers.csv", 3, "blob_id"),
        ("tag_events.csv", 1, "op"),
    ]


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:../../etc/passwd",
        sha256("a").upper(),
        sha256("a").replace("sha256", "SHA256"),
        sha256("a")[:-1],
        sha256("a") + "0",
        sha256("a")[:-1] + "g",
        sha256("a") + "\n",
        "md5:" + "0" * 32,
        "sha512:" + "0" * 64,
        "sha256:" + "0" * 128,
        "sha256:" + "é" * 32,
        "0" * 71,
    ],
)
def test_a_digest_that_is_none(tmp_path, digest):
    tables = small_set()
    tables["blobs"]["digest"][1] = digest
    where, message = the_problem(write_parquet(tmp_path, tables))
    assert where == ("blobs.parquet", 1, "digest")
    assert "is not a digest" in message
    assert message.isascii()
    assert message.isprintable()


@pytest.mark.parametrize(
    "size",
    [
        "-1",
        "1.0",
        "1e3",
        "nan",
        "inf",
        "true",
        "0x10",
        " 7",
        "7 ",
        "+7",
        "9223372036854775808",
        "9" * 30,
        "٣",
    ],
)
def test_a_size_that_is_none_in_csv(tmp_path, size):
    tables = small_set()
    tables["blobs"]["size"][2] = size
    where, message = the_problem(write_csv(tmp_path, tables))
    assert where == ("blobs.csv", 2, "size")
    assert "is not a whole number from 0 to 9,223,372,036,854,775,807" in message


def test_the_largest_size_is_one(tmp_path):
    tables = small_set()
    tables["blobs"]["size"] = [2**63 - 1, 0, None]
    tables["layers"] = {"manifest_id": [0], "position": [0], "blob_id": [0]}
    for write in (write_csv, write_parquet):
        assert read_tables(write(tmp_path / write.__name__, tables)).blobs.size.tolist() == [
            2**63 - 1,
            0,
            NULL,
        ]


@pytest.mark.parametrize(
    ("cells", "kind", "rows"),
    [
        ([10, -20, 30], pa.int64(), [1]),
        ([10, 2**63, 2**64 - 1], pa.uint64(), [1, 2]),
        ([10.0, 20.0, 30.0], pa.float64(), [None]),
        ([10.0, float("nan"), float("inf")], pa.float64(), [None, 1, 2]),
        ([1.5, -2.0, None], pa.float32(), [None, 0, 1]),
        ([True, False, True], pa.bool_(), [None]),
        (["10", "20", "30"], pa.string(), [None]),
        ([b"10", b"20", b"30"], pa.binary(), [None]),
        ([[10], [20], [30]], pa.list_(pa.int64()), [None]),
        ([10, 20, 30], pa.decimal128(5), [None]),
    ],
)
def test_a_size_that_is_none_in_parquet(tmp_path, cells, kind, rows):
    tables = small_set()
    tables["blobs"]["size"] = cells
    problems = problems_of(write_parquet(tmp_path, tables, blobs_size=kind))
    assert [problem[:3] for problem in problems] == [("blobs.parquet", row, "size") for row in rows]


@pytest.mark.parametrize(
    ("table", "column", "cell"),
    [
        ("blobs", "blob_id", None),
        ("blobs", "digest", None),
        ("manifests", "manifest_id", None),
        ("manifests", "repository", None),
        ("layers", "position", None),
        ("layers", "position", 2**31),
        ("layers", "manifest_id", None),
        ("tag_events", "observed_at", None),
        ("tag_events", "tag", None),
        ("tag_events", "op", None),
        ("tag_events", "manifest_id", None),
        ("tag_events", "op", "CREATE"),
        ("tag_events", "tag", ".hidden"),
        ("tag_events", "tag", "x" * 129),
        ("tag_events", "tag", "a b"),
        ("tag_events", "tag", "v1\n"),
        ("tag_events", "repository", "team//app"),
        ("tag_events", "repository", "team/app_"),
        ("tag_events", "repository", "a" * 256),
        ("tag_events", "repository", "team/\x1b[2J"),
        ("tag_events", "repository", "../app"),
    ],
)
def test_a_cell_that_is_wrong(tmp_path, table, column, cell):
    tables = small_set()
    tables[table][column][1] = cell
    # An id that is gone leaves layers behind that name it: those are told after it.
    *where, message = problems_of(write_parquet(tmp_path, tables))[0]
    assert where == [f"{table}.parquet", 1, column]
    assert message.isascii()
    assert message.isprintable()


@pytest.mark.parametrize(
    "cell",
    [
        "yesterday",
        "2024-01-01",
        "1969-12-31T23:59:59Z",
        "2024-13-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "1700000000",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
    ],
)
def test_a_time_that_is_none_in_csv(tmp_path, cell):
    tables = small_set()
    tables["blobs"]["uploaded_at"] = [None, cell, None]
    assert the_problem(write_csv(tmp_path, tables))[0] == ("blobs.csv", 1, "uploaded_at")


@pytest.mark.parametrize(
    ("cells", "kind", "row"),
    [
        ([0, -1, 0], pa.timestamp("us"), 1),
        ([0, 253_402_300_800, 0], pa.timestamp("s"), 1),
        ([0, 9 * 10**15, 0], pa.timestamp("s", "UTC"), 1),
        ([0, 2**62, 0], pa.timestamp("ms"), 1),
        ([0, 1, 0], pa.int64(), None),
        ([0, 1, 0], pa.date32(), None),
        ([0.0, 1.0, 0.0], pa.float64(), None),
    ],
)
def test_a_time_that_is_none_in_parquet(tmp_path, cells, kind, row):
    directory = write_parquet(tmp_path, small_set())
    array = pa.array(cells, pa.int64()).cast(kind) if pa.types.is_timestamp(kind) else pa.array(cells, kind)
    blobs = pq.read_table(directory / "blobs.parquet")
    pq.write_table(blobs.append_column("uploaded_at", array), directory / "blobs.parquet", version="2.6")
    assert the_problem(directory)[0] == ("blobs.parquet", row, "uploaded_at")


@pytest.mark.parametrize(
    ("table", "column", "rows", "reported"),
    [
        ("blobs", "blob_id", [0, 1, 1], (2, "blob_id")),
        ("manifests", "manifest_id", [1, 1], (1, "manifest_id")),
        ("layers", "position", [0, 0, 0, 1], (1, "position")),
    ],
)
@WRITERS
def test_a_repeated_key(tmp_path, write, table, column, rows, reported):
    tables = small_set()
    tables[table][column] = rows
    problems = [problem[:3] for problem in problems_of(write(tmp_path, tables))]
    assert (f"{table}.{write.__name__.removeprefix('write_')}", *reported) in problems


def test_a_repeated_digest_is_told_with_both_sizes(tmp_path):
    tables = small_set()
    tables["blobs"]["digest"] = [sha256("a"), sha256("b"), sha256("a")]
    where, message = the_problem(write_csv(tmp_path, tables))
    assert where == ("blobs.csv", 2, "digest")
    assert message == f"{sha256('a')} is the digest of row 0 too, with size 10 and not 30"


@pytest.mark.parametrize(
    ("table", "column", "row"),
    [
        ("layers", "manifest_id", 3),
        ("layers", "blob_id", 0),
        ("tag_events", "manifest_id", 2),
        ("tag_events", "prev_manifest_id", 1),
        ("indexes", "manifest_id", 1),
        ("tags", "manifest_id", 0),
    ],
)
def test_an_id_that_names_nothing(tmp_path, table, column, row):
    tables = small_set()
    if table == "tags":
        tags_of(tables)
    if table == "indexes":
        tables["indexes"] = {"index_digest": [sha256("i")] * 2, "manifest_id": [0, 1]}
    tables[table][column][row] = 12_345
    where, message = the_problem(write_csv(tmp_path, tables))
    assert where == (f"{table}.csv", row, column)
    assert message.startswith("12345 is not a ")


@pytest.mark.parametrize("table", ["blobs", "manifests", "layers"])
def test_a_missing_file_is_one_problem_and_not_a_dangling_id_a_row(tmp_path, table):
    directory = write_csv(tmp_path, small_set())
    (directory / f"{table}.csv").unlink()
    assert the_problem(directory)[0] == (f"{table}.parquet", None, None)


def test_a_missing_directory(tmp_path):
    assert the_problem(tmp_path / "nowhere")[1] == "is not a directory"


@WRITERS
def test_a_missing_column(tmp_path, write):
    tables = small_set()
    del tables["layers"]["position"]
    where, message = the_problem(write(tmp_path, tables))
    assert where[1:] == (None, "position")
    assert message == "the column is missing; the file has 'manifest_id', 'blob_id'"


def test_a_file_of_both_kinds_and_tags_beside_events(tmp_path):
    directory = write_parquet(write_csv(tmp_path, small_set()), {"blobs": small_set()["blobs"]})
    assert the_problem(directory) == (
        ("blobs.parquet", None, None),
        "blobs.csv is there too: keep one of them",
    )
    (directory / "blobs.csv").unlink()
    write_csv(directory, {"tags": tags_of(small_set())["tags"]})
    assert the_problem(directory) == (
        ("tags.csv", None, None),
        "tag_events.csv is there too: keep one of them",
    )


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_cut_off_parquet_file(tmp_path, kept):
    directory = write_parquet(tmp_path, small_set())
    path = directory / "layers.parquet"
    path.write_bytes(path.read_bytes()[:kept])
    where, message = the_problem(directory)
    assert where == ("layers.parquet", None, None)
    assert message.startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"", (None, None)),
        (b"\xff\xfe\x00", (None, None)),
        (b"manifest_id,position,blob_id,blob_id\n", (None, "blob_id")),
        (b"manifest_id,position,blob_id\n0,0,0\n0,1\n", (1, None)),
        (b"manifest_id,position,blob_id\n0,0,0,0\n", (0, None)),
    ],
)
def test_a_broken_csv_file(tmp_path, content, where):
    directory = write_csv(tmp_path, small_set())
    (directory / "layers.csv").write_bytes(content)
    assert the_problem(directory)[0] == ("layers.csv", *where)


def test_text_that_is_not_utf8(tmp_path):
    directory = write_csv(tmp_path, small_set())
    path = directory / "manifests.csv"
    path.write_bytes(path.read_bytes().replace(b"team/tool", b"team/t\xff"))
    where, message = the_problem(directory)
    assert where == ("manifests.csv", 1, "repository")
    assert "is not UTF-8" in message


def test_a_device_in_the_place_of_a_file(tmp_path):
    directory = write_csv(tmp_path, small_set())
    (directory / "blobs.csv").unlink()
    (directory / "blobs.csv").symlink_to("/dev/zero")
    assert the_problem(directory) == (("blobs.csv", None, None), "is not a regular file")


def test_a_hopeless_file_makes_a_short_report(tmp_path):
    tables = small_set()
    count = 50_000
    tables["layers"] = {"manifest_id": [9] * count, "position": [-1] * count, "blob_id": [5.5] * count}
    problems = problems_of(write_csv(tmp_path, tables))
    assert len(problems) == 3 * 11
    assert problems[10] == ("layers.csv", None, "manifest_id", "dangling: 49,990 more rows")


def test_one_manifest_digest_with_two_contents(tmp_path):
    tables = small_set()
    tables["manifests"]["manifest_digest"][1] = sha256("m0")
    where, message = the_problem(write_csv(tmp_path, tables))
    assert where == ("layers.csv", None, "blob_id")
    assert sha256("m0") in message
    tables["layers"]["blob_id"] = [0, 1, 0, 1]
    assert read_tables(write_csv(tmp_path, tables)).manifests.same_as.tolist() == [0, 0]
    tables["manifests"]["config_size"] = [5, 6]
    assert the_problem(write_csv(tmp_path, tables))[0] == ("manifests.csv", 1, "config_size")
    tables["manifests"]["config_size"] = [5, None]
    assert the_problem(write_csv(tmp_path, tables))[0] == ("manifests.csv", 1, "config_digest")
    tables["manifests"]["config_size"] = [5, 5]
    tables["manifests"]["repository"] = ["team/app", "team/app"]
    assert the_problem(write_csv(tmp_path, tables))[0] == ("manifests.csv", 1, "manifest_digest")


def test_a_config_that_is_a_blob_of_another_size(tmp_path):
    tables = small_set()
    tables["manifests"] |= {"config_digest": [sha256("a"), None], "config_size": [11, None]}
    where, message = the_problem(write_csv(tmp_path, tables))
    assert where == ("manifests.csv", 0, "config_size")
    assert message == f"11, but {sha256('a')} has size 10 elsewhere"


def test_a_size_that_only_one_mention_tells(tmp_path):
    tables = small_set()
    tables["blobs"]["size"] = [None, 20, 30]
    tables["manifests"] |= {"config_digest": [sha256("config"), sha256("config")], "config_size": [None, 9]}
    read = read_tables(write_csv(tmp_path, tables))
    assert read.manifests.config_size.tolist() == [9, 9]
    assert read.blobs.size.tolist() == [NULL, 20, 30]
    tables["manifests"] |= {"config_digest": [sha256("a"), None], "config_size": [11, None]}
    read = read_tables(write_csv(tmp_path, tables))
    assert read.manifests.config_size.tolist() == [11, NULL]
    assert read.blobs.size.tolist() == [11, 20, 30]


def test_a_manifest_that_lists_more_than_an_int64(tmp_path):
    tables = small_set()
    tables["blobs"]["size"] = [2**63 - 1, 0, 1]
    where, message = the_problem(write_csv(tmp_path, tables))
    assert where == ("layers.csv", None, "blob_id")
    assert "9,223,372,036,854,775,808 bytes" in message


def test_an_index_with_a_child_twice_or_the_digest_of_an_image(tmp_path):
    tables = small_set()
    tables["indexes"] = {"index_digest": [sha256("i"), sha256("m1"), sha256("i")], "manifest_id": [0, 0, 0]}
    assert [problem[:3] for problem in problems_of(write_csv(tmp_path, tables))] == [
        ("indexes.csv", 2, "manifest_id"),
        ("indexes.csv", 1, "index_digest"),
    ]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"op": ["create", "create", "create"], "prev_manifest_id": [None] * 3}, (1, "op")),
        ({"op": ["update", "update", "create"]}, (0, "op")),
        ({"op": ["delete", "create", "create"], "prev_manifest_id": [None] * 3}, (0, "op")),
        ({"op": ["create", "delete", "create"]}, (1, "op")),
        ({"prev_manifest_id": [None, 1, None]}, (1, "prev_manifest_id")),
        ({"prev_manifest_id": [None, 0, 1]}, (2, "prev_manifest_id")),
        ({"event_id": [4, 5, 4]}, (2, "event_id")),
        ({"scan_commit": ["s1", "s2", "s1"]}, (2, "scan_commit")),
        ({"scan_commit": ["s1", "s1", "s2"]}, (1, "observed_at")),
        ({"observed_at": ["2024-01-03T00:00:00Z"] + ["2024-01-02T00:00:00Z"] * 2}, (1, "observed_at")),
    ],
)
def test_events_that_contradict_each_other(tmp_path, changes, where):
    tables = small_set()
    tables["tag_events"] |= changes
    assert ("tag_events.csv", *where) in [problem[:3] for problem in problems_of(write_csv(tmp_path, tables))]


def test_a_key_that_one_batch_unbinds_and_binds_to_the_same(tmp_path):
    tables = small_set()
    tables["tag_events"] |= {
        "repository": ["team/app"] * 3,
        "op": ["create", "delete", "create"],
        "manifest_id": [0, 0, 0],
        "prev_manifest_id": [None, 0, None],
    }
    assert the_problem(write_csv(tmp_path, tables))[0] == ("tag_events.csv", 1, "op")
    # To another manifest there is but one way to read it.
    tables["tag_events"]["manifest_id"] = [0, 0, 1]
    tables = read_tables(write_csv(tmp_path, tables))
    assert final_bindings(tables).tolist() == [2]


def test_without_scan_commit_the_rows_of_one_time_are_a_batch(tmp_path):
    tables = small_set()
    del tables["tag_events"]["scan_commit"]
    assert read_tables(write_csv(tmp_path, tables)).bindings.batch.tolist() == [0, 1, 1]


@given(data=st.data())
def test_whatever_is_written_into_a_cell_is_read_or_refused(tmp_path_factory, data):
    tables = small_set()
    table = data.draw(st.sampled_from(sorted(tables)))
    column = data.draw(st.sampled_from(sorted(tables[table])))
    cells = tables[table][column]
    cells[data.draw(st.integers(0, len(cells) - 1))] = data.draw(
        st.one_of(
            st.integers(), st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
        )
    )
    directory = tmp_path_factory.mktemp("cell")
    problems = ()
    try:
        read_tables(write_csv(directory, tables))
    except InputRejected as error:
        problems = error.problems
    finally:
        shutil.rmtree(directory)
    assert all(str(problem).isprintable() for problem in problems)


# -- what the tags amount to --------------------------------------------------------------------------


def tag_names(tables, resolved):
    """What each tag points to, in words."""
    targets = {}
    for g in range(resolved.tag.size):
        name = f"{tables.repositories[resolved.repository[g]]}:{tables.tags[resolved.tag[g]]}"
        targets[name] = (Target(resolved.target_kind[g]).name, int(resolved.target[g]))
    return targets


def test_the_tags_of_the_hand_made_history(root):
    tables = read_tables(root / "data" / "tables")
    resolved = resolve_tags(tables)
    targets = tag_names(tables, resolved)
    assert len(targets) == 26
    # Two tags on one index; an index with a single child; an image whose index has another child too.
    assert targets["alpine:latest"] == targets["alpine:3.19"]
    assert targets["alpine:latest"][0] == "INDEX"
    assert targets["hello-world:latest"][0] == "INDEX"
    assert targets["team-b/web:v1"][0] == "IMAGE"
    # Of the two indexes over the same children the one with the lower digest.
    digest = text(tables.indexes.digest, targets["team-b/web:v2"][1])
    assert digest == min(sha256("index shop 2"), sha256("index shop 2 again"))
    assert targets["platform/tools/lint:v2"] == ("SYNTHETIC_INDEX", 0)
    children = sorted(
        sha256(f"image lint 2 {name} linux/{platform}")
        for name, platform in (("amd64", "amd64"), ("arm64", "arm64/v8"))
    )
    assert resolved.synthetic_digests == (sha256("\n".join(["index of", *children])),)
    assert resolved.synthetic_indptr.tolist() == [0, 2]
    assert resolved.synthetic_child.size == 2
    # What two tags exchanged within one batch.
    assert targets["team-a/worker:v1"] == ("IMAGE", image_row(tables, "worker 4"))
    assert targets["team-a/worker:canary"] == ("IMAGE", image_row(tables, "worker 3"))
    assert "platform/tools/lint:nightly" not in targets


def image_row(tables, label):
    return format_digests(tables.manifests.digest).index(sha256(f"image {label} linux/amd64"))


def test_the_links_of_the_hand_made_history(root):
    tables = read_tables(root / "data" / "tables")
    links = history_links(tables)
    row_of = {
        (tables.repositories[repository], int(manifest)): at
        for at, (repository, manifest) in enumerate(zip(links.repository, links.manifest, strict=True))
    }
    web_1 = row_of["team-a/web", image_row(tables, "web 1")]
    assert links.state[web_1] == LinkState.TAGGED
    assert links.last_unbound[web_1] == NULL
    # A tag that was created and deleted in one batch has left its image behind.
    nightly = row_of["platform/tools/lint", image_row(tables, "lint nightly-0220")]
    assert links.state[nightly] == LinkState.UNTAGGED
    assert links.first_bound[nightly] == links.last_unbound[nightly] == 1_708_444_800_000_000
    # "mirror/alpine" held what "alpine" lists.
    assert [name for name, _ in row_of].count("mirror/alpine") == 2
    # All indexes but the second one over the same children; one of them in two repositories.
    assert len(set(links.index.tolist())) == tables.indexes.indptr.size - 2
    assert links.index.size == tables.indexes.indptr.size - 1


def test_the_tags_of_the_hand_made_state(root):
    tables = read_tables(root / "data" / "tables-tags")
    assert tag_names(tables, resolve_tags(tables)) == {
        "store/shop:latest": ("IMAGE", 2),
        "store/shop:1.0": ("IMAGE", 0),
        "store/archive:1.0": ("IMAGE", 0),
        "store/cart:2": ("SYNTHETIC_INDEX", 0),
        "batch:nightly": ("IMAGE", 5),
        "batch:unknown": ("IMAGE", 6),
    }
    links = history_links(tables)
    assert links.state.tolist().count(LinkState.NEVER_TAGGED) == 2


MANIFESTS = 4


@st.composite
def histories(draw):
    """Batches of changes to a few tags, and some indexes."""
    batches = draw(
        st.lists(
            st.dictionaries(
                st.sampled_from([("r", "a"), ("r", "b"), ("s", "a")]),
                st.lists(st.integers(0, MANIFESTS - 1), max_size=3),
                min_size=1,
            ),
            max_size=6,
        )
    )
    indexes = draw(st.lists(st.sets(st.integers(0, MANIFESTS - 1), min_size=1, max_size=3), max_size=4))
    return batches, indexes


@given(history=histories())
def test_resolving_against_sets_and_dictionaries(tmp_path_factory, history):
    batches, indexes = history
    rows, state, pointed = [], {}, set()
    names = {f"i{n}": children for n, children in enumerate(indexes)}
    index_of = {}
    for name in sorted(names, key=sha256):
        index_of.setdefault(frozenset(names[name]), sha256(name))
    for at, batch in enumerate(batches):
        for (repository, tag), manifests in batch.items():
            before = state.get((repository, tag), [])
            for platform in range(max(len(before), len(manifests))):
                old = before[platform] if platform < len(before) else None
                new = manifests[platform] if platform < len(manifests) else None
                if old != new:
                    op = "delete" if new is None else "create" if old is None else "update"
                    time = f"2024-01-{at + 1:02}T00:00:00Z"
                    rows.append(
                        (time, repository, tag, f"p{platform}", op, old if new is None else new, old, str(at))
                    )
            state[repository, tag] = manifests
        pointed |= {
            (repository, index_of[frozenset(manifests)])
            for (repository, _), manifests in state.items()
            if frozenset(manifests) in index_of
        }
    columns = (
        "observed_at",
        "repository",
        "tag",
        "platform",
        "op",
        "manifest_id",
        "prev_manifest_id",
        "scan_commit",
    )
    tables = small_set()
    tables["tag_events"] = {name: [row[k] for row in rows] for k, name in enumerate(columns)}
    tables["manifests"] = {
        "manifest_id": list(range(MANIFESTS)),
        "manifest_digest": [sha256(f"m{n}") for n in range(MANIFESTS)],
        "repository": ["r"] * MANIFESTS,
    }
    pairs = [(name, child) for name, children in names.items() for child in children]
    tables["indexes"] = {
        "index_digest": [sha256(name) for name, _ in pairs],
        "manifest_id": [child for _, child in pairs],
    }
    directory = tmp_path_factory.mktemp("history")
    tables = read_tables(write_csv(directory, tables))
    shutil.rmtree(directory)

    expected = {}
    for (repository, tag), manifests in state.items():
        if manifests:
            digest = index_of.get(frozenset(manifests))
            expected[repository, tag] = digest or (set(manifests), len(set(manifests)) > 1)
    resolved = resolve_tags(tables)
    found = {}
    for g in range(resolved.tag.size):
        key = (tables.repositories[resolved.repository[g]], tables.tags[resolved.tag[g]])
        bound = set(resolved.manifest[resolved.indptr[g] : resolved.indptr[g + 1]].tolist())
        kind, target = resolved.target_kind[g], resolved.target[g]
        if kind == Target.INDEX:
            found[key] = text(tables.indexes.digest, target)
        else:
            found[key] = (bound, kind == Target.SYNTHETIC_INDEX)
            if kind == Target.IMAGE:
                assert bound == {target}
    assert found == expected
    links = history_links(tables)
    assert pointed == {
        (tables.repositories[repository], text(tables.indexes.digest, index))
        for repository, index in zip(links.index_repository, links.index, strict=True)
    }


# -- the real history ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_tables(real_data):
    return read_tables(real_data / "repo_info")


def test_the_real_end_state(real_tables):
    resolved = resolve_tags(real_tables)
    assert final_bindings(real_tables).size == 11_216
    assert resolved.tag.size == 3_256
    kinds = resolved.target_kind
    targets = resolved.target
    assert np.bincount(kinds).tolist() == [142, 3_114]
    indexes = set(targets[kinds == Target.INDEX].tolist())
    assert len(indexes) == 1_008
    assert len(set(targets[kinds == Target.IMAGE].tolist())) == 34
    live = set(resolved.manifest.tolist())
    assert len(live) == 3_145
    bounds = real_tables.indexes.indptr
    children = {
        child
        for index in indexes
        for child in real_tables.indexes.child[bounds[index] : bounds[index + 1]].tolist()
    }
    assert len(children & live) == 3_111


def test_the_real_history_of_links(real_tables):
    assert len(real_tables.blobs.digest) == 150_296
    links = history_links(real_tables)
    repositories = np.bincount(links.manifest)
    assert (repositories > 0).sum() == 66_886
    assert (repositories > 1).sum() == 121
    assert len(set(links.index.tolist())) == 20_687
    assert np.bincount(links.state).tolist() == [0, 3_145, 63_862]
    still = links.state == LinkState.TAGGED
    assert (links.last_unbound[still] == NULL).all()
    assert (links.last_unbound[~still] >= links.first_bound[~still]).all()
