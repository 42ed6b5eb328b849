"""Soft delete and the time machine, quarantine, replicas, and the vendor's own counter. Figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

import quotasim as qs

from .strategies import PROFILES, START

LAYER, OTHER = qs.Blob.synthetic("layer", 400), qs.Blob.synthetic("other", 300)
IMAGE = qs.Image([LAYER], qs.Blob.synthetic("config", 50))
SECOND = qs.Image([OTHER], qs.Blob.synthetic("config", 50))
KEEPING = replace(PROFILES["acr-premium"], restorable_for=qs.parse_duration("7d"))


def new(profile):
    return qs.Registry(PROFILES[profile] if isinstance(profile, str) else profile, start=START)


# -- soft delete: ACR ----------------------------------------------------------------------------------


def test_acr_keeps_bills_and_purges_what_is_deleted():
    """Billed as active storage; purged by a run every 24 h once 7 days have passed."""
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.tag("app:1", "2")
    before = registry.usage()
    registry.advance("1h")
    deleted = registry.delete("app:1")
    assert (deleted.freed_charged_bytes, deleted.freed_stored_bytes) == (0, 0)
    assert sorted(deleted.untagged) == ["app:1", "app:2"]
    usage = registry.usage()
    assert (usage.charged_bytes, usage.stored_bytes) == (before.charged_bytes, before.stored_bytes)
    for reference in ("app:1", f"app@{IMAGE.digest}"):
        with pytest.raises(qs.UnknownReference):
            registry.pull(reference)
    registry.advance(to="2026-01-08T23:59:59")  # 7 days are over at 01:00, and the next run is at midnight
    assert registry.usage().charged_bytes == before.charged_bytes
    registry.advance("1s")
    assert registry.usage().charged_bytes == 0
    registry.advance("5min")
    assert registry.usage().stored_bytes == 0
    assert registry.events()["kind"].tolist()[-4:] == ["COLLECT", "SWEEP", "SWEEP", "SWEEP"]
    with pytest.raises(qs.NotRestorable, match="gone for good"):
        registry.restore("app:1")


def test_a_deleted_manifest_comes_back_with_the_tags_that_are_free():
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.tag("app:1", "2")
    registry.delete("app:1")
    registry.push("app:2", SECOND)
    assert registry.restore(f"app@{IMAGE.digest}") == IMAGE.digest
    assert registry.pull("app:1") == IMAGE.digest
    assert registry.pull("app:2") == SECOND.digest
    registry.advance("30d")
    assert registry.pull("app:1") == IMAGE.digest  # what was restored is not purged
    registry.check()


def test_one_tag_comes_back_and_moves_only_by_force():
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.tag("app:1", "2")
    registry.delete("app:1")
    registry.restore("app:1")
    with pytest.raises(qs.UnknownReference):
        registry.pull("app:2")
    registry.delete("app:1")
    registry.push("app:1", SECOND)
    with pytest.raises(qs.NotRestorable, match="force"):
        registry.restore("app:1")
    registry.restore("app:1", force=True)
    assert registry.pull("app:1") == IMAGE.digest
    assert registry.pull(f"app@{SECOND.digest}") == SECOND.digest


def test_a_lock_and_a_run_forbid_to_restore_and_nothing_is_half_done():
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.delete("app:1")
    registry.lock("app/", write=False, delete=True)
    version = registry.version
    for reference in ("app:1", f"app@{IMAGE.digest}"):
        with pytest.raises(qs.Locked):
            registry.restore(reference)
    assert registry.version == version
    registry.unlock("app/")
    run = registry.start_gc(read_only=True)
    with pytest.raises(qs.Locked, match="collection"):
        registry.restore("app:1")
    run.finish()
    assert registry.restore("app:1") == IMAGE.digest
    fixed = new(replace(KEEPING, immutable_tags="move", immutable_refusal=PROFILES["gar"].immutable_refusal))
    fixed.push("app:1", IMAGE)
    fixed.delete("app:1")
    fixed.push("app:1", SECOND)
    with pytest.raises(qs.ImmutableTagRefused):
        fixed.restore("app:1", force=True)


def test_a_push_of_what_is_deleted_brings_it_back_without_a_byte():
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.delete("app:1")
    assert registry.push("app:3", IMAGE).uploaded_bytes == 0
    registry.advance("30d")
    assert registry.pull("app:3") == IMAGE.digest


def test_referrers_are_hidden_with_their_subject_and_come_back_by_themselves_only():
    signature = qs.Image([OTHER], IMAGE.config, subject=IMAGE)
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.push(f"app@{signature.digest}", signature)
    registry.delete("app:1")
    for digest in (IMAGE.digest, signature.digest):
        with pytest.raises(qs.UnknownReference):
            registry.pull(f"app@{digest}")
    registry.restore("app:1")
    with pytest.raises(qs.UnknownReference):
        registry.pull(f"app@{signature.digest}")
    registry.restore(f"app@{signature.digest}")
    registry.check()


def test_another_kind_does_not_have_what_is_deleted():
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.push("app:2", SECOND)
    registry.delete("app:2")
    other = registry.under("distribution-2.8")
    assert other.usage().stored_bytes == 450 + IMAGE.size
    assert other.usage().unique_bytes == 450 + IMAGE.size
    other.check()


def test_an_untagged_manifest_is_not_deleted_and_stays():
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.untag("app:1")
    registry.advance("60d")
    assert registry.pull(f"app@{IMAGE.digest}") == IMAGE.digest
    with pytest.raises(qs.NotRestorable, match="not deleted"):
        registry.restore(f"app@{IMAGE.digest}")


def test_a_preview_says_when_what_is_deleted_comes_back():
    registry = new(KEEPING)
    registry.push("app:1", IMAGE)
    registry.advance("1h")
    promise = registry.preview(delete=["app:1"])
    whole = 450 + IMAGE.size
    assert promise.freed_charged_bytes == promise.freed_stored_bytes == whole
    at = {row.at: (row.charged_bytes, row.stored_bytes) for row in promise.timeline}
    purge = qs.parse_time("2026-01-09", name="at")
    assert at[purge] == (0, whole)
    assert at[purge + qs.parse_duration("5min")] == (0, 0)


# -- the time machine: Quay ----------------------------------------------------------------------------


def test_quay_restores_a_tag_for_two_weeks():
    registry = new("quay")
    registry.push("team/app:1", IMAGE)
    registry.delete("team/app:1")
    with pytest.raises(qs.UnknownReference):
        registry.pull(f"team/app@{IMAGE.digest}")  # without a tag no client sees it
    registry.advance(to="2026-01-14T23:59:59")
    assert registry.restore("team/app:1") == IMAGE.digest
    registry.advance("60d")
    assert registry.pull("team/app:1") == IMAGE.digest
    registry.delete("team/app:1")
    registry.advance("14d")
    assert registry.usage().charged_bytes == 450  # the worker looks every 30 s
    registry.advance("1s")
    assert registry.usage().charged_bytes == 0
    with pytest.raises(qs.NotRestorable, match="gone for good"):
        registry.restore("team/app:1")


def test_quay_hides_with_the_last_tag_and_what_is_hidden_is_not_refused_for_its_lock():
    registry = new("quay")
    registry.push("team/app:1", IMAGE)
    registry.lock(f"team/app@{IMAGE.digest}", delete=False)
    both = ["team/app:1", f"team/app@{IMAGE.digest}"]
    assert not any(hazard.severity == "blocking" for hazard in registry.hazards(delete=both))
    assert registry.hazards(delete=both[1:])[0].kind == "locked"
    assert registry.delete(*both).untagged == ("team/app:1",)


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("app:1", qs.NotRestorable),
        ("app:9", qs.UnknownReference),
        ("nowhere:1", qs.UnknownRepository),
        (f"app@{SECOND.digest}", qs.UnknownReference),
        ("app@untagged", qs.InvalidReference),
    ],
)
def test_what_was_never_deleted_is_not_restored(reference, error):
    registry = new("quay")
    registry.push("app:1", IMAGE)
    version = registry.version
    with pytest.raises(error):
        registry.restore(reference)
    assert registry.version == version


@pytest.mark.parametrize("kind", ["acr-premium", "harbor", "distribution-3", "ecr", "gar", "zot", "gitlab", "refcount"])
def test_a_kind_that_keeps_nothing_says_so(kind):
    with pytest.raises(qs.NotRestorable, match="keeps nothing"):
        new(kind).restore("app:1")


# -- quarantine and locks against reading --------------------------------------------------------------


def test_what_is_in_quarantine_counts_and_is_not_pulled(tmp_path):
    registry = new(replace(PROFILES["acr-premium"], quarantine=True))
    registry.push("app:1", IMAGE)
    assert registry.usage().charged_bytes == 450 + IMAGE.size
    registry.lock("app:1", write=False)
    registry.unlock(f"app@{IMAGE.digest}")  # which does not end it
    registry.save(tmp_path / "snapshot")
    for other in (registry, qs.load(tmp_path / "snapshot")):
        with pytest.raises(qs.Locked) as refused:
            other.pull("app:1")
        assert refused.value.lock == "quarantine"
        other.release("app:1")
        assert other.pull("app:1") == IMAGE.digest
    registry.unlock("app:1")
    registry.delete("app:1")
    registry.push("app:1", IMAGE)  # new again
    with pytest.raises(qs.Locked):
        registry.pull("app:1")


def test_a_lock_against_reading_forbids_pulls_alone():
    registry = new("acr-premium")
    registry.push("app:1", IMAGE)
    for target in ("app:1", f"app@{IMAGE.digest}", "app/"):
        registry.lock(target, read=False)
        with pytest.raises(qs.Locked, match="against read"):
            registry.pull("app:1")
        registry.tag("app:1", "2")
        registry.unlock(target)
        assert registry.pull("app:1") == IMAGE.digest


# -- replicas ------------------------------------------------------------------------------------------


def test_acr_shows_and_limits_one_copy_and_bills_all():
    registry = new("acr-premium")
    registry.push("app:1", IMAGE)
    registry.set_replicas(3)
    registry.advance("5min")
    usage, whole = registry.usage(), 450 + IMAGE.size
    assert (usage.charged_bytes, usage.reported_bytes, usage.replicated_bytes) == (whole, whole, 3 * whole)
    assert registry.show_usage()["value"] == [
        {"name": "Size", "limit": 500 * 2**30, "currentValue": whole, "unit": "Bytes"},
        {"name": "Geo-replications", "limit": -1, "currentValue": 2, "unit": "Count"},
    ]
    assert registry.branch().usage().replicated_bytes == 3 * whole


@pytest.mark.parametrize(("kind", "count"), [("acr-premium", 0), ("acr-basic", 2), ("harbor", 2), ("ecr", 2)])
def test_a_number_of_replicas_that_the_kind_does_not_have(kind, count):
    with pytest.raises(qs.InvalidValue, match="count"):
        new(kind).set_replicas(count)
    assert new("harbor").usage().replicated_bytes is None


# -- the vendor's counter ------------------------------------------------------------------------------


def test_harbors_counter_drifts_and_is_right_after_a_collection():
    registry = new("harbor")
    registry.push("team/app:1", IMAGE)
    whole = 450 + IMAGE.size
    registry.miscount("team/app", 77)
    usage = registry.usage()
    assert (usage.charged_bytes, usage.counted_bytes, usage.reported_bytes) == (whole, whole + 77, whole + 77)
    registry.untag("team/app:1")
    assert registry.usage().counted_bytes == whole + 77  # untagging counts nothing anew
    registry.apply(registry.plan_gc())
    assert registry.usage().counted_bytes == whole
    registry.miscount("team/app", -whole)
    assert registry.recount() == whole
    with pytest.raises(qs.InvalidValue, match="no less than"):
        registry.miscount("team/app", -whole - 1)


def test_a_limit_sees_the_counter_and_not_the_charge():
    registry = qs.Registry("harbor", start=START, limit=2_000)
    registry.push("team/app:1", IMAGE)
    registry.miscount("team/app", 2_000)
    assert not registry.push("team/app:2", SECOND).accepted
    registry.recount()
    assert registry.push("team/app:2", SECOND).accepted


def test_quays_counter_is_filled_by_and_by_and_refuses_nothing_meanwhile():
    """From 1,800 s on, 100 namespaces every 15 s; changes until then are not counted."""
    profile = replace(PROFILES["quay"], backfill=replace(PROFILES["quay"].backfill, batch=1))
    registry = qs.Registry(profile, start=START, limit=1_000)
    registry = qs.Registry(replace(profile, limit=1_500), start=START)
    for namespace in ("one", "two"):
        registry.push(f"{namespace}/app:1", IMAGE)
    charged = registry.usage().charged_bytes
    assert charged == 2 * 450
    registry.start_backfill()
    assert (registry.usage().counted_bytes, registry.usage().charged_bytes) == (0, charged)
    big = qs.Image([qs.Blob.synthetic("big", 1_400)], IMAGE.config)
    assert registry.push("one/app:2", big).accepted  # 1,850 in all, and the counter says 0
    registry.advance("1799s")
    assert registry.usage().counted_bytes == 0
    with pytest.raises(qs.InvalidValue, match="stand still"):
        registry.miscount("one/app", 1)
    registry.advance("1s")
    assert registry.usage().counted_bytes == 450 + 1_400
    registry.advance("15s")
    assert registry.usage().counted_bytes == registry.usage().charged_bytes == charged + 1_400
    assert not registry.push("one/app:3", SECOND).accepted
    registry.check()


@pytest.mark.parametrize("call", ["recount", "start_backfill"])
def test_a_kind_without_a_counter_has_none_to_count(call):
    with pytest.raises(qs.InvalidValue, match="counter"):
        getattr(new("acr-premium"), call)()
    assert new("acr-premium").usage().counted_bytes is None


# -- displays ------------------------------------------------------------------------------------------


def test_gitlab_shows_what_it_last_computed_for_five_minutes():
    registry = new("gitlab")
    registry.advance("2min")
    registry.push("team/app:1", IMAGE)
    registry.advance("2min59s")
    assert (registry.usage().charged_bytes, registry.usage().reported_bytes) == (400, 0)
    registry.advance("1s")
    assert registry.usage().reported_bytes == 400
    registry.untag("team/app:1")
    assert (registry.usage().charged_bytes, registry.usage().reported_bytes) == (0, 400)
    registry.advance("4min59s")
    assert registry.usage().reported_bytes == 400
    registry.advance("1s")
    assert registry.usage().reported_bytes == 0


def test_gar_refuses_to_delete_what_others_refer_to():
    signature = qs.Image([OTHER], IMAGE.config, subject=IMAGE)
    registry = new("gar")
    registry.push("team/app:1", IMAGE)
    registry.push("team/app:signature", signature)
    registry.untag("team/app:1")
    with pytest.raises(qs.ReferrersRefused) as refused:
        registry.delete(f"team/app@{IMAGE.digest}")
    assert (refused.value.status, refused.value.code) == (400, "GOOGLE_MANIFEST_REFERRING_MANIFEST")
    assert signature.digest in str(refused.value)
    hazard = next(h for h in registry.hazards(delete=[f"team/app@{IMAGE.digest}"]) if h.severity == "blocking")
    assert hazard.kind == "refused-referrers"
