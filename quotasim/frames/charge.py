"""Who has which part of a charge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from quotasim.accounting.chargeback import UNATTRIBUTED, ChargeRow
from quotasim.accounting.price import PLACES
from quotasim.frames.columns import exact, from_codes, text

MONEY = pd.ArrowDtype(pa.decimal128(38, PLACES))
"""Exact amounts of money, as many places as are shown."""


def chargeback(rows: Sequence[ChargeRow]) -> pd.DataFrame:
    """One row a row of :meth:`quotasim.Registry.chargeback`, sorted by name, ``(unattributed)`` last.

    Returns
    -------
    A frame of ``name`` (str), ``logical_bytes``, ``exclusive_bytes``, ``attributed_bytes``, ``cost`` (decimal128 with
    six places, missing where the kind has no price) and ``currency`` (categorical, missing there too).

    Examples
    --------
    >>> from quotasim import Blob, Image, Registry
    >>> registry = Registry("harbor")
    >>> pushed = registry.push("team/app:1", Image([Blob.synthetic("base", 100)], Blob.synthetic("config", 20)))
    >>> chargeback(registry.chargeback())[["name", "attributed_bytes", "cost"]]
       name  attributed_bytes  cost
    0  team               520  <NA>
    """
    ordered = sorted(rows, key=lambda row: (row.name == UNATTRIBUTED, row.name))
    currencies = sorted({row.currency for row in ordered if row.currency is not None})
    codes = [-1 if row.currency is None else currencies.index(row.currency) for row in ordered]
    figures = ("logical_bytes", "exclusive_bytes", "attributed_bytes")
    return pd.DataFrame(
        {
            "name": text([row.name for row in ordered]),
            **{name: exact([getattr(row, name) for row in ordered]) for name in figures},
            "cost": pd.Series([row.cost for row in ordered], dtype=MONEY),
            "currency": from_codes(np.array(codes, np.int64), currencies),
        }
    )
