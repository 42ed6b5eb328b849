"""Digests from text to raw bytes and back: ``sha256:`` or ``sha512:``, then lower-case hexadecimal digits."""

import numpy as np

from quotasim.kernels.compile import kernel, part

DECODED, BAD_LENGTH, BAD_ALGORITHM, UPPER_CASE, BAD_DIGIT = 0, 1, 2, 3, 4

SHA256, SHA512 = 0, 1
PREFIX = 7  # characters of "sha256:" and of "sha512:"
BYTES_256, BYTES_512 = 32, 64

_TEXT_256 = (115, 104, 97, 50, 53, 54, 58)
_TEXT_512 = (115, 104, 97, 53, 49, 50, 58)
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_WRONG = np.uint8(16)
_VALUE = np.full(256, _WRONG)
_VALUE[_DIGITS] = np.arange(16)
_UPPER_A = 65
_FOUR, _NIBBLE = np.uint8(4), np.uint8(15)


@part
def _algorithm(characters):
    """Algorithm that the first characters name, -1 if none that is known."""
    if characters.shape[0] < PREFIX:
        return -1
    is_256 = True
    is_512 = True
    for k in range(PREFIX):
        is_256 &= characters[k] == _TEXT_256[k]
        is_512 &= characters[k] == _TEXT_512[k]
    return SHA256 if is_256 else SHA512 if is_512 else -1


@part
def _decode(digits, raw):
    """Decode ``digits`` into the bytes ``raw`` (WRITTEN); whether all of them were digits."""
    seen = np.uint8(0)
    for k in range(raw.shape[0]):
        high = _VALUE[digits[2 * k]]
        low = _VALUE[digits[2 * k + 1]]
        seen |= high | low
        raw[k] = ((high & _NIBBLE) << _FOUR) | low
    return seen < _WRONG


@part
def _fault(digits):
    """UPPER_CASE where nothing but capital letters is wrong with ``digits``, else BAD_DIGIT."""
    for k in range(digits.shape[0]):
        if _VALUE[digits[k]] == _WRONG and not _UPPER_A <= digits[k] < _UPPER_A + 6:
            return BAD_DIGIT
    return UPPER_CASE


@kernel
def decode(data, offsets, algorithm, raw, rest, status):
    """Read digests from text.

    data       uint8[T]      read only
    offsets    int64[n + 1]  text i is data[offsets[i]:offsets[i + 1]]; read only
    algorithm  uint8[n]      SHA256 or SHA512, SHA256 where the text is wrong; WRITTEN
    raw        uint8[n, 32]  first 32 bytes, zeros where the text is wrong; WRITTEN
    rest       uint8[32]     scratch; WRITTEN
    status     uint8[n]      DECODED or what is wrong; WRITTEN
    returns    int64         sha512 digests; O(T)
    """
    wide = 0
    for i in range(status.shape[0]):
        characters = data[offsets[i] : offsets[i + 1]]
        found = _algorithm(characters)
        digits = characters[PREFIX:]
        good = False
        if found < 0:
            status[i] = BAD_ALGORITHM
        elif digits.shape[0] != 2 * (BYTES_256 if found == SHA256 else BYTES_512):
            status[i] = BAD_LENGTH
        else:
            good = _decode(digits, raw[i])
            if found == SHA512:
                good &= _decode(digits[2 * BYTES_256 :], rest)
            status[i] = DECODED if good else _fault(digits)
        algorithm[i] = found if good else SHA256
        wide += algorithm[i]
        if not good:
            raw[i] = 0
    return wide


@kernel
def decode_wide(data, offsets, algorithm, raw):
    """Read the sha512 digests again, whole.

    data       uint8[T]      read only
    offsets    int64[n + 1]  as in :func:`decode`; read only
    algorithm  uint8[n]      as :func:`decode` has left it
    raw        uint8[k, 64]  the sha512 digests in their order; WRITTEN
    cost       O(n + characters of sha512 digests)
    """
    row = 0
    for i in range(algorithm.shape[0]):
        if algorithm[i] == SHA512:
            _decode(data[offsets[i] + PREFIX : offsets[i + 1]], raw[row])
            row += 1


@kernel
def encode(algorithm, raw, raw512, offsets, data):
    """Write digests as text.

    algorithm  uint8[n]      SHA256 or SHA512; read only
    raw        uint8[n, 32]  used of the sha256 digests; read only
    raw512     uint8[k, 64]  the sha512 digests in their order; read only
    offsets    int64[n + 1]  text i goes to data[offsets[i]:offsets[i + 1]], 71 or 135 characters
    data       uint8[T]      WRITTEN
    cost       O(T)
    """
    wide = 0
    for i in range(algorithm.shape[0]):
        text = data[offsets[i] : offsets[i + 1]]
        if algorithm[i] == SHA512:
            source = raw512[wide]
            wide += 1
            for k in range(PREFIX):
                text[k] = _TEXT_512[k]
        else:
            source = raw[i]
            for k in range(PREFIX):
                text[k] = _TEXT_256[k]
        for k in range(source.shape[0]):
            text[PREFIX + 2 * k] = _DIGITS[source[k] >> _FOUR]
            text[PREFIX + 2 * k + 1] = _DIGITS[source[k] & _NIBBLE]
