"""Building an engine that holds a given end state: for importers, and to look at one registry under another kind's
rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.engine import Engine, operations
from quotasim.kernels import NULL, layout
from quotasim.profiles.base import RegistryProfile

Array = npt.NDArray[Any]


def _no_rows() -> Array:
    return np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a registry holds, with the times at which it came to hold it.

    Attributes
    ----------
    link, linked_at : int32[n], int64[n]; an index after its children.
    untagged_at : int64[n], when its last tag went; NULL where that never happened or it is tagged.
    pulled_at : int64[n], NULL where unknown.
    tag, tag_target, tagged_at : int32[t] tag rows, int32[t] link rows, int64[t].
    upload_repository, upload_blob, uploaded_at : int32[u], int32[u], int64[u]: blobs linked without a manifest.
    loose_blob, released_at : int32[k], int64[k], blobs on disk that nothing links.
    estimated : bool[n], the link's time is not known and stands for the time of import.
    """

    link: Array
    linked_at: Array
    untagged_at: Array
    pulled_at: Array
    tag: Array
    tag_target: Array
    tagged_at: Array
    upload_repository: Array = field(default_factory=_no_rows)
    upload_blob: Array = field(default_factory=_no_rows)
    uploaded_at: Array = field(default_factory=_no_rows)
    loose_blob: Array = field(default_factory=_no_rows)
    released_at: Array = field(default_factory=_no_rows)
    estimated: Array | None = None


def populate(engine: Engine, holding: Holding, until: int) -> None:
    """Apply the events that lead to ``holding``, in time order, refusing nothing and collecting nothing.

    The display has caught up afterwards, and the collector starts: what waited for longer than it waits is due at once.
    Operations at one time happen in the order uploads, pushes, tags, pulls,
    and drops last.
    O(references + operations log operations).
    """
    links = engine.names.links
    untagged_at = holding.untagged_at
    if engine.profile.collects_untagged_pushes:
        never_tagged = (untagged_at == NULL) & ~np.isin(holding.link, holding.tag_target)
        untagged_at = np.where(never_tagged, holding.linked_at, untagged_at)
    untagged = np.flatnonzero(untagged_at != NULL)
    pulled = np.flatnonzero(holding.pulled_at != NULL)
    loose = holding.loose_blob.size
    # A loose blob needs some repository to be uploaded to; any will do, since its link goes again.
    somewhere = engine.names.add_repository("library") if loose and not len(engine.names.repositories) else 0
    parts: list[tuple[int, Array, Array, Array, Array, Array]] = [
        # code, time, link, tag, blob, repository
        _part(layout.OP_UPLOAD, holding.uploaded_at, blob=holding.upload_blob, repository=holding.upload_repository),
        _part(
            layout.OP_UPLOAD,
            holding.released_at,
            blob=holding.loose_blob,
            repository=np.full(loose, somewhere, np.int32),
        ),
        _part(layout.OP_PUSH, holding.linked_at, link=holding.link, repository=links.first[holding.link]),
        _part(
            layout.OP_TAG,
            holding.tagged_at,
            link=holding.tag_target,
            tag=holding.tag,
            repository=links.first[holding.tag_target],
        ),
        _part(
            layout.OP_PULL,
            holding.pulled_at[pulled],
            link=holding.link[pulled],
            repository=links.first[holding.link[pulled]],
        ),
        _part(
            layout.OP_UNTAG,
            untagged_at[untagged],
            link=holding.link[untagged],
            repository=links.first[holding.link[untagged]],
        ),
        _part(
            layout.OP_UNLINK_BLOB,
            holding.released_at,
            blob=holding.loose_blob,
            repository=np.full(loose, somewhere, np.int32),
        ),
    ]
    code = np.concatenate([np.full(part[1].size, part[0], np.uint8) for part in parts])
    time, link, tag, blob, repository = (np.concatenate([part[k] for part in parts]) for k in range(1, 6))
    order = np.argsort(time, kind="stable")
    time = time[order]
    batch = np.cumsum(np.diff(time, prepend=time[:1]) != 0)
    ops = operations(
        code[order],
        time,
        batch=batch,
        link=link[order],
        tag=tag[order],
        blob=blob[order],
        repository=repository[order],
    )
    engine.apply(ops, until=until, importing=True)
    engine.settled_events = len(engine.log)
    if holding.estimated is not None and holding.estimated.any():
        engine.state.write("link_estimated")[holding.link[holding.estimated]] = 1
    _start_collector(engine)


