"""Prices, bills, and bills shared out: against the vendors' own examples and against fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import quotasim as qs
from quotasim.accounting.chargeback import UNATTRIBUTED, ChargeRow, priced, split_bytes, split_costs
from quotasim.accounting.price import SMALLEST, apportion, money
from quotasim.profiles import PROFILES, by_name

from .strategies import checked

GIB, GB = 2**30, 10**9
amounts = st.decimals(0, 5, allow_nan=False, allow_infinity=False, places=4)
sizes = st.sampled_from([0, 1, 999, GIB, 10 * GIB, 2**70]) | st.integers(0, 2**50)
prices = st.builds(
    qs.Price,
    currency=st.just("USD"),
    amount=amounts,
    unit_bytes=st.sampled_from([GIB, GB]),
    unit_days=st.sampled_from([1, 30]),
    included_bytes=st.sampled_from([0, 500_000_000, 10 * GIB]),
    fee_per_day=amounts,
)


@pytest.mark.parametrize(
    ("kind", "size", "days", "bill"),
    [
        ("acr-basic", 25 * GIB, 1, "0.212000"),  # the vendor's example: 0.167 + 15 x 0.003
        ("acr-basic", 10 * GIB, 1, "0.167000"),
        ("acr-basic", 0, 30, "5.010000"),
        ("acr-standard", 101 * GIB, 1, "0.670000"),
        ("acr-premium", 500 * GIB, 30, "50.010000"),
        ("ecr", 25 * GB, 30, "2.500000"),
        ("ecr", 25 * GB, 3, "0.250000"),
        ("gar", 500_000_000, 30, "0.000000"),
        ("gar", 1_500_000_000, 30, "0.100000"),
    ],
)
def test_bills_that_were_worked_out_by_hand(kind, size, days, bill):
    assert str(by_name(kind).price.bill(size, days)) == bill


def test_each_copy_is_billed_like_the_first():
    price = by_name("acr-premium").price
    assert price.bill(600 * GIB, days=1, copies=3) == 3 * price.bill(600 * GIB, days=1)
    registry = qs.Registry("acr-premium")
    alone = registry.bill(days=7)
    registry.set_replicas(2)
    assert registry.bill(days=7) == 2 * alone > 0


def test_what_is_included_in_the_price_is_what_the_kind_shows():
    found = {name: profile.price.included_bytes for name, profile in PROFILES.items() if profile.included is not None}
    assert found == {name: PROFILES[name].included for name in ("acr-basic", "acr-standard", "acr-premium")}


def test_what_one_runs_oneself_has_no_price():
    free = {name for name, profile in PROFILES.items() if profile.price is None}
    assert free == {"distribution-2.8", "distribution-3", "gitlab", "harbor", "quay", "refcount", "zot"}
    for name in free:
        assert qs.Registry(name).bill() is None


@checked(100)
@given(price=prices, size=sizes, days=st.integers(1, 400), copies=st.integers(1, 3))
def test_a_bill_is_the_exact_amount_rounded_once(price, size, days, copies):
    above = max(0, size - price.included_bytes)
    a_day = Fraction(price.fee_per_day) + Fraction(price.amount) * above / price.unit_bytes / price.unit_days
    bill = price.bill(size, days, copies)
    assert abs(Fraction(bill) - a_day * days * copies) <= Fraction(SMALLEST) / 2
    assert bill.as_tuple().exponent == -6


@checked(100)
@given(total=st.integers(0, 2**80), weights=st.lists(st.integers(0, 2**70), min_size=1, max_size=8))
def test_parts_add_up_and_are_within_one_of_their_share(total, weights):
    if not any(weights):
        weights[0] = 1
    parts = apportion(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        assert part >= 0
        assert weight or not part


def test_there_must_be_somebody_to_take_a_part():
    assert apportion(0, [0, 0]) == [0, 0]
    assert apportion(0, []) == []
    with pytest.raises(qs.InvalidValue, match="at least one above 0"):
        apportion(1, [0, 0])


def rows_of(sizes):
    return [ChargeRow(f"r{place}", 3 * size, size // 2, size) for place, size in enumerate(sizes)]


@checked(100)
@given(rows=st.lists(sizes, max_size=6).map(rows_of), millionths=st.integers(0, 10**12))
def test_costs_add_up_to_the_bill(rows, millionths):
    bill = money(millionths)
    found = priced(rows, bill, "USD")
    assert sum(row.cost for row in found) == bill
    assert {row.currency for row in found} <= {"USD"}
    if any(row.attributed_bytes for row in rows) or not bill:
        assert [row.name for row in found] == [row.name for row in rows]
    else:
        assert found[-1] == ChargeRow(UNATTRIBUTED, 0, 0, 0, bill, "USD")
    # The other splits ask for a byte what a charged byte costs.
    charged = sum(row.attributed_bytes for row in rows)
    for split in ("exclusive", "logical"):
        asked = sum(split_costs(found, split, bill))
        total = sum(split_bytes(rows, split))
        exact = Fraction(bill) * total / charged if charged else Fraction(bill)
        assert abs(Fraction(asked) - exact) <= Fraction(SMALLEST) / 2


def test_amounts_of_any_magnitude_keep_their_places():
    assert [str(money(value)) for value in (0, 1, 2_500_000, -1)] == ["0.000000", "0.000001", "2.500000", "-0.000001"]
    assert Fraction(money(10**60 + 1)) == Fraction(10**60 + 1, 10**6)  # more digits than the decimal context keeps


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"amount": 0.1}, "amount"),
        ({"amount": Decimal("-1")}, "amount"),
        ({"fee_per_day": Decimal("NaN")}, "fee_per_day"),
        ({"unit_bytes": 0}, "unit_bytes"),
        ({"unit_days": 0}, "unit_days"),
        ({"included_bytes": -1}, "included_bytes"),
    ],
)
def test_a_price_that_cannot_be_is_refused(changes, name):
    whole = {"currency": "USD", "amount": Decimal("0.1"), "unit_bytes": GB, "unit_days": 30}
    with pytest.raises(qs.InvalidValue) as caught:
        qs.Price(**whole | changes)
    assert caught.value.name == name


@pytest.mark.parametrize("days", [0, -1, 1.5, True, "30"])
@pytest.mark.parametrize("kind", ["harbor", "ecr"])
def test_days_are_a_whole_number(kind, days):
    for ask in (qs.Registry(kind).bill, qs.Registry(kind).chargeback):
        with pytest.raises(qs.InvalidValue, match="a whole number of days"):
            ask(days=days)
