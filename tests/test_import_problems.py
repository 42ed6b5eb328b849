"""Reading table sets: what is refused, and with which words."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.errors import InputRejected
from quotasim.importers.tables import read_tables
from quotasim.importers.tag_history import final_bindings

from .table_sets import (
    NULL,
    WRITERS,
    problems_of,
    sha256,
    small_set,
    tags_of,
    the_problem,
    write_csv,
    write_parquet,
)


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


def test_one_wrong_event_is_one_problem(tmp_path):
    tables = small_set()
    # What was bound is deleted before; the rows after it go on from what they say.
    tables["tag_events"]["op"][0] = "delete"
    problems = problems_of(write_csv(tmp_path, tables))
    assert problems == [
        ("tag_events.csv", 0, "op", "delete, but team/app:v1 is not bound"),
        ("tag_events.csv", 1, "op", "update, but team/app:v1 is not bound"),
    ]


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
        st.one_of(st.integers(), st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20))
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
