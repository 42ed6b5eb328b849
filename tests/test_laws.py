"""Laws that hold for every kind, after any life of a registry (section 6 of the design; docs/semantics.md)."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import quotasim as qs
from quotasim.errors import CollectionAborted
from quotasim.kernels import layout
from quotasim.model.totals import exact_sum

from .programs import THINGS, numbers, programs, references, run
from .strategies import DAY, PROFILES, REPOSITORIES, START, TAGS, checked

EVERY_GRACE = timedelta(microseconds=60 * DAY)  # longer than any delay of any profile here

kinds = pytest.mark.parametrize("name", PROFILES)


def lived(name: str, program: list[tuple[str, int, int]]) -> qs.Registry:
    """Return a registry that has lived through a program."""
    registry = qs.Registry(PROFILES[name], start=START)
    run(registry, program)
    return registry


def settle(registry: qs.Registry) -> bool:
    """Let all that will come back come back; say whether the kind's collector gave it back, or failed."""
    registry.advance(EVERY_GRACE)
    if registry.profile.collection == "manual":
        try:
            registry.apply(registry.plan_gc())
        except CollectionAborted:
            return False
        registry.advance(EVERY_GRACE)
    return True


def chosen(there: list[str], which: list[int]) -> list[str]:
    """Return some of the references that are there."""
    return sorted({there[one % len(there)] for one in which}) if there else []


def test_the_delay_that_stands_for_every_grace_is_longer_than_each():
    for profile in PROFILES.values():
        waits = (profile.untagged_after or 0) + profile.sweep_after + profile.report_lag + profile.gc.grace
        assert timedelta(microseconds=waits) < EVERY_GRACE


@kinds
def test_counts_are_numbers_of_holders_and_the_ledger_is_the_recount_is_the_log(name):
    @checked(15)
    @given(programs)
    def law(program):
        registry = qs.Registry(PROFILES[name], start=START)
        for step in program:
            run(registry, [step])
            engine = registry.engine
            engine.sync()
            graph, live = engine.content.graph(), engine.live_manifests()
            holders = np.zeros(engine.content.blob_count, np.int64)
            for manifest in np.flatnonzero(live):
                np.add.at(holders, engine.blobs_of(int(manifest)), 1)
            assert np.array_equal(holders, engine.state.read("holders"))
            figures = registry.recompute()
            assert figures == engine.figures()
            for column in ("charged_bytes", "unique_bytes", "stored_bytes"):
                assert exact_sum(engine.log.column(column)) == figures[column]
            assert graph.size.min(initial=0) >= 0

    law()


@kinds
def test_each_basis_has_at_least_what_the_one_before_has(name):
    @checked(15)
    @given(programs)
    def law(program):
        registry = lived(name, program)
        for scope in qs.Scope:
            tagged, referenced, linked = (
                registry.basis_bytes(scope, basis) for basis in (qs.Basis.TAGGED, qs.Basis.REFERENCED, qs.Basis.LINKED)
            )
            for place in linked:
                assert tagged[place] <= referenced[place] <= linked[place]
        # What is linked is on disk, but for the damage that the kind is known to do: its collector
        # leaves links to what it swept. The difference is exactly those.
        engine = registry.engine
        graph, state = engine.content.graph(), engine.state
        held = state.read("holders") > 0
        held[state.explicit_blob_links()[1]] = True
        foreign = (graph.flags & layout.FLAG_FOREIGN) != 0
        dangling = held & ~foreign & (state.read("stored") == 0)
        loose = ~held & ~foreign & (state.read("stored") != 0)
        linked_bytes = registry.basis_bytes(qs.Scope.REGISTRY, qs.Basis.LINKED)[""]
        stored_bytes = registry.basis_bytes(qs.Scope.REGISTRY, qs.Basis.STORED)[""]
        assert linked_bytes - exact_sum(graph.size[dangling]) + exact_sum(graph.size[loose]) == stored_bytes
        if registry.profile.gc.honour_blob_links:
            assert not dangling.any()

    law()


@kinds
def test_a_finer_scope_never_totals_less(name):
    @checked(15)
    @given(programs)
    def law(program):
        registry = lived(name, program)
        for basis in (qs.Basis.REFERENCED, qs.Basis.LINKED):
            repository, namespace, whole = (sum(registry.basis_bytes(scope, basis).values()) for scope in qs.Scope)
            assert repository >= namespace >= whole

    law()


@kinds
def test_unique_and_what_sharing_saves_are_logical_and_attributed_adds_up(name):
    @checked(15)
    @given(programs)
    def law(program):
        registry = lived(name, program)
        usage, engine = registry.usage(), registry.engine
        graph, holders = engine.content.graph(), engine.state.read("holders").astype(np.int64)
        saved = exact_sum(graph.size * np.maximum(holders - 1, 0))
        assert usage.unique_bytes + saved == usage.logical_bytes
        for by in ("registry", "namespace", "repository", "image"):
            rows = registry.df(by)
            assert sum(row.attributed_bytes for row in rows) == usage.unique_bytes
            for row in rows:
                assert row.exclusive_bytes <= row.attributed_bytes <= row.unique_bytes <= row.logical_bytes
                assert row.shared_bytes == row.unique_bytes - row.exclusive_bytes

    law()


