"""Hash tables over plain arrays, against dicts; with keys that collide, growth, and counts that fall to zero."""

from __future__ import annotations

import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from quotasim.kernels import NULL, tables
from quotasim.kernels.layout import EMPTY
from quotasim.kernels.scopes import count_slot
from quotasim.kernels.tables import find_slot, has_room, home_slot
from quotasim.model.names import empty_table

from .strategies import checked

few = st.integers(0, 2**31 - 1) | st.integers(0, 5)
pairs = st.tuples(few, few)
Counts = dict[int, int]


@njit
def homes(table, keys, out):
    for i in range(keys.shape[0]):
        out[i] = home_slot(table, keys[i])


@njit
def add_counts(table, keys, changes, used, start):
    """Change counts one after another; returns where there was no room, and the keys in use."""
    for i in range(start, keys.shape[0]):
        if not has_room(table, used, np.int64(1)):
            return i, used
        slot, new = count_slot(table, keys[i])
        used += new
        table[slot, 1] += changes[i]
    return keys.shape[0], used


@njit
def counts_of(table, keys, out):
    for i in range(keys.shape[0]):
        slot = find_slot(table, keys[i])
        out[i] = -1 if table[slot, 0] == EMPTY else table[slot, 1]


def columns(rows: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.array(rows, np.int32).reshape(-1, 2).T
    return np.ascontiguousarray(first), np.ascontiguousarray(second)


def contents(table: np.ndarray) -> Counts:
    """Return what a table of counts holds; no key may be in it twice."""
    rows = [row for row in table.tolist() if row[0] != EMPTY]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1] for row in rows}


@checked(60)
@given(batches=st.lists(st.lists(pairs, max_size=30), max_size=4), asked=st.lists(pairs, max_size=20))
def test_pairs_get_the_rows_that_a_dict_gives(
    batches: list[list[tuple[int, int]]], asked: list[tuple[int, int]]
) -> None:
    table, rows = empty_table(1), {}
    for batch in batches:
        grown = empty_table(len(rows) + len(batch))
        assert tables.rehash(table, grown, 1) == len(rows)
        table, known = grown, list(rows)
        out, new_first, new_second = (np.empty(len(batch), np.int32) for _ in range(3))
        new = tables.intern_pairs(table, *columns(batch), len(known), new_first, new_second, out)
        assert out.tolist() == [rows.setdefault(pair, len(rows)) for pair in batch]
        added = zip(new_first[:new].tolist(), new_second[:new].tolist(), strict=True)
        assert list(added) == list(rows)[len(known) :]
    out = np.empty(len(asked), np.int32)
    tables.find_pairs(table, *columns(asked), out)
    assert out.tolist() == [rows.get(pair, NULL) for pair in asked]


keys = st.integers(0, 2**62) | st.integers(0, 9)


@checked(120)
@given(steps=st.lists(st.tuples(keys, st.sampled_from([1, 1, -1])), max_size=80), size=st.integers(1, 6))
def test_counts_are_those_of_a_dict(steps: list[tuple[int, int]], size: int) -> None:
    """Whatever falls to zero may stay or go; whatever does not must be there, through every growth."""
    steps = [(key, change) for place, (key, change) in enumerate(steps) if change > 0 or key in dict(steps[:place])]
    table, known, used, done = empty_table(size), Counts(), 0, 0
    named, changes = (np.array([step[k] for step in steps], np.int64) for k in (0, 1))
    while True:
        stop, used = add_counts(table, named, changes, used, done)
        for key, change in steps[done:stop]:
            known[key] = known.get(key, 0) + change
        alive = {key: count for key, count in known.items() if count}
        found = contents(table)
        assert used == len(found)
        assert 4 * used <= 3 * len(table)
        assert {key: count for key, count in found.items() if count} == alive
        assert found.keys() <= known.keys()
        out = np.empty(len(steps), np.int64)
        counts_of(table, named, out)
        assert out.tolist() == [found.get(key, -1) for key, _ in steps]
        if stop == len(steps):
            return
        grown, everything = empty_table(len(alive) + 2), empty_table(used)
        used = tables.rehash(table, grown, 0)
        assert contents(grown) == alive
        assert used == len(alive)
        assert tables.rehash(table, everything, 1) == len(found)
        assert contents(everything) == found
        table, done = grown, stop


@checked(40)
@given(values=st.lists(st.tuples(*[st.integers(0, 1)] * 3), max_size=12))
def test_a_row_stays_if_any_of_its_values_does(values: list[tuple[int, int, int]]) -> None:
    old, new = empty_table(len(values), 4), empty_table(len(values), 4)
    for key, row in enumerate(values):
        old[key] = key, *row
    assert tables.rehash(old, new, 0) == sum(map(any, values))
    found = {row[0]: tuple(row[1:]) for row in new.tolist() if row[0] != EMPTY}
    assert found == {key: row for key, row in enumerate(values) if any(row)}


@checked(60)
@given(named=st.lists(keys, max_size=20), capacity=st.integers(1, 2**20))
def test_the_first_slot_is_the_key_times_a_constant_spread_over_the_table(named: list[int], capacity: int) -> None:
    table = np.lib.stride_tricks.as_strided(np.zeros(2, np.int64), (capacity, 2), (0, 8))  # only its length is read
    out = np.empty(len(named), np.int64)
    homes(table, np.array(named, np.int64), out)
    product = [key * 0x9E3779B97F4A7C15 % 2**64 >> 32 for key in named]
    assert out.tolist() == [upper * capacity >> 32 for upper in product]


def test_neighbouring_pairs_do_not_crowd() -> None:
    # As they come: many blobs of few scopes, ids counted from nothing. A chain of them would take minutes.
    scopes, blobs = (64, 4_000) if not os.environ.get("NUMBA_DISABLE_JIT") else (16, 500)
    first, second = np.divmod(np.arange(scopes * blobs, dtype=np.int32), np.int32(blobs))
    table, out = empty_table(first.size), np.empty(first.size, np.int32)
    tables.intern_pairs(table, first, second, 0, np.empty_like(first), np.empty_like(first), out)
    assert np.array_equal(out, np.arange(first.size))
    holes = np.flatnonzero(table[:, 0] == EMPTY)
    assert np.diff(holes).max() < 200
