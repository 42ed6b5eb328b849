"""The oracle against numbers worked out by hand: small sizes, all different: a sum tells its parts."""

from __future__ import annotations

import pytest

from .oracle import (
    Blob,
    GcRules,
    Locked,
    NotThere,
    OracleRegistry,
    Row,
    Rules,
    exclusive_bytes,
    image,
    index,
    namespace_of,
    rows,
)

BASE, TOP, ODD = Blob("base", 7), Blob("top", 5), Blob("odd", None)
FAR = Blob("far", 1000, foreign=True)
CONFIG = Blob("config", 3)


def two_images(rules: Rules | None = None) -> OracleRegistry:
    """Return `app:1` = base + top and `app:2` = base; the manifests themselves weigh nothing."""
    registry = OracleRegistry(rules or Rules())
    registry.push("app", image("one", 0, [BASE, TOP]), "1")
    registry.push("app", image("two", 0, [BASE]), "2")
    return registry


def tag(repository: str, name: str) -> tuple[str, str, str]:
    return repository, "tag", name


def digest(repository: str, name: str) -> tuple[str, str, str]:
    return repository, "digest", name


# Figures


def test_two_images_sharing_a_layer():
    registry = two_images()
    assert registry.logical_bytes() == 19
    assert registry.unique_bytes() == registry.charged_bytes() == registry.stored_bytes() == 12
    assert exclusive_bytes(registry, [tag("app", "1")]) == 5
    assert exclusive_bytes(registry, [tag("app", "2")]) == 0
    assert exclusive_bytes(registry, [tag("app", "1"), tag("app", "2")]) == 12
    assert rows(registry, "image") == [Row("app:1", 12, 12, 5, 7, 9), Row("app:2", 7, 7, 0, 7, 3)]


def test_a_remainder_goes_a_byte_each_to_the_first_names():
    registry = OracleRegistry(Rules())
    for place, name in enumerate(["c", "a", "b"]):
        registry.push(name, image(f"m{place}", 0, [Blob("eight", 8)]), "t")
    assert {row.name: row.attributed_bytes for row in rows(registry, "repository")} == {
        "a": 3,
        "b": 3,
        "c": 2,
    }


def test_a_repeat_is_listed_twice_and_counted_once():
    registry = OracleRegistry(Rules())
    registry.push("app", image("m", 2, [TOP, BASE, TOP], CONFIG), "1")
    assert registry.listed_bytes() == 2 + 3 + 5 + 7 + 5
    assert registry.logical_bytes() == registry.unique_bytes() == registry.stored_bytes() == 2 + 3 + 7 + 5


def test_one_digest_in_two_repositories_counts_once_in_the_registry_and_once_in_each_of_them():
    rules = Rules(scope="REPOSITORY")
    registry = OracleRegistry(rules)
    for repository in ("team/a", "team/b", "solo"):
        registry.push(repository, image("m", 2, [TOP]), "1")
    assert registry.logical_bytes() == registry.unique_bytes() == 7
    assert registry.charged_by_scope() == {"team/a": 7, "team/b": 7, "solo": 7}
    assert registry.charged_bytes() == 21
    assert registry.basis_bytes("NAMESPACE", "REFERENCED") == {"team": 7, "library": 7}
    assert registry.reference_count("top", "NAMESPACE", "team", "REFERENCED") == 1
    assert registry.reference_count("top", "REGISTRY", "", "REFERENCED") == 1


@pytest.mark.parametrize(("name", "namespace"), [("app", "library"), ("team/app", "team"), ("a/b/c", "a")])
def test_namespace(name, namespace):
    assert namespace_of(name) == namespace


def test_foreign_layers_and_unknown_sizes():
    manifest = image("m", 2, [FAR, ODD, TOP])
    registry = OracleRegistry(Rules())
    registry.push("app", manifest, "1")
    assert (registry.unique_bytes(), registry.foreign_bytes(), registry.unknown_size_count()) == (
        1007,
        1000,
        1,
    )
    assert registry.charged_bytes() == registry.stored_bytes() == 7
    counting = OracleRegistry(Rules(counts_foreign=True, stores_foreign=True))
    counting.push("app", manifest, "1")
    assert counting.charged_bytes() == counting.stored_bytes() == 1007
    assert counting.basis_bytes("REGISTRY", "STORED") == {"": 7}