@kinds
def test_exclusive_bytes_are_monotone_and_supermodular(name):
    several = st.lists(numbers, max_size=4)

    @checked(25)
    @given(programs, several, several)
    def law(program, one, other):
        registry = lived(name, program)
        # Of images: two references to one image are two names of one thing, and a signature goes with its image.
        # What is deleted and kept has a row, since it counts, and cannot be named.
        images = sorted({row.name for row in registry.df("image")} & set(references(registry)))
        a, b = chosen(images, one), chosen(images, other)
        both, either = sorted({*a} & {*b}), sorted({*a, *b})
        bytes_of = {tuple(part): registry.exclusive_bytes(part) for part in (a, b, both, either)}
        assert bytes_of[tuple(both)] <= bytes_of[tuple(a)] <= bytes_of[tuple(either)] <= registry.usage().unique_bytes
        gain = bytes_of[tuple(either)] + bytes_of[tuple(both)]
        assert gain >= bytes_of[tuple(a)] + bytes_of[tuple(b)]

    law()


@kinds
def test_a_preview_promises_what_the_deletion_then_frees_and_when(name):
    @checked(20)
    @given(programs, st.lists(numbers, min_size=1, max_size=3))
    def law(program, which):
        registry = lived(name, program)
        named = chosen(references(registry), which)
        assume(named)
        promise = registry.preview(delete=named)
        before = registry.usage()
        said = {qs.Locked for hazard in promise.hazards if hazard.kind == "locked"}
        said |= {qs.Refused for hazard in promise.hazards if hazard.kind.startswith("refused-")}
        if said:  # what was not foretold is not raised
            with pytest.raises(tuple(said)):
                registry.delete(*named)
        else:
            registry.delete(*named)
        for row in promise.timeline:
            if row.at > registry.now:
                registry.advance(timedelta(microseconds=row.at - registry.now))
            if row.cause.startswith("garbage collection"):
                registry.apply(registry.plan_gc())
            if row is promise.timeline[-1] or promise.timeline[promise.timeline.index(row) + 1].at > row.at:
                usage = registry.usage()
                assert (usage.charged_bytes, usage.reported_bytes, usage.stored_bytes) == (
                    row.charged_bytes,
                    row.reported_bytes,
                    row.stored_bytes,
                )
        settle(registry)
        after = registry.usage()
        assert before.charged_bytes - after.charged_bytes == promise.freed_charged_bytes
        assert before.stored_bytes - after.stored_bytes == promise.freed_stored_bytes
        still_there = set(references(registry))
        assert not still_there & set(promise.deleted)

    law()


@kinds
def test_a_collection_run_again_does_nothing(name):
    @checked(15)
    @given(programs)
    def law(program):
        registry = lived(name, program)
        try:
            promised = registry.plan_gc()
        except CollectionAborted:
            assert registry.usage().reclaimable_bytes == 0
            return
        result = registry.apply(promised)
        assert result.freed_stored_bytes == promised.reclaimable_bytes
        again = registry.plan_gc()
        assert (again.links.size, again.blobs.size, again.reclaimable_bytes) == (0, 0, 0)
        assert registry.usage().reclaimable_bytes == 0

    law()


@kinds
def test_pushing_deleting_and_collecting_leaves_all_as_it_was(name):
    @checked(20)
    @given(programs, numbers, numbers)
    def law(program, where, seed):
        registry = lived(name, program)
        for repository in REPOSITORIES:
            try:
                registry.lock(f"{repository}/")
            except qs.UnknownRepository:
                continue
        settle(registry)
        before = registry.usage()
        fresh = [qs.Blob.synthetic(f"fresh {seed} {place}", 7 + place) for place in range(3)]
        image = qs.Image(fresh[:2], fresh[2])
        repository = REPOSITORIES[where % len(REPOSITORIES)]
        pushed = registry.push(f"{repository}@{image.digest}", image)
        assume(pushed.accepted)
        content = 7 + 8 + 9
        assert pushed.uploaded_bytes == image.size + content
        registry.delete(f"{repository}@{image.digest}")
        assume(settle(registry))
        after = registry.usage()
        # Where links to blobs outlive their manifest, they are charged on the basis LINKED, and may keep the bytes.
        profile = registry.profile
        keeps = profile.collection == "automatic" or profile.gc.honour_blob_links
        stored = content if profile.stale_blob_links and keeps else 0
        charged = content if profile.stale_blob_links and profile.basis is qs.Basis.LINKED else 0
        assert after.stored_bytes == before.stored_bytes + stored
        assert after.charged_bytes == before.charged_bytes + charged
        assert after.reported_bytes == before.reported_bytes + charged

    law()


@kinds
def test_independent_operations_commute(name):
    @checked(20)
    @given(programs, numbers, numbers, numbers)
    def law(program, one, other, tag):
        first, second = qs.Registry(PROFILES[name], start=START, limit="1 GB"), None
        run(first, program)
        second = first.branch()
        here, there = "left/app", "right/app"
        steps = [
            lambda registry: registry.push(f"{here}:{TAGS[tag % 3]}", THINGS[one % len(THINGS)]),
            lambda registry: registry.push(f"{there}:{TAGS[tag % 3]}", THINGS[other % len(THINGS)]),
        ]
        for step in steps:
            step(first)
        for step in reversed(steps):
            step(second)
        assert first.usage() == second.usage()
        assert first.charged_by_scope() == second.charged_by_scope()
        for by in ("registry", "namespace", "repository", "image"):
            assert first.df(by) == second.df(by)

    law()


@kinds
def test_a_branch_never_changes_its_parent(name):
    @checked(15)
    @given(programs, programs, programs)
    def law(before, on_the_branch, on_the_parent):
        parent, twin = lived(name, before), lived(name, before)
        branch = parent.branch("branch")
        said = run(branch, on_the_branch)
        assert parent.usage() == twin.usage()
        assert parent.df("image") == twin.df("image")
        assert run(parent, on_the_parent) == run(twin, on_the_parent)
        assert parent.usage() == twin.usage()
        alone = lived(name, before)
        assert run(alone, on_the_branch) == said
        assert alone.usage() == branch.usage()

    law()
