"""What was found by comparing: registry kinds, and histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quotasim.frames.columns import exact, from_codes, text, times

if TYPE_CHECKING:
    from quotasim.comparison import KindRow

Array = npt.NDArray[Any]


def comparison(rows: Sequence[KindRow]) -> pd.DataFrame:
    """One row a registry kind, in the order given: what :func:`quotasim.compare` found.

    Returns
    -------
    A frame of ``profile``, ``title``, ``dedup_scope``, ``basis``, ``as_of``, ``unique_bytes``, ``charged_bytes``,
    ``reported_bytes``, ``stored_bytes``, ``reclaimable_bytes``, ``limit_bytes`` (missing where the kind has none),
    ``refused_count``, ``differences`` (the reasons, joined by ``"; "``).
    """
    limits = [row.limit_bytes for row in rows]
    known = pd.array([0 if limit is None else limit for limit in limits], dtype="Int64")
    known[np.array([limit is None for limit in limits], bool)] = pd.NA
    figures = ("unique_bytes", "charged_bytes", "reported_bytes", "stored_bytes", "reclaimable_bytes")
    return pd.DataFrame(
        {
            **{
                name: text([getattr(row, name) for row in rows])
                for name in ("profile", "title", "dedup_scope", "basis")
            },
            "as_of": times(np.array([row.as_of for row in rows], np.int64)),
            **{name: exact([getattr(row, name) for row in rows]) for name in figures},
            "limit_bytes": known,
            "refused_count": np.array([row.refused for row in rows], np.int64),
            "differences": text(["; ".join(map(str, row.differences)) for row in rows]),
        }
    )


def quantiles(histories: Mapping[str, Mapping[str, Array]], shares: Array) -> pd.DataFrame:
    """What histories are like, side by side: one row a measure and share.

    Parameters
    ----------
    histories : samples by measure, by history; all have the same measures.
    shares : numbers from 0 to 1.

    Returns
    -------
    A frame of ``measure``, ``share``, and for each history the least number of its sample that this share of the sample
    does not exceed.

    Examples
    --------
    >>> quantiles({"real": {"layers": np.array([1, 3, 9])}}, np.array([0.5, 1.0]))
      measure  share  real
    0  layers    0.5   3.0
    1  layers    1.0   9.0
    """
    measures = list(next(iter(histories.values()), {}))
    codes = np.repeat(np.arange(len(measures)), shares.size)
    columns = {
        name: np.concatenate(
            [np.empty(0), *(np.quantile(samples[one], shares, method="inverted_cdf") for one in measures)]
        )
        for name, samples in histories.items()
    }
    return pd.DataFrame(
        {"measure": from_codes(codes, measures), "share": np.tile(shares.astype(np.float64), len(measures)), **columns}
    )
