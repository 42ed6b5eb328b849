"""Interning: raw digests to dense rows in order of first appearance, all 32 bytes compared on every hit.

The digests are those of the workload's references. Peers start from the same array (the dict from a list of ``bytes``,
pandas from texts, made beforehand), and all start with an empty table.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.bench import limits
from quotasim.bench.case import Case, Contender, Prepared
from quotasim.bench.peers import interning, peer
from quotasim.bench.workload import workload_of
from quotasim.model.digests import DigestArray, DigestTable, decode_digests, encode_digests, format_digests

Words = npt.NDArray[np.uint64]


@cache
def compiled() -> None:
    """Compile, or load, every kernel before the clock runs."""
    digests = DigestArray.sha256(np.arange(4_000, dtype=np.uint64).reshape(-1, 4))
    table = DigestTable(4)
    table.intern(digests.words256)
    table.find(digests.words256)
    decode_digests(*encode_digests(digests))


def expected_rows(target: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The row of every reference, worked out from the blob ids: the digests have no part in it."""
    _, first, blob = np.unique(target, return_index=True, return_inverse=True)
    row = np.empty(first.size, np.int64)
    row[np.argsort(first)] = np.arange(first.size)
    return np.asarray(row[blob])


def intern(references: int) -> Prepared:
    """Intern the digest of every reference."""
    compiled()
    workload = workload_of(references)
    words = workload.blob_digest[workload.target]
    expected = expected_rows(workload.target)

    def right(rows: Any) -> bool:
        return np.array_equal(rows, expected)

    def raw() -> list[bytes]:
        data = words.tobytes()
        return [data[start : start + 32] for start in range(0, len(data), 32)]

    return Prepared(
        items=len(words),
        bytes=words.nbytes,
        figures={"distinct": int(expected.max()) + 1},
        contenders=(
            Contender(
                name="quotasim",
                role="ours",
                run=DigestTable.intern,
                setup=lambda: (DigestTable(4), words),
                check=right,
                rounds=7,
            ),
            peer("pyarrow dictionary_encode", interning.intern_with_arrow, lambda: (words,), right, target=3),
            peer("dict", interning.intern_with_dict, lambda: (raw(),), right, rounds=3, plain=True),
            peer(
                "pandas.factorize of texts",
                interning.intern_with_pandas,
                lambda: (interning.series_of(format_digests(DigestArray.sha256(words))),),
                right,
                target=4.5,
                rounds=3,
            ),
            Contender(
                name="copy of the digests",
                role="limit",
                run=limits.copy,
                setup=lambda: (words, np.empty_like(words)),
                check=lambda out: np.array_equal(out, words),
            ),
        ),
    )


def find(references: int) -> Prepared:
    """Look the digest of every reference up."""
    compiled()
    workload = workload_of(references)
    words = workload.blob_digest[workload.target]
    expected = expected_rows(workload.target)
    table = DigestTable(4)
    table.intern(words)
    return Prepared(
        items=len(words),
        bytes=words.nbytes,
        contenders=(
            Contender(
                name="quotasim",
                role="ours",
                run=table.find,
                setup=lambda: (words,),
                check=lambda rows: np.array_equal(rows, expected),
            ),
        ),
    )


def decode(references: int) -> Prepared:
    """Read digests from text."""
    compiled()
    workload = workload_of(references)
    text = encode_digests(DigestArray.sha256(workload.blob_digest))

    def right(answer: Any) -> bool:
        digests, problems, _ = answer
        return not problems.size and np.array_equal(digests.words256, workload.blob_digest)

    ours = Contender(name="quotasim", role="ours", run=decode_digests, setup=lambda: text, check=right)
    return Prepared(items=workload.blob_count, bytes=71 * workload.blob_count, contenders=(ours,))


def encode(references: int) -> Prepared:
    """Write digests as text."""
    compiled()
    workload = workload_of(references)
    digests = DigestArray.sha256(workload.blob_digest)
    sample = (0, workload.blob_count // 2, workload.blob_count - 1)

    def right(answer: Any) -> bool:
        data, offsets = answer
        texts = [data[offsets[row] : offsets[row + 1]].tobytes() for row in sample]
        said = [b"sha256:" + workload.blob_digest[row].tobytes().hex().encode() for row in sample]
        return bool(offsets[-1] == data.size == 71 * workload.blob_count) and texts == said

    ours = Contender(name="quotasim", role="ours", run=encode_digests, setup=lambda: (digests,), check=right)
    return Prepared(items=workload.blob_count, bytes=71 * workload.blob_count, contenders=(ours,))


CASES = (
    Case(name="intern", suite="digests", title="intern digests", unit="references", prepare=intern),
    Case(name="find", suite="digests", title="look digests up", unit="references", prepare=find),
    Case(name="decode", suite="digests", title="read digests from text", unit="digests", prepare=decode),
    Case(name="encode", suite="digests", title="write digests as text", unit="digests", prepare=encode),
)
