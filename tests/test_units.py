"""Sizes, durations and times: exact both ways, and nothing is guessed."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quotasim.errors import InvalidValue
from quotasim.units import (
    format_bytes,
    format_duration,
    format_time,
    parse_duration,
    parse_size,
    parse_time,
    whole_number,
)

BINARY = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
DECIMAL = ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
SECOND = 1_000_000
FIRST_TIME = -62_135_596_800 * SECOND
LAST_TIME = 253_402_300_800 * SECOND - 1


# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("512 bytes", 512),
        ("1 byte", 1),
        ("1k", 1_000),
        ("1K", 1_000),
        ("1Ki", 1_024),
        ("1gb", 10**9),
        ("1 GB", 10**9),
        ("1GiB", 2**30),
        ("5 GiB", 5 * 2**30),
        (" 200GiB ", 200 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("0.1 GB", 10**8),
        ("1.0000", 1),
        ("0.5 EiB", 2**59),
        ("16 EiB", 2**64),
        ("1 YB", 10**24),
        (7, 7),
        (2**70, 2**70),
        (np.int64(2**62), 2**62),
        (np.uint64(2**64 - 1), 2**64 - 1),
    ],
)
def test_parse_size(text, size):
    parsed = parse_size(text)
    assert parsed == size
    assert type(parsed) is int


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "GiB",
        "-1",
        "+1",
        "-1 GiB",
        "1e3",
        "0x10",
        "1_000",
        "1,000",
        "1.",
        ".5 GiB",
        "1  GiB",
        "1 GiB\n",
        "1 GiBs",
        "1 XB",
        "1 G iB",
        "1 kk",
        "NaN",
        "inf",
        "\u0663",
        "\uff11",
        "1 \u212aB",
        "9" * 100,
        -1,
        True,
        False,
        1.0,
        float("nan"),
        None,
        b"1",
        np.float64(1),
        np.bool_(True),
        np.array([1, 2]),
        ["1"],
    ],
)
def test_parse_size_refuses_what_is_no_size(text):
    with pytest.raises(InvalidValue) as caught:
        parse_size(text, name="limit")
    assert caught.value.name == "limit"
    assert caught.value.value is text


@pytest.mark.parametrize("text", ["0.1 KiB", "1.3 GiB", "0.5", "0.0001 kB", "1.0000000000000000000001 GB"])
def test_parse_size_does_not_round(text):
    with pytest.raises(InvalidValue, match="a whole number of bytes"):
        parse_size(text)


@given(st.integers(0, 10**30), st.sampled_from(BINARY), st.booleans())
def test_parse_size_of_a_binary_unit_is_exact(count, unit, lower):
    text = f"{count} {unit}"
    assert parse_size(text.lower() if lower else text) == count * 1024 ** (BINARY.index(unit) + 1)


@given(st.integers(0, 10**30), st.integers(0, 30), st.sampled_from(DECIMAL))
def test_parse_size_of_a_fraction_is_exact_or_refused(count, places, unit):
    digits = f"{count:0{places + 1}d}"
    text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}".rstrip(".") + unit
    exact = Fraction(count, 10**places) * 1000 ** (DECIMAL.index(unit) + 1)
    if exact.denominator == 1:
        assert parse_size(text) == exact
    else:
        with pytest.raises(InvalidValue):
            parse_size(text)


@pytest.mark.parametrize(
    ("size", "binary", "decimal"),
    [
        (0, "0 B", "0 B"),
        (1, "1 B", "1 B"),
        (999, "999 B", "999 B"),
        (1000, "1000 B", "1.0 kB"),
        (1023, "1023 B", "1.0 kB"),
        (1024, "1.0 KiB", "1.0 kB"),
        (1536, "1.5 KiB", "1.5 kB"),
        (-1536, "-1.5 KiB", "-1.5 kB"),
        (2**20 - 1, "1.0 MiB", "1.0 MB"),
        (2**20 - 51, "1.0 MiB", "1.0 MB"),
        (2**20 - 52, "1023.9 KiB", "1.0 MB"),
        (999_949, "976.5 KiB", "999.9 kB"),
        (999_951, "976.5 KiB", "1.0 MB"),
        (2**30, "1.0 GiB", "1.1 GB"),
        (171_655_457_577, "159.9 GiB", "171.7 GB"),
        (2**63, "8.0 EiB", "9.2 EB"),
        (2**64, "16.0 EiB", "18.4 EB"),
        (-(2**70), "-1.0 ZiB", "-1.2 ZB"),
        (10**28, "8271.8 YiB", "10000.0 YB"),
        (np.int64(2048), "2.0 KiB", "2.0 kB"),
    ],
)
def test_format_bytes(size, binary, decimal):
    assert format_bytes(size) == binary
    assert format_bytes(size, si=True) == decimal


def test_format_bytes_rounds_half_to_even():
    assert [format_bytes(1024 + 1024 * tenths // 20) for tenths in (5, 15)] == ["1.2 KiB", "1.8 KiB"]


@given(st.integers(-(10**26), 10**26), st.booleans())
@example(2**80 - 1, False)
def test_format_bytes_is_the_nearest_tenth_of_the_best_unit(size, si):
    base, units = (1000, DECIMAL) if si else (1024, BINARY)
    number, unit = format_bytes(size, si=si).split(" ")
    if unit == "B":
        assert int(number) == size
        assert abs(size) < base
        return
    scale = base ** (units.index(unit) + 1)
    shown = Fraction(number) * scale
    assert abs(shown - size) <= Fraction(scale, 20)
    assert scale <= abs(shown)
    assert abs(shown) < base * scale or unit == units[-1]


# Durations


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("30d", 30 * 86_400 * SECOND),
        ("5min", 300 * SECOND),
        ("5m", 300 * SECOND),
        ("1h30m", 5_400 * SECOND),
        ("1h 30min", 5_400 * SECOND),
        ("2 weeks", 14 * 86_400 * SECOND),
        ("1 week 1 day 1 hour 1 minute 1 second", (7 * 86_400 + 86_400 + 3_600 + 60 + 1) * SECOND),
        ("1.5h", 5_400 * SECOND),
        ("0.000001s", 1),
        ("250ms", 250_000),
        ("7us", 7),
        ("0s", 0),
        (timedelta(days=1, microseconds=1), 86_400 * SECOND + 1),
        (timedelta(0), 0),
    ],
)
def test_parse_duration(text, microseconds):
    assert parse_duration(text) == microseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "0",
        "d",
        "-5min",
        "5 fortnights",
        "1 month",
        "1 year",
        "1mo",
        "30D",
        "1e3s",
        "P1D",
        "1h,30m",
        "30m1h",
        "1h1h",
        "1m 1min",
        "0.5us",
        "1h30",
        "1d\u00a02h",
        "999999999999w",
        5,
        0,
        1.5,
        None,
        True,
        np.int64(5),
        timedelta(microseconds=-1),
        timedelta.max,
    ],
)
def test_parse_duration_refuses_what_is_no_duration(text):
    with pytest.raises(InvalidValue) as caught:
        parse_duration(text, name="grace")
    assert caught.value.name == "grace"
    assert caught.value.value is text


@given(st.integers(0, 2**63 - 1))
@example(0)
@example(2**63 - 1)
def test_durations_survive_formatting(microseconds):
    assert parse_duration(format_duration(microseconds)) == microseconds


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=10_000_000)))
def test_a_timedelta_is_what_it_says(duration):
    expected = (duration.days * 86_400 + duration.seconds) * SECOND + duration.microseconds
    assert parse_duration(duration) == expected


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0s"),
        (1, "0.000001s"),
        (1_500_000, "1.5s"),
        (60 * SECOND, "1min"),
        (90_061 * SECOND, "1d 1h 1min 1s"),
        (30 * 86_400 * SECOND, "30d"),
        (-300 * SECOND, "-5min"),
        (np.int64(300 * SECOND), "5min"),
    ],
)
def test_format_duration(microseconds, text):
    assert format_duration(microseconds) == text


# Times


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01", 0),
        ("2026-01-01", 1_767_225_600 * SECOND),
        ("2026-01-01T00:00:00Z", 1_767_225_600 * SECOND),
        ("2026-01-01 00:00", 1_767_225_600 * SECOND),
        ("2026-01-01T02:00:00+02:00", 1_767_225_600 * SECOND),
        ("2025-12-31T23:00:00-01:00", 1_767_225_600 * SECOND),
        ("2026-01-01T00:00:00.5Z", 1_767_225_600 * SECOND + 500_000),
        ("2026-01-01T00:00:00.1234567Z", 1_767_225_600 * SECOND + 123_456),
        ("2026-01-01T00:00:00.999999999Z", 1_767_225_600 * SECOND + 999_999),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("0001-01-01", FIRST_TIME),
        ("9999-12-31T23:59:59.999999Z", LAST_TIME),
        (datetime(2026, 1, 1, tzinfo=UTC), 1_767_225_600 * SECOND),
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 1_767_225_600 * SECOND),
        (pd.Timestamp("2026-01-01", tz="Europe/Berlin"), 1_767_222_000 * SECOND),
    ],
)
def test_parse_time(text, microseconds):
    parsed = parse_time(text)
    assert parsed == microseconds
    assert type(parsed) is int


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026",
        "2026-01",
        "20260101",
        "2026-W01-1",
        "2026-02-30",
        "2026-13-01",
        "2026-01-01T25:00",
        "2026-01-01T00",
        "2026-01-01T00:00:00+99:00",
        "2026-01-01Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01\n",
        "\u0662026-01-01",
        1_767_225_600,
        0.0,
        None,
        True,
        date(2026, 1, 1),
        datetime(2026, 1, 1),  # noqa: DTZ001 - it has to be refused
        pd.Timestamp("2026-01-01"),
    ],
)
def test_parse_time_refuses_what_is_no_time(text):
    with pytest.raises(InvalidValue) as caught:
        parse_time(text, name="start")
    assert caught.value.name == "start"
    assert caught.value.value is text


@given(st.integers(FIRST_TIME, LAST_TIME))
@example(FIRST_TIME)
@example(LAST_TIME)
@example(-1)
def test_times_survive_formatting(microseconds):
    assert parse_time(format_time(microseconds)) == microseconds


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_datetime_and_its_text_are_the_same_time(time):
    assert parse_time(time) == parse_time(time.isoformat())


@pytest.mark.parametrize("microseconds", [FIRST_TIME - 1, LAST_TIME + 1, 2**63 - 1, -(2**63)])
def test_format_time_refuses_years_without_a_calendar(microseconds):
    with pytest.raises(InvalidValue, match="within the years 1 to 9999"):
        format_time(microseconds)


# Whole numbers


def test_whole_number_keeps_to_its_limit():
    assert whole_number(np.int32(5), name="count", expected="at most 5", most=5) == 5
    with pytest.raises(InvalidValue, match="count must be at most 5, not 6"):
        whole_number(6, name="count", expected="at most 5", most=5)


def test_importing_units_imports_nothing_heavy(root):
    # The package's own __init__ is left out: it imports the whole engine.
    code = (
        "import sys, types; package = types.ModuleType('quotasim'); package.__path__ = ['quotasim'];"
        "sys.modules['quotasim'] = package; import quotasim.units;"
        "print(*sorted({'decimal', 'numba', 'numpy', 'pandas', 'typer'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
