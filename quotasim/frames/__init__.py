"""Frames: what an engine holds and has lived through, as pandas tables.

Every frame is long and tidy: one row a thing, sorted, ``_bytes``, ``_count`` and ``_at`` in the names,
times in UTC to the microsecond, names and digests as categoricals with sorted categories, and the same
dtypes when empty. Whole numbers are int64, or Int64 where a value may be missing; a running total beyond
2**63 - 1 makes its column one of exact Python ints.
"""

from quotasim.frames.charge import chargeback
from quotasim.frames.explanations import DELETION_STEPS, deletion, holders
from quotasim.frames.falls import falls, format_wait
from quotasim.frames.history import FIGURES, Every, events, monthly_replay, usage_over_time, usage_series
from quotasim.frames.holdings import blobs, images, repositories, sharing
from quotasim.frames.scenarios import UNITS, Start, Steps, costs, differences, outcome, scenarios, steps_since
from quotasim.frames.selections import selection
from quotasim.frames.studies import comparison, quantiles

__all__ = [
    "DELETION_STEPS",
    "FIGURES",
    "UNITS",
    "Every",
    "Start",
    "Steps",
    "blobs",
    "chargeback",
    "comparison",
    "costs",
    "deletion",
    "differences",
    "events",
    "falls",
    "format_wait",
    "holders",
    "images",
    "monthly_replay",
    "outcome",
    "quantiles",
    "repositories",
    "scenarios",
    "selection",
    "sharing",
    "steps_since",
    "usage_over_time",
    "usage_series",
]
