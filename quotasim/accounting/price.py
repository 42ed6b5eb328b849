"""What storage costs: a price as data, the bill for a charge, and a bill shared out to its last millionth.

Money never passes through a float: a bill is an exact fraction until it is rounded, once, to whole :data:`SMALLEST`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue
from quotasim.model.totals import exact_dot, exact_sum
from quotasim.units import whole_number

Array = npt.NDArray[Any]

PLACES = 6
_SCALE = 1_000_000  # 10**PLACES
_DAY = 86_400_000_000  # microseconds
SMALLEST = Decimal(1).scaleb(-PLACES)
"""The smallest amount of money that is shown, in units of the currency. What is shown adds up exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a registry kind asks for stored bytes.

    Attributes
    ----------
    currency : ISO 4217, such as ``"USD"``.
    amount : for each ``unit_bytes`` above ``included_bytes``, for each ``unit_days``.
    unit_bytes : 2**30 (GiB) or 10**9 (GB), as the vendor's page says.
    unit_days : 1, or 30 for a month: months have 30 days here.
    included_bytes : bytes for which nothing but the fee is asked, once for the whole charge.
    fee_per_day : what is asked whatever is stored.
    """

    currency: str
    amount: Decimal
    unit_bytes: int
    unit_days: int
    included_bytes: int = 0
    fee_per_day: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name in ("amount", "fee_per_day"):
            value = getattr(self, name)
            if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
                raise InvalidValue(name, value, "a Decimal of 0 or more")
        for name in ("unit_bytes", "unit_days"):
            if getattr(self, name) < 1:
                raise InvalidValue(name, getattr(self, name), "1 or more")
        if self.included_bytes < 0:
            raise InvalidValue("included_bytes", self.included_bytes, "0 or more")

    def bill(self, size: int, days: int = 30, copies: int = 1) -> Decimal:
        """Return what ``size`` charged bytes cost for some days, to the nearest :data:`SMALLEST` (half to even).

        Parameters
        ----------
        copies : in how many places it is all kept; each is billed like the first, its fee and what it includes too.

        Raises
        ------
        InvalidValue : ``days`` is no whole number of at least 1.

        Examples
        --------
        >>> basic = Price(currency="USD", amount=Decimal("0.003"), unit_bytes=2**30, unit_days=1,
        ...               included_bytes=10 * 2**30, fee_per_day=Decimal("0.167"))
        >>> basic.bill(25 * 2**30, days=1)
        Decimal('0.212000')
        """
        check_days(days)
        return self._bill(Fraction(max(0, size - self.included_bytes)) * days, Fraction(days), copies)

    def bill_over(self, charged: Array, spans: Array, copies: int = 1) -> Decimal:
        """Return what a charge that changes costs: so many bytes, each for so long.

        What is included is so at each time, and not in the mean. O(n).

        Parameters
        ----------
        charged : bytes, int64[n] or Python ints (dtype object).
        spans : microseconds for which each was charged, int64[n].
        copies : as of :meth:`bill`.

        Examples
        --------
        >>> basic = Price(currency="USD", amount=Decimal("0.003"), unit_bytes=2**30, unit_days=1,
        ...               included_bytes=10 * 2**30, fee_per_day=Decimal("0.167"))
        >>> basic.bill_over(np.array([25, 0]) * 2**30, np.array([1, 1]) * 86_400_000_000)
        Decimal('0.379000')
        """
        above = exact_dot(np.maximum(charged - self.included_bytes, 0), spans)
        return self._bill(Fraction(above, _DAY), Fraction(exact_sum(spans), _DAY), copies)

    def _bill(self, byte_days: Fraction, days: Fraction, copies: int) -> Decimal:
        """Return what bytes above the included ones times the days that they were there cost, with the fee."""
        asked = Fraction(self.fee_per_day) * days
        asked += Fraction(self.amount) * byte_days / (self.unit_bytes * self.unit_days)
        return money(round(asked * copies * _SCALE))


def check_days(days: int) -> None:
    """Refuse what is no number of days.

    Raises
    ------
    InvalidValue : not a whole number of at least 1.
    """
    wanted = "a whole number of days, 1 or more"
    if whole_number(days, name="days", expected=wanted) < 1:
        raise InvalidValue("days", days, wanted)


def money(millionths: int) -> Decimal:
    """Return a whole number of :data:`SMALLEST` as an amount of any magnitude, without rounding."""
    sign, digits = int(millionths < 0), tuple(map(int, str(abs(millionths))))
    return Decimal((sign, digits, -PLACES))


def millionths(amount: Decimal) -> int:
    """Return how many :data:`SMALLEST` an amount from :func:`money` is, exactly."""
    return round(Fraction(amount) * _SCALE)


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Split a whole number in proportion to weights, so that the parts add up: the method of largest remainders.

    Parameters
    ----------
    total : 0 or more.
    weights : 0 or more each, and not all 0 unless ``total`` is 0.

    Returns
    -------
    A part for each weight. What division leaves goes one each to those with the largest remainders, of equal ones to
    the first. O(n log n).

    Examples
    --------
    >>> apportion(10, [1, 1, 1]), apportion(100, [0, 3, 4])
    ([4, 3, 3], [0, 43, 57])
    """
    whole = sum(weights)
    if whole == 0:
        if total:
            raise InvalidValue("weights", list(weights), "at least one above 0, since there is something to split")
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    first = sorted(range(len(weights)), key=lambda place: -remainders[place])
    for place in first[: total - sum(parts)]:
        parts[place] += 1
    return parts
