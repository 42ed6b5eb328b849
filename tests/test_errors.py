"""Every error is a sentence with its numbers, has them as attributes, and can travel between processes."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path

import pytest

from quotasim import errors
from quotasim.errors import (
    CollectionAborted,
    DigestConflict,
    GateFailed,
    ImmutableTagRefused,
    IndexChildRefused,
    InputRejected,
    InvalidDigest,
    InvalidReference,
    InvalidValue,
    Locked,
    ManifestTooLarge,
    NotRestorable,
    Problem,
    QuotaSimError,
    ReferrersRefused,
    Refused,
    RunEnded,
    SnapshotError,
    StalePlan,
    StateDamaged,
    TagDeletionRefused,
    TaggedManifestRefused,
    TimeReversed,
    UnknownBlob,
    UnknownProfile,
    UnknownReference,
    UnknownRepository,
    UnknownUpload,
    WrongAnswer,
)
from quotasim.nearest import nearest_names

DIGEST = "sha256:" + 64 * "a"
PROBLEM = Problem("blobs.parquet", 1234, "size", "-5 is negative")

CASES = [
    (
        UnknownReference("team-a/wep:v1", ["team-a/web:v1", "team-a/web:v2"]),
        {"reference": "team-a/wep:v1", "nearest": ("team-a/web:v1", "team-a/web:v2")},
        "there is no image 'team-a/wep:v1'; the nearest there is: 'team-a/web:v1', 'team-a/web:v2'",
        1,
    ),
    (
        UnknownRepository("team-b/web"),
        {"repository": "team-b/web", "nearest": ()},
        "there is no repository 'team-b/web'",
        1,
    ),
    (
        UnknownBlob("team-a/web", DIGEST),
        {"repository": "team-a/web", "digest": DIGEST},
        f"repository 'team-a/web' does not have the blob {DIGEST}",
        1,
    ),
    (
        CollectionAborted("team-a/web"),
        {"repository": "team-a/web"},
        "the collection fails at repository 'team-a/web': it has manifests and never had a tag",
        1,
    ),
    (
        CollectionAborted(),
        {"repository": None},
        "the collection fails: nothing was ever stored in this registry",
        1,
    ),
    (
        UnknownProfile("acr", iter(["acr-basic"])),
        {"name": "acr", "nearest": ("acr-basic",)},
        "there is no profile 'acr'; the nearest there is: 'acr-basic'",
        1,
    ),
    (
        InvalidValue("limit", -1, "a size"),
        {"name": "limit", "value": -1, "expected": "a size"},
        "limit must be a size, not -1",
        2,
    ),
    (
        InvalidReference("A:b", "names are lower case"),
        {"reference": "A:b", "reason": "names are lower case"},
        "'A:b' is not a reference: names are lower case",
        2,
    ),
    (
        InvalidDigest("md5:00", "it must be sha256"),
        {"digest": "md5:00", "reason": "it must be sha256"},
        "'md5:00' is not a digest: it must be sha256",
        2,
    ),
    *(
        (
            refused("app:v1", status, code, "no"),
            {"reference": "app:v1", "status": status, "code": code, "message": "no"},
            f"'app:v1' is refused{words}: no",
            1,
        )
        for refused, status, code, words in (
            (Refused, None, None, ""),
            (TagDeletionRefused, 400, "UNSUPPORTED", " with 400 UNSUPPORTED"),
            (IndexChildRefused, 409, None, " with 409"),
            (TaggedManifestRefused, 409, "MANIFEST_INVALID", " with 409 MANIFEST_INVALID"),
            (ImmutableTagRefused, None, "TAG_INVALID", " with TAG_INVALID"),
            (ReferrersRefused, 400, None, " with 400"),
        )
    ),
    (
        NotRestorable("app:v1", "it is gone for good"),
        {"reference": "app:v1", "reason": "it is gone for good"},
        "'app:v1' cannot be restored: it is gone for good",
        1,
    ),
    (RunEnded(), {}, "the run has ended: start another one", 1),
    (
        UnknownUpload(7),
        {"upload": 7},
        "upload 7 is not there: it was finished, cancelled, purged or refused, or never began",
        1,
    ),
    (
        Locked("app:v1", "quarantine"),
        {"reference": "app:v1", "lock": "quarantine"},
        "'app:v1' is in quarantine: it cannot be pulled until it is released",
        1,
    ),
    (
        TimeReversed(now=3_000_000, requested=1_000_000),
        {"now": 3_000_000, "requested": 1_000_000},
        "time cannot run backwards: 1000000 (microseconds since the epoch, UTC) was requested, "
        "which is 2,000,000 before now, 3000000",
        1,
    ),
    (
        DigestConflict(DIGEST, 1_000, 1_001),
        {"digest": DIGEST, "known": 1_000, "given": 1_001, "field": "size"},
        f"blob {DIGEST} is already known with 1,000 bytes, and is now given with 1,001 bytes",
        1,
    ),
    (
        DigestConflict(DIGEST, True, False, field="foreign"),
        {"digest": DIGEST, "known": True, "given": False, "field": "foreign"},
        f"blob {DIGEST} is already known with foreign True, and is now given with foreign False",
        1,
    ),
    (
        ManifestTooLarge(DIGEST, 2**63 + 1, 2**63 - 1),
        {"digest": DIGEST, "listed_bytes": 2**63 + 1, "limit": 2**63 - 1},
        f"manifest {DIGEST} lists 9,223,372,036,854,775,809 bytes, "
        "2 more than the 9,223,372,036,854,775,807 that one manifest may list",
        1,
    ),
    (
        Locked("team-a/web:v1", "delete"),
        {"reference": "team-a/web:v1", "lock": "delete"},
        "'team-a/web:v1' is locked against delete; lock('team-a/web:v1', delete=True) allows it again",
        1,
    ),
    (
        StalePlan(3, 5),
        {"planned_version": 3, "state_version": 5},
        "the plan was made for version 3 of the state, which is now at version 5: make a new plan",
        1,
    ),
    (
        StateDamaged(["blob 3 has 2 holders, not 1", "link 7 is tagged and not linked"]),
        {"damage": ("blob 3 has 2 holders, not 1", "link 7 is tagged and not linked")},
        "the state is damaged: blob 3 has 2 holders, not 1; link 7 is tagged and not linked",
        1,
    ),
    (
        GateFailed("use of the limit in percent", 93.1, 90),
        {"gate": "use of the limit in percent", "measured": 93.1, "threshold": 90},
        "gate failed: use of the limit in percent is 93.1, and may be at most 90",
        99,
    ),
    (WrongAnswer("dicts"), {"contender": "dicts"}, "dicts gave a wrong answer; its time means nothing", 1),
    (
        InputRejected([PROBLEM]),
        {"problems": (PROBLEM,)},
        "the input has 1 problem, and nothing was written:\n  blobs.parquet, row 1,234, column 'size': -5 is negative",
        3,
    ),
    (
        SnapshotError(Path("here/snapshot"), "snapshot.json is missing"),
        {"path": "here/snapshot", "reason": "snapshot.json is missing"},
        "snapshot 'here/snapshot': snapshot.json is missing",
        3,
    ),
]


@pytest.mark.parametrize(("error", "attributes", "message", "exit_code"), CASES, ids=lambda case: type(case).__name__)
def test_message_attributes_and_exit_code(error, attributes, message, exit_code):
    assert str(error) == message
    assert vars(error) == attributes
    assert error.exit_code == exit_code


@pytest.mark.parametrize("error", [case[0] for case in CASES], ids=lambda error: type(error).__name__)
def test_survives_pickling_and_copying(error):
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_every_error_is_a_child_is_public_and_has_a_case():
    classes = {cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, Exception)}
    assert all(issubclass(cls, QuotaSimError) for cls in classes)
    assert {cls.__name__ for cls in classes} <= set(errors.__all__)
    assert {type(case[0]) for case in CASES} == classes - {QuotaSimError}


def test_many_problems_are_counted_and_twenty_are_shown():
    problems = [Problem("layers.parquet", row, None, "broken") for row in range(1_023)]
    lines = str(InputRejected(problems)).splitlines()
    assert lines[0] == "the input has 1,023 problems, and nothing was written:"
    assert lines[1:21] == [f"  layers.parquet, row {row}: broken" for row in range(20)]
    assert lines[21:] == ["  and 1,003 more"]


def test_twenty_problems_are_all_shown():
    problems = [Problem("tags.parquet", row, None, "broken") for row in range(20)]
    assert str(InputRejected(problems)).splitlines()[-1] == "  tags.parquet, row 19: broken"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("tags.parquet", None, None, "it is missing"), "tags.parquet: it is missing"),
        (Problem("tags.parquet", None, "tag", "it is missing"), "tags.parquet, column 'tag': it is missing"),
        (Problem("tags.parquet", 0, None, "it is repeated"), "tags.parquet, row 0: it is repeated"),
    ],
)
def test_problem_names_only_what_it_concerns(problem, text):
    assert str(problem) == text


def test_hostile_values_do_not_fill_the_screen():
    message = str(InvalidReference("a" * 1_000_000, "it is too long"))
    assert len(message) < 300
    assert "(1,000,002 characters)" in message


def test_nearest_names_are_few_distinct_and_ordered_by_likeness():
    names = ["web:v1", "web:v2", "web:v2", "web:v10", "redis:7", "postgres:16"]
    assert nearest_names("web:v1", names) == ("web:v1", "web:v10", "web:v2")
    assert nearest_names("web:v1", names, n=1) == ("web:v1",)
    assert nearest_names("quite-another", names) == ()
    assert nearest_names("web:v1", []) == ()


def test_nearest_names_does_not_depend_on_the_order_of_candidates():
    names = [f"team/app-{number}:v{number}" for number in range(50)]
    assert nearest_names("team/app-7:v", names) == nearest_names("team/app-7:v", reversed(names))


def test_nearest_names_of_many_candidates_are_found_by_prefix():
    names = [f"other-{number}/image:latest" for number in range(20_000)] + ["team-a/web:v1", "team-a/web:v2"]
    assert nearest_names("team-a/wep:v1", names)[:2] == ("team-a/web:v1", "team-a/web:v2")
