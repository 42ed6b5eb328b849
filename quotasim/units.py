"""Sizes, durations and times between what people write and the exact integers that quotasim counts in.

Bytes are integers and times are integer microseconds; nothing here passes through a float. GiB is 2**30 and
GB is 10**9, everywhere. What would have to be rounded is refused.
"""

from __future__ import annotations

import operator
import re
from datetime import UTC, datetime, timedelta
from typing import Final, SupportsIndex, cast

from quotasim.errors import InvalidValue

__all__ = [
    "format_bytes",
    "format_duration",
    "format_time",
    "parse_duration",
    "parse_size",
    "parse_time",
    "whole_number",
]

_PREFIXES: Final = "kMGTPEZY"

_SIZE: Final = re.compile(r"([0-9]{1,60})(?:\.([0-9]{1,60}))? ?([A-Za-z]*)")
_SIZE_UNITS: Final = (
    {"": 1, "b": 1, "byte": 1, "bytes": 1}
    | {f"{prefix}{b}".lower(): 1000**power for power, prefix in enumerate(_PREFIXES, 1) for b in ("", "B")}
    | {f"{prefix}i{b}".lower(): 1024**power for power, prefix in enumerate(_PREFIXES, 1) for b in ("", "B")}
)
_SIZE_EXPECTED: Final = "a size in bytes such as 1073741824, '1 GiB' (2**30) or '1 GB' (10**9)"

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT64_MAX: Final = 2**63 - 1

_DURATION_PART: Final = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,30}))? ?([a-z]+) *")
_DURATION_UNITS: Final = {
    name: microseconds
    for names, microseconds in (
        ("w week weeks", 604_800_000_000),
        ("d day days", 86_400_000_000),
        ("h hr hour hours", 3_600_000_000),
        ("m min minute minutes", 60_000_000),
        ("s sec second seconds", 1_000_000),
        ("ms millisecond milliseconds", 1_000),
        ("us microsecond microseconds", 1),
    )
    for name in names.split()
}
_DURATION_EXPECTED: Final = "a duration such as '30d', '5min', '1h30m' or '2 weeks' (units w, d, h, min, s, ms, us)"

_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_TIME_EXPECTED: Final = "a time such as '2026-01-01' or '2026-01-01T12:30:00Z' (UTC if it names no offset)"


def whole_number(value: object, *, name: str, expected: str, most: int | None = None) -> int:
    """Check that a value is an integer of at least 0, Python's or numpy's, and give it as an int.

    Parameters
    ----------
    name, expected : for the error.
    most : the largest that it may be; None for no limit.

    Raises
    ------
    InvalidValue : a bool, a float or another type, negative, or above ``most``.

    Examples
    --------
    >>> whole_number(5, name="limit", expected="a whole number")
    5
    """
    try:
        number = -1 if isinstance(value, bool) else operator.index(cast("SupportsIndex", value))
    except TypeError:
        number = -1
    if number < 0 or (most is not None and number > most):
        raise InvalidValue(name, value, expected)
    return number


def parse_size(size: str | SupportsIndex, *, name: str = "size") -> int:
    """Bytes of a size as people write it, exactly.

    Parameters
    ----------
    size : a whole number of bytes, or a decimal number and a unit in either case of letters: ``B``; ``k``,
        ``kB``, ``M``, ``MB``, ... ``YB`` are powers of 1000; ``Ki``, ``KiB``, ... ``YiB`` are powers of 1024.
    name : the argument's name, for the error.

    Returns
    -------
    Bytes, at least 0. May be above 2**63.

    Raises
    ------
    InvalidValue : not of that form, negative, a bool or a float, or not a whole number of bytes.

    Examples
    --------
    >>> parse_size("5 GiB"), parse_size("1gb"), parse_size("1.5 KiB"), parse_size(512)
    (5368709120, 1000000000, 1536, 512)
    >>> parse_size("0.1 KiB")
    Traceback (most recent call last):
    ...
    quotasim.errors.InvalidValue: size must be a whole number of bytes (102 or 103 are near), not '0.1 KiB'
    """
    if not isinstance(size, str):
        return whole_number(size, name=name, expected=_SIZE_EXPECTED)
    match = _SIZE.fullmatch(size.strip(" "))
    if match is None:
        raise InvalidValue(name, size, _SIZE_EXPECTED)
    unit = _SIZE_UNITS.get(match[3].lower())
    if unit is None:
        raise InvalidValue(name, size, _SIZE_EXPECTED)
    whole, rest = _times(match[1], match[2], unit)
    if rest:
        raise InvalidValue(name, size, f"a whole number of bytes ({whole} or {whole + 1} are near)")
    return whole


def format_bytes(size: SupportsIndex, *, si: bool = False) -> str:
    """A number of bytes for people: exact below one kilobyte, else rounded to one decimal (half to even).

    Parameters
    ----------
    size : bytes; may be negative (a delta) and of any magnitude.
    si : powers of 1000 (kB, MB) instead of powers of 1024 (KiB, MiB).

    Examples
    --------
    >>> format_bytes(1023), format_bytes(2**30), format_bytes(2**30, si=True), format_bytes(-1536)
    ('1023 B', '1.0 GiB', '1.1 GB', '-1.5 KiB')
    """
    count = operator.index(size)
    sign = "-" if count < 0 else ""
    count = abs(count)
    base = 1000 if si else 1024
    if count < base:
        return f"{sign}{count} B"
    unit = 1
    name = ""
    tenths = 10 * count
    for prefix in _PREFIXES:
        unit *= base
        name = f"{prefix}B" if si else f"{prefix.upper()}iB"
        tenths = _divide_to_even(10 * count, unit)
        # 1023.96 KiB rounds to 1024.0 KiB, which reads 1.0 MiB: hence the test after rounding.
        if tenths < 10 * base:
            break
    return f"{sign}{tenths // 10}.{tenths % 10} {name}"


