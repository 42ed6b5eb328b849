"""Collections while the registry goes on: races and faults with their damage, schedules, and runs that are cut off."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace

import pytest

import quotasim as qs
from quotasim.gc.cost import COLLECTORS

from .strategies import DAY, PROFILES, START

LAYER, NEW = qs.Blob.synthetic("layer", 400), qs.Blob.synthetic("new", 300)
CONFIGS = [qs.Blob.synthetic(f"config {number}", 10) for number in range(4)]
OLD = qs.Image([LAYER], CONFIGS[0])
SECOND = qs.Image([LAYER, NEW], CONFIGS[1])
KINDS = sorted(PROFILES)
OVERLOOKING = {
    "distribution-2.8",
    "distribution-3",
    "delete-untagged",
    "linked-namespace",
}  # their runs do not look again


def is_plain(profile):
    """Whether a deletion leaves nothing that holds the image's layers."""
    return profile.immutable_tags != "keep" and not (profile.stale_blob_links and profile.gc.honour_blob_links)


def new(kind="distribution-2.8", **changes):
    return qs.Registry(replace(PROFILES[kind], **changes), start=START)


def doomed(kind="distribution-2.8"):
    """A registry with a deleted image whose bytes are still there, past every grace."""
    waits = dict.fromkeys(WAITS)
    by_tag = PROFILES[kind].delete_by_tag
    registry = new(kind, collection="manual", delete_by_tag="manifest" if by_tag == "expire" else by_tag, **waits)
    registry.push("team/app:kept", qs.Image([], CONFIGS[3]))
    registry.push("team/app:1", OLD)
    if registry.profile.most_tags_on_delete == 0:
        registry.untag("team/app:1")
    registry.delete(f"team/app@{OLD.digest}")
    registry.advance("30d")
    return registry


WAITS = ("untagged_after", "restorable_for", "loose_blobs_after")


# -- races ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if is_plain(PROFILES[kind])])
def test_a_push_during_the_sweep_loses_its_layers_where_a_run_does_not_look_again(kind):
    """distribution#3045, harbor's compare-and-set (research/registry-semantics.md, sections 2 and 3)."""
    registry = doomed(kind)
    run = registry.start_gc()
    assert LAYER.digest in run.plan.swept
    assert registry.push("team/app:2", SECOND).uploaded_bytes < 400 + 300 + 10 + SECOND.size  # it finds the layer there
    run.finish()
    expected = [qs.Damage("team/app", SECOND.digest, ("team/app:2",), (LAYER.digest,))]
    found = registry.damage()
    assert [damage.missing for damage in found] == ([(LAYER.digest,)] if kind in OVERLOOKING else [])
    if kind in OVERLOOKING:
        assert [replace(found[0], tags=("team/app:2",))] == expected
    registry.check()


def test_the_damage_is_healed_by_a_push_and_listed_for_every_manifest_until_then():
    registry = doomed()
    run = registry.start_gc()
    registry.push("team/app:2", SECOND)
    registry.push("web:1", SECOND)
    registry.push("web:2", OLD)
    run.finish()
    lost = {(damage.repository, damage.manifest): damage.missing for damage in registry.damage()}
    assert set(lost) == {("team/app", SECOND.digest), ("web", SECOND.digest), ("web", OLD.digest)}
    assert lost["web", OLD.digest] == tuple(sorted((LAYER.digest, CONFIGS[0].digest, OLD.digest)))
    assert registry.push("other:1", SECOND).uploaded_bytes == 400
    assert [damage.manifest for damage in registry.damage()] == [OLD.digest]
    registry.push("other:2", OLD)
    assert registry.damage() == []


def test_a_registry_that_is_read_only_refuses_what_would_be_lost():
    registry = doomed()
    upload = registry.start_upload("app").upload
    run = registry.start_gc(read_only=True)
    before = registry.usage()
    for refused in (
        registry.push("team/app:2", SECOND),
        registry.upload("team/app", NEW),
        registry.start_upload("team/app"),
        registry.append(upload, 1),
    ):
        assert (refused.accepted, refused.verdict.reason) == (False, "read only")
    for call in (
        lambda: registry.delete("team/app:kept"),
        lambda: registry.untag("team/app:kept"),
        lambda: registry.tag("team/app:kept", "2"),
        lambda: registry.delete_repository("team/app"),
    ):
        with pytest.raises(qs.Locked, match="read only while a collection runs"):
            call()
    assert registry.usage() == before
    assert registry.pull("team/app:kept")
    run.finish()
    assert registry.push("team/app:2", SECOND).accepted
    assert registry.damage() == []
    registry.check()


