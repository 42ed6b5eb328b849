"""Marking repository by repository: what one set of marks for all does, and pushes while it is filled.

The cases of distribution 3 are read from registry/storage/garbagecollect.go (011b49ce4402), and worked out by hand.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

import quotasim as qs
from quotasim.gc.policy import walk_key

from .strategies import PROFILES, START

LAYER, OTHER, NEW = (qs.Blob.synthetic(name, size) for name, size in (("layer", 400), ("other", 70), ("new", 300)))
CONFIGS = [qs.Blob.synthetic(f"config {number}", 10) for number in range(4)]
IMAGE = qs.Image([LAYER], CONFIGS[0])
SECOND = qs.Image([OTHER], CONFIGS[1])
KINDS = sorted(PROFILES)


def new(kind="distribution-3", **changes):
    return qs.Registry(replace(PROFILES[kind], **changes), start=START)


def untagged(repository, image):
    return f"{repository}@{image.digest}"


# -- one set of marks (distribution 3) -----------------------------------------------------------------


def test_an_untagged_manifest_stays_where_another_repository_tags_it_and_its_links_go_if_that_comes_later():
    registry = new()
    for repository in "abc":
        registry.push(f"{repository}:1", SECOND)  # each has a tag
        registry.push(untagged(repository, IMAGE), IMAGE)
    registry.tag(untagged("b", IMAGE), "2")
    plan = registry.plan_gc("delete-untagged")
    assert (plan.removed, plan.swept) == ((), ())
    assert set(plan.unlinked) == {("a", blob.digest) for blob in (LAYER, CONFIGS[0])}
    registry.apply(plan)
    assert registry.pull(untagged("a", IMAGE)) == IMAGE.digest
    with pytest.raises(qs.UnknownBlob):  # its layers are not in that repository any more
        registry.mount(LAYER, "a", "d")
    assert registry.mount(LAYER, "c", "d").accepted


def test_a_run_takes_the_blob_links_of_what_it_removes():
    registry = new()
    registry.push("a:1", SECOND)
    registry.push(untagged("a", IMAGE), IMAGE)
    before = registry.basis_bytes(qs.Scope.REPOSITORY, qs.Basis.LINKED)
    plan = registry.plan_gc("delete-untagged")
    assert plan.removed == (("a", IMAGE.digest),)
    assert set(plan.unlinked) == {("a", LAYER.digest), ("a", CONFIGS[0].digest)}
    registry.apply(plan)
    after = registry.basis_bytes(qs.Scope.REPOSITORY, qs.Basis.LINKED)
    assert before["a"] - after["a"] == 400 + 10 + IMAGE.size
    assert registry.apply(registry.plan_gc("delete-untagged")) == qs.GcResult(0, 0, 0, 0)


def test_a_stale_link_stays_if_an_earlier_repository_marks_its_blob_and_goes_if_only_a_later_one_does():
    registry = new()
    registry.push("b:1", IMAGE)
    for repository in ("a", "c"):
        registry.upload(repository, LAYER)
        registry.push(f"{repository}:1", SECOND)
    assert registry.plan_gc().unlinked == (("a", LAYER.digest),)


def test_manifests_of_a_repository_that_never_had_a_tag_are_swept_and_stay_linked():
    registry = new()
    registry.push("a:1", SECOND)
    registry.push(untagged("b", IMAGE), IMAGE)
    assert registry.plan_gc().swept == ()
    plan = registry.plan_gc("delete-untagged")
    assert plan.removed == ()
    assert set(plan.swept) == {IMAGE.digest, LAYER.digest, CONFIGS[0].digest}
    registry.apply(plan)
    missing = tuple(sorted((IMAGE.digest, LAYER.digest, CONFIGS[0].digest)))
    assert registry.damage() == [qs.Damage("b", IMAGE.digest, (), missing)]
    registry.check()


def test_a_child_that_another_index_marked_where_it_was_gone_is_not_followed():
    """The index of ``a`` marks the child's name; in ``b``, where the child is, nobody follows it any more."""
    registry = new()
    index = qs.Index([IMAGE])
    registry.push("a:1", index)
    registry.push("b:1", index)
    registry.push("a:2", SECOND)
    registry.delete(untagged("a", IMAGE))
    plan = registry.plan_gc("delete-untagged")
    assert plan.removed == ()
    assert set(plan.swept) == {LAYER.digest, CONFIGS[0].digest}
    registry.apply(plan)
    lost = tuple(sorted((LAYER.digest, CONFIGS[0].digest)))
    assert registry.damage() == [qs.Damage("b", IMAGE.digest, (), lost)]
    # Under a policy that marks each repository for itself nothing is lost.
    whole = new()
    whole.push("b:1", index)
    assert whole.plan_gc(qs.GcPolicy(roots="TAGS")).swept == ()


