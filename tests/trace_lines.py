"""Trace files made on the spot, and traces as plain values."""

from __future__ import annotations

import hashlib
import json

import pytest
import zstandard

from quotasim.errors import InputRejected
from quotasim.importers.trace_table import TraceOp
from quotasim.importers.traces import read_trace
from quotasim.model.digests import format_digests
from quotasim.model.oci import OCI_LAYER_GZIP, Kind

NULL = -1

SUFFIXES = pytest.mark.parametrize("suffix", [".jsonl.zst", ".parquet"])


def sha256(label):
    return f"sha256:{hashlib.sha256(label.encode()).hexdigest()}"


def layer(label, size=10, **more):
    return {"digest": sha256(label), "size": size} | more


def push(time=0, batch=0, image="m", **more):
    """One event that pushes an image of one layer."""
    event = {
        "time": time,
        "batch": batch,
        "op": "push",
        "repository": "team/app",
        "tag": "v1",
        "manifest": sha256(image),
    }
    return event | {"layers": [layer("a")]} | more


def write_lines(path, lines, **options):
    text = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    path.write_bytes(zstandard.ZstdCompressor(**options).compress(text))
    return path


def problems_of(path):
    with pytest.raises(InputRejected) as caught:
        read_trace(path)
    assert all(str(problem).isprintable() for problem in caught.value.problems)
    assert {problem.file for problem in caught.value.problems} == {path.name}
    return [(problem.row, problem.column, problem.message) for problem in caught.value.problems]


def the_problem(path):
    problems = problems_of(path)
    assert len(problems) == 1, problems
    return problems[0]


def told(trace):
    """A trace as plain values, whatever its rows are numbered like."""
    blobs = [
        (digest, int(size), name_of(trace.media_types, code))
        for digest, size, code in zip(
            format_digests(trace.blobs.digest), trace.blobs.size, trace.blobs.media_type, strict=True
        )
    ]
    manifests = trace.manifests
    digests = [*format_digests(manifests.digest), None]
    contents = {}
    for m in range(manifests.size.size):
        span = slice(manifests.indptr[m], manifests.indptr[m + 1])
        is_index = manifests.kind[m] == Kind.INDEX
        contents[digests[m]] = (
            int(manifests.kind[m]),
            int(manifests.size[m]),
            name_of(trace.media_types, manifests.media_type[m]),
            None if manifests.config[m] == NULL else blobs[manifests.config[m]],
            digests[manifests.subject[m]],
            [digests[row] if is_index else blobs[row] for row in manifests.target[span]],
            [name_of(trace.platforms, code) for code in manifests.target_platform[span]],
        )
    events = [
        (
            int(trace.time[t]),
            int(trace.batch[t]),
            TraceOp(trace.op[t]).name,
            trace.repositories[trace.repository[t]],
            name_of(trace.tags, trace.tag[t]),
            name_of(trace.platforms, trace.platform[t]),
            digests[trace.manifest[t]],
            digests[trace.previous[t]],
            None if trace.upload[t] == NULL else int(trace.upload[t]),
            int(trace.amount[t]),
            None if trace.blob[t] == NULL else blobs[trace.blob[t]],
        )
        for t in range(trace.time.size)
    ]
    return events, contents


def name_of(names, code):
    return None if code == NULL else names[code]


EVERYTHING = [
    {
        "time": 0,
        "batch": 0,
        "op": "upload",
        "repository": "team/app",
        "blob": layer("a", 7, mediaType=OCI_LAYER_GZIP),
    },
    push(
        0,
        0,
        "amd64",
        tag=None,
        layers=[layer("a", 7), layer("b"), layer("a", 7)],
        config=layer("c", None),
        size=99,
    ),
    push(0, 0, "arm64", tag=None, layers=[]),
    push(
        "1970-01-01T00:00:01.5Z",
        1,
        "index",
        layers=None,
        mediaType="application/vnd.oci.image.index.v1+json",
        manifests=[
            {"digest": sha256("amd64"), "size": 99, "platform": "linux/amd64"},
            {"digest": sha256("arm64"), "platform": "linux/arm64"},
            {"digest": sha256("absent"), "size": 5},
        ],
    ),
    push("1970-01-01T02:00:02+02:00", 2, "signature", tag=None, subject=sha256("index"), layers=[layer("s", 3)]),
    {
        "time": 2_000_000,
        "batch": 2,
        "op": "tag",
        "repository": "team/app",
        "tag": "latest",
        "manifest": sha256("index"),
    },
    {"time": 2_000_000, "batch": 2, "op": "pull", "repository": "team/app", "tag": "latest"},
    {
        "time": 3_000_000,
        "batch": 3,
        "op": "untag",
        "repository": "team/app",
        "tag": "latest",
        "previous": sha256("index"),
    },
    {"time": 3_000_000, "batch": 3, "op": "delete", "repository": "team/app", "manifest": sha256("index")},
    {"time": 4_000_000, "batch": 9, "op": "delete_repository", "repository": "team/app"},
    *(
        {"time": 5_000_000, "batch": 10, "repository": "team/app"} | step
        for step in (
            {"op": "start_upload", "upload": 7},
            {"op": "start_upload", "upload": 2},
            {"op": "append", "upload": 2, "bytes": 4},
            {"op": "append", "upload": 7, "bytes": 3},
            {"op": "upload", "upload": 7, "blob": layer("a", 7, mediaType=OCI_LAYER_GZIP)},
            {"op": "start_upload", "upload": 5},
            {"op": "cancel_upload", "upload": 5},
        )
    ),
]


def without_none(event):
    return {key: value for key, value in event.items() if value is not None}