def _start_collector(engine: Engine) -> None:
    """Let candidates and released blobs wait, where the kind collects by itself; nothing waited while they came."""
    profile, state, log = engine.profile, engine.state, engine.log
    if profile.collection != "automatic":
        return
    candidates = (state.read("linked") != 0) & (state.read("tag_count") == 0) & (state.read("untagged_event") != NULL)
    held = state.read("holders") > 0
    held[state.explicit_blob_links()[1]] = True
    released = (state.read("stored") != 0) & ~held & (state.read("released_event") != NULL)
    for name, rows, event, wait in (
        ("collect", candidates, "untagged_event", profile.untagged_after),
        ("sweep", released, "released_event", profile.sweep_after),
    ):
        if wait is None:
            continue
        what = np.flatnonzero(rows)
        cause = state.read(event)[what].astype(np.int64)
        # Nothing happens before now: what is overdue is due now.
        since = np.maximum(log.times_of(cause, absent=state.now), state.now - wait)
        order = np.lexsort((cause, since))
        state.restore_waiting(name, np.stack((what, cause, since), axis=1)[order].astype(np.int64))
    if profile.loose_blobs_after is not None:
        repositories, blobs = state.explicit_blob_links()
        cause = state.blob_link_events()
        since = np.maximum(log.times_of(cause, absent=state.now), state.now - profile.loose_blobs_after)
        what = (repositories.astype(np.int64) << layout.WORD) | blobs
        order = np.lexsort((cause, since))
        state.restore_waiting("loose", np.stack((what, cause, since), axis=1)[order])


def _part(
    code: int,
    time: Array,
    *,
    link: Array | None = None,
    tag: Array | None = None,
    blob: Array | None = None,
    repository: Array,
) -> tuple[int, Array, Array, Array, Array, Array]:
    """Return one kind of operation as columns."""
    nothing = np.full(time.size, NULL, np.int32)
    return (
        code,
        time.astype(np.int64),
        nothing if link is None else link,
        nothing if tag is None else tag,
        nothing if blob is None else blob,
        repository,
    )


def holding_of(engine: Engine) -> Holding:
    """Return what an engine holds now, with the times from its log; not what is deleted and only kept, nor uploads that
    are unfinished. O(links + tags + blobs).
    """
    engine.sync()
    state, log = engine.state, engine.log
    link = np.flatnonzero((state.read("linked") != 0) & (state.read("deleted") == 0)).astype(np.int32)
    # Indexes last: their parents' counts need the children's links to exist, and rows were made in that order or not.
    is_index = engine.content.graph().kind[engine.names.links.second[link]] == layout.KIND_INDEX
    link = np.concatenate((link[~is_index], link[is_index]))
    untagged_at = log.times_of(state.read("untagged_event")[link], absent=NULL)
    untagged_at[state.read("tag_count")[link] > 0] = NULL
    pulled = state.read("pulled_at")
    tag = np.flatnonzero(state.read("tag_link") != NULL).astype(np.int32)
    repositories, blobs = state.explicit_blob_links()
    # What only the hidden have goes with them: it is not loose either.
    held = state.read("holders") > 0
    held[blobs] = True
    loose = np.flatnonzero((state.read("stored") != 0) & ~held).astype(np.int32)
    return Holding(
        link=link,
        linked_at=log.times_of(state.read("link_event")[link], absent=engine.state.now),
        untagged_at=untagged_at,
        pulled_at=pulled[link] if pulled.size else np.full(link.size, NULL, np.int64),
        tag=tag,
        tag_target=state.read("tag_link")[tag],
        tagged_at=log.times_of(state.read("tag_event")[tag], absent=engine.state.now),
        upload_repository=repositories,
        upload_blob=blobs,
        uploaded_at=log.times_of(state.blob_link_events(), absent=engine.state.now),
        loose_blob=loose,
        released_at=log.times_of(state.read("released_event")[loose], absent=engine.state.now),
        estimated=state.read("link_estimated")[link] != 0,
    )


def _take_away(engine: Engine, source: Engine) -> None:
    """Take from an engine what its source holds no more in spite of a manifest: bytes, and repositories' blobs."""
    repositories, blobs = source.state.removed_blob_links()
    # What the source's kind does not put on disk at all it has not lost.
    lost = np.flatnonzero((engine.state.read("stored") != 0) & source.storable() & (source.state.read("stored") == 0))
    if not blobs.size and not lost.size:
        return
    codes = np.concatenate((np.full(blobs.size, layout.OP_UNLINK_BLOB), np.full(lost.size, layout.OP_SWEEP)))
    ops = operations(
        codes,
        np.full(codes.size, engine.state.now, np.int64),
        blob=np.concatenate((blobs, lost)),
        repository=np.concatenate((repositories, np.full(lost.size, NULL, np.int32))),
    )
    engine.apply(ops, importing=True)
    engine.settled_events = len(engine.log)


def under(engine: Engine, profile: RegistryProfile) -> Engine:
    """Return an engine that holds the same now, under another profile's rules. O(references)."""
    holding = holding_of(engine)
    times = [holding.linked_at, holding.tagged_at, holding.uploaded_at, holding.released_at]
    start = min((int(part.min()) for part in times if part.size), default=engine.state.now)
    other = Engine(profile, min(start, engine.state.now), engine.content, engine.names)
    other.sync()
    other.state.origin = engine.state.origin
    other.replicas = engine.replicas if profile.replicas == "billed" else 1
    populate(other, holding, engine.state.now)
    _take_away(other, engine)
    for name in ("tag_lock", "link_lock", "repository_lock"):
        other.state.replace(name, engine.state.read(name).copy())
    return other
