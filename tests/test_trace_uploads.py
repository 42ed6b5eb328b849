"""Uploads in steps within a trace: what is read, what is refused, and what a registry makes of them."""

from __future__ import annotations

import pytest

import quotasim as qs
from quotasim.importers.traces import read_trace, write_trace
from quotasim.profiles import PROFILES

from .trace_lines import SUFFIXES, layer, problems_of, push, write_lines


def steps(*given, repository="team/app"):
    """Events of one upload a second, all of a batch of their own."""
    return [
        {"time": 1_000_000 * number, "batch": number, "repository": repository} | step
        for number, step in enumerate(given)
    ]


def start(upload=0):
    return {"op": "start_upload", "upload": upload}


def append(size, upload=0):
    return {"op": "append", "upload": upload, "bytes": size}


def finish(size, upload=0, **more):
    return {"op": "upload", "upload": upload, "blob": layer("a", size)} | more


UNFINISHED = [start(), append(40), append(20)]
ENDED = [*UNFINISHED, {"op": "cancel_upload", "upload": 0}]
FINISHED = [*UNFINISHED, finish(100)]


def by_hand(profile, events):
    """The same on a registry, request by request."""
    registry = qs.Registry(profile, start="1970-01-01T00:00:00Z")
    uploads = {}
    for event in events:
        registry.advance(to=qs.format_time(event["time"]))
        if event["op"] == "start_upload":
            uploads[event["upload"]] = registry.start_upload(event["repository"]).upload
        elif event["op"] == "append":
            registry.append(uploads[event["upload"]], event["bytes"])
        elif event["op"] == "cancel_upload":
            registry.cancel_upload(uploads[event["upload"]])
        else:
            blob = event["blob"]
            registry.finish_upload(uploads[event["upload"]], qs.Blob(blob["digest"], blob["size"]))
    return registry


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("given", [UNFINISHED, ENDED, FINISHED], ids=["unfinished", "cancelled", "finished"])
def test_a_trace_does_what_the_requests_do(tmp_path, profile, given):
    events = steps(*given)
    replayed = qs.replay(write_lines(tmp_path / "t.jsonl.zst", events), profile=profile)
    expected = by_hand(profile, events)
    replayed.check()
    assert replayed.usage() == expected.usage()
    assert replayed.uploads() == expected.uploads()
    figures = ["time", "kind", "repository", "blob", "charged_bytes", "stored_bytes", "upload_bytes"]
    assert replayed.events()[figures].equals(expected.events()[figures])


def test_what_stays_and_what_goes(tmp_path):
    stay, gone, done = (
        qs.replay(write_lines(tmp_path / f"{name}.jsonl.zst", steps(*given)), profile="harbor").usage()
        for name, given in (("stay", UNFINISHED), ("gone", ENDED), ("done", FINISHED))
    )
    assert (stay.upload_bytes, gone.upload_bytes, done.upload_bytes) == (60, 0, 0)
    assert (stay.stored_bytes, gone.stored_bytes, done.stored_bytes) == (0, 0, 100)


def test_uploads_around_a_deleted_repository(tmp_path):
    events = [*steps(start(3), append(5, 3)), {"time": 2_000_000, "batch": 2, "op": "delete_repository"}]
    events[-1]["repository"] = "other/app"
    events += [event | {"time": 3_000_000, "batch": 3} for event in steps(append(1, 3), finish(6, 3))]
    registry = qs.replay(write_lines(tmp_path / "t.jsonl.zst", events), profile="distribution-2.8")
    assert registry.usage().stored_bytes == 6
    assert registry.uploads() == []


def test_uploads_of_two_traces_do_not_mix(tmp_path):
    from quotasim.importers.load_trace import replay_trace
    from quotasim.profiles import by_name

    trace = read_trace(write_lines(tmp_path / "t.jsonl.zst", steps(*UNFINISHED)))
    engine = replay_trace(trace, by_name("harbor"))
    later = read_trace(
        write_lines(tmp_path / "u.jsonl.zst", [event | {"time": 10**9} for event in steps(start(), append(1))])
    )
    registry = qs.Registry.from_engine(replay_trace(later, by_name("harbor"), engine))
    assert [upload.received_bytes for upload in registry.uploads()] == [60, 1]


@SUFFIXES
def test_steps_are_written_and_read(tmp_path, suffix):
    trace = read_trace(write_lines(tmp_path / "a.jsonl.zst", steps(*FINISHED, start(9))))
    write_trace(tmp_path / f"b{suffix}", trace)
    again = read_trace(tmp_path / f"b{suffix}")
    assert again.upload.tolist() == [0, 0, 0, 0, 1]
    assert again.amount.tolist() == [0, 40, 20, 0, 0]


@pytest.mark.parametrize(
    ("events", "column", "message"),
    [
        (steps({"op": "start_upload"}), "upload", "start_upload needs it"),
        (steps(start(), {"op": "append", "upload": 0}), "bytes", "append needs it"),
        (steps(start(), start()), "upload", "0 was started before"),
        (steps(append(3)), "upload", "0 is not under way: it was never started, or has ended"),
        (steps(*ENDED, append(3)), "upload", "0 is not under way"),
        (steps(*FINISHED, finish(100)), "upload", "0 is not under way"),
        (steps(start(), append(9), finish(8)), "upload", "0 has received 9 bytes, and the blob has 8"),
        (steps(start(), append(2**63 - 1), append(1)), "upload", "0 has received 9,223,372,036,854,775,808 bytes"),
        (steps(start(), finish(8, repository="other/app")), "upload", "0 was started in another repository"),
        ([push(upload=1)], "upload", "push is no step of an upload"),
        (steps(start(), finish(8, bytes=3)), "bytes", "upload brings none, append does"),
    ],
)
def test_steps_that_cannot_be(tmp_path, events, column, message):
    found = problems_of(write_lines(tmp_path / "t.jsonl.zst", events))
    assert [(where, said[: len(message)]) for _, where, said in found] == [(column, message)]
