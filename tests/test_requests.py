"""Pushes in steps: each request meets the limit where its kind looks at it. Figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

import quotasim as qs
from quotasim.model.log import EventKind

from .strategies import MINUTE, PROFILES, START

KIB = 1024
LAYER = qs.Blob.synthetic("layer", 400)
OTHER = qs.Blob.synthetic("other", 300)
CONFIG = qs.Blob.synthetic("config", 50)


def new(profile="harbor", limit=None):
    return qs.Registry(PROFILES[profile] if isinstance(profile, str) else profile, start=START, limit=limit)


def limit(registry, repository, size):
    """Set the limit of a repository's scope, which is made if it was not there."""
    namespace = repository.split("/")[0]
    if namespace not in registry.charged_by_scope():
        registry.cancel_upload(registry.start_upload(repository).upload)
    scope = list(registry.charged_by_scope()).index(namespace)
    registry.engine.ledger.set_limit(scope, size)


def put(registry, repository, blob):
    """Upload a blob in two requests; returns the second's result."""
    begun = registry.start_upload(repository)
    assert begun.upload is not None
    return registry.finish_upload(begun.upload, blob)


# -- unfinished uploads --------------------------------------------------------------------------------


def test_the_bytes_of_an_unfinished_upload_lie_beside_the_blobs():
    registry = new("distribution-2.8")
    upload = registry.start_upload("team/app").upload
    for sent, received in ((150, 150), ("50 B", 200)):
        assert registry.append(upload, sent).received_bytes == received
    usage = registry.usage()
    assert (usage.upload_bytes, usage.stored_bytes, usage.charged_bytes) == (200, 0, 0)
    assert [(one.upload, one.repository, one.received_bytes) for one in registry.uploads()] == [(0, "team/app", 200)]
    done = registry.finish_upload(upload, LAYER)
    assert (done.accepted, done.uploaded_bytes, done.deduplicated_bytes) == (True, 400, 0)
    usage = registry.usage()
    assert (usage.upload_bytes, usage.stored_bytes, registry.uploads()) == (0, 400, [])
    events = registry.events()
    assert events["upload_bytes"].tolist() == [0, 150, 50, 0, -200]
    assert events["kind"].tolist() == ["BEGIN_UPLOAD", "APPEND", "APPEND", "RESERVE", "UPLOAD"]
    registry.check()


def test_a_cancelled_upload_takes_its_bytes_along():
    registry = new("distribution-2.8")
    upload = registry.start_upload("app").upload
    registry.append(upload, 70)
    assert registry.cancel_upload(upload) == 70
    assert registry.usage().upload_bytes == 0
    for step in (registry.cancel_upload, lambda number: registry.append(number, 1)):
        with pytest.raises(qs.UnknownUpload, match=f"upload {upload} "):
            step(upload)


def test_more_than_the_blob_was_sent():
    registry = new()
    upload = registry.start_upload("app").upload
    registry.append(upload, 401)
    with pytest.raises(qs.InvalidValue, match="at least the 401 bytes"):
        registry.finish_upload(upload, LAYER)


def test_a_collection_leaves_unfinished_uploads_and_the_purge_takes_them_a_week_later():
    """distribution: 168 h old, looked for every 24 h from the start on; research/distribution-2.8-observed.md, s12."""
    registry = new("distribution-2.8")
    registry.push("app:1", qs.Image([LAYER], CONFIG))
    registry.advance("1h")
    upload = registry.start_upload("app").upload
    registry.append(upload, 70)
    registry.apply(registry.plan_gc())
    assert registry.usage().upload_bytes == 70
    registry.advance(to="2026-01-08T23:59:59")  # 168 h old since 01:00, and the run of midnight was too early
    assert registry.usage().upload_bytes == 70
    registry.advance("1s")
    assert registry.usage().upload_bytes == 0
    assert registry.uploads() == []
    last = registry.events().iloc[-1]
    assert (last["kind"], last["upload_bytes"], last["cause"]) == ("PURGE_UPLOAD", -70, 1)


def test_an_administrator_purges_what_is_old_enough():
    registry = new("refcount")
    for _ in range(3):
        registry.append(registry.start_upload("app").upload, 10)
        registry.advance("1h")
    assert registry.purge_uploads("2h") == 20
    assert [one.upload for one in registry.uploads()] == [2]
    assert registry.purge_uploads("2h") == 0


# -- Harbor --------------------------------------------------------------------------------------------


