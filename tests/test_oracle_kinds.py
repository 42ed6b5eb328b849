"""The oracle's rules in which kinds differ, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from .oracle import Blob, GcRules, Locked, OracleRegistry, Refused, Rules, image, index

TOP = Blob("top", 5)


def automatic(**changes: object) -> Rules:
    return Rules(**{"collection": "automatic", "untagged_after": 10, "sweep_after": 0, **changes})


def signed(rules: Rules) -> OracleRegistry:
    """Return an image of 1 and its signature of 100, both tagged."""
    registry = OracleRegistry(rules)
    registry.push("app", image("leaf", 1, []), "1")
    registry.push("app", image("signature", 100, [], subject="leaf"), "sig")
    return registry


@pytest.mark.parametrize(
    ("referrers", "after_the_subject", "after_both"),
    [("ignore", 100, 0), ("follow", 100, 0), ("pin", 101, 0), ("stay", 100, 100), ("stay and pin", 101, 101)],
)
def test_what_untagging_a_subject_and_then_its_referrer_leaves(referrers, after_the_subject, after_both):
    registry = signed(automatic(referrers=referrers))
    registry.untag("app", "1")
    registry.advance(30)
    assert registry.unique_bytes() == after_the_subject
    registry.untag("app", "sig")
    registry.advance(30)
    assert registry.unique_bytes() == after_both


def test_a_pinned_subject_waits_from_the_loss_of_its_last_referrer():
    registry = signed(automatic(referrers="pin"))
    registry.untag("app", "1")
    registry.advance(30)
    registry.delete("app", "signature")
    registry.advance(9)
    assert registry.unique_bytes() == 1
    registry.advance(1)
    assert registry.unique_bytes() == 0


@pytest.mark.parametrize(
    ("referrers", "removed"),
    [
        ("ignore", {"leaf", "loose"}),
        ("follow", {"leaf", "loose"}),
        ("pin", {"loose"}),
        ("stay", {"leaf"}),
        ("stay and pin", set()),
        ("depend", {"leaf", "loose", "signature"}),
    ],
)
def test_what_a_collection_keeps_of_a_tagged_referrers_subject_and_of_an_untagged_referrer(referrers, removed):
    registry = signed(Rules())
    registry.untag("app", "1")
    registry.push("app", image("loose", 1000, [], subject="nowhere"))
    plan = registry.plan_gc(GcRules("TAGS", referrers=referrers))
    assert plan.removed == {("app", digest) for digest in removed}


def test_an_untagged_push_waits_only_where_the_rules_say_so():
    for waits, left in ((True, 0), (False, 1)):
        registry = OracleRegistry(automatic(collects_untagged_pushes=waits))
        registry.push("app", image("leaf", 1, []))
        registry.advance(9)
        assert registry.unique_bytes() == 1
        registry.advance(1)
        assert registry.unique_bytes() == left


@pytest.mark.parametrize(
    ("rule", "after_one", "after_two"),
    [("manifest", 0, 0), ("resolve", 0, 0), ("tag", 1, 1), ("last tag", 1, 0), ("expire", 1, 1)],
)
def test_what_deleting_one_tag_and_then_the_other_leaves(rule, after_one, after_two):
    registry = OracleRegistry(Rules(delete_by_tag=rule))
    registry.push("app", image("leaf", 1, []), "1")
    registry.tag("app", "leaf", "2")
    for name, left in (("1", after_one), ("2", after_two)):
        registry.batch([("delete_tag", "app", name, "leaf")])
        assert registry.unique_bytes() == left
    assert registry.tags == {}


def test_a_digest_that_expires_loses_its_tags_and_stays():
    registry = OracleRegistry(automatic(delete_by_tag="expire"))
    registry.push("app", image("leaf", 1, []), "1")
    registry.delete("app", "leaf")
    assert (registry.tags, registry.unique_bytes()) == ({}, 1)
    registry.advance(10)
    assert registry.unique_bytes() == 0


def test_children_go_along_that_have_no_tag_and_no_other_index():
    registry = OracleRegistry(Rules(children_go=True))
    for number, name in enumerate(("own", "tagged", "shared", "locked")):
        registry.push("app", image(name, 10**number, []))
    registry.push("app", index("inner", 10_000, ["own", "tagged"]))
    registry.push("app", index("outer", 100_000, ["inner", "shared", "locked"]), "1")
    registry.push("app", index("other", 1_000_000, ["shared"]), "2")
    registry.tag("app", "tagged", "3")
    registry.lock("app", "locked", delete=False)
    registry.delete("app", "outer")
    assert registry.unique_bytes() == 1_000_000 + 1000 + 100 + 10


@pytest.mark.parametrize(
    ("rules", "digest", "rule"),
    [
        (Rules(keeps_children=True), "leaf", "child"),
        (Rules(most_tags_on_delete=1), "list", "tags"),
        (Rules(immutable_tags="keep"), "list", "immutable"),
    ],
)
def test_a_deletion_that_is_refused_changes_nothing(rules, digest, rule):
    registry = OracleRegistry(rules)
    registry.push_all("app", [image("leaf", 1, []), index("list", 10, ["leaf"])], "1")
    registry.tag("app", "list", "2")
    with pytest.raises(Refused, match=rule):
        registry.delete("app", digest)
    assert registry.unique_bytes() == 11
    assert len(registry.tags) == 2
    registry.delete_repository("app")  # a whole repository is refused by locks alone
    assert registry.unique_bytes() == 0


def test_the_index_before_its_child_lets_the_child_go():
    registry = OracleRegistry(Rules(keeps_children=True))
    registry.push_all("app", [image("leaf", 1, []), index("list", 10, ["leaf"])], "1")
    with pytest.raises(Refused):
        registry.batch([("delete", "app", "leaf"), ("delete", "app", "list")])
    registry.batch([("delete", "app", "list"), ("delete", "app", "leaf")])
    assert registry.unique_bytes() == 0


def test_an_immutable_tag_does_not_move_and_may_have_to_stay():
    for setting, goes in (("move", True), ("keep", False)):
        registry = OracleRegistry(Rules(immutable_tags=setting))
        assert registry.push("app", image("one", 1, []), "1")
        assert registry.push("app", image("one", 1, []), "1")
        assert not registry.push("app", image("two", 10, []), "1")
        assert registry.unique_bytes() == 1
        if goes:
            registry.untag("app", "1")
        else:
            with pytest.raises(Refused):
                registry.untag("app", "1")


def test_a_lock_is_looked_at_before_the_kinds_own_rules():
    registry = OracleRegistry(Rules(most_tags_on_delete=0))
    registry.push("app", image("one", 1, []), "1")
    registry.lock("app", "tag", "1", delete=False)
    with pytest.raises(Locked):
        registry.delete("app", "one")


@pytest.mark.parametrize(
    ("drops", "early", "late"),
    [
        ("never", set(), set()),
        ("unmarked", set(), {("app", "top")}),
        ("idle", {("app", "base")}, {("app", "base"), ("app", "top")}),
    ],
)
def test_which_links_of_blobs_a_collection_drops(drops, early, late):
    registry = OracleRegistry(Rules())
    registry.push("other", image("m", 1, [Blob("base", 50)]), "1")
    registry.upload("app", Blob("base", 50))
    registry.advance(4)
    registry.upload("app", TOP)
    policy = GcRules("TAGS", grace=4, drops_blob_links=drops)
    assert registry.plan_gc(policy).unlinked == early
    registry.advance(4)
    plan = registry.plan_gc(policy)
    assert (plan.unlinked, plan.swept) == (late, {"top"})
    registry.apply(plan)
    assert registry.blob_links == {("app", "base"), ("app", "top")} - late
