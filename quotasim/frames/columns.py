"""Columns of frames: times, texts, categoricals, whole numbers that may be missing or large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quotasim.engine import Engine
from quotasim.kernels import NULL
from quotasim.model.digests import format_digests

Array = npt.NDArray[Any]

NO_TIME = np.iinfo(np.int64).min
"""Where there is no time."""


def times(microseconds: Array) -> pd.DatetimeIndex:
    """Times in UTC, missing where ``NO_TIME``."""
    return pd.DatetimeIndex(microseconds.view("M8[us]")).tz_localize("UTC")


def text(values: Sequence[str]) -> pd.Series[str]:
    """Texts, one a row."""
    return pd.Series(list(values), dtype="str")


def categories(codes: Array, values: Sequence[str]) -> pd.Categorical:
    """A categorical of ``values[code]``, missing where NULL; categories are what occurs, sorted."""
    present = codes != NULL
    used, place = np.unique(codes[present], return_inverse=True)
    return _sorted_categories(present, place, [values[row] for row in used.tolist()])


def digest_categories(engine: Engine, blob: Array) -> pd.Categorical:
    """A categorical of the digests of blob rows, missing where NULL. Each digest is written once."""
    present = blob != NULL
    used, place = np.unique(blob[present], return_inverse=True)
    return _sorted_categories(present, place, format_digests(engine.content.digest_array(used)))


def _sorted_categories(present: Array, place: Array, labels: list[str]) -> pd.Categorical:
    order = sorted(range(len(labels)), key=labels.__getitem__)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    codes = np.full(present.shape[0], -1, np.int64)
    codes[present] = rank[place]
    return from_codes(codes, [labels[row] for row in order])


def from_codes(codes: Array, categories: Sequence[str]) -> pd.Categorical:
    """A categorical with exactly these categories, in their order; missing where the code is NULL."""
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(categories), dtype="str"))


def nullable(values: Array) -> pd.Series[int]:
    """Whole numbers, missing where NULL."""
    filled = np.where(values == NULL, 0, values).astype(np.int64)
    return pd.Series(pd.arrays.IntegerArray(filled, np.asarray(values == NULL, bool)))


def exact(values: Sequence[int]) -> Array:
    """Exact ints as int64, as Python ints where one does not fit."""
    fits = all(-(2**63) <= value < 2**63 for value in values)
    return np.array(values, np.int64 if fits else object)
