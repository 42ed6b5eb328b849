"""The stories of the vendor's FAQ under every kind: what is charged, shown and stored, and when it falls.

Every figure is written out. Sizes are chosen so that each digit of a total tells what is in it; the comments say which
rule of the kind makes the figure, and the profile has its source.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

import quotasim as qs
from quotasim.profiles import PROFILES

from .strategies import DAY, MINUTE, START

HOUR = 60 * MINUTE
KINDS = sorted(PROFILES)
ACR = ("acr-basic", "acr-standard", "acr-premium")
Row = tuple[int, int, int, int]  # when, charged, reported, stored


def image(name: str, layers: Iterable[qs.Blob], config: int, subject: qs.Image | None = None) -> qs.Image:
    """Return an image whose manifest has 50 bytes."""
    digest = qs.Blob.synthetic(f"manifest of {name}", 50).digest
    made = qs.Blob.synthetic(f"config of {name}", config)
    return qs.Image(list(layers), made, subject=subject, digest=digest, size=50)


def timeline(registry: qs.Registry, references: list[str]) -> list[Row]:
    """Return what a deletion and the kind's collection do, times from now; the deletion itself is tried elsewhere."""
    rows = registry.preview(delete=references).timeline
    return [(row.at - registry.now, row.charged_bytes, row.reported_bytes, row.stored_bytes) for row in rows]


def settle(registry: qs.Registry) -> tuple[int, int, int]:
    """Let all that comes back come back; return what is charged, shown and stored then."""
    for _ in range(2):
        registry.advance("60d")
        if registry.profile.collection == "manual":
            registry.apply(registry.plan_gc())
    usage = registry.usage()
    return usage.charged_bytes, usage.reported_bytes, usage.stored_bytes


def per_kind(expected: dict[str | tuple[str, ...], object]) -> dict[str, object]:
    """Return a table with one row for each kind, and none missing."""
    found = {}
    for kinds, value in expected.items():
        found |= dict.fromkeys((kinds,) if isinstance(kinds, str) else kinds, value)
    assert sorted(found) == KINDS
    return found


# -- ten images on one base: nine go, then the tenth

