"""Marking from roots, against sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quotasim.gc.marking import in_parts
from quotasim.kernels import layout, mark

from .graphs import World, worlds
from .strategies import checked


def reached(world: World, linked: list[bool], roots: list[bool], children: bool, referrers: int) -> set[int]:
    """Return the links to keep: what roots reach in their own repositories, step by step until nothing is new."""
    place = {pair: link for link, pair in enumerate(world.links) if linked[link]}
    kept = {link for link, root in enumerate(roots) if root}
    while True:
        found = set(kept)
        for repository, m in [world.links[link] for link in kept]:
            steps = world.children(m) if children else []
            steps += world.referrers(m) if referrers & layout.REFERRERS_FOLLOW else []
            subject = world.manifest_of.get(world.manifests[m].subject)
            steps += [subject] if referrers & layout.REFERRERS_PIN and subject is not None else []
            found |= {place[repository, below] for below in steps if (repository, below) in place}
        if found == kept:
            return kept
        kept = found


REFERRERS = st.sampled_from(
    [0, layout.REFERRERS_FOLLOW, layout.REFERRERS_PIN, layout.REFERRERS_FOLLOW | layout.REFERRERS_PIN]
)


@checked(150)
@given(world=worlds(), data=st.data(), children=st.booleans(), referrers=REFERRERS)
def test_links_that_roots_reach(world: World, data: st.DataObject, children: bool, referrers: int) -> None:
    flags = st.lists(st.booleans(), min_size=len(world.links), max_size=len(world.links))
    linked, drawn = data.draw(flags), data.draw(flags)
    roots = [there and root for there, root in zip(linked, drawn, strict=True)]
    keep, stack = np.array(roots, np.uint8), np.empty(len(roots), np.int32)
    count = mark.mark_links(
        world.graph(), world.names(), np.array(linked, np.uint8), int(children), referrers, keep, stack
    )
    expected = reached(world, linked, roots, children, referrers)
    assert set(np.flatnonzero(keep).tolist()) == expected
    assert count == len(expected)


@checked(80)
@given(world=worlds(), data=st.data(), threads=st.integers(1, 3))
def test_blobs_that_live_manifests_name(world: World, data: st.DataObject, threads: int) -> None:
    live = data.draw(st.lists(st.booleans(), min_size=len(world.manifests), max_size=len(world.manifests)))
    marked = np.zeros(len(world.sizes), np.uint8)
    parts = in_parts(
        lambda *part: mark.mark_blobs(world.graph(), np.array(live, np.uint8), *part, marked), len(live), threads
    )
    visited = sum(found for _, found in parts)
    of_live = [manifest for manifest, alive in zip(world.manifests, live, strict=True) if alive]
    # A kept index marks the bytes of its children, whether or not these are linked.
    assert set(np.flatnonzero(marked).tolist()) == {blob for m in of_live for blob in (m.own, *m.listed)}
    assert visited == sum(1 + len(m.listed) for m in of_live)


@checked(40)
@given(blobs=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20), threads=st.integers(1, 3))
def test_what_is_stored_and_not_marked(blobs: list[tuple[bool, bool]], threads: int) -> None:
    stored, marked = (np.array([pair[k] for pair in blobs], np.uint8) for k in (0, 1))
    out = np.empty(len(blobs), np.int32)
    parts = in_parts(lambda *part: mark.unmarked(stored, marked, *part, out), out.size, threads)
    found = [blob for first, count in parts for blob in out[first : first + count].tolist()]
    assert found == [b for b, (there, wanted) in enumerate(blobs) if there and not wanted]


@checked(60)
@given(world=worlds(), data=st.data())
def test_links_that_can_be_read(world: World, data: st.DataObject) -> None:
    count = len(world.links)
    flags = st.lists(st.booleans(), min_size=count, max_size=count)
    linked, ever = data.draw(flags), data.draw(flags)
    graph, names = world.graph(), world.names()
    events = np.where(np.array(ever, bool), np.arange(count), -1).astype(np.int32)
    walked = np.zeros(names.namespace.shape[0], np.uint8)
    mark.repositories_with_blobs(graph, names, events, walked)
    foreign = graph.flags & layout.FLAG_FOREIGN != 0
    brought = {
        repository
        for link, (repository, m) in enumerate(world.links)
        if ever[link]
        and graph.kind[m] == layout.KIND_IMAGE
        and not all(foreign[blob] for blob in world.manifests[m].listed)
    }
    assert set(np.flatnonzero(walked).tolist()) == brought
    stored = np.array(data.draw(st.lists(st.booleans(), min_size=foreign.size, max_size=foreign.size)), np.uint8)
    out = np.full(count, 7, np.uint8)
    mark.readable_links(graph, names, np.array(linked, np.uint8), walked, stored, out)
    assert out.tolist() == [
        int(linked[link] and repository in brought and stored[world.manifests[m].own])
        for link, (repository, m) in enumerate(world.links)
    ]


def test_marks_of_sha512_names_are_cleared() -> None:
    flags = np.array([0, layout.FLAG_SHA512, layout.FLAG_FOREIGN, layout.FLAG_SHA512 | layout.FLAG_FOREIGN], np.uint8)
    marked = np.ones(4, np.uint8)
    mark.unmark_sha512(flags, marked)
    assert marked.tolist() == [1, 0, 1, 0]
