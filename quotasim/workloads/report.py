"""`report`: a generated stream beside a real history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quotasim import frames
from quotasim.errors import InvalidValue
from quotasim.importers.trace_table import TraceTable
from quotasim.workloads.calibration import SHARING_CLASSES, Calibration
from quotasim.workloads.measure import MEASURES, Measures, measure

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["report", "samples_of"]

Array = npt.NDArray[Any]

_POINTS = 4_000
"""Numbers that stand for a distribution of a calibration."""


def report(stream: TraceTable, real: Calibration | Measures | None = None, *, shares: npt.ArrayLike) -> pd.DataFrame:
    """Set what a stream is like beside a real history: layers of an image, bytes of a layer, images that have a layer,
    and new bytes of a push.

    Parameters
    ----------
    stream : any trace with images.
    real : a calibration, by default :meth:`Calibration.fitted`; or what :func:`measure` found.
    shares : for which quantiles are wanted, from 0 to 1.

    Returns
    -------
    A frame of ``measure`` (of `MEASURES`), ``share``, ``generated`` and ``real``; :func:`quotasim.plots.distributions`
    draws it.

    Raises
    ------
    InvalidValue : a share is not within 0 and 1, or the stream has no images.

    Examples
    --------
    >>> from quotasim.workloads import hub_like
    >>> frame = report(hub_like(manifests=2_000), shares=[0.25, 0.5, 0.75])
    >>> frame[frame["measure"] == "layers"][["share", "generated", "real"]].values.tolist()
    [[0.25, 6.0, 6.0], [0.5, 9.0, 9.0], [0.75, 12.0, 12.0]]
    """
    wanted = np.asarray(shares, np.float64)
    if wanted.ndim != 1 or np.any((wanted < 0) | (wanted > 1)):
        raise InvalidValue("shares", shares, "numbers from 0 to 1")
    chosen = Calibration.fitted() if real is None else real
    return frames.quantiles({"generated": samples_of(measure(stream)), "real": samples_of(chosen)}, wanted)


def samples_of(history: Calibration | Measures) -> dict[str, Array]:
    """Return the numbers of each of `MEASURES`; of a calibration some thousand that stand for its distribution."""
    if isinstance(history, Measures):
        return {name: getattr(history, name) for name in MEASURES}
    even = (np.arange(_POINTS) + 0.5) / _POINTS
    changing = round((1 - history.unchanged) * _POINTS)
    changes = history.new_share.at((np.arange(changing) + 0.5) / max(changing, 1))
    return {
        "layers": history.layers.at(even),
        "layer_size": np.concatenate(_sizes(history, even)),
        "sharing": history.sharing.at(even),
        "new_share": np.concatenate((np.zeros(_POINTS - changes.size), changes)),
    }


def _sizes(history: Calibration, even: Array) -> list[Array]:
    """Return sizes of layers, of each class as many as it has layers."""
    group = np.searchsorted(SHARING_CLASSES, history.sharing.at(even))
    amounts = np.bincount(group, minlength=len(history.layer_size))
    return [
        one.at((np.arange(amount) + 0.5) / max(amount, 1))
        for one, amount in zip(history.layer_size, amounts, strict=True)
    ]