def parse_duration(duration: str | timedelta, *, name: str = "duration") -> int:
    """Microseconds of a duration as people write it, exactly.

    Parameters
    ----------
    duration : a `datetime.timedelta`, or numbers with units, the larger unit first: ``w``, ``d``, ``h``,
        ``min`` or ``m`` (minutes), ``s``, ``ms``, ``us``, or their English names. Months and years have no
        fixed length, and a bare number has no unit: both are refused.
    name : the argument's name, for the error.

    Returns
    -------
    Microseconds, 0 to 2**63 - 1.

    Raises
    ------
    InvalidValue : not of that form, negative, beyond 2**63 - 1 microseconds, or not a whole number of them.

    Examples
    --------
    >>> parse_duration("1h30m"), parse_duration("2 weeks"), parse_duration(timedelta(seconds=1.5))
    (5400000000, 1209600000000, 1500000)
    """
    if isinstance(duration, timedelta):
        microseconds = duration // _MICROSECOND
    elif isinstance(duration, str):
        microseconds = _parse_duration_text(duration, name)
    else:
        raise InvalidValue(name, duration, _DURATION_EXPECTED)
    if not 0 <= microseconds <= _INT64_MAX:
        raise InvalidValue(name, duration, "a duration from 0 to 2**63 - 1 microseconds (292,471 years)")
    return microseconds


def format_duration(microseconds: SupportsIndex) -> str:
    """A duration for people, exactly: what `parse_duration` reads back as the same number.

    Parameters
    ----------
    microseconds : may be negative, which `parse_duration` does not read.

    Examples
    --------
    >>> format_duration(5_400_000_000), format_duration(2_592_000_000_000), format_duration(1_500_000)
    ('1h 30min', '30d', '1.5s')
    """
    count = operator.index(microseconds)
    sign = "-" if count < 0 else ""
    seconds, fraction = divmod(abs(count), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if number]
    if seconds or fraction or not parts:
        parts.append(f"{seconds}.{fraction:06d}".rstrip("0").rstrip(".") + "s")
    return sign + " ".join(parts)


def parse_time(time: str | datetime, *, name: str = "time") -> int:
    """Microseconds since the epoch, UTC, of a calendar date or a time.

    Parameters
    ----------
    time : a `datetime.datetime` with a time zone, or text as in ISO 8601 and RFC 3339: ``2026-01-01``, with
        ``T12:30``, ``T12:30:00`` or ``T12:30:00.5`` after it if wanted, and ``Z`` or an offset such as
        ``+02:00``. Text that names no offset is UTC. Digits beyond the microsecond (registries print
        nanoseconds) are cut off.
    name : the argument's name, for the error.

    Returns
    -------
    Microseconds; negative before 1970.

    Raises
    ------
    InvalidValue : not of that form, no such date, or a `datetime` without a time zone.

    Examples
    --------
    >>> parse_time("2026-01-01"), parse_time("2026-01-01T02:00:00+02:00")
    (1767225600000000, 1767225600000000)
    """
    if isinstance(time, datetime):
        if time.tzinfo is None or time.utcoffset() is None:
            raise InvalidValue(name, time, "a datetime with a time zone, such as datetime(..., tzinfo=UTC)")
        return int((time - _EPOCH) // _MICROSECOND)
    if not isinstance(time, str) or _TIME.fullmatch(time) is None:
        raise InvalidValue(name, time, _TIME_EXPECTED)
    try:
        parsed = datetime.fromisoformat(time)
    except ValueError as error:  # the form is right: there is no 30 February, hour 25 or offset of +99:00
        raise InvalidValue(name, time, f"{_TIME_EXPECTED}: {error}") from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return (parsed - _EPOCH) // _MICROSECOND


def format_time(microseconds: SupportsIndex) -> str:
    """An ISO 8601 time in UTC, which `parse_time` reads back as the same number.

    Parameters
    ----------
    microseconds : since the epoch, UTC. NULL (-1) is a time like any other here: check for it first.

    Raises
    ------
    InvalidValue : outside the years 1 to 9999.

    Examples
    --------
    >>> format_time(1767225600000000), format_time(1767225600000001)
    ('2026-01-01T00:00:00Z', '2026-01-01T00:00:00.000001Z')
    """
    count = operator.index(microseconds)
    try:
        time = _EPOCH + timedelta(microseconds=count)
    except OverflowError:
        expected = "microseconds since the epoch, within the years 1 to 9999"
        raise InvalidValue("time", count, expected) from None
    return time.replace(tzinfo=None).isoformat() + "Z"


def _times(whole: str, fraction: str | None, unit: int) -> tuple[int, int]:
    """The decimal number ``whole.fraction`` times ``unit``: its whole part, and 0 only if that is all."""
    digits = fraction or ""
    scale: int = 10 ** len(digits)
    return divmod(int(whole + digits) * unit, scale)


def _divide_to_even(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def _parse_duration_text(duration: str, name: str) -> int:
    total = 0
    previous = _INT64_MAX
    text = duration.strip(" ")
    position = 0
    while position < len(text) or not text:
        part = _DURATION_PART.match(text, position)
        unit = None if part is None else _DURATION_UNITS.get(part[3])
        if part is None or unit is None:
            raise InvalidValue(name, duration, _DURATION_EXPECTED)
        if unit >= previous:
            raise InvalidValue(name, duration, "a duration that names each unit once, the larger one first")
        whole, rest = _times(part[1], part[2], unit)
        if rest:
            raise InvalidValue(name, duration, "a whole number of microseconds")
        total += whole
        previous = unit
        position = part.end()
    return total