def test_the_registry_is_read_only_until_the_last_such_run_ends_and_a_branch_never_is():
    registry = doomed()
    one, other = registry.start_gc(read_only=True), registry.start_gc(read_only=True)
    assert registry.branch().push("team/app:2", SECOND).accepted
    one.abort()
    assert not registry.push("team/app:2", SECOND).accepted
    other.finish()
    assert registry.push("team/app:2", SECOND).accepted


@pytest.mark.parametrize("kind", ["distribution-2.8", "harbor", "refcount"])
def test_a_mount_of_a_doomed_blob(kind):
    registry = doomed(kind)
    registry.upload("team/tools", LAYER)
    registry.delete_blob("team/tools", LAYER.digest)
    registry.push("team/web:1", qs.Image([LAYER], CONFIGS[2]))
    registry.delete(f"team/web@{registry.pull('team/web:1')}")
    registry.upload("team/tools", LAYER)
    registry.advance("30d")
    run = registry.start_gc(qs.GcPolicy(rechecks=registry.profile.gc.rechecks))  # it does not honour links of blobs
    assert registry.mount(LAYER, "team/tools", "team/app").accepted
    registry.push("team/app:2", SECOND)
    run.finish()
    assert bool(registry.damage()) == (kind == "distribution-2.8")
    registry.check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_meanwhile_only_a_run_that_does_not_look_again_does_damage(kind, seed):
    drawn = random.Random(f"{kind} {seed}")
    registry = new(kind, collection="manual", delete_by_tag="manifest", immutable_tags="off", **dict.fromkeys(WAITS))
    images = [qs.Image(drawn.sample([LAYER, NEW, *CONFIGS[:2]], 2), CONFIGS[number % 4]) for number in range(8)]
    for number, image in enumerate(images):
        registry.push(f"team/app{number % 2}:{number}", image)
    registry.advance("30d")
    for number in range(0, 8, 2):
        with contextlib.suppress(qs.Refused, qs.UnknownReference):  # the same image may have gone already
            registry.delete(f"team/app0:{number}")
    registry.advance("30d")
    run, other = registry.start_gc(), registry.start_gc()
    for number in range(40):
        what = drawn.randrange(4)
        if what == 0:
            registry.push(f"team/app{number % 2}:{number}", drawn.choice(images))
        elif what == 1:
            registry.advance(drawn.choice(["1s", "3h", "90d"]))
        else:
            chosen = run if what == 2 else other
            if chosen.done < chosen.total:
                chosen.step(drawn.choice([1, 1, 2]))
        registry.check()
    assert not (registry.damage() and registry.profile.gc.rechecks)


def test_a_run_that_looks_again_still_takes_what_it_has_itself_released():
    registry = new("harbor")
    registry.push("team/app:1", OLD)
    registry.untag("team/app:1")
    registry.advance("1d")
    run = registry.start_gc()
    assert run.step().removed == 1  # the untagged artifact, which releases its blobs now
    registry.push("team/web:1", qs.Image([NEW], CONFIGS[2]))
    assert run.finish().freed_stored_bytes == 400 + 10 + OLD.size
    assert registry.damage() == []


# -- faults --------------------------------------------------------------------------------------------


def test_a_run_that_is_aborted_has_freed_what_it_reached_and_the_next_one_takes_the_rest():
    registry = doomed()
    whole = registry.branch()
    freed = whole.apply(whole.plan_gc()).freed_stored_bytes
    run = registry.start_gc()
    first = run.step(2)
    run.abort()
    for act in (run.step, run.finish, run.abort):
        with pytest.raises(qs.RunEnded):
            act()
    assert 0 < first.freed_stored_bytes < freed
    second = registry.apply(registry.plan_gc())
    assert first.freed_stored_bytes + second.freed_stored_bytes == freed
    assert registry.usage() == whole.usage()


def test_two_collectors_at_once_free_each_byte_once():
    registry = doomed()
    one, other = registry.start_gc(), registry.start_gc()
    freed = []
    while one.done < one.total:
        freed += [one.step().freed_stored_bytes, other.step().freed_stored_bytes]
    assert sum(freed) == one.plan.reclaimable_bytes
    assert sum(freed[1::2]) == 0
    assert registry.usage().reclaimable_bytes == 0
    registry.check()


def test_a_clock_that_jumps_makes_nothing_garbage_that_was_not_marked():
    registry = new("harbor")
    registry.push("team/app:1", OLD)
    registry.delete("team/app:1")
    run = registry.start_gc()  # within the window of 2 hours
    registry.advance("900d")
    assert run.finish().freed_stored_bytes == 0
    assert registry.apply(registry.plan_gc()).freed_stored_bytes == 400 + 10 + OLD.size
    with pytest.raises(qs.TimeReversed):
        registry.advance(to="2026-01-01")


