"""Blobs without a manifest: uploaded, mounted, deleted; and what a collector sweeps in spite of a manifest."""

from __future__ import annotations

from dataclasses import replace

import pytest

import quotasim as qs
from quotasim.errors import CollectionAborted, UnknownBlob, UnknownReference
from quotasim.registry import load

from .pair import Pair
from .programs import WIDE
from .strategies import CONFIGS, LAYERS, PROFILES, START, WORLD, make_index

BASE = LAYERS[0]
IMAGE, EMPTY = WORLD[0], make_index([])
OUTER = make_index([EMPTY])
OVERLOOKING = qs.GcPolicy(repositories="WITH_BLOBS", honour_blob_links=True)

kinds = pytest.mark.parametrize("name", PROFILES)


def new(profile="distribution-2.8"):
    return qs.Registry(profile, start=START)


@kinds
def test_what_was_swept_in_spite_of_a_manifest_is_not_found_and_comes_back_with_a_push(name):
    pair = Pair(PROFILES[name])
    pair.push("app", IMAGE, "1")
    for tag, thing in (("1", EMPTY), ("2", OUTER)):
        pair.push("web", thing, tag)
    pair.collect(OVERLOOKING)
    assert not pair.oracle.readable() & {("web", EMPTY.digest), ("web", OUTER.digest)}
    for reference in ("web:1", "web:2", f"web@{OUTER.digest}"):
        with pytest.raises(UnknownReference):
            pair.engine.delete(reference)
    pair.ask_for_the_unreadable()
    pair.compare()
    pair.upload("web", 0)  # now the repository is walked, and there is nothing to read
    pair.collect(OVERLOOKING)
    branch = pair.branch()
    for one, repository in ((pair, "web"), (branch, "team/app")):  # where it was, and anywhere
        one.push(repository, EMPTY, "3")
        one.compare()
        one.delete([f"web@{EMPTY.digest}"])
        one.compare()
        one.collect(OVERLOOKING)
        one.compare()
        one.push("team/web", OUTER, None)
        one.compare()
        one.delete_repository("web")
        one.compare()
        one.compare_log()


@kinds
def test_a_policy_that_does_not_honour_sha512_sweeps_what_is_named_so(name):
    registry, image = new(PROFILES[name]), qs.Image([WIDE], CONFIGS[0])
    for _ in range(2):
        registry.push("app:1", image)
        stored = registry.usage().stored_bytes
        plan = registry.plan_gc(qs.GcPolicy(honour_sha512=False))
        assert plan.swept == (WIDE.digest,)
        assert registry.apply(plan).freed_stored_bytes == WIDE.size
        registry.check()
        assert registry.usage().stored_bytes == stored - WIDE.size
        assert registry.plan_gc(qs.GcPolicy(honour_sha512=False)).swept == ()


def test_a_snapshot_and_another_kind_know_what_was_swept_and_what_was_deleted(tmp_path):
    registry = new()
    registry.push("app:1", IMAGE.engine)
    registry.push("web:1", EMPTY.engine)
    registry.apply(registry.plan_gc())
    registry.delete_blob("app", BASE.digest)
    registry.save(tmp_path / "snapshot")
    for other in (load(tmp_path / "snapshot"), registry.branch(), registry.under("acr-premium")):
        assert other.usage().stored_bytes == registry.usage().stored_bytes
        other.check()
        with pytest.raises(UnknownBlob):
            other.mount(BASE, "app", "web")
        with pytest.raises(UnknownReference):
            other.pull("web:1")
        assert other.push("team/app:1", EMPTY.engine).uploaded_bytes == EMPTY.engine.size
        assert other.pull("web:1") == EMPTY.digest
        other.check()


def test_a_mount_sends_nothing_and_holds_the_blob(tmp_path):
    registry = new("refcount")
    registry.push("app:1", IMAGE.engine)
    mounted = registry.mount(BASE.digest, "app", "web")
    assert (mounted.accepted, mounted.manifest, mounted.uploaded_bytes) == (True, BASE.digest, 0)
    assert mounted.deduplicated_bytes == BASE.size
    registry.delete("app:1")
    assert registry.usage().stored_bytes == BASE.size
    with pytest.raises(UnknownBlob) as gone:
        registry.mount(BASE, "app", "web")
    assert (gone.value.repository, gone.value.digest) == ("app", BASE.digest)
    assert registry.delete_blob("web", BASE.digest).freed_stored_bytes == BASE.size


