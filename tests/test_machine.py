"""Random programs over all operations: after each step the engine says what the oracle counts anew."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import quotasim as qs

from . import keep_rules
from .pair import Pair, pick
from .strategies import (
    CONFIGS,
    FAR,
    LAYERS,
    MINUTE,
    PROFILES,
    REPOSITORIES,
    SECOND,
    TAGS,
    WORLD,
    Thing,
    checked,
    make_image,
    make_index,
)

EXAMPLES = dict.fromkeys(PROFILES, 40) | {"acr-basic": 5, "acr-standard": 5}
EXAMPLES |= dict.fromkeys(("distribution-3", "ecr", "gar", "gitlab", "harbor", "quay", "zot"), 12)

which = st.integers(0, 999)
several = st.lists(which, min_size=1, max_size=3)
repositories = st.sampled_from(REPOSITORIES)
tags = st.sampled_from(TAGS)
maybe_tags = st.none() | tags
layers = st.lists(st.integers(0, len(LAYERS) - 1), max_size=4)
configs = st.none() | st.integers(0, len(CONFIGS) - 1)
sizes = st.sampled_from([0, 1, 9, 90, 400, 1_500])
maybe_which = st.none() | which
uploads = st.integers(0, FAR - 1)  # a foreign layer is never uploaded
DELAYS = (0, 1, 30 * SECOND, MINUTE, 3 * MINUTE, 5 * MINUTE, 7 * MINUTE, 20 * MINUTE)
delays = st.integers(0, len(DELAYS) + 4)


def policy_of(marks, **parameters):
    """Return a policy; what marks in turn follows all children and no referrers."""
    if marks == "in turn":
        parameters |= {"index_children": "recursive", "referrers": "ignore"}
    return qs.GcPolicy(marks=marks, **parameters)


policies = st.builds(
    policy_of,
    marks=st.sampled_from(["by repository", "in turn"]),
    roots=st.sampled_from(["ALL", "TAGS"]),
    index_children=st.sampled_from(["recursive", "direct"]),
    referrers=st.sampled_from(["depend", "follow", "ignore", "pin", "stay", "stay and pin"]),
    grace=st.sampled_from([0, 1, 3 * MINUTE, 5 * MINUTE]),
    counts_pulls=st.booleans(),
    blob_grace=st.sampled_from(["stored or released", "stored"]),
    honour_blob_links=st.booleans(),
    drops_blob_links=st.sampled_from(["never", "unmarked", "idle"]),
    honour_sha512=st.booleans(),
    repositories=st.sampled_from(["ALL", "WITH_BLOBS"]),
    rechecks=st.booleans(),
    needs_blobs=st.booleans(),
    tagless=st.sampled_from(["walk", "fail", "skip"]),
)


class RegistryMachine(RuleBasedStateMachine):
    """The engine against a registry made of plain sets and dicts.

    Compared after every step: each figure of ``usage``, the charge of each scope, bytes on every basis in
    every scope, all rows of ``df``; the engine also checks its own structure and recounts its own figures.
    Compared by rules of their own: what a preview promises, exclusive bytes, plans of collections, the log.
    """

    def __init__(self, profile: qs.RegistryProfile) -> None:
        super().__init__()
        self.pair = Pair(profile)
        self.things: list[Thing] = list(WORLD)
        self.parents: list[tuple[Pair, dict[str, object]]] = []

    @rule(repository=repositories, which=which, tag=maybe_tags)
    def push_known(self, repository, which, tag):
        self.pair.push(repository, pick(self.things, which), tag)

    @rule(repository=repositories, layers=layers, config=configs, subject=maybe_which, tag=maybe_tags)
    def push_image(self, repository, layers, config, subject, tag):
        refers = None if subject is None else pick(self.things, subject)
        self.things.append(make_image(layers, config, refers))
        self.pair.push(repository, self.things[-1], tag)

    @rule(repository=repositories, children=several, subject=maybe_which, tag=maybe_tags)
    def push_index(self, repository, children, subject, tag):
        refers = None if subject is None else pick(self.things, subject)
        chosen = dict.fromkeys(pick(self.things, child) for child in children)
        self.things.append(make_index(chosen, refers))
        self.pair.push(repository, self.things[-1], tag)

    @rule(which=which, layers=layers, tag=maybe_tags)
    def sign(self, which, layers, tag):
        """Push a referrer of something linked, beside it."""
        known = {thing.digest: thing for thing in self.things}
        linked = [link for link in sorted(self.pair.oracle.links) if link[1] in known]
        if linked:
            repository, digest = pick(linked, which)
            self.things.append(make_image(layers, None, known[digest]))
            self.pair.push(repository, self.things[-1], tag)

    @rule(repository=repositories, layer=uploads)
    def upload(self, repository, layer):
        self.pair.upload(repository, layer)

    @rule(repository=repositories, which=which)
    def upload_manifest(self, repository, which):
        self.pair.upload_manifest(repository, pick(self.things, which))

    @rule(which=which, repository=repositories)
    def mount(self, which, repository):
        self.pair.mount(which, repository)

    @rule(which=which)
    def delete_blob(self, which):
        self.pair.delete_blob(which)

    @rule(repository=repositories)
    def begin_upload(self, repository):
        self.pair.begin(repository)

    @rule(which=which, size=sizes)
    def append(self, which, size):
        self.pair.append(which, size)

    @rule(which=which, layer=uploads)
    def reserve(self, which, layer):
        self.pair.reserve(which, layer)

    @rule(which=which, layer=uploads)
    def finish(self, which, layer):
        self.pair.finish(which, layer)

    @rule(which=which)
    def cancel(self, which):
        self.pair.cancel(which)

    @rule(age=st.sampled_from([0, 1, 5]))
    def purge(self, age):
        self.pair.purge(age * MINUTE)

    @rule(repository=repositories, which=which, tag=maybe_tags)
    def put_manifest(self, repository, which, tag):
        self.pair.put_manifest(repository, pick(self.things, which), tag)

    @rule(which=which, repository=repositories, tag=maybe_tags)
    def copy(self, which, repository, tag):
        self.pair.copy(which, repository, tag)

    @rule(which=which, force=st.booleans())
    def restore(self, which, force):
        self.pair.restore(which, force=force)

    @rule(repository=repositories, size=st.integers(-500, 2_000))
    def miscount(self, repository, size):
        self.pair.miscount(repository, size)

    @rule()
    def recount(self):
        self.pair.recount()

    @rule()
    def start_backfill(self):
        self.pair.start_backfill()

    @rule(which=which, name=tags)
    def tag(self, which, name):
        self.pair.tag(which, name)

    @rule(which=which)
    def untag(self, which):
        self.pair.untag(which)

    @rule(which=several)
    def delete(self, which):
        references = self.pair.references(which)
        note(f"delete {references}")
        if references:
            self.pair.delete(references)

    @rule(repository=repositories)
    def delete_untagged(self, repository):
        self.pair.delete_untagged(repository)

    @rule(repository=repositories)
    def delete_repository(self, repository):
        self.pair.delete_repository(repository)

    @rule(policy=keep_rules.policies)
    def retain(self, policy):
        keep_rules.retain(self.pair, policy)

    @rule(which=which, write=st.booleans(), delete=st.booleans())
    def lock(self, which, write, delete):
        self.pair.lock(which, write=write, delete=delete)

    @rule(which=which)
    def pull(self, which):
        self.pair.pull(which)

    @rule(delay=delays)
    def advance(self, delay):
        profile = self.pair.engine.profile
        own = [
            profile.untagged_after or profile.restorable_for or 0,
            profile.sweep_after + (profile.loose_blobs_after or 0),
            profile.report_lag + profile.report_every,
            max(profile.gc.grace, profile.uploads_purged_after or 0),
        ]
        self.pair.advance([*DELAYS, *own, sum(own)][delay])

    @rule(policy=st.none() | policies)
    def collect(self, policy):
        self.pair.collect(policy)
        self.pair.ask_for_the_unreadable()

    @rule(policy=st.none() | policies)
    def begin_collection(self, policy):
        self.pair.begin_collection(policy)

    @rule(which=which, count=st.integers(1, 3))
    def go_on_collecting(self, which, count):
        self.pair.go_on_collecting(which, count)

    @rule(which=which)
    def stop_collecting(self, which):
        self.pair.stop_collecting(which)

    @rule(which=several)
    def preview(self, which):
        references = self.pair.references(which)
        note(f"preview {references}")
        if references:
            self.pair.preview(references)

    @rule(which=several)
    def exclusive(self, which):
        references = self.pair.references(which)
        if references:
            self.pair.exclusive(references)

    @rule()
    def log(self):
        self.pair.compare_log()

    @rule()
    def branch(self):
        """Go on with a branch; the parent must still be what it was when the program ends."""
        self.parents.append((self.pair, self.pair.engine.recompute()))
        self.pair = self.pair.branch()

    @invariant()
    def engine_and_oracle_agree(self):
        self.pair.compare()

    def teardown(self):
        for parent, figures in self.parents:
            assert parent.engine.recompute() == figures
            parent.compare()


@pytest.mark.parametrize("name", PROFILES)
def test_the_engine_agrees_with_the_oracle(name):
    run_state_machine_as_test(partial(RegistryMachine, PROFILES[name]), settings=checked(EXAMPLES[name]))
