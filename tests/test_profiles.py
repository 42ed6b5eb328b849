"""Profiles as data: every field has its source; and what each kind answers when it refuses or warns."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import get_args

import pytest

import quotasim as qs
from quotasim.profiles import PROFILES, by_name
from quotasim.profiles.base import NOT_SOURCED, Evidence

from . import kinds_table
from .strategies import START

every_kind = pytest.mark.parametrize("kind", sorted(PROFILES))
MIB, GIB = 2**20, 2**30


def image(name: str, size: int) -> qs.Image:
    """Return an image of one layer of its own."""
    return qs.Image([qs.Blob.synthetic(name, size)], qs.Blob.synthetic(f"{name} config", 1))


# -- sources


@every_kind
def test_every_field_of_every_profile_has_a_source(kind):
    profile = PROFILES[kind]
    assert profile.unsourced_fields() == []
    assert set(profile.sources) == {field.name for field in fields(profile)} - NOT_SOURCED
    for source in profile.sources.values():
        assert source.evidence in get_args(Evidence)
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", source.read_on)
        assert source.where
        assert source.note
        if source.evidence == "code":  # a repository at a commit, and a path in it
            assert re.match(r"[\w-]+/[\w-]+ [0-9a-f]{8}, \S", source.where), source.where


def test_a_field_without_a_source_is_found():
    profile = by_name("harbor")
    fewer = {name: source for name, source in profile.sources.items() if name != "warn_at"}
    assert replace(profile, sources=fewer).unsourced_fields() == ["warn_at"]


def test_the_names_are_their_keys_and_none_is_given_twice():
    assert [profile.name for profile in PROFILES.values()] == list(PROFILES)
    assert len({profile.title for profile in PROFILES.values()}) == len(PROFILES)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"delete_by_tag": "refuse"}, "tag_refusal"),
        ({"most_tags_on_delete": 1}, "tags_refusal"),
        ({"immutable_tags": "move"}, "immutable_refusal"),
        ({"warn_at": 101}, "warn_at"),
        ({"most_tags_on_delete": -1}, "most_tags_on_delete"),
    ],
)
def test_a_rule_that_refuses_needs_the_words(changes, name):
    with pytest.raises(qs.InvalidValue) as caught:
        replace(by_name("acr-premium"), **changes)
    assert caught.value.name == name


@every_kind
def test_a_snapshot_keeps_the_profile(kind, tmp_path):
    registry = qs.Registry(kind, start=START)
    registry.save(tmp_path / kind)
    assert qs.load(tmp_path / kind).profile == PROFILES[kind]


# -- limits


@pytest.mark.parametrize(
    ("kind", "accepted"),
    [("harbor", True), ("acr-premium", True), ("quay", False)],
    ids=["harbor refuses above", "acr refuses above (assumed)", "quay refuses at the limit"],
)
def test_the_limit_itself(kind, accepted):
    made = image("app", 1000)
    full = qs.Registry(kind, start=START)
    full.push("team/app:1", made)
    exact = full.usage().charged_bytes
    assert qs.Registry(kind, start=START, limit=exact).push("team/app:1", made).accepted == accepted
    assert qs.Registry(kind, start=START, limit=exact + 1).push("team/app:1", made).accepted
    assert not qs.Registry(kind, start=START, limit=exact - 1).push("team/app:1", made).accepted


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        # As goharbor/harbor#19295 shows it.
        (
            "harbor",
            "403 DENIED: adding 510.7 MiB of storage resource, which when updated to current usage of 10.0 GiB will "
            "exceed the configured upper limit of 10.0 GiB.",
        ),
        ("quay", "403 DENIED: Quota has been exceeded on namespace"),
        ("acr-premium", "The operation is disallowed."),
        ("distribution-2.8", None),  # has no quota: one that is set all the same has no words
    ],
)
def test_what_a_client_sees_who_passes_the_limit(kind, seen):
    registry = qs.Registry(kind, start=START, limit="10 GiB")
    assert registry.push("team/app:1", image("large", 10 * GIB - 10_000)).accepted
    refused = registry.push("team/app:2", image("more", round(510.7 * MIB)))
    assert (refused.accepted, refused.verdict.reason) == (False, "quota")
    assert (None if seen is None else str(refused.verdict.refusal)) == seen


@pytest.mark.parametrize(("size", "warned"), [(84, False), (85, True), (100, True)])
def test_harbor_warns_from_85_per_cent_on(size, warned):
    registry = qs.Registry("harbor", start=START, limit=100_000)
    rest = registry.push("other/app:1", image("probe", 50_000)).verdict.needed_bytes - 50_000
    verdict = registry.push("team/app:1", image("app", size * 1000 - rest)).verdict
    assert verdict.used_bytes + verdict.needed_bytes == size * 1000
    assert (verdict.decision is qs.Decision.WARN) == warned
    assert verdict.reason == ("85 %" if warned else "")
    assert ("at least 85 % of the limit" in str(verdict)) == warned


# -- deletions that kinds refuse


@pytest.mark.parametrize(
    ("kind", "status", "code", "message"),
    [
        ("zot", 405, "DENIED", "requested access to the resource is denied"),
        (
            "gar",
            400,
            "GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE",
            "Manifest is still referenced by one or more parent images: {index}",
        ),
        ("harbor", 412, "VIOLATE_FOREIGN_KEY_CONSTRAINT", "the deleting artifact is referenced by others"),
        ("ecr", 200, "ImageReferencedByManifestList", "Requested image referenced by manifest list: [{index}]"),
        ("gitlab", 409, None, "manifest referenced by a manifest list"),
    ],
)
def test_a_child_of_an_index_is_refused(kind, status, code, message):
    registry = qs.Registry(kind, start=START)
    child = image("amd64", 1000)
    index = registry.push_index("team/app:1", {"linux/amd64": child}).manifest
    # An image says its platform in its index only: the child's digest is the image's.
    child_reference = f"team/app@{child.digest}"
    promise = registry.preview(delete=[child_reference])
    assert [(hazard.kind, hazard.severity) for hazard in promise.hazards] == [("refused-child", "blocking")]
    assert message.format(index=index) in promise.hazards[0].message
    assert (promise.freed_charged_bytes, promise.freed_stored_bytes, promise.deleted) == (0, 0, ())
    with pytest.raises(qs.IndexChildRefused) as caught:
        registry.delete(child_reference)
    error = caught.value
    assert (error.status, error.code, error.message) == (status, code, message.format(index=index))
    # After the index it is let go.
    if kind == "gar":
        registry.untag("team/app:1")
    result = registry.delete(f"team/app@{index}", *([] if kind == "harbor" else [child_reference]))
    assert child_reference in result.deleted


@pytest.mark.parametrize("kind", ["acr-premium", "distribution-2.8", "distribution-3", "refcount"])
def test_a_child_of_an_index_is_deleted_and_the_index_is_broken(kind):
    registry = qs.Registry(kind, start=START)
    child = image("amd64", 1000)
    registry.push_index("team/app:1", {"linux/amd64": child})
    reference = f"team/app@{child.digest}"
    hazards = registry.hazards(delete=[reference])
    assert ("child-of-kept-index", "blocking") in {(hazard.kind, hazard.severity) for hazard in hazards}
    assert registry.delete(reference).deleted == (reference,)


def test_harbor_deletes_the_children_that_nothing_else_needs():
    registry = qs.Registry("harbor", start=START)
    own, tagged, shared = (image(name, 1000) for name in ("own", "tagged", "shared"))
    registry.push_index("team/app:1", {"linux/amd64": own, "linux/arm64": tagged, "linux/s390x": shared})
    registry.push_index("team/app:2", {"linux/s390x": shared})
    registry.push("team/app:arm", tagged)
    hazards = {hazard.kind: hazard for hazard in registry.hazards(delete=["team/app:1"])}
    assert hazards["children-deleted"].affected == (f"team/app@{own.digest}",)
    assert hazards["children-deleted"].severity == "informational"
    assert "400 UNSUPPORTED" in hazards["resolved-tag"].message  # what its registry interface says to a tag
    deleted = registry.delete("team/app:1").deleted
    assert f"team/app@{own.digest}" in deleted
    assert len(deleted) == 2


@pytest.mark.parametrize(
    ("kind", "tags", "status", "code", "message"),
    [
        ("zot", 2, 409, "MANIFEST_INVALID", "manifest invalid"),
        ("gar", 1, 400, "GOOGLE_MANIFEST_DANGLING_TAG", "Manifest is still referenced by tag: v0"),
    ],
)
def test_a_digest_with_too_many_tags_is_refused(kind, tags, status, code, message):
    registry = qs.Registry(kind, start=START)
    made = image("app", 1000)
    for number in range(tags):
        registry.push(f"team/app:v{number}", made)
    reference = f"team/app@{made.digest}"
    assert [hazard.kind for hazard in registry.hazards(delete=[reference]) if hazard.severity == "blocking"] == [
        "refused-tags"
    ]
    with pytest.raises(qs.TaggedManifestRefused) as caught:
        registry.delete(reference)
    assert (caught.value.status, caught.value.code, caught.value.message) == (status, code, message)
    # In the order given: with one tag less it goes.
    assert registry.delete("team/app:v0", reference).deleted == (reference,)


def test_a_kind_that_refuses_a_tag_says_so_and_changes_nothing():
    strict = replace(by_name("distribution-2.8"), delete_by_tag="refuse")
    registry = qs.Registry(strict, start=START)
    made = image("app", 1000)
    registry.push("team/app:1", made)
    before = registry.usage()
    with pytest.raises(qs.TagDeletionRefused) as caught:
        registry.delete("team/app:1")
    assert (caught.value.status, caught.value.code) == (400, "DIGEST_INVALID")
    assert registry.usage() == before
    assert {hazard.kind for hazard in registry.hazards(delete=["team/app:1"])} == {"refused-by-tag"}
    assert registry.delete(f"team/app@{made.digest}").untagged == ("team/app:1",)


def test_ecr_deletes_the_image_with_its_last_tag():
    registry = qs.Registry("ecr", start=START)
    made = image("app", 1000)
    registry.push("app:1", made)
    registry.tag("app:1", "2")
    first = registry.delete("app:1")
    assert (first.deleted, first.untagged) == ((), ("app:1",))
    assert registry.delete("app:2").deleted == (f"app@{made.digest}",)


def test_quay_ends_all_tags_of_a_digest_and_keeps_the_manifest_for_two_weeks():
    registry = qs.Registry("quay", start=START)
    made = image("app", 1000)
    registry.push("team/app:1", made)
    registry.tag("team/app:1", "2")
    charged = registry.usage().charged_bytes
    result = registry.delete(f"team/app@{made.digest}")
    assert (result.deleted, sorted(result.untagged)) == ((), ["team/app:1", "team/app:2"])
    registry.advance("335h")
    assert registry.usage().charged_bytes == charged
    registry.advance("1h")
    assert (registry.usage().charged_bytes, registry.usage().stored_bytes) == (0, 0)


@pytest.mark.parametrize(("kind", "stays"), [("gitlab", True), ("quay", True), ("zot", False)])
def test_a_tagged_referrer_pins_its_subject(kind, stays):
    registry = qs.Registry(kind, start=START)
    made = image("app", 1000)
    signature = qs.Image([qs.Blob.synthetic("signature", 7)], subject=made)
    registry.push("team/app:1", made)
    registry.push("team/app:signature", signature)
    registry.untag("team/app:1")
    registry.advance("60d")
    assert registry.pull("team/app:signature") == signature.digest
    assert (registry.engine.figures()["links"] == 2) == stays


@pytest.mark.parametrize(("kind", "stays"), [("gitlab", False), ("quay", True), ("zot", True)])
def test_an_untagged_referrer_is_collected_or_stays(kind, stays):
    registry = qs.Registry(kind, start=START)
    made = image("app", 1000)
    signature = qs.Image([qs.Blob.synthetic("signature", 7)], subject=made)
    registry.push("team/app:1", made)
    registry.push(f"team/app@{signature.digest}", signature)
    registry.advance("60d")
    assert (registry.engine.figures()["links"] == 2) == stays


# -- immutable tags


@pytest.mark.parametrize(
    ("kind", "setting", "status", "code", "message"),
    [
        (
            "ecr",
            "move",
            400,
            "TAG_INVALID",
            "The image tag '1' already exists in the 'team/app' repository and cannot be overwritten because the "
            "repository is immutable.",
        ),
        (
            "harbor",
            "keep",
            412,
            "PRECONDITION",
            "Failed to process request due to 'team/app:1' configured as immutable.",
        ),
    ],
)
def test_an_immutable_tag_does_not_move(kind, setting, status, code, message):
    registry = qs.Registry(replace(by_name(kind), immutable_tags=setting), start=START)
    first, second = image("one", 1000), image("two", 1000)
    registry.push("team/app:1", first)
    assert registry.push("team/app:1", first).accepted
    refused = registry.push("team/app:1", second)
    assert (refused.accepted, refused.verdict.reason) == (False, "immutable tag")
    assert refused.verdict.refusal == qs.Refusal(status, code, message)
    registry.push("team/app:2", second)
    with pytest.raises(qs.ImmutableTagRefused) as caught:
        registry.tag("team/app:2", "1")
    assert (caught.value.status, caught.value.code, caught.value.message) == (status, code, message)
    if setting == "move":
        registry.untag("team/app:1")
        return
    for refuse in (registry.untag, registry.delete):
        with pytest.raises(qs.ImmutableTagRefused):
            refuse("team/app:1")
    blocking = [hazard.kind for hazard in registry.hazards(delete=["team/app:1"]) if hazard.severity == "blocking"]
    assert blocking == ["refused-immutable"]


# -- what a collection does to links of blobs


def test_harbor_charges_a_refused_pushs_blobs_until_a_collection_two_hours_later():
    # goharbor/harbor#12033: usage near the limit with no repository to be seen.
    registry = qs.Registry("harbor", start=START, limit=10_000)
    registry.upload("team/app", qs.Blob.synthetic("layer", 9_000))
    assert not registry.push("team/app:1", image("app", 5_000)).accepted
    assert registry.usage().charged_bytes == 9_000
    for wait, left in (("119min", 9_000), ("1min", 0)):
        registry.advance(wait)
        registry.apply(registry.plan_gc())
        assert (registry.usage().charged_bytes, registry.usage().stored_bytes) == (left, left)


@pytest.mark.parametrize(("kind", "left"), [("distribution-2.8", 2), ("distribution-3", 0)])
def test_a_collection_of_version_3_takes_the_links_of_what_it_sweeps(kind, left):
    registry = qs.Registry(kind, start=START)
    made = image("app", 1000)
    registry.push("team/app:1", made)
    registry.delete(f"team/app@{made.digest}")
    plan = registry.plan_gc()
    assert len(plan.unlinked) == 2 - left
    registry.apply(plan)
    assert registry.basis_bytes(qs.Scope.REGISTRY, qs.Basis.LINKED)[""] == (1001 if left else 0)
    assert registry.usage().stored_bytes == 0


# -- documentation


def test_the_tables_of_the_page_are_the_profiles(root):
    page = (root / "docs/kinds.md").read_text()
    assert kinds_table.filled(page) == page, "python -m tests.kinds_table makes the tables anew"
    assert all(f"| `{name}` |" in page for name in PROFILES)


@pytest.mark.parametrize(
    ("file", "begin", "end"),
    [
        ("docs/cli.md", "A **PROFILE** is one of", "; [kinds.md]"),
        ("README.md", "Registry kinds:", "plain reference count"),
    ],
)
def test_every_list_of_the_kinds_names_all(root, file, begin, end):
    text = (root / file).read_text()
    listed = text[text.index(begin) :]
    assert set(re.findall(r"`([^`]+)`", listed[: listed.index(end)])) == set(PROFILES)
