"""What became of branches that lived through the same operations: usage over time, and figures to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quotasim.engine import Engine
from quotasim.frames.charge import MONEY
from quotasim.frames.columns import exact, from_codes, times
from quotasim.frames.history import FIGURES, figure_changes, last_of_each, reduce_ranges
from quotasim.kernels import layout
from quotasim.model.totals import cumulative, exact_dot, exact_sum

Array = npt.NDArray[Any]
Steps = Mapping[str, tuple[Array, Array]]
"""By figure: times, int64[n], the first being where it begins, and the value from each on."""

UNITS: Mapping[str, str] = {
    "charged_bytes": "bytes",
    "peak_charged_bytes": "bytes",
    "mean_charged_bytes": "bytes",
    "reported_bytes": "bytes",
    "stored_bytes": "bytes",
    "peak_stored_bytes": "bytes",
    "mean_stored_bytes": "bytes",
    "logical_bytes": "bytes",
    "swept_bytes": "bytes",
    "tags": "tags",
    "manifests": "manifests",
    "deleted_manifests": "manifests",
    "refused_requests": "requests",
    "collections": "runs",
    "damaged_manifests": "manifests",
}
"""The figures of :func:`outcome`, in their order, and their units."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a branch begins to live on its own.

    Attributes
    ----------
    at : microseconds since the epoch, UTC.
    events : so many had happened.
    bytes : by figure what held then.
    """

    at: int
    events: int
    bytes: Mapping[str, int]

    @classmethod
    def of(cls, engine: Engine) -> Start:
        """Return where an engine is now."""
        figures = {**engine.figures(), "reported_bytes": engine.reported_bytes()}
        return cls(engine.state.now, len(engine.log), {name: figures[f"{name}_bytes"] for name in FIGURES})


def steps_since(engine: Engine, start: Start) -> Steps:
    """Return the figures of an engine from its start on, as right-continuous steps. O(events since)."""
    steps = {}
    for name, (at, deltas) in figure_changes(engine, start.events, start.at).items():
        # What the start has in it already is no change.
        time = np.concatenate(([start.at], at))
        values = cumulative(np.concatenate((np.zeros(1, np.int64), deltas)), start.bytes[name])
        last = last_of_each(time)
        time, values = time[last], values[last]
        changed = np.append(True, np.asarray(values[1:] != values[:-1], bool))
        steps[name] = time[changed], values[changed]
    return steps


def scenarios(runs: Mapping[str, Steps], until: int, every: int | None = None) -> pd.DataFrame:
    """Usage over time of branches, one below the other.

    Parameters
    ----------
    runs : the steps of each by its name, in the order in which they are to come.
    until : microseconds, the last time of all.
    every : None: a row for each change; microseconds: a row at the same times for all, counted from the begin.

    Returns
    -------
    A frame of ``scenario`` (a categorical in the order given), ``figure`` (a categorical of `FIGURES`), ``at``,
    ``bytes`` (what holds at this time, once all that happens at it has happened) and ``max_bytes`` (the largest value
    taken after the row before it and not after this one: a quota sees peaks). Every figure has a row at the begin and
    one at ``until``.

    Notes
    -----
    O(rows + changes).
    """
    parts, codes, kinds = [], [], []
    for code, steps in enumerate(runs.values()):
        for kind, name in enumerate(FIGURES):
            time, values = steps[name]
            at = _grid(time, until, every)
            stop = np.searchsorted(time, at, side="right")
            start = np.minimum(np.append(0, stop[:-1]), stop - 1)
            parts.append((at, values[stop - 1], reduce_ranges(np.maximum, values, start, stop)))
            codes.append(np.full(at.size, code))
            kinds.append(np.full(at.size, kind))
    at, value, most = (np.concatenate(column) for column in zip(*parts, strict=True))
    return pd.DataFrame(
        {
            "scenario": from_codes(np.concatenate(codes), list(runs)),
            "figure": from_codes(np.concatenate(kinds), FIGURES),
            "at": times(at),
            "bytes": value,
            "max_bytes": most,
        }
    )


def _grid(time: Array, until: int, every: int | None) -> Array:
    """Return the times of the rows: those of the changes, or at an interval; and the last."""
    at = time if every is None else np.arange(time[0], until + 1, every)
    return at if at[-1] == until else np.append(at, until)


def outcome(engine: Engine, start: Start, steps: Steps, until: int, *, damaged: int) -> list[int]:
    """Return the figures of a branch that are to be compared, in the order of `UNITS`; exact.

    A mean is over time, rounded down; over no time it is what holds. O(changes + events since the start).
    """
    log, total = engine.log, engine.state.total
    kind, sign = log.column("kind", start.events), log.column("manifests", start.events)
    stored = log.column("stored_bytes", start.events)
    quota = log.column("reason", start.events) == layout.REASON_QUOTA
    figures = {name: int(steps[name][1][-1]) for name in FIGURES}
    return [
        figures["charged"],
        int(steps["charged"][1].max()),
        mean_of_steps(*steps["charged"], until),
        figures["reported"],
        figures["stored"],
        int(steps["stored"][1].max()),
        mean_of_steps(*steps["stored"], until),
        figures["logical"],
        -exact_sum(np.minimum(stored, 0)),
        total(layout.TOTAL_BINDINGS),
        total(layout.TOTAL_MANIFESTS),
        int(np.count_nonzero(sign < 0)),
        int(np.count_nonzero(quota)),
        int(np.count_nonzero(kind == layout.OP_GC)),
        damaged,
    ]


def mean_of_steps(time: Array, values: Array, until: int) -> int:
    """Return the mean of steps over time to ``until``, exact, rounded down; over no time the last value. O(steps)."""
    span = np.diff(time, append=until)
    if until == time[0]:
        return int(values[-1])
    return exact_dot(values, span) // (until - int(time[0]))


def differences(outcomes: Mapping[str, Sequence[int]], base: str) -> pd.DataFrame:
    """What scenarios come to beside one of them: a row a scenario and figure.

    Parameters
    ----------
    outcomes : the figures of each scenario, of :func:`outcome`.
    base : the scenario that the others are compared with.

    Returns
    -------
    A frame of ``scenario`` (a categorical in the order given), ``figure`` (a categorical of `UNITS`), ``unit``,
    ``value``, ``base_value``, ``difference`` (whole numbers) and ``difference_percent`` (float64 per cent of the base,
    NaN where that is 0).

    Notes
    -----
    O(rows).
    """
    names, count = list(outcomes), len(UNITS)
    values = [value for figures in outcomes.values() for value in figures]
    of_base = list(outcomes[base]) * len(names)
    change = [value - other for value, other in zip(values, of_base, strict=True)]
    part = [100 * by / other if other else np.nan for by, other in zip(change, of_base, strict=True)]
    return pd.DataFrame(
        {
            "scenario": from_codes(np.repeat(np.arange(len(names)), count), names),
            "figure": from_codes(np.tile(np.arange(count), len(names)), list(UNITS)),
            "unit": pd.Categorical(list(UNITS.values()) * len(names)),
            "value": exact(values),
            "base_value": exact(of_base),
            "difference": exact(change),
            "difference_percent": np.array(part, np.float64),
        }
    )


def costs(bills: Mapping[str, tuple[Decimal, str] | None], base: str) -> pd.DataFrame:
    """What scenarios cost beside one of them: a row a scenario.

    Parameters
    ----------
    bills : amount and currency of each; None where its kind has no price.
    base : the scenario that the others are compared with.

    Returns
    -------
    A frame of ``scenario`` (a categorical in the order given), ``currency`` (categorical), ``cost``, ``base_cost`` and
    ``difference`` (decimal128 with six places). Missing where a scenario has no price, or the base none in its
    currency.

    Notes
    -----
    O(rows).
    """
    names = list(bills)
    currencies = sorted({bill[1] for bill in bills.values() if bill is not None})
    cost, other, more = [], [], []
    for amount, currency in (bill or (None, None) for bill in bills.values()):
        beside, its_currency = bills[base] or (None, None)
        if currency is None or currency != its_currency:
            beside = None
        cost.append(amount)
        other.append(beside)
        more.append(None if amount is None or beside is None else amount - beside)
    codes = [-1 if bill is None else currencies.index(bill[1]) for bill in bills.values()]
    return pd.DataFrame(
        {
            "scenario": from_codes(np.arange(len(names)), names),
            "currency": from_codes(np.array(codes, np.int64), currencies),
            "cost": pd.Series(cost, dtype=MONEY),
            "base_cost": pd.Series(other, dtype=MONEY),
            "difference": pd.Series(more, dtype=MONEY),
        }
    )