def test_the_four_bases():
    registry = OracleRegistry(Rules())
    registry.push("app", image("tagged", 1, []), "1")
    registry.push("app", image("untagged", 10, []))
    registry.upload("app", Blob("upload", 100))
    registry.push("app", image("gone", 1000, []))
    registry.delete("app", "gone")
    figures = {basis: registry.basis_bytes("REGISTRY", basis)[""] for basis in ("TAGGED", "REFERENCED", "LINKED")}
    assert figures == {"TAGGED": 1, "REFERENCED": 11, "LINKED": 111}
    assert registry.stored_bytes() == 1111
    assert registry.reference_count("upload", "REGISTRY", "", "LINKED") == 1
    assert registry.reference_count("upload", "REGISTRY", "", "REFERENCED") == 0


def test_tagged_follows_children_of_children_and_never_referrers():
    for referrers in ("ignore", "follow", "cascade"):
        registry = OracleRegistry(Rules(basis="TAGGED", referrers=referrers))
        registry.push("app", image("leaf", 1, []))
        registry.push("app", index("inner", 10, ["leaf"]))
        registry.push("app", index("outer", 100, ["inner"]), "1")
        registry.push("app", image("signature", 1000, [], subject="leaf"))
        assert registry.charged_bytes() == 111


def test_tagged_reaches_a_child_only_where_it_is_linked_in_the_scope():
    for scope, expected in (("REPOSITORY", 10), ("NAMESPACE", 11), ("REGISTRY", 11)):
        registry = OracleRegistry(Rules(scope=scope, basis="TAGGED"))
        registry.push("team/parts", image("leaf", 1, []))
        registry.push("team/app", index("outer", 10, ["leaf"]), "1")
        assert registry.charged_bytes() == expected


def test_configs_and_manifests_can_be_left_out():
    manifest = image("m", 2, [TOP], CONFIG)
    for rules, expected in (
        (Rules(), 10),
        (Rules(counts_config=False), 7),
        (Rules(counts_manifests=False), 8),
        (Rules(counts_config=False, counts_manifests=False), 5),
    ):
        registry = OracleRegistry(rules)
        registry.push("app", manifest, "1")
        assert registry.charged_bytes() == expected


def test_totals_past_two_to_the_sixty_third():
    registry = OracleRegistry(Rules())
    registry.push("app", image("m", 1, [Blob("huge", 2**63 - 2)]), "1")
    registry.push("app", image("n", 1, [Blob("vast", 2**63 - 2)]), "2")
    assert registry.unique_bytes() == registry.charged_bytes() == 2**64 - 2


# Groups


def test_an_index_and_its_child_and_its_signature_are_one_row():
    registry = OracleRegistry(Rules())
    registry.push("app", image("leaf", 1, []))
    registry.push("app", index("list", 10, ["leaf"]), "1")
    registry.push("app", image("signature", 100, [], subject="leaf"))
    assert [(row.name, row.unique_bytes) for row in rows(registry, "image")] == [("app:1", 111)]
    assert exclusive_bytes(registry, [tag("app", "1")]) == 111
    registry.tag("app", "leaf", "amd64")
    assert [(row.name, row.unique_bytes, row.exclusive_bytes) for row in rows(registry, "image")] == [
        ("app:1", 111, 10),
        ("app:amd64", 101, 0),
    ]
    assert exclusive_bytes(registry, [tag("app", "1")]) == 10
    assert exclusive_bytes(registry, [tag("app", "amd64")]) == 101


def test_one_tag_of_two_frees_nothing_and_a_digest_takes_both():
    registry = OracleRegistry(Rules())
    registry.push("app", image("m", 4, []), "b")
    registry.tag("app", "m", "a")
    assert [row.name for row in rows(registry, "image")] == ["app:a"]
    assert exclusive_bytes(registry, [tag("app", "a")]) == 0
    assert exclusive_bytes(registry, [tag("app", "a"), tag("app", "b")]) == 4
    assert exclusive_bytes(registry, [digest("app", "m")]) == 4


def test_a_child_of_two_indexes_goes_with_the_second():
    registry = OracleRegistry(Rules())
    registry.push("app", image("leaf", 1, []))
    registry.push("app", index("first", 10, ["leaf"]), "1")
    registry.push("app", index("second", 100, ["leaf"]), "2")
    assert exclusive_bytes(registry, [tag("app", "1")]) == 10
    assert exclusive_bytes(registry, [tag("app", "1"), tag("app", "2")]) == 111


def test_a_ring_of_child_and_referrer_has_the_index_as_its_root():
    registry = OracleRegistry(Rules())
    registry.push("app", image("leaf", 1, []))
    registry.push("app", index("ring", 10, ["leaf"], subject="leaf"))
    assert [(row.name, row.logical_bytes) for row in rows(registry, "image")] == [("app@ring", 11)]


