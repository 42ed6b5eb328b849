"""Trace files that are broken: none of them is taken for a shorter trace."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from quotasim.errors import InputRejected, InvalidValue
from quotasim.importers.traces import read_trace, write_trace
from quotasim.model.oci import DOCKER_FOREIGN_LAYER, OCI_LAYER_GZIP

from .trace_lines import (
    EVERYTHING,
    layer,
    problems_of,
    push,
    sha256,
    the_problem,
    told,
    without_none,
    write_lines,
)


@pytest.fixture
def everything(tmp_path):
    return read_trace(write_lines(tmp_path / "everything.jsonl.zst", map(without_none, EVERYTHING)))


# -- damaged files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [True, False])
def test_a_trace_cut_off_anywhere_is_refused(tmp_path, checksum):
    path = write_lines(tmp_path / "t.jsonl.zst", [push(n, n, f"m{n}") for n in range(20)], write_checksum=checksum)
    whole = path.read_bytes()
    assert read_trace(path).time.size == 20
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        messages = " ".join(message for _, _, message in problems_of(path))
        assert f"is cut off at byte {kept:,}" in messages if kept else messages == "is empty"


@pytest.mark.parametrize("more", [b"\0", b"garbage", b"\x28\xb5\x2f\xfd", b'{"time": 0}\n'])
def test_what_follows_the_frame_is_told(tmp_path, more):
    path = write_lines(tmp_path / "t.jsonl.zst", [push()])
    end = path.stat().st_size
    path.write_bytes(path.read_bytes() + more)
    row, column, message = the_problem(path)
    assert (row, column) == (None, None)
    assert f"the zstd frame that begins at byte {end:,}" in message


def test_a_changed_byte_changes_nothing_unseen(tmp_path):
    path = tmp_path / "t.jsonl.zst"
    write_lines(path, [push(n, n, f"m{n}") for n in range(20)], write_checksum=True)
    whole, expected, refused = path.read_bytes(), told(read_trace(path)), 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            assert told(read_trace(path)) == expected
        except InputRejected:
            refused += 1
    # A bit or two of a frame's header mean nothing here.
    assert refused >= len(whole) - 2


def test_a_line_that_never_ends_is_not_held(tmp_path):
    path = tmp_path / "t.jsonl.zst"
    compressor = zstandard.ZstdCompressor()
    with path.open("wb") as file, compressor.stream_writer(file) as stream:
        for _ in range(512):
            stream.write(bytes(2**20))
    assert path.stat().st_size < 2**16
    assert the_problem(path) == (None, None, "the line at byte 0 is longer than 4,194,304 bytes")


def test_a_window_that_would_not_fit_into_memory(tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    path = tmp_path / "t.jsonl.zst"
    with (
        path.open("wb") as file,
        zstandard.ZstdCompressor(compression_params=parameters).stream_writer(file) as stream,
    ):
        stream.write(json.dumps(push()).encode())
    assert "is damaged, or is none" in the_problem(path)[2]


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_cut_off_parquet_file(tmp_path, everything, kept):
    path = tmp_path / "t.parquet"
    write_trace(path, everything)
    path.write_bytes(path.read_bytes()[:kept])
    assert the_problem(path)[2].startswith("cannot be read: ")


def test_files_that_are_none(tmp_path):
    assert the_problem(tmp_path / "t.jsonl.zst")[2] == "does not exist"
    (tmp_path / "d.parquet").mkdir()
    assert the_problem(tmp_path / "d.parquet")[2] == "is not a regular file"
    assert the_problem(write_lines(tmp_path / "e.jsonl.zst", []))[2] == "holds no event"
    for action in (read_trace, lambda path: write_trace(path, None)):
        with pytest.raises(InvalidValue, match=r"\.jsonl\.zst or \.parquet"):
            action(tmp_path / "trace.csv")


# -- broken events ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'{"time": 0, "batch": 0',
        push(time=0.5),
        push(time=True),
        push(time=-1),
        push(time=2**70),
        push(batch=-1),
        push(batch=2**31),
        push(batch="0"),
        push(op="explode"),
        push(colour="red"),
        push(layers=[layer("a", -1)]),
        push(layers=[layer("a", 2**63)]),
        push(layers=[layer("a", 1.0)]),
        push(layers=[layer("a", "1")]),
        push(layers=[layer("a", True)]),
        push(layers=[{"size": 1}]),
        push(layers=[layer("a", urls=[])]),
        push(layers={}),
        json.dumps(push()).replace('"size": 10', '"size": NaN').encode(),
        json.dumps(push()).replace('"size": 10', '"size": 1e400').encode(),
        json.dumps(push()).replace('"size": 10', '"size": ' + "9" * 5_000).encode(),
        json.dumps(push()).replace('"v1"', r'"\ud800"').encode(),
        b"[" * 200_000,
        b'{"time":' + b"[" * 200_000,
        json.dumps(push()).encode() + b" {}",
    ],
)
def test_a_line_that_is_no_event(tmp_path, line):
    good = json.dumps(push()).encode()
    path = write_lines(tmp_path / "t.jsonl.zst", [good, line])
    row, _, message = problems_of(path)[0]
    assert row == 1
    assert message.endswith(f" (line 2, byte {len(good) + 1})")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"batch": 0', '"batch": 0, "batch": 0', "batch"),
        ('"batch": 0', '"batch": 0, "time" : 0', "time"),
        ('"size": 10', '"size": 10, "size": 11', "size"),
        ('"size": 10', r'"size": 10, "\u0073ize": 11', "size"),
    ],
)
def test_a_key_that_is_there_twice(tmp_path, old, new, key):
    line = json.dumps(push()).replace(old, new).encode()
    row, _, message = the_problem(write_lines(tmp_path / "t.jsonl.zst", [line]))
    assert (row, message) == (0, f"has the key '{key}' twice in one object (line 1, byte 0)")


LAST = 253_402_300_799_999_999


@pytest.mark.parametrize(
    ("first", "second", "column"),
    [
        (push(5, 0), push(4, 1), "time"),
        (push(5, 1), push(5, 0), "batch"),
        (push(5, 0), push(6, 0), "time"),
        (push(), push(LAST + 1, 1), None),
        (push(), push("10000-01-01T00:00:00Z", 1), "time"),
        (push(), push("noon", 1), "time"),
        (push(), push("1970-01-01T00:00:00Z\u0000", 0), "time"),
        (push(), push(repository="Team"), "repository"),
        (push(), push(repository="team/\x1b[2J"), "repository"),
        (push(), push(tag="a/b"), "tag"),
        (push(), push(tag=""), "tag"),
        (push(), push(platform="linux\n"), "platform"),
        (push(), push(manifest="sha256:short"), "manifest"),
        (push(), push(manifest=sha256("m") + "\n"), "manifest"),
        (push(), push(previous=sha256("x").upper()), "previous"),
        (push(), push(layers=[layer("a", 11)]), "layers"),
        (
            push(layers=[layer("a", mediaType=OCI_LAYER_GZIP)]),
            push(layers=[layer("a", mediaType=DOCKER_FOREIGN_LAYER)]),
            "layers",
        ),
        (push(), push(layers=[layer("a", mediaType="\x07")]), "layers"),
        (push(), push(layers=[layer("a"), layer("a")]), "manifest"),
        (push(), push(config=layer("c")), "manifest"),
        (push(size=4), push(size=5), "size"),
        (push(), push(manifests=[]), "manifests"),
        (push(), push(image="n", layers=None), "manifest"),
        (push(), push(image="n", layers=None, size=4), "size"),
        (push(), push(op="tag"), "layers"),
        (push(), push(op="upload", layers=None), "blob"),
        (push(), push(op="untag", tag=None, layers=None), "tag"),
        (push(), push(op="delete", tag=None, manifest=None, layers=None), "manifest"),
        (push(), push(op="delete_repository", layers=None), "manifest"),
        (push(), push(manifest=None), "manifest"),
        (push(), push(image="i", layers=None, manifests=[{"digest": sha256("i")}]), "manifests"),
        (push(), push(image="i", layers=None, manifests=[], config=layer("c")), "config"),
        (push(), push(image="n", layers=[layer("x", 2**63 - 1), layer("y", 1)]), "layers"),
    ],
)
def test_an_event_that_is_wrong(tmp_path, first, second, column):
    path = write_lines(tmp_path / "t.jsonl.zst", map(without_none, (first, second)))
    row, found, message = problems_of(path)[0]
    assert (row, found) == (1, column)
    assert "(line 2, byte " in message


def test_a_size_and_a_media_type_may_be_told_later(tmp_path):
    lines = [
        push(layers=[layer("a", None)]),
        push(layers=[layer("a", 5, mediaType=DOCKER_FOREIGN_LAYER)]),
        push(),
    ]
    lines[2]["layers"] = [layer("a", None)]
    trace = read_trace(write_lines(tmp_path / "t.jsonl.zst", lines))
    assert trace.blobs.size.tolist() == [5]
    assert trace.media_types == (DOCKER_FOREIGN_LAYER,)
    assert trace.blobs.media_type.tolist() == [0]


def test_all_problems_are_told_at_once(tmp_path):
    lines = [push(tag="?"), b"nonsense", push(repository="?"), push(layers=[layer("a", 3)])]
    assert [problem[:2] for problem in problems_of(write_lines(tmp_path / "t.jsonl.zst", lines))] == [
        (0, "tag"),
        (1, None),
        (2, "repository"),
        (3, "layers"),
    ]


def test_indexes_in_a_ring(tmp_path):
    def index(n, *children):
        return without_none(push(image=f"i{n}", layers=None, manifests=[{"digest": sha256(f"i{k}")} for k in children]))

    # 0 and 1 contain each other; 2 contains 1; 3 contains the plain 4.
    path = write_lines(tmp_path / "t.jsonl.zst", [index(0, 1), index(1, 0), index(2, 1), index(3, 4), index(4)])
    row, column, message = the_problem(path)
    assert (row, column) == (None, "manifests")
    assert message.startswith("3 indexes contain each other in a ring: " + sha256("i0"))


def test_a_hopeless_trace_makes_a_short_report(tmp_path):
    problems = problems_of(write_lines(tmp_path / "t.jsonl.zst", [b"x"] * 5_000))
    assert len(problems) == 1_001
    assert problems[-1][2] == "has more problems: reading stopped at line 1,001, byte 2,000"


def test_parquet_columns_that_are_wrong(tmp_path, everything):
    path = tmp_path / "t.parquet"
    write_trace(path, everything)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["batch"]).append_column("colour", table["op"]), path)
    assert problems_of(path) == [
        (None, "batch", "the column is missing"),
        (None, None, "has a column 'colour', which traces do not have"),
    ]
    pq.write_table(table.set_column(2, "op", pa.array([None, *table["op"].to_pylist()[1:]])), path)
    assert (0, None) in [problem[:2] for problem in problems_of(path)]
    pq.write_table(table.set_column(0, "time", pa.array([0.5] * len(table))), path)
    assert [problem[0] for problem in problems_of(path)] == list(range(len(table)))
    pq.write_table(table.slice(0, 0), path)
    assert the_problem(path)[2] == "holds no event"


@given(data=st.data())
def test_whatever_bytes_a_line_has_it_is_read_or_refused(tmp_path_factory, data):
    line = bytearray(json.dumps(push()).encode())
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8)).replace(b"\n", b"")
    path = tmp_path_factory.getbasetemp() / "bytes.jsonl.zst"
    write_lines(path, [push(image="n"), bytes(line)])
    problems = ()
    try:
        trace = read_trace(path)
    except InputRejected as error:
        problems = error.problems
    else:
        assert trace.time.size == 2
    assert all(str(problem).isprintable() for problem in problems)
