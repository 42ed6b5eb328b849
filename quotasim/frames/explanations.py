"""Why usage is what it is: which images hold which blobs, and what of a deletion becomes of the charge and the disk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quotasim import lookup
from quotasim.accounting.basis import pair_keys, sorted_once
from quotasim.accounting.sharing import first_tags, image_rows, link_names, members_of
from quotasim.engine import Engine
from quotasim.errors import InvalidValue
from quotasim.explain import role_name
from quotasim.frames.columns import NO_TIME, digest_categories, exact, from_codes, nullable, text, times
from quotasim.kernels import NULL, layout
from quotasim.model.content import named_blobs

if TYPE_CHECKING:
    from quotasim.results import Preview

Array = npt.NDArray[Any]

DELETION_STEPS = (
    "deleted",
    "repeated",
    "uncharged",
    "shared",
    "kept",
    "other",
    "charged",
    "charged_at",
    "disk",
    "stored",
    "stored_at",
)
"""The steps of :func:`deletion`, in its order."""

_STEP_KINDS = ("total", "change", "part")
_TOTALS = ("deleted", "charged", "stored")
_ROLES = (2, 1, 8, 3, 10, 9, 11)
"""Roles that a blob can have in an image, what is usual first; the names are those of ``Registry.why``."""


def holders(engine: Engine, references: Sequence[str] | None = None, *, largest: int = 20) -> pd.DataFrame:
    """Which images hold which blobs: one row an image and distinct blob of it.

    Parameters
    ----------
    references : the images, as ``repository:tag`` or ``repository@digest``; a manifest that is named twice is one.
    largest : where no references are given, the images of the most unique bytes, so many at most.

    Returns
    -------
    A frame of ``image`` (a categorical of ``repository:first-tag``, else ``repository@digest``), ``digest``, ``size``
    (Int64 bytes, missing where unknown), ``role`` (``layer``, ``config``, ``manifest``, joined by ``+`` where it is
    more than one) and ``holders`` (images of the whole registry that have the blob, this one included). Sorted by
    image, then the largest blob first, then by digest.

    Raises
    ------
    UnknownReference : one names nothing here; carries the nearest names.
    InvalidValue : ``largest`` is below 1, or ``references`` is a text.

    Notes
    -----
    O(links log links + references log references).

    Examples
    --------
    >>> from quotasim import Blob, Image, Registry
    >>> registry = Registry("acr-premium", start="2026-01-01")
    >>> for name in ("api", "web"):
    ...     pushed = registry.push(f"{name}:1", Image([Blob.synthetic("base", 900), Blob.synthetic(name, 50)]))
    >>> frame = holders(registry.engine, ["web:1"])
    >>> frame[frame["role"] == "layer"][["image", "size", "holders"]].values.tolist()
    [['web:1', 900, 2], ['web:1', 50, 1]]
    """
    if isinstance(references, str):
        raise InvalidValue("references", references, "a list of references")
    if largest < 1:
        raise InvalidValue("largest", largest, "at least 1")
    engine.sync()
    content, names, state = engine.content, engine.names, engine.state
    graph = content.graph()
    rows = image_rows(content, names, state)
    owner = np.repeat(np.arange(rows.root.size, dtype=np.int64), np.diff(rows.indptr))
    place, blob, _ = named_blobs(content, names.links.second[rows.links])
    pairs = sorted_once(pair_keys(owner[place], blob))
    count = np.bincount(pairs & layout.WORD_MASK, minlength=content.blob_count)
    if references is None:
        # Which are the largest does not hang on the last byte.
        weight = np.bincount(pairs >> layout.WORD, graph.size[pairs & layout.WORD_MASK], minlength=rows.root.size)
        links = rows.root[np.argsort(-weight, kind="stable")[:largest]].tolist()
    else:
        links = list(dict.fromkeys(lookup.find(engine, reference)[1] for reference in references))
    labels = first_tags(names, state)
    titles = sorted(zip(link_names(content, names, labels, np.array(links, np.int64)), links, strict=True))
    members = [members_of(content, names, state, rows, link) for _, link in titles]
    image, blob, role = _blobs_of(engine, members)
    known = (graph.flags[blob] & layout.FLAG_UNKNOWN_SIZE) == 0
    digest = digest_categories(engine, blob)
    order = np.lexsort((np.asarray(digest.codes), -graph.size[blob], ~known, image))
    codes = np.zeros(max(_ROLES) + 1, np.int64)
    codes[list(_ROLES)] = np.arange(len(_ROLES))
    return pd.DataFrame(
        {
            "image": from_codes(image[order], [title for title, _ in titles]),
            "digest": digest[order],
            "size": nullable(np.where(known, graph.size[blob], NULL)[order]),
            "role": from_codes(codes[role[order]], [role_name(bits) for bits in _ROLES]),
            "holders": count[blob[order]].astype(np.int64),
        }
    )


def _blobs_of(engine: Engine, members: Sequence[Array]) -> tuple[Array, Array, Array]:
    """Return (image, blob, roles), int64[n] each, of images by their links: each image's blob once."""
    links = np.concatenate([*members, np.empty(0, np.int32)])
    image = np.repeat(np.arange(len(members), dtype=np.int64), [part.size for part in members])
    place, blob, role = named_blobs(engine.content, engine.names.links.second[links])
    keys = pair_keys(image[place], blob)
    once = sorted_once(keys)
    roles = np.zeros(once.size, np.int64)
    np.bitwise_or.at(roles, np.searchsorted(once, keys), role.astype(np.int64))
    return once >> layout.WORD, once & layout.WORD_MASK, roles


