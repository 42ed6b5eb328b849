"""What an engine has lived through: its events, its usage over time, its months."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from quotasim.accounting.basis import scope_names, scope_of_repositories
from quotasim.accounting.reporting import seen_from, shown_at
from quotasim.engine import Engine
from quotasim.errors import InvalidValue
from quotasim.frames.columns import categories, digest_categories, from_codes, nullable, text, times
from quotasim.kernels import NULL, layout
from quotasim.model.log import EventKind, Reason
from quotasim.model.totals import cumulative

Array = npt.NDArray[Any]
Every = Literal["month", "day"]

FIGURES = ("logical", "charged", "reported", "stored")
"""The four figures of :func:`usage_over_time`, in its order."""

_STOCKS = {
    "logical_bytes": "logical_bytes",
    "unique_bytes": "unique_bytes",
    "charged_bytes": "charged_bytes",
    "stored_bytes": "stored_bytes",
    "live_manifests": "manifests",
    "live_blobs": "blobs",
    "bindings": "bindings",
}
_BYTES = ("unique_bytes", "charged_bytes", "stored_bytes", "first_stored_bytes", "upload_bytes", "drift_bytes")
_BINS: dict[Every, str] = {"month": "M", "day": "D"}


def _names_of_kinds(kinds: Array) -> pd.Categorical:
    """Event kinds as a categorical of all kinds, in the order of their codes."""
    known = np.array([int(kind) for kind in EventKind])
    return from_codes(np.searchsorted(known, kinds), [kind.name for kind in EventKind])


def events(engine: Engine) -> pd.DataFrame:
    """One row an event, in the order in which they happened.

    Returns
    -------
    A frame of ``seq`` (int64, its number), ``time``, ``kind`` (a name of `EventKind`), ``reason`` (of a
    refusal, ``NONE`` elsewhere), ``repository``, ``manifest`` and ``blob`` (digests), ``tag``, ``platform``
    (of replayed histories; missing elsewhere), ``cause`` (the ``seq`` of the event that made it happen;
    missing where it was asked for), ``batch`` (missing where time alone brought it), and the signed deltas
    ``bindings``, ``manifests``, ``blobs``, ``logical_bytes``, ``unique_bytes``, ``charged_bytes``,
    ``stored_bytes``, ``first_stored_bytes``, ``upload_bytes`` (of unfinished uploads), ``drift_bytes`` (the vendor's
    counter less the charge; int64).

    Notes
    -----
    O(events + distinct digests log distinct digests).
    """
    log, names, graph = engine.log, engine.names, engine.content.graph()
    manifest, tag = log.column("manifest"), log.column("tag")
    key = _take(names.tags.first, tag)
    platform = _take(names.tags.second, tag)
    deltas = {name: log.column(name).astype(np.int64) for name in ("bindings", "manifests", "blobs")}
    return pd.DataFrame(
        {
            "seq": np.arange(len(log), dtype=np.int64),
            "time": times(log.column("time")),
            "kind": _names_of_kinds(log.column("kind")),
            "reason": from_codes(log.column("reason"), [reason.name for reason in Reason]),
            "repository": categories(log.column("repository"), names.repositories.values),
            "manifest": digest_categories(engine, _take(graph.own, manifest)),
            "tag": categories(_take(names.tag_keys.second, key), names.tag_names.values),
            # Row 0 is the empty platform of everything but replayed histories.
            "platform": categories(np.where(platform == 0, NULL, platform), names.platforms.values),
            "blob": digest_categories(engine, log.column("blob")),
            "cause": nullable(log.column("cause")),
            "batch": nullable(log.column("batch")),
            **deltas,
            "logical_bytes": logical_deltas(engine),
            **{name: log.column(name) for name in _BYTES},
        }
    )


def _take(values: Array, rows: Array) -> Array:
    """``values[row]``, NULL where the row is NULL."""
    out = np.full(rows.shape[0], NULL, np.int64)
    present = rows != NULL
    out[present] = values[rows[present]]
    return out


def logical_deltas(engine: Engine, first: int = 0) -> Array:
    """Signed delta of the logical bytes of each event from ``first`` on, int64."""
    manifest, sign = engine.log.column("manifest", first), engine.log.column("manifests", first)
    deltas = np.zeros(manifest.shape[0], np.int64)
    changed = np.flatnonzero(sign)
    deltas[changed] = sign[changed] * engine.content.graph().logical[manifest[changed]]
    return deltas


def usage_series(engine: Engine, every: Every | None = None, by: Literal["scope"] | None = None) -> pd.DataFrame:
    """Usage over time: running totals of the log's deltas, as right-continuous steps.

    Parameters
    ----------
    every : None: one row for each time at which any total changed. ``"month"``, ``"day"``: one row for each
        calendar bin in UTC from the first change to the last event, those without a change included.
    by : ``"scope"``: the charge of every scope of the profile, with a leading column ``scope``.

    Returns
    -------
    A frame of ``time`` (of the change, or the begin of the bin), ``logical_bytes``, ``unique_bytes``,
    ``charged_bytes``, ``stored_bytes``, ``live_manifests``, ``live_blobs``, ``bindings``; by scope,
    ``scope``, ``time`` and ``charged_bytes``. With ``every`` these are the values at the end of the bin,
    and each ``_bytes`` column has a ``_min`` and a ``_max`` beside it: of the values that held at any time
    in the bin, the one it began with included. There is no mean: a quota sees peaks.

    Raises
    ------
    InvalidValue : another ``every`` or ``by``.

    Notes
    -----
    Operations of one batch share one time, so nothing between them shows. O(events).
    """
    if every is not None and every not in _BINS:
        raise InvalidValue("every", every, "month, day or None")
    if by not in (None, "scope"):
        raise InvalidValue("by", by, "scope or None")
    log = engine.log
    time = log.column("time")
    if by is None:
        deltas = {
            name: logical_deltas(engine) if column == "logical_bytes" else log.column(column)
            for name, column in _STOCKS.items()
        }
        return _series(time, deltas, every, None if time.size == 0 else int(time[-1]))
    return _series_by_scope(engine, every)


def usage_over_time(engine: Engine) -> pd.DataFrame:
    """The four figures that are taken for each other, each time one of them changes: right-continuous steps.

    Returns
    -------
    A frame of ``figure`` (a categorical of `FIGURES`), ``at`` (of a change, not later than the engine's time) and
    ``bytes`` (from then on; 0 before the first). Sorted by figure, then by time; one that never changed has no row.

    Notes
    -----
    At any time ``t`` the last row of a figure not after ``t`` is what ``Registry.usage()`` said at ``t``, once all
    that happened at ``t`` had happened. What is reported is what was counted, the charge and the drift of the vendor's
    counter, as late as the profile's display is. O(events).

    Examples
    --------
    >>> from quotasim import Blob, Image, Registry
    >>> registry = Registry("acr-premium", start="2026-01-01")
    >>> pushed = registry.push("app:1", Image([Blob.synthetic("layer", 1000)]))
    >>> registry.advance("1h")
    >>> frame = usage_over_time(registry.engine)
    >>> frame.groupby("figure", observed=True)["at"].first().dt.strftime("%H:%M").to_dict()
    {'logical': '00:00', 'charged': '00:00', 'reported': '00:05', 'stored': '00:00'}
    """
    changes = figure_changes(engine)
    parts = [_series(at, {"bytes": deltas}, None, None) for at, deltas in (changes[name] for name in FIGURES)]
    whole = pd.concat(parts, ignore_index=True)
    codes = np.repeat(np.arange(len(FIGURES)), [len(part) for part in parts])
    return pd.DataFrame({"figure": from_codes(codes, FIGURES), "at": whole["time"], "bytes": whole["bytes"]})


def figure_changes(engine: Engine, first: int = 0, since: int | None = None) -> dict[str, tuple[Array, Array]]:
    """When the four figures of :func:`usage_over_time` changed, and by how much: (int64[n], int64[n]) by figure.

    Parameters
    ----------
    first : the event with which it begins.
    since : microseconds, the time before that event: the display had caught up with what it showed then, and what it
        was to show later is among its changes. None: it begins with nothing to show.

    Notes
    -----
    Times never fall. O(events from ``first`` on).
    """
    log, profile, origin = engine.log, engine.profile, engine.state.origin
    settled = max(engine.settled_events, 0)
    shown = 0
    if since is not None:
        caught_up = shown_at(since, profile.report_lag, profile.report_every, origin)
        # What happens from ``first`` on at that very time is a change, and had not been shown.
        shown = max(settled, min(first, int(np.searchsorted(log.column("time"), caught_up, side="right"))))
    time, late = log.column("time", first), log.column("time", shown)
    seen = seen_from(late, profile.report_lag, profile.report_every, origin)
    at_once = max(settled - shown, 0)
    seen[:at_once] = late[:at_once]
    now = seen <= engine.state.now
    counted = log.column("charged_bytes", shown) + log.column("drift_bytes", shown)
    return {
        "logical": (time, logical_deltas(engine, first)),
        "charged": (time, log.column("charged_bytes", first)),
        "reported": (seen[now], counted[now]),
        "stored": (time, log.column("stored_bytes", first)),
    }


def _series_by_scope(engine: Engine, every: Every | None) -> pd.DataFrame:
    """The charge of every scope that ever had one."""
    log, profile = engine.log, engine.profile
    time, charged = log.column("time"), log.column("charged_bytes")
    changed = np.flatnonzero(charged)
    # Only a charge of the whole registry changes without a repository.
    repository = np.maximum(log.column("repository")[changed], 0)
    scope = scope_of_repositories(engine.names, profile.scope, repository)
    order = np.argsort(scope, kind="stable")
    rows, starts = np.unique(scope[order], return_index=True)
    titles = scope_names(engine.names, profile.scope)
    named = {titles[row]: changed[part] for row, part in zip(rows.tolist(), np.split(order, starts[1:]), strict=False)}
    end = None if time.size == 0 else int(time[-1])
    ordered = sorted(named)
    parts = [
        _series(time[mine], {"charged_bytes": charged[mine]}, every, end)
        for mine in (named[title] for title in ordered)
    ]
    nothing = _series(time[:0], {"charged_bytes": charged[:0]}, every, None)
    whole = pd.concat(parts, ignore_index=True) if parts else nothing
    codes = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    whole.insert(0, "scope", pd.Series(from_codes(codes, ordered)))
    return whole


def last_of_each(time: Array) -> Array:
    """Return the last row of each time, of times that never fall: what is true between two events of one time was never
    to be seen.
    """
    return np.flatnonzero(np.append(time[1:] != time[:-1], np.ones(min(time.size, 1), bool)))


def _series(time: Array, deltas: dict[str, Array], every: Every | None, end: int | None) -> pd.DataFrame:
    """Running totals at the times at which any of them changed, or by bins up to that of ``end``."""
    last = last_of_each(time)
    totals = {name: cumulative(values)[last] for name, values in deltas.items()}
    step = np.zeros(last.size, bool)
    for values in totals.values():
        step |= np.asarray(np.diff(values, prepend=0) != 0, bool)
    time = time[last][step]
    totals = {name: values[step] for name, values in totals.items()}
    if every is None:
        return pd.DataFrame({"time": times(time), **totals})
    return _binned(time, totals, every, end)


def _bin_edges(first: int, last: int, every: Every) -> Array:
    """Begins of the calendar bins from that of ``first`` to that of ``last``, and one more; microseconds."""
    unit = _BINS[every]
    low, high = np.array([first, last], np.int64).view("M8[us]").astype(f"M8[{unit}]")
    return np.asarray(np.arange(low, high + 2).astype("M8[us]").view(np.int64))


def _binned(time: Array, totals: dict[str, Array], every: Every, end: int | None) -> pd.DataFrame:
    """Last, least and greatest value of each bin."""
    if time.size == 0 or end is None:
        edges = np.empty(1, np.int64)
        start = stop = np.empty(0, np.int64)
    else:
        edges = _bin_edges(int(time[0]), end, every)
        # The step that holds when the bin begins, up to the first one after its end.
        start = np.maximum(np.searchsorted(time, edges[:-1], side="right") - 1, 0)
        stop = np.searchsorted(time, edges[1:], side="left")
    columns: dict[str, Array] = {}
    for name, values in totals.items():
        columns[name] = values[stop - 1]
        if name.endswith("_bytes"):
            columns[f"{name}_min"] = reduce_ranges(np.minimum, values, start, stop)
            columns[f"{name}_max"] = reduce_ranges(np.maximum, values, start, stop)
    return pd.DataFrame({"time": times(edges[:-1]), **columns})


def reduce_ranges(function: np.ufunc, values: Array, start: Array, stop: Array) -> Array:
    """``function`` over each of the ranges, none of which is empty."""
    if start.size == 0:
        return values[:0]
    ranges = np.stack((start, stop), axis=1).ravel()
    # One more value, which no range has: a range may end where the values do.
    return np.asarray(function.reduceat(np.append(values, values[-1:]), ranges)[::2])


def monthly_replay(engine: Engine) -> pd.DataFrame:
    """Stocks and flows of every calendar month, from that of the first event to that of the last (UTC).

    Returns
    -------
    A frame of ``month`` (``2015-09``); after its last event ``live_tag_bindings``, ``live_manifests``,
    ``live_blobs`` (layers and configs: of every live manifest its own bytes are left out), ``logical_bytes``,
    ``live_unique_bytes``, ``ever_unique_bytes`` (blobs ever stored, each once) and ``dedup_ratio`` (float64,
    logical by unique bytes to 4 digits, NaN where there are none); and of the month ``manifest_pushes``
    (manifests that became live), ``manifests_orphaned`` (that ceased to be), ``bytes_uploaded_new``,
    ``bytes_freed_by_refcount`` (growth and fall of the unique bytes) and ``tag_ops`` (tags set, moved and
    removed because somebody asked for it).

    Notes
    -----
    O(events).
    """
    log = engine.log
    time, kind, manifests = log.column("time"), log.column("kind"), log.column("manifests")
    unique = log.column("unique_bytes")
    edges = _bin_edges(int(time[0]), int(time[-1]), "month") if time.size else np.empty(1, np.int64)
    bounds = np.searchsorted(time, edges) if time.size else np.zeros(1, np.int64)
    asked = log.column("cause") == NULL
    tags = np.isin(kind, (layout.OP_TAG, layout.OP_UNTAG)) | (kind == layout.OP_PUSH) & (log.column("tag") != NULL)

    def stock(deltas: Array) -> Array:
        return cumulative(deltas)[bounds[1:] - 1]

    def flow(deltas: Array) -> Array:
        totals = np.concatenate((np.zeros(1, np.int64), cumulative(deltas)))
        return np.diff(totals[bounds])

    logical, live = stock(logical_deltas(engine)), stock(unique)
    ratio = [
        round(above / below, 4) if below else np.nan
        for above, below in zip(logical.tolist(), live.tolist(), strict=True)
    ]
    return pd.DataFrame(
        {
            "month": text([str(month) for month in edges[:-1].view("M8[us]").astype("M8[M]")]),
            "live_tag_bindings": stock(log.column("bindings")),
            "live_manifests": stock(manifests),
            "live_blobs": stock(log.column("blobs").astype(np.int64) - manifests),
            "logical_bytes": logical,
            "live_unique_bytes": live,
            "ever_unique_bytes": stock(log.column("first_stored_bytes")),
            "dedup_ratio": np.array(ratio, np.float64),
            "manifest_pushes": flow(manifests > 0),
            "manifests_orphaned": flow(manifests < 0),
            "bytes_uploaded_new": flow(np.maximum(unique, 0)),
            "bytes_freed_by_refcount": flow(-np.minimum(unique, 0)),
            "tag_ops": flow(tags & asked),
        }
    )
