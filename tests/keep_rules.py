"""Retention policies drawn by Hypothesis, and how they are applied to an engine and the oracle side by side."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

import quotasim as qs
from quotasim.retention import KeepRule

from . import oracle
from .pair import Pair
from .strategies import DAY, MINUTE, REPOSITORIES, TAGS

NAMES = {
    "repositories": st.sampled_from(["*", "*", REPOSITORIES[0], "team/*", "none"]),
    "tags": st.sampled_from(["*", "*", TAGS[0], "l*", "[0-9]"]),
}
AGES = (1, MINUTE, 7 * MINUTE, DAY)


def duration(microseconds: int) -> timedelta:
    """Return a duration as users give it."""
    return timedelta(microseconds=microseconds)


rules = st.one_of(
    st.builds(qs.KeepNewest, st.integers(1, 3), **NAMES),
    st.builds(qs.KeepYounger, st.sampled_from(AGES).map(duration), **NAMES),
    st.builds(qs.KeepMatching, **NAMES),
)
policies = st.one_of(
    st.builds(
        qs.RetentionPolicy,
        st.lists(rules, min_size=1, max_size=2),
        untagged_after=st.none() | st.sampled_from((0, *AGES)).map(duration),
    ),
    st.builds(qs.RetentionPolicy, st.lists(rules, min_size=1, max_size=2), manifests=st.just("leave")),
)


def _oracle_rule(rule: KeepRule) -> oracle.KeepRule:
    names = {"repositories": rule.repositories, "tags": rule.tags}
    if isinstance(rule, qs.KeepNewest):
        return oracle.KeepRule(newest=rule.count, **names)
    if isinstance(rule, qs.KeepYounger):
        return oracle.KeepRule(younger=rule.than // timedelta(microseconds=1), **names)
    return oracle.KeepRule(**names)


def decision(registry: oracle.OracleRegistry, policy: qs.RetentionPolicy) -> oracle.Decision:
    """Return what goes, by the oracle."""
    after = policy.untagged_after
    return oracle.decide(
        registry,
        [_oracle_rule(rule) for rule in policy.keep],
        deletes=policy.manifests == "delete",
        untagged_after=None if after is None else after // timedelta(microseconds=1),
        stays=registry.rules.immutable_tags == "keep",
    )


def selected(registry: qs.Registry, policy: qs.RetentionPolicy) -> oracle.Decision:
    """Return what goes, by the engine."""
    found, names, content = registry.select(policy), registry.engine.names, registry.engine.content
    own, repositories = content.graph().own, names.repositories.values

    def link(row: int) -> tuple[str, str]:
        return repositories[names.links.first[row]], content.digest(int(own[names.links.second[row]]))

    tags = {(repositories[names.tag_repository[tag]], names.tag_label(tag), "") for tag in found.tags.tolist()}
    return oracle.Decision(frozenset(tags), frozenset(map(link, found.links.tolist())))


def retain(pair: Pair, policy: qs.RetentionPolicy) -> None:
    """Apply a policy to both, and compare what they keep, and what a preview promises with what then is freed."""
    expected = decision(pair.oracle, policy)
    assert selected(pair.engine, policy) == expected
    promise = pair.engine.preview(policy=policy)
    pair.engine.retain(policy)
    oracle.retain(pair.oracle, expected)
    rest = pair.oracle.branch()
    oracle.run_out(rest)
    last = promise.timeline[-1]
    assert (last.charged_bytes, last.stored_bytes) == (rest.charged_bytes(), rest.stored_bytes())
