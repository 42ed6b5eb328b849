"""What a history is like, as numbers: of a generated stream, or of a real one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from quotasim.errors import InvalidValue
from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.kernels import NULL, births
from quotasim.model.oci import Kind
from quotasim.workloads.stream import rows_of

__all__ = ["ALL_MONTHS", "MEASURES", "Measures", "ks_distance", "measure"]

Array = npt.NDArray[Any]
Longs = npt.NDArray[np.int64]

ALL_MONTHS: Final = tuple(range(1, 13))
MEASURES: Final = ("layers", "layer_size", "sharing", "new_share")
"""What a generated stream is held to."""

_BINDS, _UNBINDS, _DELETES = 1, 2, 3


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """What the images of a history, and their pushes, are like. Configs and manifests are left out.

    Attributes
    ----------
    layers : int64[M] distinct layers of each image.
    layer_size : int64[B] bytes of each distinct layer of these images.
    sharing : int64[B] how many of these images have it.
    image_size : int64[M] bytes of the distinct layers of each image.
    new_share : float64[P] bytes of layers that nothing held when an image came to life, to all bytes of its layers.
    unchanged : part of these pushes that brought no layer.
    repush_gap : float64[G] seconds between two pushes of a tag.
    pushes_per_tag : int64[K] how often each tag was pushed.
    images_per_push : int64[A] images that one repository got in one batch, where it got any.
    tag_lifetime : float64[D] seconds from the first push of a tag to its removal.
    kept : part of the tags that are there at the end.
    """

    layers: Longs
    layer_size: Longs
    sharing: Longs
    image_size: Longs
    new_share: npt.NDArray[np.float64]
    unchanged: float
    repush_gap: npt.NDArray[np.float64]
    pushes_per_tag: Longs
    images_per_push: Longs
    tag_lifetime: npt.NDArray[np.float64]
    kept: float


def ks_distance(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Return the largest difference between two empirical distribution functions (Kolmogorov and Smirnov).

    Raises
    ------
    InvalidValue : one of them is empty.

    Examples
    --------
    >>> ks_distance([1, 2, 3, 4], [3, 4, 5, 6])
    0.5
    """
    first, second = np.sort(np.asarray(one)), np.sort(np.asarray(other))
    for name, sample in (("one", first), ("other", second)):
        if not sample.size:
            raise InvalidValue(name, sample, "at least one number")
    at = np.concatenate((first, second))
    below = [np.searchsorted(sample, at, side="right") / sample.size for sample in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


def measure(
    trace: TraceTable, *, months: Collection[int] = ALL_MONTHS, only: npt.NDArray[np.bool_] | None = None
) -> Measures:
    """Measure a history.

    Parameters
    ----------
    months : calendar months, 1 to 12: only images that came to life in one of them, pushes in one of them and tags that
        began in one of them count. What was there already is known from the whole history.
    only : bool[M] manifests of the trace that count; by default all images with layers.

    Raises
    ------
    InvalidValue : no image counts.

    Notes
    -----
    A manifest is alive while a tag points to it, or after a push without a tag until it is deleted; of a batch, what
    adds comes before what takes away. O(references * log of them).
    """
    if not months or not set(months) <= set(ALL_MONTHS):
        raise InvalidValue("months", months, "calendar months, 1 to 12")
    content = trace.manifests
    indptr, target, row = _distinct(content.kind == Kind.IMAGE, content.indptr, content.target, len(content.digest))
    size = np.maximum(trace.blobs.size, 0)
    counts = np.diff(indptr)
    counted = (counts > 0) if only is None else (counts > 0) & only
    image_size = np.bincount(row, weights=size[target], minlength=counts.size).astype(np.int64)

    key, link, link_manifest, act = _references(trace)
    new = _replay(trace, key, link, link_manifest, act, (indptr, target, size))
    in_months = np.isin(_month(trace.time), list(months))
    births_at = np.flatnonzero((new != NULL) & in_months & counted[np.maximum(trace.manifest, 0)])
    share = new[births_at] / np.maximum(image_size[trace.manifest[births_at]], 1)

    # An image belongs to the month in which it came first.
    first = np.full(counts.size, NULL, np.int64)
    pushes = np.flatnonzero((act == _BINDS) & (trace.manifest != NULL))[::-1]
    first[trace.manifest[pushes]] = pushes
    mine = counted & (first != NULL) & in_months[first]
    if not mine.any() or not births_at.size:
        raise InvalidValue("trace", "no image that counts", "a history with images")
    holders = np.bincount(target[mine[row]], minlength=size.size)
    shared = np.flatnonzero(holders)
    return Measures(
        layers=counts[mine],
        layer_size=size[shared],
        sharing=holders[shared],
        image_size=image_size[mine],
        new_share=share,
        unchanged=float((new[births_at] == 0).mean()),
        **_tag_lives(trace, key, act, in_months, mine),
    )


def _distinct(images: Array, indptr: Longs, target: Array, count: int) -> tuple[Longs, Array, Longs]:
    """Return (indptr, target, row of each target) of the layers of images, none twice; indexes are empty."""
    _, row = rows_of(np.diff(indptr))
    kept = images[row]
    row, layers = row[kept], target[kept].astype(np.int64)
    pair = row << 32 | layers
    if np.any(np.diff(pair) <= 0):
        pair = np.unique(pair)
        row, layers = pair >> 32, pair & 0xFFFFFFFF
    return rows_of(np.bincount(row, minlength=count))[0], layers.astype(np.int32), row


def _references(trace: TraceTable) -> tuple[Longs, Longs, Longs, Array]:
    """Return (tag key of each row, its link, manifest of each link, what it does)."""
    count = np.int64(max(len(trace.tags), 1))
    platforms = np.int64(len(trace.platforms) + 1)
    name = (trace.repository * count + trace.tag) * platforms + trace.platform + 1
    key = np.full(trace.time.size, NULL, np.int64)
    tagged = trace.tag != NULL
    key[tagged] = np.unique(name[tagged], return_inverse=True)[1]
    link = np.full(trace.time.size, NULL, np.int64)
    named = trace.manifest != NULL
    pairs, inverse = np.unique(
        trace.repository[named].astype(np.int64) << 32 | trace.manifest[named], return_inverse=True
    )
    link[named] = inverse
    act = np.zeros(trace.time.size, np.uint8)
    act[(trace.op == TraceOp.PUSH) | (trace.op == TraceOp.TAG)] = _BINDS
    act[(trace.op == TraceOp.UNTAG) | ((trace.op == TraceOp.DELETE) & ~named)] = _UNBINDS
    act[(trace.op == TraceOp.DELETE) & named] = _DELETES
    return key, link, pairs & 0xFFFFFFFF, act


def _replay(
    trace: TraceTable,
    key: Longs,
    link: Longs,
    link_manifest: Longs,
    act: Array,
    content: tuple[Longs, Array, Longs],
) -> Longs:
    indptr, target, size = content
    new = np.empty(trace.time.size, np.int64)
    births.new_bytes(
        trace.batch,
        act,
        key,
        link,
        link_manifest,
        indptr,
        target,
        size,
        np.full((int(key.max(initial=NULL)) + 1, 2), NULL, np.int64),
        np.zeros((link_manifest.size, 4), np.int64),
        np.zeros(indptr.size - 1, np.int32),
        np.zeros(size.size, np.int32),
        np.empty(trace.time.size, np.int64),
        new,
    )
    return new


def _tag_lives(trace: TraceTable, key: Longs, act: Array, in_months: Array, mine: Array) -> dict[str, Any]:
    """Return the measures of tags."""
    bound = np.flatnonzero((act == _BINDS) & (key != NULL) & (trace.op == TraceOp.PUSH))
    order = bound[np.lexsort((bound, key[bound]))]
    same = key[order[1:]] == key[order[:-1]]
    later = order[1:][same]
    moved = in_months[later] & mine[trace.manifest[later]]
    gap = (trace.time[later] - trace.time[order[:-1][same]])[moved] / 1e6
    pushed = order[in_months[order] & mine[trace.manifest[order]]]
    per_tag = np.bincount(key[pushed])
    at_once = np.unique(trace.repository[pushed].astype(np.int64) << 32 | trace.batch[pushed], return_counts=True)[1]
    keys = np.unique(key[pushed])
    first = order[np.searchsorted(key[order], keys)]
    last = np.full(int(key.max(initial=NULL)) + 1, NULL, np.int64)
    touched = np.flatnonzero((key != NULL) & (act != 0))
    last[key[touched]] = touched
    gone = act[last[keys]] == _UNBINDS
    return {
        "repush_gap": gap,
        "pushes_per_tag": per_tag[per_tag > 0],
        "images_per_push": at_once,
        "tag_lifetime": (trace.time[last[keys]] - trace.time[first])[gone] / 1e6,
        "kept": float(1 - gone.mean()) if keys.size else 1.0,
    }


def _month(time: Longs) -> Longs:
    """Return the calendar month of each time, 1 to 12."""
    return time.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12 + 1