def test_every_step_is_caused_by_the_run():
    registry = doomed()
    run = registry.start_gc()
    run.step()
    registry.push("team/web:1", qs.Image([NEW], CONFIGS[2]))
    run.finish()
    events = registry.events()
    start = events.index[events["kind"] == "GC"]
    swept = events[events["kind"] == "SWEEP"]
    assert len(start) == 1
    assert set(swept["cause"]) == {start[0]}
    pushed = events[events["kind"] == "PUSH"].iloc[-1]
    assert swept.index.min() < pushed.name < swept.index.max()
    assert registry.cause_chain(int(swept.index.max())) == [int(swept.index.max()), int(start[0])]


# -- schedules -----------------------------------------------------------------------------------------


def test_a_weekly_run_brings_the_bytes_back_on_its_day_and_a_preview_knows_it(tmp_path):
    registry = new("harbor")
    registry.schedule_gc("7d", first="2026-01-04T02:00")
    registry.push("team/app:1", OLD)
    registry.advance(to="2026-01-04T01:00")
    promise = registry.preview(delete=["team/app:1"])
    whole = 400 + 10 + OLD.size
    falls = {row.at: row.stored_bytes for row in promise.timeline}
    assert falls[qs.parse_time("2026-01-11T02:00", name="at")] == 0  # on the 4th it is an hour old: too young
    assert promise.freed_stored_bytes == whole
    registry.delete("team/app:1")
    registry.save(tmp_path / "snapshot")
    for other in (registry, qs.load(tmp_path / "snapshot"), registry.branch()):
        other.advance(to="2026-01-11T01:59:59")
        assert other.usage().stored_bytes == whole
        other.advance("1s")
        assert other.usage().stored_bytes == 0
    events = registry.events()
    runs = events[events["kind"] == "GC"]["time"]
    assert [str(time) for time in runs] == ["2026-01-04 02:00:00+00:00", "2026-01-11 02:00:00+00:00"]


def test_a_run_that_fails_is_an_event_without_consequences():
    registry = new("distribution-2.8")
    registry.schedule_gc("1d", policy="delete-untagged")
    registry.push(f"app@{OLD.digest}", OLD)  # a repository that never had a tag
    registry.advance("3d")
    assert registry.events()["kind"].tolist()[-3:] == ["GC", "GC", "GC"]
    assert registry.usage().stored_bytes == 400 + 10 + OLD.size
    registry.tag(f"app@{OLD.digest}", "1")
    registry.untag("app:1")
    registry.schedule_gc(None)
    registry.advance("9d")
    assert registry.usage().stored_bytes > 0
    registry.schedule_gc("1d", policy="delete-untagged")
    registry.advance("1d")
    assert registry.usage().stored_bytes == 0


@pytest.mark.parametrize(
    ("kind", "arguments", "name"),
    [
        ("quay", ("1d",), "every"),
        ("harbor", ("0s",), "every"),
        ("harbor", ("soon",), "every"),
    ],
)
def test_a_schedule_that_cannot_be(kind, arguments, name):
    with pytest.raises(qs.InvalidValue, match=name):
        new(kind).schedule_gc(*arguments)
    with pytest.raises(qs.InvalidValue, match="first"):
        new("harbor").schedule_gc("1d", first="2025-12-31")
    with pytest.raises(qs.InvalidValue, match="policy"):
        new("harbor").schedule_gc("1d", policy="delete-untagged")


# -- runs that take time -------------------------------------------------------------------------------


def test_a_run_that_is_cut_off_after_ten_minutes_has_freed_what_the_estimate_says():
    registry = new("harbor")
    for number in range(40):
        registry.push(f"team/app:{number}", qs.Image([qs.Blob.synthetic(f"layer {number}", 1000 + number)], CONFIGS[0]))
        registry.untag(f"team/app:{number}")
    registry.advance("1d")
    slow = replace(COLLECTORS["harbor"].sweep, delete=10_000_000)  # 10 s a deletion, as harbor#21443 reports
    estimate = registry.estimate_gc(replace(COLLECTORS["harbor"], sweep=slow))
    cut = estimate.after(qs.parse_duration("600s"))
    assert not cut.finished
    run = registry.start_gc()
    freed = run.step(cut.manifests + cut.blobs)
    assert (freed.removed, freed.swept, freed.freed_stored_bytes) == (cut.manifests, cut.blobs, cut.freed_bytes)
    assert (cut.manifests, cut.blobs > 0) == (40, True)
    rest = run.finish()
    assert freed.freed_stored_bytes + rest.freed_stored_bytes == run.plan.reclaimable_bytes
    assert estimate.after(estimate.total).freed_bytes == run.plan.reclaimable_bytes
    assert registry.now - DAY == qs.parse_time(START, name="start")  # an estimate lets no time pass


