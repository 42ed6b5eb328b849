"""Bytes of groups of manifests, against sets of blobs and Python's integers."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from quotasim.kernels import sharing
from quotasim.kernels.layout import ROLE_LAYER
from quotasim.model.totals import int_to_words, words_to_ints

from .graphs import World, csr, draw_groups, worlds
from .strategies import checked

SMALLEST, LARGEST = -(2**63), 2**63 - 1
deltas = st.one_of(st.sampled_from([0, 1, -1, SMALLEST, LARGEST, 2**32, -(2**32)]), st.integers(SMALLEST, LARGEST))


def scratch(world: World) -> np.ndarray:
    return np.full(len(world.sizes), -1, np.int32)


@checked(80)
@given(world=worlds(), data=st.data())
def test_holders_from_scratch(world: World, data: st.DataObject) -> None:
    live = data.draw(st.lists(st.booleans(), min_size=len(world.manifests), max_size=len(world.manifests)))
    holders = np.zeros(len(world.sizes), np.int32)
    sharing.recount(world.graph(), np.array(live, np.uint8), holders)
    held = Counter(blob for m, alive in zip(world.manifests, live, strict=True) if alive for blob in m.blobs)
    assert holders.tolist() == [held[blob] for blob in range(len(world.sizes))]


@checked(150)
@given(world=worlds(), data=st.data(), role_mask=st.integers(1, 15), counts_foreign=st.booleans())
def test_the_charge_of_each_group(world: World, data: st.DataObject, role_mask: int, counts_foreign: bool) -> None:
    groups = draw_groups(data.draw, world)
    blob = st.integers(0, len(world.sizes) - 1)
    extras = data.draw(st.lists(st.lists(blob), min_size=len(groups), max_size=len(groups)))
    out = np.zeros((len(groups), 2), np.int64)
    record = np.empty((len(world.sizes), 2), np.int64)
    sharing.group_bytes(world.graph(), *csr(groups), *csr(extras), role_mask, int(counts_foreign), record, out)
    for group, extra, found in zip(groups, extras, words_to_ints(out), strict=True):
        roles = [*(pair for m in group for pair in world.manifests[m].blobs.items())]
        roles += [(blob, ROLE_LAYER) for blob in extra]
        counted = {blob for blob, role in roles if role & role_mask}
        assert found == world.bytes_of(counted if counts_foreign else counted - world.foreign)


@checked(150)
@given(world=worlds(), data=st.data())
def test_what_groups_share(world: World, data: st.DataObject) -> None:
    groups = draw_groups(data.draw, world)
    figures = [np.zeros((len(groups), 2), np.int64) for _ in range(sharing.FIGURES)]
    count, rank = (np.zeros(len(world.sizes), np.int32) for _ in range(2))
    sharing.share_groups(world.graph(), *csr(groups), scratch(world), count, rank, *figures)
    logical, unique, exclusive, attributed = map(words_to_ints, figures)
    held = [{blob for m in group for blob in world.manifests[m].blobs} for group in groups]
    for g, group in enumerate(groups):
        others = set().union(*held[:g], *held[g + 1 :])
        assert logical[g] == sum(world.bytes_of(set(world.manifests[m].blobs)) for m in group)
        assert unique[g] == world.bytes_of(held[g])
        assert exclusive[g] == world.bytes_of(held[g] - others)
        share = 0
        for blob in held[g]:
            owners = [k for k, blobs in enumerate(held) if blob in blobs]
            share += world.sizes[blob] // len(owners) + (owners.index(g) < world.sizes[blob] % len(owners))
        assert attributed[g] == share
    assert sum(attributed) == world.bytes_of(set().union(*held))


@checked(200)
@given(world=worlds(), data=st.data(), role_mask=st.integers(1, 15), counts_foreign=st.booleans())
def test_a_charge_is_split_in_each_scope(
    world: World, data: st.DataObject, role_mask: int, counts_foreign: bool
) -> None:
    blob = st.integers(0, len(world.sizes) - 1)
    scopes = [draw_groups(data.draw, world) for _ in range(data.draw(st.integers(0, 3)))]
    loose = [data.draw(st.lists(blob, max_size=4)) for _ in scopes]
    # Of five rows some are players in a scope, in name order.
    rows = [sorted(data.draw(st.permutations(range(5)))[: len(players)]) for players in scopes]
    record = np.zeros((len(world.sizes), 4), np.int64)
    record[:, 0] = -1
    record[:, 3] = [0 if b in world.foreign and not counts_foreign else size for b, size in enumerate(world.sizes)]
    sizes = record[:, 3].tolist()
    figures, nobody = [np.zeros((5, 2), np.int64) for _ in range(3)], np.zeros((1, 2), np.int64)
    sharing.share_charge(
        world.graph(),
        np.cumsum([0, *map(len, scopes)]).astype(np.int64),
        *csr([group for players in scopes for group in players]),
        np.array([row for players in rows for row in players], np.int32),
        *csr(loose),
        role_mask,
        record,
        *figures,
        nobody,
    )
    logical, exclusive, attributed, unheld = (Counter() for _ in range(4))
    for players, places, extra in zip(scopes, rows, loose, strict=True):
        named = [[{b for b, role in world.manifests[m].blobs.items() if role & role_mask} for m in p] for p in players]
        held = [set().union(*parts) for parts in named]
        for row, parts in zip(places, named, strict=True):
            logical[row] += sum(sizes[b] for part in parts for b in part)
        for b in set(extra).union(*held):
            owners = [row for row, blobs in zip(places, held, strict=True) if b in blobs]
            unheld[0] += 0 if owners else sizes[b]
            exclusive[owners[0] if len(owners) == 1 else None] += sizes[b]
            for place, row in enumerate(owners):
                attributed[row] += sizes[b] // len(owners) + (place < sizes[b] % len(owners))
    found = [words_to_ints(words) for words in (*figures, nobody)]
    expected = [[counter[row] for row in range(5)] for counter in (logical, exclusive, attributed)]
    assert found == [*expected, [unheld[0]]]


@checked(80)
@given(values=st.lists(deltas, max_size=12))
def test_sums_beyond_63_bits(values: list[int]) -> None:
    out = np.zeros((1, 2), np.int64)
    sharing.sum_words(np.array(values, np.int64), out)
    assert words_to_ints(out) == [sum(values)]
    assert 0 <= out[0, 1] < 2**32


@checked(80)
@given(values=st.lists(deltas, max_size=12), start=st.integers(-(2**70), 2**70))
def test_running_totals_beyond_63_bits(values: list[int], start: int) -> None:
    high, low = np.empty(len(values), np.int64), np.empty(len(values), np.int64)
    sharing.cumulative_words(np.array(values, np.int64), *int_to_words(start), high, low)
    assert words_to_ints(np.stack([high, low], axis=1)) == list(accumulate(values, initial=start))[1:]
    assert all(0 <= word < 2**32 for word in low.tolist())
