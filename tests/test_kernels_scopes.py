"""The charging rule's own counts, against sets: links, tags and explicit blob links come and go, step by step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from quotasim.accounting.basis import Basis, Scope
from quotasim.accounting.ledger import Ledger
from quotasim.kernels import layout
from quotasim.kernels.scopes import blob_link, change_scope, is_held, release
from quotasim.model.names import PairIndex, empty_table
from quotasim.model.state import State

from .graphs import NULL, World, worlds
from .strategies import checked

SCOPES = (layout.SCOPE_REPOSITORY, layout.SCOPE_NAMESPACE, layout.SCOPE_REGISTRY)
BASES = (layout.BASIS_TAGGED, layout.BASIS_REFERENCED, layout.BASIS_LINKED)
Step = tuple[str, int, int]
KINDS = ("link", "link", "tag", "tag", "push", "push", "unlink", "untag", "untag", "put", "take")
# Long, and mostly in one repository: indexes and their children must meet.
steps = st.tuples(st.sampled_from(KINDS), st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, 99))
programs = st.lists(steps, min_size=15, max_size=40)

comings_and_goings = st.lists(st.tuples(st.sampled_from(["put", "take"]), *[st.integers(0, 2)] * 2), max_size=20)


@njit
def change(graph, names, rules, ledger, link, links, supports):
    return change_scope(graph, names, rules, ledger, link, links, supports)


@njit
def put(graph, names, held, rules, ledger, cursor, repository, blob, present):
    return blob_link(graph, names, held, rules, ledger, cursor, repository, blob, present, np.int64(7))


@njit
def held_blobs(held, cursor, out):
    for blob in range(out.shape[0]):
        out[blob] = is_held(held, cursor, np.int64(blob))


@njit
def let_go(held, rules, queues, cursor, blob, event, time):
    release(held, rules, queues, cursor, blob, event, time)


def rules_for(scope: int, basis: int, role_mask: int, counts_foreign: int) -> layout.Rules:
    """Return the rules that these functions read, with counts of their own; the rest are as in a registry at rest."""
    unused = dict.fromkeys(layout.Rules._fields, 0)
    chosen = {"scope": scope, "basis": basis, "role_mask": role_mask, "counts_foreign": counts_foreign}
    return layout.Rules(**{**unused, "mode": layout.MODE_COUNTS, "special": 1, **chosen})


class Charged:
    """The kernel's arrays, and beside them what is linked, tagged and put, as sets.

    Manifests that an index lists before they are known (``hidden``) become known when they are first linked.
    """

    def __init__(self, world: World, rules: layout.Rules, hidden: set[int]) -> None:
        self.world, self.rules = world, rules
        self.tags: Counter[tuple[int, int]] = Counter()
        self.linked: set[tuple[int, int]] = set()
        self.put: set[tuple[int, int]] = set()
        late = sorted((child, m) for m in range(len(world.manifests)) for child in world.children(m) if child in hidden)
        self.graph = world.graph()._replace(
            late_child=np.array([child for child, _ in late], np.int32),
            late_index=np.array([index for _, index in late], np.int32),
        )
        for m in hidden:
            self.graph.blob_manifest[world.manifests[m].own] = NULL
        self.links = PairIndex()
        blobs = len(world.sizes)
        self.held = (
            State(0).holdings()._replace(blob_links=empty_table(4 * blobs, 3), holders=np.zeros(blobs, np.int32))
        )
        self.ledger = Ledger(Scope(rules.scope), Basis(rules.basis), rules.role_mask, None)
        self.ledger.mode = layout.MODE_COUNTS  # whatever else would do for the rule
        self.cursor = np.zeros(layout.CURSOR_SIZE, np.int64)

    def do(self, step: Step) -> int:
        """Take a step on something that it can be taken on, if there is any; returns the change of the charge."""
        what, repository, which = step
        keys = [(repository, m) for m in range(len(self.world.manifests))]
        blob = which % len(self.world.sizes)
        if what in ("put", "take"):
            there = sorted(self.put)
            # Now and then what was never put is taken.
            if what == "take" and there and which % 3:
                repository, blob = there[which % len(there)]
            return self.put_or_take(repository, blob, present=what == "put")
        able = {
            "link": [key for key in keys if key not in self.linked],
            "unlink": sorted(key for key in self.linked if not self.tags[key]),
            "tag": sorted(self.linked),
            "untag": sorted(key for key in self.linked if self.tags[key]),
        }
        able["push"] = able["link"]
        if not able[what]:
            return 0
        key = repository, m = able[what][which % len(able[what])]
        links = {"link": 1, "push": 1, "unlink": -1}.get(what, 0)
        supports = {"tag": 1, "push": 1, "untag": -1}.get(what, 0)
        self.graph.blob_manifest[self.world.manifests[m].own] = m
        link = self.link(repository, m)
        self.tags[key] += supports
        self.linked = self.linked - {key} if links < 0 else self.linked | {key}
        ledger = self.ledger.arrays(self.graph)
        return change(self.graph, self.names, self.rules, ledger, np.int64(link), np.int64(links), np.int64(supports))

    @property
    def names(self) -> layout.Names:
        """The keys of the links that there are."""
        return layout.Names(
            self.links.first, self.links.second, self.links.table, np.array(self.world.namespaces, np.int32)
        )

    def link(self, repository: int, m: int) -> int:
        """The link of a manifest in a repository; what is new gets its counts, and so do the children that are known,
        as an engine gives them.
        """
        known = len(self.links)
        link = int(self.links.add_all(np.array([repository]), np.array([m]))[0])
        if self.world.manifests[m].is_index:
            children = [child for child in self.world.children(m) if self.graph.blob_manifest[self.own(child)] != NULL]
            self.links.add_all(np.full(len(children), repository), np.array(children, np.int32))
        scopes = [self.scope(of) for of in self.links.first[known:].tolist()]
        self.ledger.add_links(self.graph, np.array(scopes, np.int32), self.links.second[known:])
        return link

    def own(self, m: int) -> int:
        """The blob that a manifest is."""
        return self.world.manifests[m].own

    def put_or_take(self, repository: int, blob: int, *, present: bool) -> int:
        """Set or clear an explicit blob link."""
        keys = self.cursor[layout.CURSOR_BLOB_LINKS]
        if self.ledger.counts_blob_links:
            self.ledger.add_blobs(self.graph, np.array([self.scope(repository)]), np.array([blob]))
        ledger = self.ledger.arrays(self.graph)
        changed, delta = put(
            self.graph, self.names, self.held, self.rules, ledger, self.cursor, repository, blob, present
        )
        assert changed == (((repository, blob) in self.put) != present)
        assert present or self.cursor[layout.CURSOR_BLOB_LINKS] == keys  # nobody makes room for what goes
        self.put = self.put | {(repository, blob)} if present else self.put - {(repository, blob)}
        return delta

    def scope(self, repository: int) -> int:
        """The scope in which a repository is charged."""
        return {SCOPES[0]: repository, SCOPES[1]: self.world.namespaces[repository], SCOPES[2]: 0}[self.rules.scope]

    def held_in(self, scope: int) -> set[int]:
        """Manifests that count in a scope."""
        linked = {m for repository, m in self.linked if self.scope(repository) == scope}
        if self.rules.basis != layout.BASIS_TAGGED:
            return linked
        reached: set[int] = set()
        new = {m for (repository, m), tags in self.tags.items() if tags and self.scope(repository) == scope}
        while new:
            reached |= new
            new = {child for m in new for child in self.world.children(m) if child in linked} - reached
        return reached

    def counts(self) -> dict[tuple[int, int], int]:
        """How often each blob is held in each scope, where it is."""
        rules, found = self.rules, Counter[tuple[int, int]]()
        for scope in range(3):
            for m in self.held_in(scope):
                roles = self.world.manifests[m].blobs.items()
                found.update((scope, blob) for blob, role in roles if role & rules.role_mask)
        if rules.basis == layout.BASIS_LINKED and rules.role_mask & layout.ROLE_LAYER:
            found.update((self.scope(repository), blob) for repository, blob in self.put)
        return {key: n for key, n in found.items() if rules.counts_foreign or key[1] not in self.world.foreign}


def by_pair(rows: np.ndarray) -> dict[tuple[int, int], int]:
    """Return the last value of each row by its key, zeros left out."""
    return {(row[0] >> 32, row[0] & 0xFFFFFFFF): row[-1] for row in rows.tolist() if row[-1]}


@pytest.mark.parametrize("basis", BASES)
@checked(100)
@given(
    world=worlds(),
    program=programs,
    scope=st.sampled_from(SCOPES),
    role_mask=st.sampled_from([15, 15, 2, 9]),
    counts_foreign=st.integers(0, 1),
    data=st.data(),
)
def test_counts_and_charges_follow_what_is_held(
    basis: int, world: World, program: list[Step], scope: int, role_mask: int, counts_foreign: int, data: st.DataObject
) -> None:
    hidden = data.draw(st.sets(st.integers(0, len(world.manifests) - 1)))
    charged = Charged(world, rules_for(scope, basis, role_mask, counts_foreign), hidden)
    total = 0
    for step in program:
        total += charged.do(step)
        counts = charged.counts()
        assert by_pair(charged.ledger.counts(charged.graph)[1]) == counts
        assert total == sum(world.sizes[blob] for _, blob in counts)
    # As many keys as the cursor says: by that room is made in time.
    assert np.count_nonzero(charged.held.blob_links[:, 0] != layout.EMPTY) == charged.cursor[layout.CURSOR_BLOB_LINKS]
    held = by_pair(charged.ledger.counts(charged.graph)[0])
    assert held.keys() == {(scope, m) for scope in range(3) for m in charged.held_in(scope)}


@checked(60)
@given(world=worlds(), program=comings_and_goings, data=st.data())
def test_a_blob_is_held_by_live_manifests_and_explicit_links(
    world: World, program: list[Step], data: st.DataObject
) -> None:
    charged = Charged(world, rules_for(layout.SCOPE_REGISTRY, layout.BASIS_LINKED, 15, 0), set())
    for step in program:
        charged.do(step)
    out = np.empty(len(world.sizes), np.bool_)
    charged.held.holders[:] = data.draw(st.lists(st.integers(0, 2), min_size=out.size, max_size=out.size))
    held_blobs(charged.held, charged.cursor, out)
    linked = {blob for _, blob in charged.put}
    assert out.tolist() == [count > 0 or blob in linked for blob, count in enumerate(charged.held.holders.tolist())]


@pytest.mark.parametrize("automatic", [0, 1])
@pytest.mark.parametrize("stored", [0, 1])
def test_a_stored_blob_that_is_let_go_waits_to_be_swept(automatic: int, stored: int) -> None:
    rules = rules_for(layout.SCOPE_REGISTRY, layout.BASIS_LINKED, 15, 0)._replace(automatic=automatic)
    held = State(0).holdings()._replace(stored=np.full(3, stored, np.uint8), released_event=np.full(3, NULL, np.int32))
    queues = layout.Queues(*(np.zeros((4, 3), np.int64) for _ in layout.Queues._fields))
    cursor = np.zeros(layout.CURSOR_SIZE, np.int64)
    for blob, event in ((2, 7), (0, 8)):
        let_go(held, rules, queues, cursor, blob, event, 100 + event)
    assert held.released_event.tolist() == [8, NULL, 7]
    waiting = queues.sweep[: cursor[layout.CURSOR_SWEEP_TAIL]].tolist()
    assert waiting == ([[2, 7, 107], [0, 8, 108]] if automatic and stored else [])