def test_harbor_takes_in_blobs_and_refuses_the_one_that_is_too_much_and_they_count_until_a_collection():
    """harbor#12033: usage stuck near the limit, and no repository to be seen."""
    registry = new("harbor", limit=1000)
    for number in range(2):
        assert put(registry, "team/app", qs.Blob.synthetic(f"layer {number}", 400)).accepted
    refused = put(registry, "team/app", qs.Blob.synthetic("layer 2", 400))
    assert not refused.accepted
    assert str(refused.verdict.refusal) == (
        "403 DENIED: adding 400 B of storage resource, which when updated to current usage of 800 B will exceed the "
        "configured upper limit of 1000 B."
    )
    usage = registry.usage()
    assert (usage.charged_bytes, usage.reported_bytes, usage.stored_bytes) == (800, 800, 800)
    assert len(registry.images()) == 0
    registry.advance("119min")
    assert registry.apply(registry.plan_gc()).freed_charged_bytes == 0
    registry.advance("1min")
    collected = registry.apply(registry.plan_gc())
    assert (collected.freed_charged_bytes, collected.freed_stored_bytes) == (800, 800)
    assert registry.usage().reported_bytes == 0


def test_harbor_refuses_a_post_only_past_the_limit_and_never_a_patch():
    registry = new("harbor", limit=1000)
    put(registry, "team/app", qs.Blob.synthetic("fits", 1000))
    begun = registry.start_upload("team/app")
    assert begun.accepted
    assert registry.append(begun.upload, 100 * KIB).accepted  # nobody looks
    assert registry.usage().upload_bytes == 100 * KIB
    assert not registry.finish_upload(begun.upload, qs.Blob.synthetic("huge", 200 * KIB)).accepted
    assert registry.uploads()[0].received_bytes == 100 * KIB  # it stays, until it is purged
    registry.miscount("team/app", 1000)
    assert not registry.start_upload("team/app").accepted
    assert registry.start_upload("other/app").accepted  # another project


def test_harbor_reserves_what_a_request_will_add_so_that_nothing_overshoots():
    registry = new("harbor", limit=1000)
    uploads = [registry.start_upload("team/app").upload for _ in range(3)]
    blobs = [qs.Blob.synthetic(f"layer {number}", 400) for number in range(3)]
    arrived = [registry.reserve_upload(upload, blob) for upload, blob in zip(uploads, blobs, strict=True)]
    assert [result.accepted for result in arrived] == [True, True, False]
    usage = registry.usage()
    assert (usage.charged_bytes, usage.counted_bytes, usage.reported_bytes) == (0, 800, 800)
    for upload, blob in zip(uploads[:2], blobs[:2], strict=True):
        assert registry.finish_upload(upload, blob).accepted
    usage = registry.usage()
    assert (usage.charged_bytes, usage.counted_bytes) == (800, 800)
    assert registry.cancel_upload(uploads[2]) == 0


def test_harbor_reserves_one_digest_twice_and_is_right_again_after_the_next_deletion():
    """Two uploads of the same digest at a time: research/registry-semantics.md, section 3, inferred there."""
    registry = new("harbor")
    image = qs.Image([OTHER], CONFIG)
    registry.push("team/app:1", image)
    kept = registry.usage().charged_bytes
    uploads = [registry.start_upload("team/app").upload for _ in range(2)]
    for upload in uploads:
        assert registry.reserve_upload(upload, LAYER).accepted
    for upload in uploads:
        assert registry.finish_upload(upload, LAYER).accepted
    usage = registry.usage()
    assert (usage.charged_bytes, usage.counted_bytes) == (kept + 400, kept + 800)
    assert usage.reported_bytes == kept + 800  # and so says the display
    registry.delete("team/app:1")
    usage = registry.usage()
    assert (usage.charged_bytes, usage.counted_bytes, usage.reported_bytes) == (400, 400, 400)
    assert registry.events()["kind"].tolist()[-1] == "RECOUNT"


def test_a_cancelled_upload_gives_back_what_was_reserved():
    registry = new("harbor", limit=1000)
    upload = registry.start_upload("team/app").upload
    registry.reserve_upload(upload, LAYER)
    assert registry.usage().counted_bytes == 400
    registry.cancel_upload(upload)
    assert registry.usage().counted_bytes == 0


