"""What generators are made of: distributions, working hours, what follows what, and tables of layers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotasim.errors import InvalidValue
from quotasim.workloads import Distribution, Hours, timing
from quotasim.workloads.stream import table_of

DAY = 86_400_000_000


@given(
    values=st.lists(st.floats(1, 1e12), min_size=1, max_size=50),
    form=st.sampled_from(["linear", "log", "step"]),
    count=st.integers(1, 200),
)
def test_what_is_drawn_lies_within_the_sample(values, form, count):
    distribution = Distribution.of(values, form)
    for drawn in (
        distribution.draw(np.random.default_rng(1), count),
        distribution.spread(np.random.default_rng(1), count),
    ):
        assert drawn.size == count
        assert np.all(drawn >= min(values) * (1 - 1e-9))
        assert np.all(drawn <= max(values) * (1 + 1e-9))
        if form == "step":
            assert set(drawn.tolist()) <= set(values)


def test_a_distributions_spread_has_each_value_as_often_as_it_should():
    distribution = Distribution((0.25, 0.75, 1.0), (1, 2, 9), "step")
    assert np.bincount(distribution.whole(np.random.default_rng(5), 400)).tolist() == [
        0,
        100,
        200,
        0,
        0,
        0,
        0,
        0,
        0,
        100,
    ]
    assert distribution.mean == 0.25 + 1 + 2.25
    assert Distribution.between(1, np.e**2).mean == pytest.approx((np.e**2 - 1) / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("probabilities", "values", "form", "name"),
    [
        ((), (), "linear", "probabilities"),
        ((0, 0.5), (1, 2), "linear", "probabilities"),
        ((0.1, 1), (1, 2), "linear", "probabilities"),
        ((0, 0.5, 0.5, 1), (1, 2, 3, 4), "linear", "probabilities"),
        ((0, 1), (1, 2), "step", "probabilities"),
        ((0, 1), (2, 1), "linear", "values"),
        ((0, 1), (1,), "linear", "values"),
        ((0, 1), (1, float("inf")), "linear", "values"),
        ((0, 1), (-1, 1), "linear", "values"),
        ((0, 1), (0, 1), "log", "values"),
        ((0, 1), (0, 1), "cubic", "form"),
    ],
)
def test_what_is_no_distribution_is_refused(probabilities, values, form, name):
    with pytest.raises(InvalidValue, match=f"^{name} must be"):
        Distribution(probabilities, values, form)


def test_a_sample_of_nothing_has_no_distribution():
    with pytest.raises(InvalidValue, match=r"^sample must be"):
        Distribution.of([])


@pytest.mark.parametrize(
    ("given", "name"),
    [((8, 8), "end"), ((24, 24), "begin"), ((0, 25), "end"), ((0, 24, ()), "days"), ((0, 24, (7,)), "days")],
)
def test_hours_that_are_none_are_refused(given, name):
    with pytest.raises(InvalidValue, match=f"^{name} must be"):
        Hours(*given)


def test_working_times_are_even_over_working_hours():
    monday = 4 * DAY  # 1970-01-05
    times = timing.working_times(np.random.default_rng(1), monday + DAY // 2, 7, 70_000, Hours(8, 18))
    day = (times - monday) // DAY
    counts = np.bincount(day, minlength=8)
    # Monday from noon on, four whole days, and the Monday after until noon.
    assert counts[[5, 6]].tolist() == [0, 0]
    assert np.allclose(counts[[1, 2, 3, 4]] / counts[1], 1, atol=0.05)
    assert counts[0] / counts[1] == pytest.approx(0.6, abs=0.03)
    assert counts[7] / counts[1] == pytest.approx(0.4, abs=0.03)


@given(keys=st.lists(st.integers(0, 3), max_size=30), seed=st.integers(0, 99))
def test_next_of_and_number_in_are_what_a_loop_finds(keys, seed):
    time = np.sort(np.random.default_rng(seed).integers(0, 10, len(keys)))
    key = np.array(keys, np.int64)
    follows, number = timing.next_of(key, time), timing.number_in(key)
    for row in range(len(keys)):
        later = [time[other] for other in range(row + 1, len(keys)) if key[other] == key[row]]
        assert follows[row] == (later[0] if later else np.iinfo(np.int64).max)
        assert number[row] == keys[:row].count(keys[row])


@given(st.lists(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=4, max_size=4), min_size=1, max_size=3))
def test_table_of_lays_parts_one_after_the_other(parts):
    pairs = [
        (
            np.array([row for row, elements in enumerate(part) for _ in elements], np.int64),
            np.array([element for elements in part for element in elements], np.int64),
        )
        for part in parts
    ]
    indptr, target = table_of(pairs, 4)
    for row in range(4):
        assert target[indptr[row] : indptr[row + 1]].tolist() == [one for part in parts for one in part[row]]
