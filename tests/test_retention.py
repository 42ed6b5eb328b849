"""Keep rules: what stays, what goes, why, and that a preview promises what then is freed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quotasim as qs
from quotasim import frames
from quotasim.errors import InvalidValue
from quotasim.retention import Evaluator
from quotasim.retention.evaluate import LOCKED, NO_RULE, Fate

from . import keep_rules, oracle
from .pair import Pair
from .strategies import DAY, MINUTE, PROFILES, REPOSITORIES, START, TAGS, WORLD, checked

LAYER = qs.Blob.synthetic("shared", 1_000)


def image(label, size=10):
    return qs.Image([LAYER, qs.Blob.synthetic(label, size)])


def daily(profile="acr-premium", tags=("1", "2", "3", "4"), repository="team/app"):
    """Return a registry in which one tag a day was pushed; the last one a day ago."""
    registry = qs.Registry(profile, start=START)
    for tag in tags:
        registry.push(f"{repository}:{tag}", image(tag))
        registry.advance("1d")
    return registry


def going(registry, *rules, **settings):
    """Return the tags that go, and the number of manifests."""
    found = registry.select(qs.RetentionPolicy(rules, **settings))
    return [registry.engine.names.tag_label(tag) for tag in found.tags.tolist()], found.links.size


pushes = st.tuples(st.integers(0, 1), st.integers(0, len(WORLD) - 1), st.integers(0, len(TAGS)))
steps = st.lists(st.tuples(pushes, st.sampled_from((0, 0, 1, MINUTE, 8 * MINUTE, DAY))), min_size=4, max_size=14)
locks = st.lists(st.integers(0, 99), max_size=2)


@pytest.mark.parametrize("name", PROFILES)
def test_the_oracle_keeps_and_removes_the_same(name):
    """Lives with far more tags than the machine's, so that rules have something to choose from."""
    chosen = set()

    @checked(20)
    @given(steps=steps, locks=locks, first=keep_rules.policies, second=keep_rules.policies)
    def lives(steps, locks, first, second):
        pair = Pair(replace(PROFILES[name], limit=None, included=None))
        for (repository, thing, tag), delay in steps:
            pair.push(REPOSITORIES[repository], WORLD[thing], [*TAGS, None][tag])
            pair.advance(delay)
        for which in locks:
            pair.lock(which, write=True, delete=False)
        for policy in (first, second):
            expected = keep_rules.decision(pair.oracle, policy)
            chosen.update(f"some {part}" for part in ("tags", "manifests") if getattr(expected, part))
            chosen.update(["kept tags"] if len(pair.oracle.tags) > len(expected.tags) else [])
            keep_rules.retain(pair, policy)
            pair.compare()
            pair.advance(DAY)

    lives()
    stays = PROFILES[name].immutable_tags == "keep"
    assert chosen >= ({"kept tags"} if stays else {"kept tags", "some tags", "some manifests"})


@checked(60)
@given(steps=steps, policy=keep_rules.policies, more=keep_rules.rules)
def test_one_more_rule_never_removes_more(steps, policy, more):
    pair = Pair(PROFILES["refcount"])
    for (repository, thing, tag), delay in steps:
        pair.push(REPOSITORIES[repository], WORLD[thing], [*TAGS, None][tag])
        pair.advance(delay)
    before = keep_rules.selected(pair.engine, policy)
    after = keep_rules.selected(pair.engine, replace(policy, keep=(*policy.keep, more)))
    assert after.tags <= before.tags
    # A tag that is kept makes nothing go; one that is not keeps its manifest from being untagged before.
    assert after.manifests <= before.manifests


def test_the_newest_stay():
    registry = daily()
    assert going(registry, qs.KeepNewest(3)) == (["1"], 1)
    assert going(registry, qs.KeepNewest(4)) == ([], 0)
    registry.tag("team/app:1", "1")  # set again: it is the newest now
    assert going(registry, qs.KeepNewest(3)) == (["2"], 1)


def test_of_tags_set_at_one_time_the_first_name_is_the_newer():
    registry = qs.Registry("refcount", start=START)
    for tag in ("b", "c", "a"):
        registry.push(f"app:{tag}", image(tag))
    assert going(registry, qs.KeepNewest(1)) == (["b", "c"], 2)