def test_the_order_of_a_walk():
    names = ["a", "a/0", "a/Z", "a/b", "a-b", "b", "a/b/c", "A"]
    # On a disk: A, a-b, and below a: 0, Z, _layers, b (with _layers, c); a directory comes before what begins with it.
    assert sorted(names, key=walk_key) == ["A", "a/0", "a/Z", "a", "a/b", "a/b/c", "a-b", "b"]


def test_one_set_of_marks_goes_with_recursive_children_and_no_referrers():
    for other in ({"index_children": "direct"}, {"referrers": "follow"}):
        with pytest.raises(qs.InvalidValue, match="marks"):
            qs.GcPolicy(marks="in turn", **other)


# -- pushes while a run marks --------------------------------------------------------------------------


def plain(kind):
    """A kind without collections of its own, refusing nothing."""
    profile = PROFILES[kind]
    waits = dict.fromkeys(("untagged_after", "restorable_for", "loose_blobs_after"))
    gc = replace(profile.gc, grace=0, honour_blob_links=False)
    by_tag = "manifest" if profile.delete_by_tag == "expire" else profile.delete_by_tag
    return new(kind, collection="manual", delete_by_tag=by_tag, gc=gc, **waits)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_pushed_behind_the_walk_is_lost_with_its_new_layers_unless_the_run_looks_again(kind):
    registry = plain(kind)
    for name in "abc":
        registry.push(f"{name}:1", IMAGE)
    marking = registry.start_marking()
    assert marking.waiting() == ("a", "b", "c")
    assert marking.walk(2) == ("a", "b")
    registry.push("b:2", SECOND)
    registry.push("c:2", qs.Image([NEW], CONFIGS[2]))
    run = marking.sweep()
    assert {digest for repository, digest in run.plan.removed} == set()
    assert set(run.plan.swept) == {SECOND.digest, OTHER.digest, CONFIGS[1].digest}
    run.finish()
    lost = () if registry.profile.gc.rechecks else ("b",)
    assert tuple(damage.repository for damage in registry.damage()) == lost
    registry.check()


def test_a_new_repository_is_walked_only_in_a_directory_that_the_walk_has_not_entered():
    """As the real one does (test_distribution_races.py)."""
    registry = new("distribution-2.8")
    registry.push("b:1", IMAGE)
    registry.push("c/old:1", IMAGE)
    marking = registry.start_marking()
    assert marking.walk() == ("b",)
    new_ones = {name: qs.Image([NEW], config) for name, config in zip(("a", "b/x", "c/new", "d"), CONFIGS, strict=True)}
    for name, image in new_ones.items():
        registry.push(f"{name}:1", image)
    assert marking.waiting() == ("c/new", "c/old")
    marking.sweep().finish()
    assert [damage.repository for damage in registry.damage()] == ["a", "b/x", "d"]


def test_what_is_deleted_after_it_was_marked_stays_until_the_next_run():
    registry = new("distribution-2.8")
    registry.push("a:1", IMAGE)
    registry.push("b:1", SECOND)
    marking = registry.start_marking()
    marking.walk()
    registry.delete(untagged("a", IMAGE))
    registry.delete(untagged("b", SECOND))
    assert set(marking.sweep().plan.swept) == {SECOND.digest, OTHER.digest, CONFIGS[1].digest}
    assert IMAGE.digest in registry.plan_gc().swept


