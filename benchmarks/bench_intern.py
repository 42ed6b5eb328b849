"""Interning: raw digests to dense rows in order of first appearance, all 32 bytes compared on every hit.

The digests are those of the workload's references: 10,000,000 of them at full size, 1.68 million distinct.
Peers start from the same array (the dict from a list of ``bytes`` made beforehand), and all start with an
empty table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from quotasim.model.digests import DigestArray, DigestTable, decode_digests, encode_digests

from .conftest import Runner
from .peers import frozen_heap, intern_with_arrow, intern_with_dict
from .workload import Workload

Race = Callable[..., Any]


@pytest.fixture(scope="module")
def words(workload: Workload) -> npt.NDArray[np.uint64]:
    """The digest of every reference, uint64[E, 4]."""
    return workload.blob_digest[workload.target]


@pytest.fixture(scope="module")
def expected(workload: Workload) -> npt.NDArray[np.int64]:
    """The row of every reference, worked out from the blob ids: the digests have no part in it."""
    _, first, blob = np.unique(workload.target, return_index=True, return_inverse=True)
    row = np.empty(first.size, np.int64)
    row[np.argsort(first)] = np.arange(first.size)
    return row[blob]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """Compile, or load, every kernel before the clock runs."""
    digests = DigestArray.sha256(np.arange(4_000, dtype=np.uint64).reshape(-1, 4))
    table = DigestTable(4)
    table.intern(digests.words256)
    table.find(digests.words256)
    decode_digests(*encode_digests(digests))


@pytest.fixture(scope="module")
def ours(words: npt.NDArray[np.uint64]) -> Runner:
    return Runner(DigestTable.intern, lambda: (DigestTable(4), words))


@pytest.mark.benchmark(group="intern")
def test_quotasim(race: Race, ours: Runner, words: npt.NDArray[np.uint64], expected: npt.NDArray[np.int64]) -> None:
    rows = race(ours, rounds=7, items=len(words), distinct=int(expected.max()) + 1)
    assert np.array_equal(rows, expected)


@pytest.mark.benchmark(group="intern")
def test_arrow(race: Race, ours: Runner, words: npt.NDArray[np.uint64], expected: npt.NDArray[np.int64]) -> None:
    rows = race(Runner(intern_with_arrow, lambda: (words,)), rounds=7, items=len(words), ours=ours, target=3)
    assert np.array_equal(rows, expected)


@pytest.mark.benchmark(group="intern")
def test_dict(race: Race, ours: Runner, words: npt.NDArray[np.uint64], expected: npt.NDArray[np.int64]) -> None:
    raw = words.tobytes()
    digests = [raw[start : start + 32] for start in range(0, len(raw), 32)]
    with frozen_heap():
        rows = race(Runner(intern_with_dict, lambda: (digests,)), rounds=3, items=len(words), ours=ours)
    assert np.array_equal(rows, expected)


@pytest.mark.benchmark(group="intern into a table of known size")
def test_reserved(race: Race, words: npt.NDArray[np.uint64], expected: npt.NDArray[np.int64]) -> None:
    def setup() -> tuple[DigestTable, npt.NDArray[np.uint64]]:
        table = DigestTable(4)
        table.reserve(int(expected.max()) + 1)
        return table, words

    rows = race(Runner(DigestTable.intern, setup), rounds=7, items=len(words))
    assert np.array_equal(rows, expected)


@pytest.mark.benchmark(group="look up digests")
def test_find(race: Race, words: npt.NDArray[np.uint64], expected: npt.NDArray[np.int64]) -> None:
    table = DigestTable(4)
    table.intern(words)
    rows = race(Runner(table.find, lambda: (words,)), rounds=7, items=len(words))
    assert np.array_equal(rows, expected)


@pytest.mark.benchmark(group="read digests from text")
def test_decode(race: Race, workload: Workload) -> None:
    text = encode_digests(DigestArray.sha256(workload.blob_digest))
    digests, problems, _ = race(Runner(decode_digests, lambda: text), rounds=7, items=workload.blob_count)
    assert not problems.size
    assert np.array_equal(digests.words256, workload.blob_digest)


@pytest.mark.benchmark(group="write digests as text")
def test_encode(race: Race, workload: Workload) -> None:
    digests = DigestArray.sha256(workload.blob_digest)
    data, offsets = race(Runner(encode_digests, lambda: (digests,)), rounds=7, items=workload.blob_count)
    assert offsets[-1] == data.size == 71 * workload.blob_count
    for row in (0, workload.blob_count // 2, workload.blob_count - 1):
        text = data[offsets[row] : offsets[row + 1]].tobytes()
        assert text == b"sha256:" + workload.blob_digest[row].tobytes().hex().encode()