def test_younger_is_less_than():
    registry = daily()
    assert going(registry, qs.KeepYounger("3d")) == (["1", "2"], 2)
    assert going(registry, qs.KeepYounger(timedelta(days=3, microseconds=1))) == (["1"], 1)


def test_each_repository_counts_by_itself_and_patterns_say_where_a_rule_looks():
    registry = daily(tags=("v1", "v2", "nightly", "v3"))
    registry.push("other/app:v1", image("other"))
    assert going(registry, qs.KeepNewest(1)) == (["v1", "v2", "nightly"], 3)
    assert going(registry, qs.KeepNewest(1, tags="v*")) == (["v1", "v2", "nightly"], 3)
    assert going(registry, qs.KeepNewest(1, tags="v*"), qs.KeepMatching(tags="night*")) == (["v1", "v2"], 2)
    assert going(registry, qs.KeepMatching(repositories="other/*")) == (["v1", "v2", "nightly", "v3"], 4)
    assert going(registry, qs.KeepMatching(tags="V*")) == (["v1", "v2", "nightly", "v3", "v1"], 5)


def test_a_manifest_goes_with_its_last_tag_and_not_before():
    registry = daily(tags=("1", "2"))
    registry.tag("team/app:1", "stable")
    assert going(registry, qs.KeepMatching(tags="stable")) == (["1", "2"], 1)
    result = registry.retain(qs.RetentionPolicy([qs.KeepMatching(tags="stable")]))
    assert result.untagged == ("team/app:1", "team/app:2")
    assert [name.partition("@")[0] for name in result.deleted] == ["team/app"]
    assert registry.images()["tags"].tolist() == ["stable"]


def test_only_tags_go_where_manifests_are_left():
    registry = daily(tags=("1", "2"))
    result = registry.retain(qs.RetentionPolicy([qs.KeepNewest(1)], manifests="leave"))
    assert (result.untagged, result.deleted, result.freed_charged_bytes) == (("team/app:1",), (), 0)


def multi_arch(profile):
    registry = qs.Registry(profile, start=START)
    images = {f"linux/{name}": image(name) for name in ("amd64", "arm64")}
    registry.push_index("app:old", images)
    registry.advance("1d")
    registry.push_index("app:new", {"linux/amd64": images["linux/amd64"], "linux/s390x": image("s390x")})
    registry.advance("1d")
    return registry, images


@pytest.mark.parametrize("profile", ["refcount", "acr-premium", "harbor", "gar", "ecr", "zot"])
def test_an_index_takes_along_what_belongs_to_nothing_else(profile):
    """Where a kind refuses to delete a child of an index, the index goes first."""
    registry, images = multi_arch(profile)
    policy = qs.RetentionPolicy([qs.KeepNewest(1)])
    result = registry.retain(policy)
    assert result.refused == ()
    gone = {name.partition("@")[2] for name in result.deleted}
    assert images["linux/arm64"].digest in gone
    assert images["linux/amd64"].digest not in gone
    assert len(gone) == 2
    registry.check()


def test_the_fates_of_manifests_without_a_tag():
    registry, _ = multi_arch("acr-premium")
    loose, fresh = image("loose"), image("fresh")
    registry.push(f"app@{loose.digest}", loose)
    registry.advance("7d")
    registry.push(f"app@{fresh.digest}", fresh)
    found = registry.select(qs.RetentionPolicy([qs.KeepNewest(1)], untagged_after="7d"))
    counts = {Fate(fate).name: int((found.fate == fate).sum()) for fate in np.unique(found.fate)}
    assert counts == {"BELONGS": 2, "WAITS": 1, "LAST_TAG": 1, "ALONG": 1, "UNTAGGED": 1}
    found = registry.select(qs.RetentionPolicy([qs.KeepNewest(1)]))
    assert (found.fate == Fate.LEFT).sum() == 2
    registry.lock(f"app@{loose.digest}", delete=False)
    found = registry.select(qs.RetentionPolicy([qs.KeepNewest(1)], untagged_after="7d"))
    assert (found.fate == Fate.LOCKED).sum() == 1


def test_a_part_of_an_index_that_stays_is_never_deleted():
    """The index has no tag and is left; its child has lost its own."""
    registry = qs.Registry("refcount", start=START)
    child = image("child")
    registry.push("app:child", child)
    listing = qs.Index([child])
    registry.push(f"app@{listing.digest}", listing)
    registry.advance("1d")
    registry.push("app:new", image("new"))
    result = registry.retain(qs.RetentionPolicy([qs.KeepNewest(1)]))
    assert (result.untagged, result.deleted) == (("app:child",), ())