def test_harbor_looks_at_a_manifest_with_what_the_project_lacks_of_it():
    image = qs.Image([LAYER], CONFIG)
    registry = new("harbor", limit=450 + image.size - 1)
    for blob in (LAYER, CONFIG):
        put(registry, "team/app", blob)
    with pytest.raises(qs.UnknownBlob):
        registry.put_manifest("team/web:1", image)  # the repository lacks them, though the project does not
    refused = registry.put_manifest("team/app:1", image)
    assert (refused.accepted, refused.verdict.needed_bytes, refused.verdict.used_bytes) == (False, image.size, 450)
    fitting = new("harbor", limit=450 + image.size)  # the limit itself is let in
    for blob in (LAYER, CONFIG):
        put(fitting, "team/app", blob)
    assert fitting.put_manifest("team/app:1", image).accepted
    assert fitting.usage().counted_bytes == fitting.usage().charged_bytes == 450 + image.size


def test_a_copy_is_looked_at_whole_with_its_accessories():
    image = qs.Image([LAYER], CONFIG)
    signature = qs.Image([OTHER], CONFIG, subject=image)
    whole = 400 + 50 + image.size + 300 + signature.size
    for size, accepted in ((whole - 1, False), (whole, True)):
        registry = new("harbor")
        registry.push("one/app:1", image)
        registry.push(f"one/app@{signature.digest}", signature)
        limit(registry, "two/app", size)
        result = registry.copy("one/app:1", "two/app:1")
        assert (result.accepted, result.verdict.used_bytes) == (accepted, 0)
        assert registry.charged_by_scope()["two"] == (whole if accepted else 0)
        assert registry.usage().counted_bytes == registry.usage().charged_bytes
        assert registry.usage().stored_bytes == whole  # no byte is written twice
        if accepted:
            assert (result.uploaded_bytes, result.deduplicated_bytes) == (0, whole)
            assert registry.pull("two/app:1") == image.digest
        registry.check()


def test_a_copy_takes_children_before_their_index_and_a_lock_refuses_it_whole():
    images = {"linux/amd64": qs.Image([LAYER], CONFIG), "linux/arm64": qs.Image([OTHER], CONFIG)}
    registry = new("refcount")
    registry.push_index("app:1", images)
    assert registry.copy("app:1", "team/app:2").accepted
    assert len(registry.df("image")) == 2
    registry.lock("team/app/", write=False)
    before = registry.usage()
    refused = registry.copy("app:1", "team/app:3")
    assert (refused.accepted, refused.verdict.reason, registry.usage()) == (False, "locked", before)
    registry.check()


# -- Quay ----------------------------------------------------------------------------------------------


def test_quay_lets_a_chunk_in_that_it_measures_before_it_is_written():
    registry = new("quay", limit=100)
    begun = registry.start_upload("team/app")
    assert registry.append(begun.upload, 99).accepted
    assert registry.append(begun.upload, 5_000).accepted  # 99 so far, which is less than 100
    refused = registry.append(begun.upload, 1)
    assert (refused.accepted, refused.upload, refused.received_bytes) == (False, None, 0)
    assert str(refused.verdict.refusal) == "403 DENIED: Quota has been exceeded on namespace"
    assert registry.usage().upload_bytes == 0  # the refusal has cancelled it
    last = registry.events().iloc[-1]
    assert (last["kind"], last["reason"], last["upload_bytes"]) == ("REFUSE", "QUOTA", -5_099)


def test_quay_counts_the_unfinished_uploads_of_the_repository_alone():
    registry = new("quay", limit=100)
    first, second = registry.start_upload("team/app").upload, registry.start_upload("team/app").upload
    registry.append(first, 100)
    assert registry.append(registry.start_upload("team/web").upload, 100).accepted
    assert not registry.append(second, 1).accepted


def test_quay_takes_a_manifest_in_and_then_refuses_it():
    """Created and added first, then looked at; an expired hidden tag lets the collector have it."""
    registry = new("quay", limit=600)
    image, second = qs.Image([LAYER], CONFIG), qs.Image([OTHER], CONFIG)
    for blob in (LAYER, CONFIG, OTHER):
        put(registry, "team/app", blob)
    assert registry.usage().charged_bytes == 0  # blobs count with their manifest
    assert registry.put_manifest("team/app:1", image).accepted
    refused = registry.put_manifest("team/app:2", second)
    assert (refused.accepted, refused.verdict.reason) == (False, "quota")
    usage = registry.usage()
    assert (usage.charged_bytes, usage.counted_bytes, usage.limit_bytes) == (750, 750, 600)  # past its limit
    for reference in ("team/app:2", f"team/app@{second.digest}"):
        with pytest.raises(qs.UnknownReference):
            registry.pull(reference)
    registry.advance("29s")
    assert registry.usage().charged_bytes == 750
    registry.advance("1s")
    assert registry.usage().charged_bytes == 450
    kinds = registry.events().set_index("seq")
    last = kinds[kinds["kind"] == "COLLECT"].iloc[-1]
    assert kinds.loc[last["cause"], ["kind", "reason"]].tolist() == ["PUSH", "QUOTA"]
    registry.check()


