"""Digests: text to bytes and back, and the table that gives each its row."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.errors import InvalidDigest, InvalidValue
from quotasim.kernels import NULL
from quotasim.model.digests import (
    PROBLEM_REASONS,
    SHA256,
    SHA512,
    DigestArray,
    DigestProblem,
    DigestTable,
    decode_digests,
    digests_from_strings,
    encode_digests,
    format_digest,
    format_digests,
)

from .strategies import checked


def words_of(digests: list[bytes], width: int = 4) -> np.ndarray:
    """Return raw digests as the words of a table."""
    return np.frombuffer(b"".join(digests), np.uint64).reshape(len(digests), width)


def rows_by_dict(digests: list[bytes], rows: dict[bytes, int]) -> list[int]:
    """Return the rows that a plain dict gives, new ones in order of first appearance."""
    return [rows.setdefault(digest, len(rows)) for digest in digests]


def random_words(count: int, seed: int, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, (count, width), dtype=np.uint64)


def table_of(columns: list[np.ndarray]) -> np.ndarray:
    """Return the rows as contiguous uint64."""
    return np.ascontiguousarray(np.stack(columns, axis=1).astype(np.uint64))


# Few different bytes, so that digests repeat and differ late.
raw_digests = st.lists(st.sampled_from(b"\x00\x01\xff"), min_size=4, max_size=4).map(
    lambda ends: b"".join(bytes([0] * 7 + [end]) for end in ends)
)


class TestTable:
    @checked(60)
    @given(
        batches=st.lists(st.lists(raw_digests, max_size=90), max_size=5),
        asked=st.lists(raw_digests, max_size=40),
    )
    def test_rows_are_those_of_a_dict(self, batches: list[list[bytes]], asked: list[bytes]) -> None:
        table, rows = DigestTable(4), {}
        for batch in batches:
            assert table.intern(words_of(batch)).tolist() == rows_by_dict(batch, rows)
            assert len(table) == len(rows)
        assert [table.raw_bytes(row) for row in range(len(table))] == list(rows)
        assert table.find(words_of(asked)).tolist() == [rows.get(digest, NULL) for digest in asked]

    @pytest.mark.parametrize("width", [4, 8])
    def test_grows_from_nothing_and_keeps_its_rows(self, width: int) -> None:
        table, rows, rng = DigestTable(width), {}, np.random.default_rng(3)
        pool = random_words(9_000, 1, width)
        for size in (1, 63, 64, 65, 1_000, 5_000, 12_000):
            words = pool[rng.integers(0, min(2 * size, 9_000), size)]
            expected = rows_by_dict([digest.tobytes() for digest in words], rows)
            assert table.intern(words).tolist() == expected
            assert table.words.shape == (len(rows), width)
        assert b"".join(rows) == table.words.tobytes()
        assert table.find(pool).tolist() == [rows.get(digest.tobytes(), NULL) for digest in pool]

    def test_reserved_room_changes_no_row_and_is_not_sized_again(self) -> None:
        words = random_words(20_000, 2)
        plain, reserved = DigestTable(4), DigestTable(4)
        reserved.reserve(20_000)
        slots = reserved.nbytes
        assert reserved.intern(words).tolist() == plain.intern(words).tolist() == list(range(20_000))
        assert reserved.nbytes == slots + words.nbytes

    def test_slots_take_8_bytes_and_are_at_most_three_quarters_full(self) -> None:
        table = DigestTable(4)
        for count in (90, 200, 3_000, 100_000):
            table.intern(random_words(count, count))
            slot_bytes = table.nbytes - table.words.nbytes
            assert slot_bytes >= 8 * len(table) / 0.75
            # No more than the next power of two; a block of 64 more must always fit.
            assert slot_bytes < 2 * 8 * (len(table) + 64) / 0.75

    @pytest.mark.parametrize("varied", [0, 1, 2, 3])
    @pytest.mark.parametrize("shift", [0, 20, 47])
    def test_digests_that_share_24_bytes_stay_apart_and_quick(self, varied: int, shift: int) -> None:
        # 100,000 digests that differ in 17 bits of one word only; a chain of them would take minutes.
        count = 100_000 if not os.environ.get("NUMBA_DISABLE_JIT") else 5_000
        words = np.full((count, 4), 0x0123456789ABCDEF, np.uint64)
        words[:, varied] = np.arange(count, dtype=np.uint64) << np.uint64(shift)
        table = DigestTable(4)
        assert np.array_equal(table.intern(words), np.arange(count))
        assert np.array_equal(table.find(words[::-1]), np.arange(count)[::-1])
        assert longest_run(table) < 2_000

    @pytest.mark.parametrize(("width", "word"), [(4, k) for k in range(4)] + [(8, k) for k in range(8)])
    def test_an_equal_hash_is_not_an_equal_digest(self, width: int, word: int) -> None:
        table = DigestTable(width)
        table._multipliers[word] = 0  # the hash does not see this word
        words = np.full((40, width), 7, np.uint64)
        words[:, word] = np.arange(40, dtype=np.uint64) << np.uint64(58)
        assert table.intern(words[:39]).tolist() == list(range(39))
        assert table.find(words[::-1]).tolist() == [NULL, *range(38, -1, -1)]

    def test_a_digest_of_zeros_is_a_digest(self) -> None:
        table = DigestTable(8)
        zeros = np.zeros((1, 8), np.uint64)
        assert table.find(zeros).tolist() == [NULL]
        assert table.intern(zeros).tolist() == table.find(zeros).tolist() == [0]

    def test_unhashed_rows_are_there_but_not_found(self) -> None:
        table = DigestTable(4)
        words = random_words(200, 5)
        table.intern(words[:50])
        assert table.append_unhashed(words[40:150]) == 50
        assert table.find(words[40:60]).tolist() == [*range(40, 50), *[NULL] * 10]
        assert table.intern(words).tolist() == [*range(50), *range(160, 310)]
        assert table.raw_bytes(50) == words[40].tobytes()
        assert table.append_unhashed(words[:0]) == len(table) == 310

    def test_what_was_handed_out_stays_as_it_was(self) -> None:
        table, words = DigestTable(4), random_words(5_000, 6)
        table.intern(words[:10])
        before = table.words
        with pytest.raises(ValueError, match="read-only"):
            before[0, 0] = 0
        table.intern(words)
        assert np.array_equal(before, words[:10])

    def test_wrong_calls_are_refused(self) -> None:
        table = DigestTable(4)
        for wrong in (random_words(3, 0, 8), random_words(3, 0)[0], random_words(3, 0).view(np.int64)):
            for call in (table.intern, table.find, table.append_unhashed):
                with pytest.raises(InvalidValue, match="uint64"):
                    call(wrong)
        with pytest.raises(InvalidValue, match="4 or 8"):
            DigestTable(5)
        with pytest.raises(InvalidValue, match="2147483646"):
            table.reserve(2**31)
        for row in (-1, 0):
            with pytest.raises(InvalidValue, match="row"):
                table.raw_bytes(row)
        assert len(table) == 0

    def test_strided_words_are_read_right(self) -> None:
        words = random_words(100, 7, 8)
        table = DigestTable(4)
        assert table.intern(words[::-2, ::2]).tolist() == list(range(50))
        assert table.raw_bytes(0) == words[-1, ::2].tobytes()


def longest_run(table: DigestTable) -> int:
    """Return the length of the longest run of slots in use: no look-up takes more steps."""
    holes = np.flatnonzero(table._slots == 0)
    return int(np.diff(holes, append=holes[0] + table._slots.size).max())


hashes = st.binary(max_size=3).map(lambda seed: hashlib.sha256(seed).hexdigest())
long_hashes = st.binary(max_size=3).map(lambda seed: hashlib.sha512(seed).hexdigest())
good_texts = st.one_of(hashes.map("sha256:{}".format), long_hashes.map("sha512:{}".format))
bad_texts = st.sampled_from(
    [
        ("", DigestProblem.ALGORITHM),
        ("sha256", DigestProblem.ALGORITHM),
        ("sha384:" + "0" * 96, DigestProblem.ALGORITHM),
        ("SHA256:" + "0" * 64, DigestProblem.ALGORITHM),
        ("sha256-" + "0" * 64, DigestProblem.ALGORITHM),
        ("sha516:" + "0" * 128, DigestProblem.ALGORITHM),
        ("sha256:", DigestProblem.LENGTH),
        ("sha256:" + "0" * 63, DigestProblem.LENGTH),
        ("sha256:" + "0" * 65, DigestProblem.LENGTH),
        ("sha256:" + "0" * 128, DigestProblem.LENGTH),
        ("sha512:" + "0" * 64, DigestProblem.LENGTH),
        ("sha256:" + "0" * 63 + "A", DigestProblem.UPPER_CASE),
        ("sha256:F" + "0" * 63, DigestProblem.UPPER_CASE),
        ("sha512:" + "0" * 127 + "F", DigestProblem.UPPER_CASE),
        ("sha256:" + "0" * 63 + "G", DigestProblem.DIGIT),
        ("sha256:" + "0" * 62 + "Ag", DigestProblem.DIGIT),
        ("sha256:" + "0" * 63 + "/", DigestProblem.DIGIT),
        ("sha256:" + "0" * 63 + ":", DigestProblem.DIGIT),
        ("sha256:`" + "0" * 63, DigestProblem.DIGIT),
        ("sha256:" + "0" * 63 + "\xff", DigestProblem.DIGIT),
        ("sha512:" + "0" * 127 + " ", DigestProblem.DIGIT),
        ("sha256:" + "0" * 62 + "\u4e2d0", DigestProblem.DIGIT),
    ]
)


class TestText:
    @checked(80)
    @given(texts=st.lists(st.one_of(good_texts.map(lambda text: (text, None)), bad_texts), max_size=12))
    def test_good_texts_are_read_and_bad_ones_named(self, texts: list[tuple[str, DigestProblem | None]]) -> None:
        encoded = [text.encode("ascii", "replace") for text, _ in texts]
        offsets = np.cumsum([3, *map(len, encoded)])
        data = np.frombuffer(b"..." + b"".join(encoded) + b"....", np.uint8)
        digests, rows, problems = decode_digests(data, offsets.astype(np.int32))
        expected = [(row, problem) for row, (_, problem) in enumerate(texts) if problem]
        assert list(zip(rows.tolist(), problems.tolist(), strict=True)) == expected
        nothing = "sha256:" + "0" * 64
        assert format_digests(digests) == [nothing if problem else text for text, problem in texts]
        long = [bytes.fromhex(text[7:]) for text, problem in texts if not problem and text[3] == "5"]
        assert digests.words512.tobytes() == b"".join(long)
        for row, (text, problem) in enumerate(texts):
            if not problem:
                assert digests.words256[row].tobytes() == bytes.fromhex(text[7:71])

    @checked(40)
    @given(texts=st.lists(good_texts, max_size=12))
    def test_strings_there_and_back(self, texts: list[str]) -> None:
        digests = digests_from_strings(texts)
        data, offsets = encode_digests(digests)
        assert data.tobytes().decode() == "".join(texts)
        assert [data[a:b].tobytes().decode() for a, b in itertools.pairwise(offsets)] == texts

    @given(bad=bad_texts, before=st.lists(good_texts, max_size=3))
    @checked(40)
    def test_the_first_wrong_string_is_named(self, bad: tuple[str, DigestProblem], before: list[str]) -> None:
        text, problem = bad
        with pytest.raises(InvalidDigest) as raised:
            digests_from_strings([*before, text, "and another"])
        assert raised.value.digest == text
        assert raised.value.reason == PROBLEM_REASONS[problem]

    def test_what_is_no_string_is_named(self) -> None:
        with pytest.raises(InvalidDigest, match="None is not a digest: it is no string"):
            digests_from_strings(["sha256:" + "0" * 64, None])

    @pytest.mark.parametrize("offsets", [[], [0, 72], [-1, 3], [0, 20, 10, 30]])
    def test_offsets_that_leave_the_data_are_refused(self, offsets: list[int]) -> None:
        with pytest.raises(InvalidValue, match="offsets"):
            decode_digests(np.zeros(71, np.uint8), np.array(offsets, np.int64))

    def test_one_digest_is_formatted_by_its_algorithm(self) -> None:
        assert format_digest(SHA256, hashlib.sha256(b"").digest()) == f"sha256:{hashlib.sha256().hexdigest()}"
        assert format_digest(SHA512, hashlib.sha512(b"").digest()) == f"sha512:{hashlib.sha512().hexdigest()}"
        with pytest.raises(InvalidDigest, match="32 bytes, and this has 64"):
            format_digest(SHA256, bytes(64))

    def test_parts_of_an_array_must_fit_together(self) -> None:
        with pytest.raises(InvalidValue, match="words512"):
            DigestArray(
                algorithm=np.array([SHA512], np.uint8),
                words256=np.zeros((1, 4), np.uint64),
                words512=np.zeros((0, 8), np.uint64),
            )
        assert len(DigestArray.sha256(np.zeros((3, 4), np.uint64))) == 3


SCRIPT = """
import json, hashlib
import numpy as np
from quotasim.model.digests import DigestTable, decode_digests, encode_digests, digests_from_strings