@pytest.mark.parametrize("target", ["team/app:1", "team/", None])
def test_what_is_locked_stays(target):
    registry = daily(tags=("1", "2"))
    if target is None:
        manifest = registry.images()["manifest"].iloc[0]
        registry.lock(f"team/app@{manifest}", delete=False)
    else:
        registry.lock("team/app/" if target == "team/" else target, delete=False)
    found = registry.select(qs.RetentionPolicy([qs.KeepNewest(1)]))
    assert sorted(found.rule.tolist()) == [LOCKED, 0]
    assert registry.retain(qs.RetentionPolicy([qs.KeepNewest(1)])).untagged == ()


def test_where_tags_must_stay_none_goes():
    profile = replace(qs.Registry("ecr").profile, immutable_tags="keep")
    registry = daily(profile)
    found = registry.select(qs.RetentionPolicy([qs.KeepNewest(1)]))
    assert found.tags.size == found.links.size == 0
    assert found.kept.all()


def test_every_row_has_its_reason():
    registry = daily(tags=("v1", "nightly", "v2"))
    registry.push("app:1", image("app"))
    registry.lock("app:1", delete=False)
    policy = qs.RetentionPolicy([qs.KeepNewest(1, tags="v*"), qs.KeepYounger("1h", tags="v*")])
    frame = frames.selection(registry.engine, registry.select(policy))
    assert frame[["repository", "tag", "kept", "reason"]].astype({"tag": "str"}).fillna("").to_numpy().tolist() == [
        ["app", "1", True, "locked against deletion, or its manifest is"],
        ["team/app", "v2", True, "number 1 of its repository's tags like v* by age; the newest 1 stay"],
        ["team/app", "nightly", False, "no rule looks at it"],
        [
            "team/app",
            "v1",
            False,
            "number 2 of its repository's tags like v* by age; the newest 1 stay; set 3d ago; younger than 1h stays",
        ],
        ["team/app", "", False, "its last tag goes"],
        ["team/app", "", False, "its last tag goes"],
    ]
    assert frame["at"].dt.strftime("%d").tolist() == ["04", "03", "02", "01", "04", "04"]


def test_an_empty_registry_has_an_empty_selection_of_the_same_types():
    registry = qs.Registry("acr-premium", start=START)
    policy = qs.RetentionPolicy([qs.KeepNewest(1)])
    empty = frames.selection(registry.engine, registry.select(policy))
    full = daily()
    assert empty.empty
    assert (
        empty.dtypes.astype(str).to_dict()
        == frames.selection(full.engine, full.select(policy)).dtypes.astype(str).to_dict()
    )
    assert registry.retain(policy) == qs.DeleteResult((), (), (), 0, 0)


def test_the_platforms_of_a_tag_are_one(root):
    """A replayed history binds a tag once a platform: it is one tag, and as old as the last of them."""
    registry = qs.replay(root / "data" / "tables")
    found = registry.select(qs.RetentionPolicy([qs.KeepNewest(1)]))
    tags = registry.events().query("bindings != 0").groupby(["repository", "tag"], observed=True)["bindings"].sum()
    names, values = registry.engine.names.tag_names.values, registry.engine.names.repositories.values
    rows = [(values[r], names[t]) for r, t in zip(found.repository.tolist(), found.tag_name.tolist(), strict=True)]
    assert len(rows) == len(set(rows))
    assert set(rows) == set(tags[tags > 0].index)
    kept = {repository for (repository, _), keeps in zip(rows, found.kept.tolist(), strict=True) if keeps}
    assert kept == {repository for repository, _ in rows}
    assert found.kept.sum() == len(kept)
    result = registry.retain(qs.RetentionPolicy([qs.KeepNewest(1)]))
    assert len(result.untagged) == found.tags.size
    registry.check()


def test_an_evaluator_learns_new_names():
    registry = daily(tags=("v1", "v2"))
    evaluator = Evaluator(qs.RetentionPolicy([qs.KeepNewest(1, repositories="team/*", tags="v*")]))

    def select():
        engine = registry.engine
        engine.sync()
        return evaluator.select(engine.content, engine.names, engine.state, engine.log)

    assert select().rule.tolist() == [0, NO_RULE]
    registry.push("team/later:v9", image("later"))
    registry.push("app:v9", image("other"))
    found = select()
    values = registry.engine.names.repositories.values
    kept = [values[row] for row in found.repository[found.kept].tolist()]
    assert kept == ["team/app", "team/later"]


