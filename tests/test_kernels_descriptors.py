"""Descriptors as they are interned, against lists and dicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.kernels import descriptors
from quotasim.kernels.layout import KIND_INDEX

from .graphs import csr
from .strategies import checked

BLOBS = 6
rows = st.lists(st.lists(st.integers(0, BLOBS - 1), max_size=8), max_size=6)
distinct_rows = st.lists(st.lists(st.integers(0, BLOBS - 1), unique=True, max_size=6), max_size=6)
sizes = st.lists(st.sampled_from([0, 1, 7, 2**61, 2**62, 2**63 - 1]), min_size=BLOBS, max_size=BLOBS)


@checked(100)
@given(listed=rows, data=st.data())
def test_repeats_become_one_descriptor(listed: list[list[int]], data: st.DataObject) -> None:
    indptr, target = csr(listed)
    role = data.draw(st.lists(st.sampled_from([1, 2, 4]), min_size=target.size, max_size=target.size))
    folded = []
    roles = iter(role)
    for row in listed:
        kept: dict[int, list[int]] = {}
        for blob in row:
            joined, times = kept.get(blob, [0, 0])
            kept[blob] = [joined | next(roles), times + 1]
        folded.append(kept)
    new_indptr, new_target = np.empty_like(indptr), np.empty_like(target)
    new_role, new_times = np.empty(target.size, np.uint8), np.empty(target.size, np.int32)
    place = np.zeros(BLOBS, np.int64)
    count = descriptors.fold_repeats(
        indptr, target, np.array(role, np.uint8), place, new_indptr, new_target, new_role, new_times
    )
    assert new_indptr.tolist() == csr([list(kept) for kept in folded])[0].tolist()
    assert new_target[:count].tolist() == [blob for kept in folded for blob in kept]
    found = zip(new_role[:count].tolist(), new_times[:count].tolist(), strict=True)
    assert list(map(list, found)) == [pair for kept in folded for pair in kept.values()]


@checked(100)
@given(listed=distinct_rows, size=sizes, data=st.data())
def test_logical_sizes_and_where_they_pass_63_bits(
    listed: list[list[int]], size: list[int], data: st.DataObject
) -> None:
    count = len(listed)
    own = data.draw(st.lists(st.integers(0, BLOBS - 1), min_size=count, max_size=count))
    is_index = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    out = np.empty(count, np.int64)
    kind = np.array([KIND_INDEX if index else 0 for index in is_index], np.uint8)
    descriptors.logical_sizes(*csr(listed), np.array(own, np.int32), kind, np.array(size, np.int64), out)
    for i, row in enumerate(listed):
        total = sum(size[blob] for blob in {own[i]} | (set() if is_index[i] else set(row)))
        assert out[i] == (total if total < 2**63 else -1)


@pytest.mark.parametrize(("own", "layer", "total"), [(2**62, 2**62 - 1, 2**63 - 1), (2**62, 2**62, -1)])
def test_the_largest_sum_that_fits_is_no_overflow(own: int, layer: int, total: int) -> None:
    out, size = np.empty(1, np.int64), np.array([own, layer], np.int64)
    descriptors.logical_sizes(*csr([[1]]), np.zeros(1, np.int32), np.zeros(1, np.uint8), size, out)
    assert out[0] == total


@checked(100)
@given(known=distinct_rows.filter(bool), data=st.data())
def test_the_first_that_differs(known: list[list[int]], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.integers(0, len(known) - 1), max_size=6))
    given_rows = [list(known[row]) for row in again]
    if given_rows and data.draw(st.booleans()):
        changed = data.draw(st.integers(0, len(given_rows) - 1))
        given_rows[changed] = data.draw(distinct_rows.filter(bool))[0]
    differing = [i for i, row in enumerate(again) if given_rows[i] != known[row]]
    found = descriptors.first_difference(*csr(known), np.array(again, np.int32), *csr(given_rows))
    assert found == (differing[0] if differing else -1)


@checked(100)
@given(listed=distinct_rows, blobs=st.integers(BLOBS, BLOBS + 2))
def test_who_names_each_blob(listed: list[list[int]], blobs: int) -> None:
    indptr, target = csr(listed)
    by_blob, manifests = np.zeros(blobs + 1, np.int64), np.empty(target.size, np.int32)
    descriptors.transpose(indptr, target, by_blob, manifests)
    expected = [[m for m, row in enumerate(listed) if blob in row] for blob in range(blobs)]
    wanted = csr(expected)
    assert (by_blob.tolist(), manifests.tolist()) == (wanted[0].tolist(), wanted[1].tolist())


def test_no_blobs_and_no_manifests() -> None:
    by_blob = np.zeros(1, np.int64)
    descriptors.transpose(np.zeros(1, np.int64), np.empty(0, np.int32), by_blob, np.empty(0, np.int32))
    assert by_blob.tolist() == [0]