def test_a_deleted_blob_is_held_by_its_manifest_and_given_out_no_more():
    registry = new("refcount")
    registry.push("app:1", IMAGE.engine)
    before = registry.usage()
    assert registry.delete_blob("app", BASE.digest).freed_stored_bytes == 0
    assert registry.usage().stored_bytes == before.stored_bytes
    with pytest.raises(UnknownBlob):
        registry.delete_blob("app", BASE.digest)
    for give_back in (
        lambda: registry.push("app:1", IMAGE.engine),
        lambda: registry.upload("app", BASE),
        lambda: (registry.upload("web", BASE), registry.mount(BASE, "web", "app")),
    ):
        give_back()
        assert registry.mount(BASE, "app", "web").accepted
        registry.delete_blob("app", BASE.digest)


def test_mounts_meet_limits_and_locks_as_uploads_do():
    by_repository = replace(
        PROFILES["refcount"], scope=qs.Scope.REPOSITORY, basis=qs.Basis.LINKED, limit=BASE.size + 500
    )
    registry = new(by_repository)
    for label in ("one", "two"):
        registry.upload(label, qs.Blob.synthetic(label, 600))
    registry.upload("app", BASE)
    assert registry.mount(BASE, "app", "new").accepted
    refused = registry.mount(BASE, "app", "one")
    assert (refused.accepted, refused.verdict.reason, refused.verdict.needed_bytes) == (False, "quota", BASE.size)
    registry.check()
    with pytest.raises(UnknownBlob):
        registry.delete_blob("one", BASE.digest)
    registry.lock("two/", write=False, delete=False)
    assert registry.mount(qs.Blob.synthetic("two", 600), "two", "two").verdict.reason == "locked"
    with pytest.raises(qs.Locked):
        registry.delete_blob("two", qs.Blob.synthetic("two", 600).digest)


def test_a_refused_mount_leaves_a_deleted_blob_deleted():
    registry = new(replace(PROFILES["refcount"], scope=qs.Scope.REPOSITORY, basis=qs.Basis.LINKED, limit=1_000))
    registry.upload("web", BASE)
    registry.upload("app", BASE)
    registry.delete_blob("app", BASE.digest)
    registry.upload("app", LAYERS[1])
    assert not registry.mount(BASE, "web", "app").accepted
    assert registry.engine.state.removed_blob_links()[0].size == 1
    registry.check()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda registry: registry.mount("md5:00", "app", "web"), qs.InvalidDigest),
        (lambda registry: registry.mount(BASE, "App", "web"), qs.InvalidReference),
        (lambda registry: registry.mount(BASE, "app", "Web"), qs.InvalidReference),
        (lambda registry: registry.mount(LAYERS[1], "app", "web"), UnknownBlob),
        (lambda registry: registry.mount(BASE, "nowhere", "web"), UnknownBlob),
        (lambda registry: registry.delete_blob("nowhere", BASE.digest), UnknownBlob),
        (lambda registry: registry.delete_blob("app", IMAGE.digest), UnknownBlob),
        (lambda registry: registry.plan_gc("delete"), qs.InvalidValue),
        (lambda registry: registry.plan_gc("delete-untagged"), CollectionAborted),
    ],
)
def test_a_wrong_call_changes_nothing(call, error):
    registry = new()
    registry.upload("app", BASE)
    registry.push(f"loose@{IMAGE.digest}", IMAGE.engine)
    before = registry.version
    with pytest.raises(error):
        call(registry)
    assert registry.version == before
    registry.check()


def test_policies_have_names():
    profile = PROFILES["distribution-2.8"]
    assert profile.gc_policy("default") is profile.gc
    assert profile.gc_policy("delete-untagged") == replace(profile.gc, roots="TAGS", tagless="fail")
    with pytest.raises(qs.InvalidValue, match="this one is the field gc"):
        replace(profile, gc_policies={"default": qs.GcPolicy()})
    with pytest.raises(qs.InvalidValue, match="default, delete-untagged"):
        profile.gc_policy("delete")
    with pytest.raises(qs.InvalidValue, match="WITH_BLOBS"):
        qs.GcPolicy(repositories="SOME")


def test_a_deletion_at_a_time_seldom_moves_the_links_that_deletions_leave():
    registry = new("distribution-2.8")
    images = [qs.Image([qs.Blob.synthetic(f"layer {number}", 10)]) for number in range(300)]
    for number, image in enumerate(images):
        registry.push(f"app:{number}", image)
    capacities = []
    for image in images:
        registry.delete(f"app@{image.digest}")
        capacities.append(registry.engine.state.read("blob_links").shape[0])
    assert registry.engine.state.explicit_blob_links()[0].size == 301  # and the config of all
    # In proportion to what is there: a table of 300 links, each under two keys, is reached in few steps.
    assert len(set(capacities)) < 25
    assert capacities[-1] < 4 * 600