def test_a_manifest_that_was_pushed_again_after_it_was_marked_is_passed_over_by_a_run_that_looks_again():
    registry = plain("harbor")
    registry.push("a:1", SECOND)
    registry.push(untagged("a", IMAGE), IMAGE)
    third = qs.Image([NEW], CONFIGS[2])
    registry.push(untagged("a", third), third)
    run = registry.start_gc(qs.GcPolicy(roots="TAGS", rechecks=True))
    assert {digest for _, digest in run.plan.removed} == {IMAGE.digest, third.digest}
    registry.push(untagged("a", IMAGE), IMAGE)  # untagged as before, and new
    assert run.finish().removed == 1
    assert registry.pull(untagged("a", IMAGE)) == IMAGE.digest


def test_marking_that_fails_or_is_given_up_has_ended_and_changed_nothing():
    registry = new("distribution-2.8")
    registry.push("a:1", IMAGE)
    registry.push(untagged("b", SECOND), SECOND)
    before, log = registry.usage(), len(registry.events())
    marking = registry.start_marking("delete-untagged", read_only=True)
    assert marking.walk() == ("a",)
    assert not registry.push("a:2", IMAGE).accepted
    with pytest.raises(qs.CollectionAborted, match="b"):
        marking.walk()
    given_up = registry.start_marking()
    given_up.abort()
    for ended in (marking, given_up):
        for act in (ended.walk, ended.sweep, ended.abort):
            with pytest.raises(qs.RunEnded):
                act()
    assert registry.usage() == before
    assert len(registry.events()) == log + 1  # the push that was refused
    assert registry.push("a:2", IMAGE).accepted
    with pytest.raises(qs.InvalidValue, match="count"):
        registry.start_marking().walk(0)
    with pytest.raises(qs.CollectionAborted):
        new("distribution-2.8").start_marking().sweep()


@pytest.mark.parametrize("kind", KINDS)
def test_a_marking_that_nothing_disturbs_finds_what_a_plan_finds(kind):
    registry = plain(kind)
    for number, name in enumerate(("a", "a/0", "b/c", "b")):
        registry.push(f"{name}:1", qs.Image([LAYER, NEW][: number % 3], CONFIGS[number]))
        registry.push(untagged(name, SECOND), SECOND)
    registry.upload("b", qs.Blob.synthetic("loose", 33))
    registry.advance("90d")
    for policy in ("default", *registry.profile.gc_policies):
        plan = registry.plan_gc(policy)
        marking = registry.start_marking(policy)
        while marking.waiting():
            marking.walk()
        run = marking.sweep()
        assert (run.plan.removed, run.plan.unlinked, run.plan.swept) == (plan.removed, plan.unlinked, plan.swept)


# -- referrers that go with their subjects (zot) -------------------------------------------------------


def test_referrers_of_referrers_go_in_one_run_once_the_subject_is_gone_though_tagged():
    """zot, deleteReferrers: pkg/storage/gc/gc.go repeats its rounds until nothing goes."""
    registry = plain("zot")
    signed = qs.Image([LAYER], CONFIGS[0])
    signature = qs.Image([NEW], CONFIGS[1], subject=signed)
    attestation = qs.Image([OTHER], CONFIGS[2], subject=signature)
    registry.push("a:1", signed)
    registry.push("a:sig", signature)
    registry.push(untagged("a", attestation), attestation)
    registry.advance("2h")
    assert registry.plan_gc("delete-referrers").removed == ()
    registry.delete("a:1")
    registry.advance("2h")
    assert registry.plan_gc().removed == (("a", signed.digest),)
    plan = registry.plan_gc("delete-referrers")
    assert {digest for _, digest in plan.removed} == {signed.digest, signature.digest, attestation.digest}
    registry.apply(plan)
    assert registry.usage().stored_bytes == 0
    registry.check()
