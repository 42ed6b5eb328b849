"""Frames: what an engine holds and has lived through, as pandas tables.

Every frame is long and tidy: one row a thing, sorted, ``_bytes``, ``_count`` and ``_at`` in the names,
times in UTC to the microsecond, names and digests as categoricals with sorted categories, and the same
dtypes when empty. Whole numbers are int64, or Int64 where a value may be missing; a running total beyond
2**63 - 1 makes its column one of exact Python ints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from quotasim.accounting.basis import scope_names, scope_of_repositories
from quotasim.accounting.reporting import seen_from
from quotasim.accounting.sharing import SharingRow, first_tags, image_rows, link_name, sharing_rows
from quotasim.engine import Engine
from quotasim.errors import InvalidValue
from quotasim.kernels import NULL, layout
from quotasim.model.digests import format_digests
from quotasim.model.log import EventKind, Reason
from quotasim.model.oci import Kind
from quotasim.model.totals import cumulative

if TYPE_CHECKING:
    from quotasim.comparison import KindRow

__all__ = [
    "FIGURES",
    "blobs",
    "comparison",
    "events",
    "images",
    "monthly_replay",
    "quantiles",
    "repositories",
    "usage_over_time",
    "usage_series",
]

Array = npt.NDArray[Any]
Every = Literal["month", "day"]

FIGURES = ("logical", "charged", "reported", "stored")
"""The four figures of :func:`usage_over_time`, in its order."""

_NO_TIME = np.iinfo(np.int64).min
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


# -- columns -------------------------------------------------------------------------------------------


def _times(microseconds: Array) -> pd.DatetimeIndex:
    """Times in UTC, missing where ``_NO_TIME``."""
    return pd.DatetimeIndex(microseconds.view("M8[us]")).tz_localize("UTC")


def _text(values: Sequence[str]) -> pd.Series[str]:
    return pd.Series(list(values), dtype="str")


def _categories(codes: Array, values: Sequence[str]) -> pd.Categorical:
    """A categorical of ``values[code]``, missing where NULL; categories are what occurs, sorted."""
    present = codes != NULL
    used, place = np.unique(codes[present], return_inverse=True)
    return _sorted_categories(present, place, [values[row] for row in used.tolist()])


def _digest_categories(engine: Engine, blob: Array) -> pd.Categorical:
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
    return _from_codes(codes, [labels[row] for row in order])


def _from_codes(codes: Array, categories: Sequence[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=pd.Index(list(categories), dtype="str"))


def _nullable(values: Array) -> pd.Series[int]:
    """Whole numbers, missing where NULL."""
    filled = np.where(values == NULL, 0, values).astype(np.int64)
    return pd.Series(pd.arrays.IntegerArray(filled, np.asarray(values == NULL, bool)))


def _exact(values: Sequence[int]) -> Array:
    """Exact ints as int64, as Python ints where one does not fit."""
    fits = all(-(2**63) <= value < 2**63 for value in values)
    return np.array(values, np.int64 if fits else object)


def _names_of_kinds(kinds: Array) -> pd.Categorical:
    """Event kinds as a categorical of all kinds, in the order of their codes."""
    known = np.array([int(kind) for kind in EventKind])
    return _from_codes(np.searchsorted(known, kinds), [kind.name for kind in EventKind])


# -- what happened -------------------------------------------------------------------------------------


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
            "time": _times(log.column("time")),
            "kind": _names_of_kinds(log.column("kind")),
            "reason": _from_codes(log.column("reason"), [reason.name for reason in Reason]),
            "repository": _categories(log.column("repository"), names.repositories.values),
            "manifest": _digest_categories(engine, _take(graph.own, manifest)),
            "tag": _categories(_take(names.tag_keys.second, key), names.tag_names.values),
            # Row 0 is the empty platform of everything but replayed histories.
            "platform": _categories(np.where(platform == 0, NULL, platform), names.platforms.values),
            "blob": _digest_categories(engine, log.column("blob")),
            "cause": _nullable(log.column("cause")),
            "batch": _nullable(log.column("batch")),
            **deltas,
            "logical_bytes": _logical_deltas(engine),
            **{name: log.column(name) for name in _BYTES},
        }
    )


def _take(values: Array, rows: Array) -> Array:
    """``values[row]``, NULL where the row is NULL."""
    out = np.full(rows.shape[0], NULL, np.int64)
    present = rows != NULL
    out[present] = values[rows[present]]
    return out


def _logical_deltas(engine: Engine) -> Array:
    """Signed delta of the logical bytes of each event, int64."""
    manifest, sign = engine.log.column("manifest"), engine.log.column("manifests")
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
            name: _logical_deltas(engine) if column == "logical_bytes" else log.column(column)
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
    log, profile = engine.log, engine.profile
    time, charged = log.column("time"), log.column("charged_bytes")
    seen = seen_from(time, profile.report_lag, profile.report_every, engine.state.origin)
    settled = max(engine.settled_events, 0)
    seen[:settled] = time[:settled]
    shown = seen <= engine.state.now
    changes = {
        "logical": (time, _logical_deltas(engine)),
        "charged": (time, charged),
        "reported": (seen[shown], (charged + log.column("drift_bytes"))[shown]),
        "stored": (time, log.column("stored_bytes")),
    }
    parts = [_series(times, {"bytes": deltas}, None, None) for times, deltas in (changes[name] for name in FIGURES)]
    whole = pd.concat(parts, ignore_index=True)
    codes = np.repeat(np.arange(len(FIGURES)), [len(part) for part in parts])
    return pd.DataFrame({"figure": _from_codes(codes, FIGURES), "at": whole["time"], "bytes": whole["bytes"]})


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
    whole.insert(0, "scope", pd.Series(_from_codes(codes, ordered)))
    return whole


def _series(time: Array, deltas: dict[str, Array], every: Every | None, end: int | None) -> pd.DataFrame:
    """Running totals at the times at which any of them changed, or by bins up to that of ``end``."""
    # What is true between two events of one time was never to be seen.
    last = np.flatnonzero(np.append(time[1:] != time[:-1], np.ones(min(time.size, 1), bool)))
    totals = {name: cumulative(values)[last] for name, values in deltas.items()}
    step = np.zeros(last.size, bool)
    for values in totals.values():
        step |= np.asarray(np.diff(values, prepend=0) != 0, bool)
    time = time[last][step]
    totals = {name: values[step] for name, values in totals.items()}
    if every is None:
        return pd.DataFrame({"time": _times(time), **totals})
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
            columns[f"{name}_min"] = _reduce(np.minimum, values, start, stop)
            columns[f"{name}_max"] = _reduce(np.maximum, values, start, stop)
    return pd.DataFrame({"time": _times(edges[:-1]), **columns})


def _reduce(function: np.ufunc, values: Array, start: Array, stop: Array) -> Array:
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

    logical, live = stock(_logical_deltas(engine)), stock(unique)
    ratio = [
        round(above / below, 4) if below else np.nan
        for above, below in zip(logical.tolist(), live.tolist(), strict=True)
    ]
    return pd.DataFrame(
        {
            "month": _text([str(month) for month in edges[:-1].view("M8[us]").astype("M8[M]")]),
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


# -- what is there -------------------------------------------------------------------------------------


def _figures(rows: Sequence[SharingRow]) -> dict[str, Array]:
    names = ("logical_bytes", "unique_bytes", "exclusive_bytes", "shared_bytes", "attributed_bytes")
    return {name: _exact([getattr(row, name) for row in rows]) for name in names}


def images(engine: Engine) -> pd.DataFrame:
    """One row an image: a root manifest of a repository, with all that belongs to it; sorted by name.

    Returns
    -------
    A frame of ``name`` (``repository:first-tag``, else ``repository@digest``), ``repository``, ``manifest``
    (digest), ``kind`` (``image``, ``index``), ``platform``, ``tags`` (all of them, sorted, joined by ``",
    "``), ``tag_count``, ``pushed_at``, ``pushed_at_is_estimated`` (an import did not know it),
    ``tagged_at`` (the last time; missing where untagged), ``pulled_at`` (missing where unknown),
    ``manifest_count`` (itself included), ``logical_bytes``, ``unique_bytes``, ``exclusive_bytes``,
    ``shared_bytes``, ``attributed_bytes``.

    Notes
    -----
    O(references of the images + links log links).
    """
    engine.sync()
    content, names, state, log = engine.content, engine.names, engine.state, engine.log
    graph = content.graph()
    rows = image_rows(content, names, state)
    labels = first_tags(names, state)
    titles = [link_name(content, names, labels, link) for link in rows.root.tolist()]
    order = sorted(range(len(titles)), key=titles.__getitem__)
    root = rows.root[np.array(order, np.int64)]
    manifest = names.links.second[root]

    tags = np.flatnonzero(state.read("tag_link") != NULL)
    tagged_at = np.full(len(names.links), _NO_TIME, np.int64)
    times = log.times_of(state.read("tag_event")[tags], absent=_NO_TIME)
    np.maximum.at(tagged_at, state.read("tag_link")[tags], times)
    pulled = state.read("pulled_at")
    pulled_at = pulled[root] if pulled.size else np.full(root.size, NULL, np.int64)
    platform = content.platform[manifest].astype(np.int64)
    return pd.DataFrame(
        {
            "name": _text([titles[row] for row in order]),
            "repository": _categories(names.links.first[root], names.repositories.values),
            "manifest": _digest_categories(engine, graph.own[manifest]),
            "kind": _from_codes(graph.kind[manifest], [kind.name.lower() for kind in Kind]),
            "platform": _categories(np.where(platform == 0, NULL, platform), content.platforms.values),
            "tags": _text([", ".join(labels.get(link, ())) for link in root.tolist()]),
            "tag_count": state.read("tag_count")[root].astype(np.int64),
            "pushed_at": _times(log.times_of(state.read("link_event")[root], absent=_NO_TIME)),
            "pushed_at_is_estimated": state.read("link_estimated")[root] != 0,
            "tagged_at": _times(tagged_at[root]),
            "pulled_at": _times(np.where(pulled_at == NULL, _NO_TIME, pulled_at)),
            "manifest_count": np.diff(rows.indptr)[np.array(order, np.int64)],
            **_figures(sharing_rows(content, names, state, "image")),
        }
    )


def blobs(engine: Engine) -> pd.DataFrame:
    """One row a blob that is on disk or held, sorted by digest.

    Returns
    -------
    A frame of ``digest`` (str), ``size`` (Int64 bytes, missing where unknown), ``media_type``, ``foreign``,
    ``stored`` (bool), ``holders`` (live manifests that contain it), ``stored_at`` (last uploaded or linked;
    missing where it is not stored), ``released_at`` (last let go of; missing where it is held).

    Notes
    -----
    O(blobs log blobs).
    """
    engine.sync()
    content, state, log = engine.content, engine.state, engine.log
    graph = content.graph()
    stored, holders = state.read("stored") != 0, state.read("holders")
    rows = np.flatnonzero(stored | (holders > 0))
    digests = format_digests(content.digest_array(rows))
    order = np.array(sorted(range(len(digests)), key=digests.__getitem__), np.int64)
    rows = rows[order]
    media = content.media_type[rows].astype(np.int64)
    stored_at = log.times_of(state.read("stored_event")[rows], absent=_NO_TIME)
    released_at = log.times_of(state.read("released_event")[rows], absent=_NO_TIME)
    known = (graph.flags[rows] & layout.FLAG_UNKNOWN_SIZE) == 0
    return pd.DataFrame(
        {
            "digest": _text([digests[row] for row in order.tolist()]),
            "size": _nullable(np.where(known, graph.size[rows], NULL)),
            "media_type": _categories(np.where(media == 0, NULL, media), content.media_types.values),
            "foreign": (graph.flags[rows] & layout.FLAG_FOREIGN) != 0,
            "stored": stored[rows],
            "holders": holders[rows].astype(np.int64),
            "stored_at": _times(np.where(stored[rows], stored_at, _NO_TIME)),
            "released_at": _times(np.where(holders[rows] > 0, _NO_TIME, released_at)),
        }
    )


def repositories(engine: Engine) -> pd.DataFrame:
    """One row a repository with anything linked, sorted by name.

    Returns
    -------
    A frame of ``name`` (str), ``namespace``, ``tag_count``, ``manifest_count`` (linked, indexes included),
    ``index_count``, ``logical_bytes``, ``unique_bytes``, ``exclusive_bytes``, ``shared_bytes``,
    ``attributed_bytes``.

    Notes
    -----
    O(references of linked manifests).
    """
    engine.sync()
    content, names, state = engine.content, engine.names, engine.state
    figures = sharing_rows(content, names, state, "repository")
    rows = np.array([names.repositories.find(row.name) for row in figures], np.int64)
    links = np.flatnonzero(state.read("linked"))
    indexes = links[content.graph().kind[names.links.second[links]] == layout.KIND_INDEX]
    tags = np.flatnonzero(state.read("tag_link") != NULL)

    def count(repository: Array) -> Array:
        return np.bincount(repository, minlength=len(names.repositories))[rows].astype(np.int64)

    return pd.DataFrame(
        {
            "name": _text([row.name for row in figures]),
            "namespace": _categories(names.namespace[rows], names.namespaces.values),
            "tag_count": count(names.tag_repository[tags]),
            "manifest_count": count(names.links.first[links]),
            "index_count": count(names.links.first[indexes]),
            **_figures(figures),
        }
    )


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
                name: _text([getattr(row, name) for row in rows])
                for name in ("profile", "title", "dedup_scope", "basis")
            },
            "as_of": _times(np.array([row.as_of for row in rows], np.int64)),
            **{name: _exact([getattr(row, name) for row in rows]) for name in figures},
            "limit_bytes": known,
            "refused_count": np.array([row.refused for row in rows], np.int64),
            "differences": _text(["; ".join(map(str, row.differences)) for row in rows]),
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
        {"measure": _from_codes(codes, measures), "share": np.tile(shares.astype(np.float64), len(measures)), **columns}
    )
