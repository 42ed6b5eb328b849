"""How arguments of the generators are checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from quotasim.errors import InvalidValue
from quotasim.units import parse_duration, parse_size, parse_time, whole_number
from quotasim.workloads.distribution import Distribution

__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "Hours", "Removal"]

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_MOST: Final = 10**8

Removal = Literal["delete", "untag"]
"""How old images go: the manifest is deleted, or its own tag is removed and the rest is left to the collector."""


@dataclass(frozen=True, slots=True)
class Hours:
    """When people work: hours of the day, UTC, and days of the week.

    Parameters
    ----------
    begin, end : 0 to 24; work stops before ``end``.
    days : days of the week, Monday is 0.

    Raises
    ------
    InvalidValue : there are none.

    Examples
    --------
    >>> Hours(8, 18).days
    (0, 1, 2, 3, 4)
    >>> Hours.always() == Hours(0, 24, tuple(range(7)))
    True
    """

    begin: int = 8
    end: int = 18
    days: tuple[int, ...] = (0, 1, 2, 3, 4)

    def __post_init__(self) -> None:
        count("begin", self.begin, 0, 23)
        count("end", self.end, self.begin + 1, 24)
        if not self.days or not set(self.days) <= set(range(7)):
            raise InvalidValue("days", self.days, "days of the week, 0 (Monday) to 6")

    @classmethod
    def always(cls) -> Hours:
        """Return all hours of all days."""
        return cls(0, 24, tuple(range(7)))


def count(name: str, value: object, least: int = 1, most: int = _MOST) -> int:
    """Return a whole number, or say what it has to be."""
    expected = f"a whole number from {least:,} to {most:,}"
    found = whole_number(value, name=name, expected=expected, most=most)
    if found < least:
        raise InvalidValue(name, value, expected)
    return found


def share(name: str, value: float) -> float:
    """Return a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidValue(name, value, "a number from 0 to 1")
    return float(value)


def positive(name: str, value: float) -> float:
    """Return a number above 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise InvalidValue(name, value, "a number above 0")
    return float(value)


def distribution(name: str, value: Distribution, least: float = 0.0) -> Distribution:
    """Return a distribution of numbers that are at least ``least``."""
    if not isinstance(value, Distribution) or value.values[0] < least:
        raise InvalidValue(name, value, f"a Distribution of numbers of at least {least:g}")
    return value


def size(name: str, value: int | str) -> int:
    """Return bytes that fit into int64."""
    found = parse_size(value, name=name)
    if found >= 2**62:
        raise InvalidValue(name, value, "less than 4 EiB")
    return found


def duration(name: str, value: str | timedelta | None) -> int | None:
    """Return microseconds above 0, or None."""
    if value is None:
        return None
    found = parse_duration(value, name=name)
    if not 0 < found <= 100_000 * DAY:
        raise InvalidValue(name, value, "a duration above 0 and of at most 100,000 days, or None")
    return found


def span(name: str, value: str | timedelta) -> int:
    """Return microseconds above 0."""
    found = duration(name, value)
    if found is None:
        raise InvalidValue(name, value, "a duration")
    return found


def moment(name: str, value: str | datetime) -> int:
    """Return microseconds since the epoch, at the latest in the year 9000: a stream must end before 9999."""
    found = parse_time(value, name=name)
    if not 0 <= found <= 221_845_392_000 * SECOND:
        raise InvalidValue(name, value, "a time from 1970 to 9000")
    return found


def seed_of(value: int) -> int:
    """Return a seed."""
    return whole_number(value, name="seed", expected="a whole number from 0 to 2**63 - 1", most=2**63 - 1)


def removal_of(value: str) -> Removal:
    """Return how old images go."""
    if value == "delete":
        return "delete"
    if value == "untag":
        return "untag"
    raise InvalidValue("removal", value, "delete or untag")