# Operations


def test_deleting_an_index_leaves_its_children_and_a_cascade_takes_the_referrers():
    for referrers, left in (("ignore", 1 + 100 + 1000), ("cascade", 1)):
        registry = OracleRegistry(Rules(referrers=referrers))
        registry.push("app", image("leaf", 1, []))
        registry.push("app", index("list", 10, ["leaf"]), "1")
        registry.push("app", image("signature", 100, [], subject="list"), "sig")
        registry.push("app", image("countersignature", 1000, [], subject="signature"))
        registry.delete("app", "list")
        assert registry.unique_bytes() == left


def test_an_explicit_link_goes_when_a_manifest_of_the_same_repository_names_the_blob():
    registry = OracleRegistry(Rules())
    registry.upload("app", TOP)
    registry.upload("other", TOP)
    registry.push("app", image("m", 1, [TOP]), "1")
    assert registry.blob_links == {("other", "top")}
    registry.delete_repository("other")
    assert registry.blob_links == set()


def test_stale_blob_links_stay_behind_for_config_and_layers_but_not_for_foreign_ones():
    registry = OracleRegistry(Rules(basis="STORED", stale_blob_links=True))
    registry.push("app", image("m", 1, [TOP, FAR], CONFIG), "1")
    registry.delete("app", "m")
    assert registry.blob_links == {("app", "top"), ("app", "config")}
    assert registry.plan_gc().swept == {"m", "top", "config"}
    assert registry.plan_gc(GcRules(honour_blob_links=True)).swept == {"m"}


def test_a_batch_adds_before_it_drops_and_an_untag_of_a_moved_tag_does_nothing():
    registry = two_images()
    three = image("three", 1, [TOP])
    registry.batch([("untag", "app", "1", "one"), ("untag", "app", "2", "two"), ("push", "app", three, "1")])
    assert registry.tags == {("app", "1", ""): "three"}


def test_a_tag_needs_a_linked_manifest():
    registry = two_images()
    with pytest.raises(NotThere):
        registry.tag("elsewhere", "one", "1")
    with pytest.raises(NotThere):
        registry.untag("app", "3")


def test_the_limit_compares_with_what_the_push_adds():
    manifest, other = image("m", 2, [TOP]), image("n", 3, [TOP])
    for limit, at, expected in ((7, False, True), (7, True, False), (6, False, False)):
        registry = OracleRegistry(Rules(limit=limit, reject_at_limit=at))
        assert registry.push("app", manifest, "1") is expected
        assert registry.charged_bytes() == registry.stored_bytes() == (7 if expected else 0)
    registry = OracleRegistry(Rules(limit=9, scope="REPOSITORY"))
    assert [registry.push(name, manifest, "1") for name in ("a", "b")] == [True, True]
    assert not registry.push("a", other, "2")
    assert registry.push("a", manifest, "2")
    assert registry.stored_bytes() == 7


def test_locks():
    registry = two_images()
    registry.lock("app", "tag", "1", write=False)
    with pytest.raises(Locked):
        registry.tag("app", "two", "1")
    registry.lock("app", "one", delete=False)
    with pytest.raises(Locked):
        registry.delete("app", "one")
    with pytest.raises(Locked):
        registry.delete_repository("app")
    registry.delete("app", "two")
    assert registry.live() == {"one"}


# Time


def test_reported_follows_charged_after_the_lag():
    registry = OracleRegistry(Rules(report_lag=5), start=100)
    registry.push("app", image("m", 3, []), "1")
    registry.advance(4)
    assert (registry.charged_bytes(), registry.reported_bytes()) == (3, 0)
    registry.advance(1)
    assert registry.reported_bytes() == 3


def automatic(**changes: object) -> Rules:
    return Rules(**{"collection": "automatic", "untagged_after": 10, "sweep_after": 3, **changes})


def test_untagged_goes_after_its_wait_and_its_bytes_after_theirs():
    registry = two_images(automatic())
    registry.advance(1)
    registry.untag("app", "1")
    registry.advance(9)
    assert registry.unique_bytes() == 12
    registry.advance(1)
    assert (registry.unique_bytes(), registry.stored_bytes()) == (7, 12)
    registry.advance(3)
    assert registry.stored_bytes() == 7
    assert registry.removals == [(11, ("app", "one"))]
    assert registry.sweeps == [(14, "one"), (14, "top")]