# A base of 1,000, and for each image a layer of 10, a config of 3 and a manifest of 50: 1,630 on disk, 1,063 with one
# image left. Layers alone are 1,100 and 1,010; layers and configs 1,130 and 1,013.
TEN = {
    # The manifest goes with its tag; display and disk follow within minutes, five are assumed.
    ACR: (
        [(0, 1063, 1630, 1630), (5 * MINUTE, 1063, 1063, 1063)],
        [(0, 0, 1063, 1063), (5 * MINUTE, 0, 0, 0)],
    ),
    # The digest is deleted in the tag's stead; the disk, which is all that counts, waits for garbage-collect.
    "distribution-2.8": (
        [(0, 1630, 1630, 1630), (0, 1063, 1063, 1063)],
        [(0, 1063, 1063, 1063), (0, 0, 0, 0)],
    ),
    # A tag goes and no more: untagged revisions are roots of garbage-collect.
    "distribution-3": ([(0, 1630, 1630, 1630)], [(0, 1630, 1630, 1630)]),
    # With its last tag the image goes; a day is assumed for display and disk. Layers only.
    "ecr": (
        [(0, 1010, 1100, 1630), (DAY, 1010, 1010, 1063)],
        [(0, 0, 1010, 1063), (DAY, 0, 0, 0)],
    ),
    # A tag goes and no more: untagged images stay without a cleanup policy. Layers only.
    "gar": ([(0, 1100, 1100, 1630)], [(0, 1100, 1100, 1630)]),
    # What no tag reaches is not counted, from then on; groups show it 5 minutes later; a day until the manifest is
    # reviewed, and another until its blobs are. Layers only.
    "gitlab": (
        [(0, 1010, 1100, 1630), (5 * MINUTE, 1010, 1010, 1630), (2 * DAY, 1010, 1010, 1063)],
        [(0, 0, 1010, 1063), (5 * MINUTE, 0, 0, 1063), (2 * DAY, 0, 0, 0)],
    ),
    # Usage is recomputed when the artifact is deleted; its blobs must have been idle for 2 hours when GC is run.
    "harbor": (
        [(0, 1063, 1063, 1630), (2 * HOUR, 1063, 1063, 1063)],
        [(0, 0, 0, 1063), (2 * HOUR, 0, 0, 0)],
    ),
    # The tag ends, and for two weeks it can be brought back; then the manifest goes with its blobs. No manifests.
    "quay": (
        [(0, 1130, 1130, 1630), (14 * DAY, 1013, 1013, 1063)],
        [(0, 1013, 1013, 1063), (14 * DAY, 0, 0, 0)],
    ),
    "refcount": ([(0, 1063, 1063, 1063)], [(0, 0, 0, 0)]),
    # The tag goes, an hour later the untagged manifest, and with the next pass, an hour at most, its blobs.
    "zot": (
        [(0, 1630, 1630, 1630), (2 * HOUR, 1063, 1063, 1063)],
        [(0, 1063, 1063, 1063), (2 * HOUR, 0, 0, 0)],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_nine_of_ten_images_on_one_base_and_then_the_tenth(kind):
    nine, tenth = per_kind(TEN)[kind]
    registry = qs.Registry(kind, start=START)
    base = qs.Blob.synthetic("base", 1000)
    for number in range(10):
        own = qs.Blob.synthetic(f"own {number}", 10)
        assert registry.push(f"team/app:v{number}", image(f"app {number}", [base, own], 3)).accepted
    registry.advance("30d")
    tags = [f"team/app:v{number}" for number in range(10)]
    assert timeline(registry, tags[:9]) == nine
    registry.delete(*tags[:9])
    assert settle(registry) == nine[-1][1:]
    assert timeline(registry, tags[9:]) == tenth
    registry.delete(tags[9])
    assert settle(registry) == tenth[-1][1:]


@pytest.mark.parametrize("kind", ["distribution-3", "gar"])
def test_where_deleting_by_tag_leaves_the_image_deleting_the_untagged_takes_it(kind):
    registry = qs.Registry(kind, start=START)
    registry.push("team/app:v1", image("app", [qs.Blob.synthetic("layer", 1000)], 3))
    (hazard,) = registry.hazards(delete=["team/app:v1"])
    assert (hazard.kind, hazard.severity, hazard.affected) == ("manifest-left", "informational", ("team/app:v1",))
    registry.delete("team/app:v1")
    assert settle(registry)[2] == 1053
    assert registry.delete("team/app@untagged").deleted
    assert settle(registry) == (0, 0, 0)


# -- the experiment of 1 GiB

BIG = 2**30 + 83_479  # random bytes under gzip are a little more than they are
# Beside BIG the image 1gb:latest has the base of 3,000, which library/alpine has too, an empty layer of 32, which only
# the namespace tools has, a config of 5 and a manifest of 50. First: by how much the charge rises.
ONE_GIB = {
    # Once in the registry: neither base nor empty layer is new.
    ACR: (BIG + 55, [(0, 0, BIG + 55, BIG + 55), (5 * MINUTE, 0, 0, 0)]),
    "distribution-2.8": (BIG + 55, [(0, BIG + 55, BIG + 55, BIG + 55), (0, 0, 0, 0)]),
    "distribution-3": (BIG + 55, [(0, BIG + 55, BIG + 55, BIG + 55)]),
    # Layers, once in a repository: the base counts again.
    "ecr": (BIG + 3032, [(0, 0, BIG + 3032, BIG + 55), (DAY, 0, 0, 0)]),
    # Layers, once in a namespace: the empty layer is new there.
    "gar": (BIG + 32, [(0, BIG + 32, BIG + 32, BIG + 55)]),
    "gitlab": (BIG + 32, [(0, 0, BIG + 32, BIG + 55), (5 * MINUTE, 0, 0, BIG + 55), (2 * DAY, 0, 0, 0)]),
    # Everything, once in a project.
    "harbor": (BIG + 87, [(0, 0, 0, BIG + 55), (2 * HOUR, 0, 0, 0)]),
    # Layers and configs, once in an organisation.
    "quay": (BIG + 37, [(0, BIG + 37, BIG + 37, BIG + 55), (14 * DAY, 0, 0, 0)]),
    "refcount": (BIG + 55, [(0, 0, 0, 0)]),
    "zot": (BIG + 55, [(0, BIG + 55, BIG + 55, BIG + 55), (2 * HOUR, 0, 0, 0)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_experiment_of_one_gibibyte(kind):
    rise, fall = per_kind(ONE_GIB)[kind]
    registry = qs.Registry(kind, start=START)
    base, empty = qs.Blob.synthetic("base", 3000), qs.Blob.synthetic("empty", 32)
    registry.push("alpine:3", image("alpine", [base], 4))
    registry.push("tools/shell:1", image("shell", [base, empty], 4))
    registry.advance("30d")
    before = registry.usage()
    pushed = registry.push("1gb", image("1gb", [base, qs.Blob.synthetic("1 GiB", BIG), empty], 5))
    assert (pushed.accepted, pushed.uploaded_bytes, pushed.deduplicated_bytes) == (True, BIG + 55, 3032)
    assert registry.usage().charged_bytes - before.charged_bytes == rise
    profile = registry.profile
    shown_at_once = rise if profile.report_lag == profile.report_every == 0 else 0
    assert registry.usage().reported_bytes - before.reported_bytes == shown_at_once
    registry.advance("30d")
    assert registry.usage().reported_bytes - before.reported_bytes == rise
    known = (before.charged_bytes, before.charged_bytes, before.stored_bytes)
    rows = timeline(registry, ["1gb"])
    assert [(at, *(now - was for now, was in zip(row, known, strict=True))) for at, *row in rows] == fall
    registry.delete("1gb")
    left = settle(registry)
    assert tuple(now - was for now, was in zip(left, known, strict=True)) == fall[-1][1:]


# -- deleting all untagged manifests of a repository

# multi is an index of 20 over the untagged amd64 (a layer of 200, a config of 4) and arm64 (300, 5); now is an image
# (400, 6) that took the tag of old (100, 3); signature (7, 2) refers to now. Manifests have 50 each. For each kind:
# what is left linked in the end, what the kind refuses, and what is charged and stored in the end.
ALL, CHILDREN = {"multi", "amd64", "arm64", "now"}, ["amd64", "arm64"]
UNTAGGED = {
    # Nothing protects the children: the tagged index breaks (acr-cli#131).
    ACR: ({"multi", "now"}, [], 476, 476),
    # Their layers go; a collection keeps the children's own bytes, which the index names.
    ("distribution-2.8", "distribution-3"): ({"multi", "now"}, [], 576, 576),
    # The children of an index that stays are refused. 200 + 300 + 400 in layers.
    ("ecr", "gar", "gitlab"): (ALL, CHILDREN, 900, 1085),
    "harbor": (ALL, CHILDREN, 1085, 1085),
    "zot": (ALL, CHILDREN, 1085, 1085),
    # There is no tag to end: old goes two weeks after it lost its own, a referrer never does.
    "quay": (ALL | {"signature"}, [], 924, 1144),
    # old went when it lost its tag; the children are deleted.
    "refcount": ({"multi", "now"}, [], 476, 476),
}


@pytest.mark.parametrize("kind", KINDS)
def test_deleting_all_untagged_manifests_of_a_repository(kind):
    linked, refused, charged, stored = per_kind(UNTAGGED)[kind]
    registry = qs.Registry(kind, start=START)
    old, now, amd64, arm64 = (
        image(name, [qs.Blob.synthetic(f"layer of {name}", layer)], config)
        for name, layer, config in (("old", 100, 3), ("now", 400, 6), ("amd64", 200, 4), ("arm64", 300, 5))
    )
    signature = image("signature", [qs.Blob.synthetic("layer of signature", 7)], 2, subject=now)
    multi = qs.Index([amd64, arm64], digest=qs.Blob.synthetic("multi", 20).digest, size=20)
    registry.push("team/app:1", old)
    registry.push("team/app:1", now)
    registry.push(f"team/app@{signature.digest}", signature)
    registry.push_index("team/app:multi", multi)
    names = {
        made.digest: name
        for name, made in {
            "old": old,
            "now": now,
            "amd64": amd64,
            "arm64": arm64,
            "signature": signature,
            "multi": multi,
        }.items()
    }
    hazards = registry.hazards(delete=["team/app@untagged"])
    broken = {"child-of-kept-index", "refused-child"}
    blocking = {hazard.kind for hazard in hazards if hazard.severity == "blocking" and hazard.kind in broken}
    assert blocking == ({"refused-child"} if refused else set() if kind == "quay" else {"child-of-kept-index"})
    result = registry.delete("team/app@untagged")
    assert sorted(names[reference.partition("@")[2]] for reference in result.refused) == refused
    left = settle(registry)
    there = set()
    for digest, name in names.items():
        try:
            registry.pull(f"team/app@{digest}")
        except qs.UnknownReference:
            continue
        there.add(name)
    assert there == linked
    assert left == (charged, charged, stored)