# -- workers that take a part at a time, and waits that are drawn ----------------------------------------


def images(count, name):
    return [qs.Image([qs.Blob.synthetic(f"{name} {number}", 100)], CONFIGS[0]) for number in range(count)]


def times_of(registry, kind):
    """When events of a kind happened, microseconds after the registry began."""
    events = registry.events()
    return (
        events[events["kind"] == kind]["time"].dt.as_unit("us").astype("int64") - registry.engine.state.origin
    ).tolist()


def test_quay_collects_ten_manifests_of_one_repository_at_a_time():
    registry = qs.Registry("quay", start=START)
    for repository, count in (("team/app", 25), ("team/web", 5)):
        for number, image in enumerate(images(count, repository)):
            registry.push(f"{repository}:{number}", image)
    registry.delete(*[f"team/app:{number}" for number in range(25)], *[f"team/web:{number}" for number in range(5)])
    half = registry.branch()
    registry.advance("15d")
    assert registry.usage().charged_bytes == 0
    runs = [14 * DAY + run * 30_000_000 for run in range(4)]
    assert times_of(registry, "COLLECT") == [runs[0]] * 10 + [runs[1]] * 10 + [runs[2]] * 5 + [runs[3]] * 5
    half.advance("14d")
    assert len(half.images()) == 20


def test_a_snapshot_taken_within_a_run_goes_on_with_the_next(tmp_path):
    registry = qs.Registry("quay", start=START)
    for number, image in enumerate(images(25, "app")):
        registry.push(f"app:{number}", image)
    registry.delete(*[f"app:{number}" for number in range(25)])
    registry.advance("14d")
    registry.save(tmp_path / "snapshot")
    loaded = qs.load(tmp_path / "snapshot")
    for other in (registry, loaded):
        other.advance("0s")
        assert len(other.images()) == 15
        other.advance("1h")
    assert times_of(registry, "COLLECT") == times_of(loaded, "COLLECT")


@pytest.mark.parametrize("seed", [None, 0, 1, 7])
def test_gitlab_reviews_a_day_later_and_up_to_a_minute_more(seed, tmp_path):
    """Both queues: the manifest's review, and then the blobs'."""
    registry = qs.Registry("gitlab", start=START, seed=seed)
    for number, image in enumerate(images(60, "app")):
        registry.push(f"team/app:{number}", image)
    for number in range(60):
        registry.untag(f"team/app:{number}")
    registry.save(tmp_path / "snapshot")
    again = [qs.load(tmp_path / "snapshot"), registry.branch()]
    registry.advance("1d30s")
    registry.advance("3d")
    collected, swept = times_of(registry, "COLLECT"), times_of(registry, "SWEEP")
    assert (len(collected), len(swept)) == (60, 60 * 2 + 1)
    minute = 60_000_000 if seed is not None else 0
    assert all(DAY <= at <= DAY + minute for at in collected)
    assert all(2 * DAY <= at <= 2 * DAY + 2 * minute for at in swept)
    assert (len(set(collected)) > 50) == (seed is not None)
    assert collected == sorted(collected)
    registry.check()
    for other in again:
        other.advance("4d30s")
        assert times_of(other, "COLLECT") == collected
        assert times_of(other, "SWEEP") == swept


def test_another_seed_draws_other_waits_and_a_new_candidacy_a_new_one():
    found = []
    for seed in (1, 2):
        registry = qs.Registry("gitlab", start=START, seed=seed)
        registry.push("team/app:1", OLD)
        registry.untag("team/app:1")
        registry.advance("1h")
        registry.tag(f"team/app@{OLD.digest}", "2")
        registry.untag("team/app:2")  # which postpones the review
        registry.advance("3d")
        found.append(times_of(registry, "COLLECT"))
        assert DAY + DAY // 24 <= found[-1][0] <= DAY + DAY // 24 + 60_000_000
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"collect_batch": 0, "collect_every": 1}, "collect_batch"),
        ({"collect_batch": 5}, "collect_batch"),
        ({"review_jitter": -1}, "review_jitter"),
    ],
)
def test_workers_that_cannot_be(change, name):
    with pytest.raises(qs.InvalidValue, match=name):
        replace(PROFILES["refcount"], **change)


def test_a_seed_is_a_small_number():
    with pytest.raises(qs.InvalidValue, match="seed"):
        qs.Registry("gitlab", seed=-1)