def test_a_push_without_a_tag_is_no_candidate_and_a_new_untag_restarts_the_wait():
    registry = OracleRegistry(automatic())
    registry.push("app", image("m", 3, []))
    registry.advance(100)
    registry.tag("app", "m", "1")
    registry.untag("app", "1")
    registry.advance(6)
    registry.tag("app", "m", "1")
    registry.untag("app", "1")
    registry.advance(9)
    assert registry.charged_bytes() == 3
    registry.advance(1)
    assert registry.charged_bytes() == 0


def test_children_wait_from_the_loss_of_their_last_parent():
    registry = OracleRegistry(automatic())
    registry.push("app", image("leaf", 1, []))
    registry.push("app", index("list", 10, ["leaf"]), "1")
    registry.untag("app", "1")
    registry.advance(10)
    assert registry.charged_bytes() == 1
    registry.advance(10)
    assert registry.charged_bytes() == 0


def test_with_no_wait_an_index_takes_its_children_along_at_once():
    registry = OracleRegistry(automatic(untagged_after=0, sweep_after=0))
    registry.push("app", image("leaf", 1, []))
    registry.push("app", index("list", 10, ["leaf"]), "1")
    registry.push("app", image("other", 100, []), "1")
    assert registry.charged_bytes() == registry.stored_bytes() == 100


def test_a_referrer_waits_for_its_subject_unless_the_rules_ignore_subjects():
    for referrers, left in (("follow", 100), ("ignore", 100 + 1)):
        registry = OracleRegistry(automatic(referrers=referrers))
        registry.push("app", image("subject", 10, []), "1")
        registry.push("app", image("signature", 1, [], subject="subject"))
        registry.push("app", image("other", 100, []), "2")
        registry.untag("app", "1")
        registry.advance(20)
        assert registry.charged_bytes() == left


def test_a_locked_candidate_is_passed_over_and_forgotten():
    registry = two_images(automatic())
    registry.lock("app", "one", delete=False)
    registry.untag("app", "1")
    registry.advance(10)
    registry.lock("app", "one")
    registry.advance(100)
    assert registry.charged_bytes() == 12


def test_an_upload_is_swept_only_when_its_link_has_gone():
    registry = OracleRegistry(automatic())
    registry.upload("app", TOP)
    registry.advance(100)
    assert registry.stored_bytes() == 5
    registry.delete_repository("app")
    assert registry.stored_bytes() == 5
    registry.advance(registry.rules.sweep_after)
    assert registry.stored_bytes() == 0


# Garbage collection


def collected(policy: GcRules) -> tuple[set[str], set[str]]:
    """Return what a policy removes and sweeps of a tagged index of an index of a signed leaf."""
    registry = OracleRegistry(Rules())
    registry.push("app", image("leaf", 1, [TOP]))
    registry.push("app", index("inner", 1, ["leaf"]))
    registry.push("app", index("outer", 1, ["inner"]), "1")
    registry.push("app", image("signature", 1, [], subject="leaf"))
    registry.advance(10)
    plan = registry.plan_gc(policy)
    return {manifest for _, manifest in plan.removed}, set(plan.swept)


def test_roots_all_keeps_everything_linked():
    assert collected(GcRules()) == (set(), set())


def test_roots_tags_recursive():
    assert collected(GcRules("TAGS")) == ({"signature"}, {"signature"})
    assert collected(GcRules("TAGS", referrers="follow")) == (set(), set())


def test_roots_tags_direct_keeps_only_the_bytes_of_the_index_it_lists():
    gone = {"inner", "leaf", "signature"}
    assert collected(GcRules("TAGS", "direct")) == (gone, {"leaf", "top", "signature"})


def test_grace_keeps_what_is_young():
    assert collected(GcRules("TAGS", grace=11)) == (set(), set())
    assert collected(GcRules("TAGS", grace=10)) == ({"signature"}, {"signature"})


def test_a_plan_frees_what_it_says_and_a_second_one_nothing():
    registry = two_images()
    registry.untag("app", "1")
    plan = registry.plan_gc(GcRules("TAGS"))
    assert (plan.removed, plan.swept, plan.reclaimable_bytes) == ({("app", "one")}, {"one", "top"}, 5)
    registry.apply(plan)
    assert registry.stored_bytes() == 7
    assert registry.plan_gc(GcRules("TAGS")).reclaimable_bytes == 0


def test_a_branch_leaves_its_parent_alone():
    registry = two_images()
    other = registry.branch()
    other.delete_repository("app")
    other.apply(other.plan_gc())
    assert (other.stored_bytes(), registry.stored_bytes()) == (0, 12)