@pytest.mark.parametrize("profile", ["acr-premium", "gitlab", "quay", "distribution-2.8", "zot"])
def test_a_preview_promises_what_is_freed(profile):
    registry = daily(profile)
    policy = qs.RetentionPolicy([qs.KeepNewest(1)])
    promise = registry.preview(policy=policy)
    before = registry.usage()
    registry.retain(policy)
    registry.advance("60d")
    if registry.profile.collection == "manual":
        registry.apply(registry.plan_gc())
    after = registry.usage()
    assert promise.freed_charged_bytes == before.charged_bytes - after.charged_bytes
    assert promise.freed_stored_bytes == before.stored_bytes - after.stored_bytes
    assert promise.freed_stored_bytes >= 30


def test_a_preview_of_a_policy_names_its_hazards():
    registry, _ = multi_arch("quay")
    hazards = registry.preview(policy=qs.RetentionPolicy([qs.KeepNewest(1)], manifests="leave")).hazards
    assert hazards == tuple(registry.hazards(policy=qs.RetentionPolicy([qs.KeepNewest(1)], manifests="leave")))
    left = daily("acr-premium").hazards(policy=qs.RetentionPolicy([qs.KeepNewest(3)], manifests="leave"))
    assert [(hazard.kind, hazard.affected) for hazard in left] == [("manifest-left", ("team/app:1",))]
    assert daily("distribution-2.8").hazards(policy=qs.RetentionPolicy([qs.KeepNewest(3)])) == []


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: qs.RetentionPolicy([]), "keep"),
        (lambda: qs.RetentionPolicy(["newest"]), "keep"),
        (lambda: qs.RetentionPolicy([qs.KeepNewest(1)], manifests="purge"), "manifests"),
        (lambda: qs.RetentionPolicy([qs.KeepNewest(1)], manifests="leave", untagged_after="1d"), "untagged_after"),
        (lambda: qs.RetentionPolicy([qs.KeepNewest(1)], untagged_after="soon"), "untagged_after"),
        (lambda: qs.KeepNewest(0), "count"),
        (lambda: qs.KeepNewest(2.5), "count"),
        (lambda: qs.KeepYounger("0d"), "than"),
        (lambda: qs.KeepYounger("a while"), "than"),
        (lambda: qs.Registry("refcount").select("keep all"), "policy"),
        (lambda: qs.Registry("refcount").preview(), "delete"),
        (lambda: qs.Registry("refcount").hazards(), "delete"),
        (
            lambda: qs.Registry("refcount").hazards(delete=["a:1"], policy=qs.RetentionPolicy([qs.KeepNewest(1)])),
            "delete",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, name):
    with pytest.raises(InvalidValue) as caught:
        make()
    assert caught.value.name == name


def test_one_rule_needs_no_list():
    assert qs.RetentionPolicy(qs.KeepNewest(3)).keep == (qs.KeepNewest(3),)


def test_the_oracle_by_hand():
    """The newest two of each repository: what the oracle says is what a person would."""
    pair = Pair(PROFILES["refcount"])
    for tag in TAGS[:3]:
        pair.push(REPOSITORIES[0], WORLD[0], tag)
        pair.advance(MINUTE)
    decided = oracle.decide(pair.oracle, [oracle.KeepRule(newest=2)], deletes=True, untagged_after=None)
    assert decided.tags == {(REPOSITORIES[0], TAGS[0], "")}
    assert decided.manifests == frozenset()


def test_tags_go_with_what_a_collection_takes_in_spite_of_them():
    """A referrer that depends on a subject which is gone goes, tagged or not: no tag is left to be looked at."""
    pair = Pair(PROFILES["refcount"])
    signature = next(thing for thing in WORLD if thing.engine.subject is not None)
    pair.push(REPOSITORIES[0], signature, TAGS[0])
    pair.collect(qs.GcPolicy(roots="TAGS", referrers="depend"))
    assert pair.oracle.tags == {}
    pair.compare()
    keep_rules.retain(pair, qs.RetentionPolicy([qs.KeepMatching(tags="none")]))
