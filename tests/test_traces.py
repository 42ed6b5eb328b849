"""Trace files: what is written is read again, whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from quotasim.errors import InvalidValue
from quotasim.importers import traces
from quotasim.importers.tables import read_tables
from quotasim.importers.trace_table import trace_from_tables
from quotasim.importers.traces import read_trace, whole_file, write_trace
from quotasim.model.oci import OCI_LAYER_GZIP, Kind

from .trace_lines import EVERYTHING, NULL, SUFFIXES, push, sha256, told, without_none, write_lines


@pytest.fixture
def everything(tmp_path):
    return read_trace(write_lines(tmp_path / "everything.jsonl.zst", map(without_none, EVERYTHING)))


# -- what is read and written -------------------------------------------------------------------------


def test_every_operation_and_content_is_read(everything):
    events, contents = told(everything)
    assert [event[2] for event in events] == [
        "UPLOAD",
        "PUSH",
        "PUSH",
        "PUSH",
        "PUSH",
        "TAG",
        "PULL",
        "UNTAG",
        "DELETE",
        "DELETE_REPOSITORY",
        "START_UPLOAD",
        "START_UPLOAD",
        "APPEND",
        "APPEND",
        "UPLOAD",
        "START_UPLOAD",
        "CANCEL_UPLOAD",
    ]
    # Uploads are numbered in the order in which they start.
    assert [event[-3:-1] for event in events[10:]] == [(0, 0), (1, 0), (1, 4), (0, 3), (0, 0), (2, 0), (2, 0)]
    assert [event[0] for event in events[3:5]] == [1_500_000, 2_000_000]
    assert [event[1] for event in events] == [0, 0, 0, 1, 2, 2, 2, 3, 3, 9, *[10] * 7]
    a = (sha256("a"), 7, OCI_LAYER_GZIP)
    assert events[0][-1] == a
    assert contents[sha256("amd64")] == (
        Kind.IMAGE,
        99,
        None,
        (sha256("c"), NULL, None),
        None,
        [a, (sha256("b"), 10, None), a],
        [None] * 3,
    )
    assert contents[sha256("index")][5:] == (
        [sha256("amd64"), sha256("arm64"), sha256("absent")],
        ["linux/amd64", "linux/arm64", None],
    )
    assert contents[sha256("absent")][:2] == (NULL, 5)
    assert contents[sha256("signature")][4] == sha256("index")
    assert everything.time.dtype == np.int64
    assert everything.batch.dtype == everything.tag.dtype == everything.manifests.target.dtype == np.int32


@SUFFIXES
def test_what_is_written_is_read_again(tmp_path, everything, suffix):
    path, again = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    write_trace(path, everything)
    trace = read_trace(path)
    assert told(trace) == told(everything)
    write_trace(again, trace)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(file.name for file in tmp_path.glob("*")) == ["everything.jsonl.zst", path.name, again.name]


@SUFFIXES
def test_the_hand_made_history_as_a_trace(tmp_path, root, suffix):
    tables = read_tables(root / "data" / "tables")
    trace = trace_from_tables(tables)
    events, contents = told(trace)
    assert len(events) == 69
    assert events[0] == (
        1_704_272_400_000_000,
        0,
        "PUSH",
        "alpine",
        "3.18",
        "linux/amd64",
        sha256("image alpine 3.18 linux/amd64 linux/amd64"),
        None,
        None,
        0,
        None,
    )
    unbound = [event for event in events if event[2] == "UNTAG"]
    assert len(unbound) == 11
    assert all(event[6] == event[7] for event in unbound)
    # The schema 1 leftover keeps its repeated layer.
    legacy = contents[sha256("image legacy 1 linux/amd64")]
    assert legacy[2] is None
    assert [size for _, size, _ in legacy[5]] == [67_108_901, 32, 1_204, 32, 8_812_345, 32]
    path = tmp_path / f"trace{suffix}"
    write_trace(path, trace)
    assert told(read_trace(path)) == (events, contents)


def test_the_state_of_tables_is_no_trace(root):
    with pytest.raises(InvalidValue, match="tag_events"):
        trace_from_tables(read_tables(root / "data" / "tables-tags"))


def test_a_digest_in_two_repositories_and_its_config_are_one(tmp_path):
    tables = {
        "blobs": "blob_id,digest,size\n0," + sha256("a") + ",10\n",
        "manifests": "manifest_id,manifest_digest,repository,config_digest,config_size\n"
        f"0,{sha256('m')},r,{sha256('a')},\n1,{sha256('m')},s,{sha256('a')},\n2,{sha256('n')},s,{sha256('c')},4\n",
        "layers": "manifest_id,position,blob_id\n0,0,0\n1,0,0\n2,0,0\n2,1,0\n",
        "tag_events": "observed_at,repository,tag,op,manifest_id\n2024-01-01T00:00:00Z,r,v,create,0\n"
        "2024-01-01T00:00:00Z,s,v,create,1\n2024-01-01T00:00:00Z,s,w,create,2\n",
    }
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    events, contents = told(trace_from_tables(read_tables(tmp_path)))
    assert [event[6] for event in events] == [sha256("m"), sha256("m"), sha256("n")]
    assert {digest: content[3] for digest, content in contents.items()} == {
        sha256("m"): (sha256("a"), 10, None),
        sha256("n"): (sha256("c"), 4, None),
    }
    assert [len(content[5]) for content in contents.values()] == [1, 2]


@pytest.mark.slow
@SUFFIXES
def test_the_real_history_as_a_trace(tmp_path, real_data, suffix):
    tables = read_tables(real_data / "repo_info")
    trace = trace_from_tables(tables)
    path = tmp_path / f"trace{suffix}"
    write_trace(path, trace)
    again = read_trace(path)
    assert again.time.size == 201_664
    assert again.manifests.target.size == 810_616
    assert told(again) == told(trace)


def test_lines_may_be_in_several_frames(tmp_path):
    one = write_lines(tmp_path / "one.jsonl.zst", [push()]).read_bytes()
    two = write_lines(tmp_path / "two.jsonl.zst", [push(1, 1, "n")]).read_bytes()
    path = tmp_path / "both.jsonl.zst"
    path.write_bytes(one + two)
    assert read_trace(path).time.tolist() == [0, 1]


def test_the_last_line_needs_no_newline(tmp_path):
    path = tmp_path / "trace.jsonl.zst"
    path.write_bytes(zstandard.compress(json.dumps(push()).encode()))
    assert read_trace(path).time.tolist() == [0]


def test_the_order_of_keys_and_spaces_do_not_matter(tmp_path):
    line = json.dumps(dict(reversed(push().items())), indent=1, separators=(" , ", " : ")).replace("\n", "\t").encode()
    assert read_trace(write_lines(tmp_path / "t.jsonl.zst", [line])).time.tolist() == [0]


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_parquet_times_of_every_unit(tmp_path, everything, unit, per_second):
    path = tmp_path / "trace.parquet"
    write_trace(path, everything)
    table = pq.read_table(path)
    seconds = pa.array(range(len(table)), pa.int64())
    times = pa.array([second * per_second for second in range(len(table))], pa.int64()).cast(pa.timestamp(unit))
    batches = seconds.cast(pa.int32())
    table = table.set_column(0, "time", times).set_column(1, "batch", batches)
    pq.write_table(table, path)
    assert read_trace(path).time.tolist() == [second * 10**6 for second in range(len(table))]


# -- whole or not at all ------------------------------------------------------------------------------


@SUFFIXES
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, everything, suffix):
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"old")
    broken = replace(everything, repositories=())
    with pytest.raises(IndexError):
        write_trace(path, broken)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.glob(".*")) == []


def test_the_name_appears_only_when_all_is_on_disk(tmp_path, monkeypatch):
    path = tmp_path / "file"
    done = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(traces.os, "fsync", lambda handle: (done.append("fsync"), fsync(handle)))
    monkeypatch.setattr(traces.os, "replace", lambda old, new: (done.append("replace"), rename(old, new)))
    with whole_file(path) as file:
        file.write(b"content")
        assert not path.exists()
    assert done == ["fsync", "replace", "fsync"]
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_disk_that_fills_up(tmp_path, everything, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(traces.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_trace(tmp_path / "t.jsonl.zst", everything)
    assert [path.name for path in tmp_path.iterdir()] == ["everything.jsonl.zst"]