def deletion(preview: Preview) -> pd.DataFrame:
    """From the bytes of what a deletion removes to what is freed of the charge and on the disk, and when: steps that
    add up exactly.

    Parameters
    ----------
    preview : of :meth:`quotasim.Registry.preview`.

    Returns
    -------
    A frame of ``step`` (a categorical of `DELETION_STEPS`), ``kind``, ``at``, ``after``, ``cause``, ``bytes`` (signed),
    ``begin_bytes`` and ``end_bytes``; in the order of the steps. ``kind`` is

    * ``total``: ``deleted`` (each image on its own), ``charged`` (freed of the charge), ``stored`` (freed on the disk).
      From 0 to what it is;
    * ``change``: what leads from one total to the next, from the end of the step before. ``repeated``, ``uncharged``,
      ``shared``, ``kept`` and ``other`` are what :class:`quotasim.Preview` says of them; ``disk`` is what is freed on
      the disk less what is freed of the charge;
    * ``part``: what of the total before it is freed at one time. ``at`` is that time, ``after`` how long it is from the
      deletion, ``cause`` what brings it; elsewhere they are missing, and empty.

    Totals and changes have one row each, 0 where there is nothing.

    Examples
    --------
    >>> from quotasim import Blob, Image, Registry
    >>> registry = Registry("acr-premium", start="2026-01-01")
    >>> for name in ("api", "web"):
    ...     pushed = registry.push(f"{name}:1", Image([Blob.synthetic("base", 900), Blob.synthetic(name, 50)]))
    >>> frame = deletion(registry.preview(delete=["web:1"]))
    >>> shared = frame[frame["step"] == "shared"]  # the base, and the empty config
    >>> shared["bytes"].item()
    -902
    >>> frame[frame["step"] == "stored_at"]["after"].item()
    Timedelta('0 days 00:05:00')
    """
    freed = {"charged": preview.freed_charged_bytes, "stored": preview.freed_stored_bytes}
    changes = {
        "deleted": preview.logical_bytes,
        "repeated": -preview.repeated_bytes,
        "uncharged": -preview.uncharged_bytes,
        "shared": -preview.shared_bytes,
        "kept": -preview.kept_bytes,
        "other": preview.other_freed_bytes,
        "disk": freed["stored"] - freed["charged"],
        **freed,
    }
    start = preview.timeline[0].at if preview.timeline else NO_TIME
    found: list[tuple[str, str, int, int, str, int, int]] = []
    end = 0
    for step in DELETION_STEPS:
        if step in changes:
            kind = "total" if step in _TOTALS else "change"
            begin = 0 if kind == "total" else end
            end = begin + changes[step]
            found.append((step, kind, NO_TIME, NO_TIME, "", begin, end))
            continue
        figure = step.removesuffix("_at")
        done = 0
        for at, cause, size in _falls(preview, figure, freed[figure]):
            found.append((step, "part", at, at - start, cause, done, done + size))
            done += size
    steps, kinds, ats, afters, causes, begins, ends = (list(column) for column in zip(*found, strict=True))
    return pd.DataFrame(
        {
            "step": from_codes(np.array([DELETION_STEPS.index(step) for step in steps]), DELETION_STEPS),
            "kind": from_codes(np.array([_STEP_KINDS.index(kind) for kind in kinds]), _STEP_KINDS),
            "at": times(np.array(ats, np.int64)),
            "after": pd.TimedeltaIndex(np.array(afters, np.int64).view("m8[us]")),
            "cause": text(causes),
            "bytes": exact([end - begin for begin, end in zip(begins, ends, strict=True)]),
            "begin_bytes": exact(begins),
            "end_bytes": exact(ends),
        }
    )


def _falls(preview: Preview, figure: str, freed: int) -> list[tuple[int, str, int]]:
    """Return (time, cause, bytes) of each time at which a figure falls, by ``freed`` in all."""
    totals = [getattr(row, f"{figure}_bytes") for row in preview.timeline]
    totals = [totals[-1] + freed, *totals] if totals else []
    falls = [before - after for before, after in pairwise(totals)]
    return [(row.at, row.cause, size) for row, size in zip(preview.timeline, falls, strict=True) if size]