def test_what_was_refused_and_is_pushed_again_within_the_limit_stays():
    registry = new("quay", limit=600)
    image = qs.Image([LAYER, qs.Blob.synthetic("more", 200)], CONFIG)
    for blob in (*image.layers, CONFIG):
        put(registry, "team/app", blob)
    assert not registry.put_manifest("team/app:1", image).accepted
    limit(registry, "team/app", 10_000)
    assert registry.put_manifest("team/app:1", image).accepted
    registry.advance("1h")
    assert registry.pull("team/app:1") == image.digest


def test_quay_forgets_a_blob_that_no_manifest_named_after_an_hour():
    registry = new("quay")
    put(registry, "team/app", LAYER)
    registry.advance("3599s")
    assert registry.usage().stored_bytes == 400
    registry.advance("1s")
    assert registry.usage().stored_bytes == 0
    assert registry.events()["kind"].tolist()[-2:] == ["UNLINK_BLOB", "SWEEP"]
    put(registry, "team/app", LAYER)
    put(registry, "team/app", CONFIG)
    registry.put_manifest("team/app:1", qs.Image([LAYER], CONFIG))
    registry.advance("2h")
    assert registry.usage().stored_bytes > 450


# -- all kinds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PROFILES)
def test_a_push_in_steps_ends_where_a_push_in_one_piece_does(kind):
    image = qs.Image([LAYER, OTHER], CONFIG)
    one, steps = (new(PROFILES[kind]) for _ in range(2))
    assert one.push("team/app:1", image).accepted
    for blob in (LAYER, OTHER, CONFIG):
        assert put(steps, "team/app", blob).accepted
    assert steps.put_manifest("team/app:1", image).accepted
    for name in ("logical_bytes", "unique_bytes", "charged_bytes", "counted_bytes", "stored_bytes", "upload_bytes"):
        assert getattr(one.usage(), name) == getattr(steps.usage(), name)
    steps.check()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"check_post": "afterwards"}, "check_post"),
        ({"check_put_manifest": "afterwards", "basis": qs.Basis.TAGGED}, "check_put_manifest"),
        ({"reserves": True}, "reserves"),
        ({"recounts": True}, "recounts"),
        ({"backfill": qs.Backfill(1, 1, 1)}, "backfill"),
        ({"restorable_for": MINUTE, "collection": "manual"}, "restorable_for"),
        ({"restorable_for": MINUTE, "untagged_after": MINUTE}, "restorable_for"),
        ({"restorable_for": MINUTE, "untagged_after": None, "children_go": True}, "restorable_for"),
        ({"delete_by_tag": "expire"}, "restorable_for"),
        ({"loose_blobs_after": 1, "collection": "manual"}, "loose_blobs_after"),
        ({"uploads_purged_after": -1}, "uploads_purged_after"),
        ({"report_every": -1}, "report_every"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(change, name):
    with pytest.raises(qs.InvalidValue, match=name):
        replace(PROFILES["refcount"], **change)


def test_a_snapshot_and_a_branch_go_on_with_unfinished_uploads(tmp_path):
    registry = new("harbor", limit=1000)
    upload = registry.start_upload("team/app").upload
    registry.append(upload, 70)
    registry.reserve_upload(upload, LAYER)
    registry.save(tmp_path / "snapshot")
    for other in (registry.branch(), qs.load(tmp_path / "snapshot")):
        assert other.usage() == registry.usage()
        assert other.uploads() == registry.uploads()
        assert other.finish_upload(upload, LAYER).accepted
        assert (other.usage().counted_bytes, other.usage().upload_bytes) == (400, 0)
        other.check()
    assert registry.usage().upload_bytes == 70
    assert EventKind.UPLOAD.name not in registry.events()["kind"].tolist()