def name(k):
    algorithm = "sha256" if k % 5 else "sha512"
    return f"{algorithm}:{hashlib.new(algorithm, bytes([k % 97])).hexdigest()}"

names = [name(k) for k in range(700)]
digests = digests_from_strings(names)
data, offsets = encode_digests(digests)
data = data.copy()
data[offsets[:-1:9] + 60] = ord("F")
_, rows, problems = decode_digests(data, offsets)
narrow, wide = DigestTable(4), DigestTable(8)
found = [narrow.intern(digests.words256).tolist(), wide.intern(digests.words512).tolist(),
         narrow.find(digests.words256[::-1]).tolist(), wide.find(digests.words512 + np.uint64(1)).tolist(),
         narrow.words.tolist(), rows.tolist(), problems.tolist(), narrow.nbytes, wide.nbytes]
print(json.dumps(found))
"""


def run(jit: bool) -> list[object]:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "" if jit else "1", "PYTHONWARNINGS": "error"}
    if jit:
        del environment["NUMBA_DISABLE_JIT"]
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_jit_on_and_off_agree() -> None:
    compiled, plain = run(jit=True), run(jit=False)
    assert compiled == plain
    # 97 sha512 digests; of the sha256 rows as many, and the first halves of those.
    assert [len(set(rows)) for rows in compiled[:4]] == [194, 97, 194, 1]
