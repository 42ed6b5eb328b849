"""State: what is true now in one branch, as columns over the catalogue's rows, copied on first write."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.kernels import GROWTH, NULL
from quotasim.kernels.layout import (
    ANY_REPOSITORY,
    BLOB_LINKED,
    BLOB_REMOVED,
    BLOB_UNSAID,
    CURSOR_AGENDA_HEAD,
    CURSOR_AGENDA_TAIL,
    CURSOR_BLOB_LINKS,
    CURSOR_CASCADE,
    CURSOR_COLLECT_HEAD,
    CURSOR_COLLECT_TAIL,
    CURSOR_LOOSE_BLOB,
    CURSOR_LOOSE_HEAD,
    CURSOR_LOOSE_TAIL,
    CURSOR_PURGE_HEAD,
    CURSOR_PURGE_TAIL,
    CURSOR_RUN_TIME,
    CURSOR_SIZE,
    CURSOR_SWEEP_HEAD,
    CURSOR_SWEEP_TAIL,
    EMPTY,
    TOTAL_SIZE,
    WORD,
    WORD_MASK,
    Holdings,
    Queues,
)
from quotasim.kernels.tables import find_pairs, rehash
from quotasim.model.columns import Column
from quotasim.model.content import Content
from quotasim.model.names import Names, empty_table

Array = npt.NDArray[Any]

TAG_COLUMNS = ("tag_link", "tag_event", "tag_next", "tag_previous", "tag_lock")
LINK_COLUMNS = (
    "first_tag",
    "tag_count",
    "parent_count",
    "linked",
    "link_event",
    "untagged_event",
    "link_lock",
    "deleted",
    "link_estimated",
)
UPLOAD_COLUMNS = ("upload_repository", "upload_event", "upload_bytes", "upload_reserved", "upload_open")
_DTYPES: dict[str, tuple[Any, int]] = {
    "tag_link": (np.int32, NULL),
    "tag_event": (np.int32, NULL),
    "tag_next": (np.int32, NULL),
    "tag_previous": (np.int32, NULL),
    "tag_lock": (np.uint8, 0),
    "first_tag": (np.int32, NULL),
    "tag_count": (np.int32, 0),
    "parent_count": (np.int32, 0),
    "linked": (np.uint8, 0),
    "link_event": (np.int32, NULL),
    "untagged_event": (np.int32, NULL),
    "link_lock": (np.uint8, 0),
    "deleted": (np.uint8, 0),
    "link_estimated": (np.uint8, 0),
    "pulled_at": (np.int64, NULL),
    "link_count": (np.int32, 0),
    "holders": (np.int32, 0),
    "stored": (np.uint8, 0),
    "stored_event": (np.int32, NULL),
    "released_event": (np.int32, NULL),
    "repository_lock": (np.uint8, 0),
    "uploading": (np.int64, 0),
    "upload_repository": (np.int32, NULL),
    "upload_event": (np.int32, NULL),
    "upload_bytes": (np.int64, 0),
    "upload_reserved": (np.int64, NULL),
    "upload_open": (np.uint8, 0),
}

_ENDS = {
    "collect": (CURSOR_COLLECT_HEAD, CURSOR_COLLECT_TAIL),
    "sweep": (CURSOR_SWEEP_HEAD, CURSOR_SWEEP_TAIL),
    "purge": (CURSOR_PURGE_HEAD, CURSOR_PURGE_TAIL),
    "loose": (CURSOR_LOOSE_HEAD, CURSOR_LOOSE_TAIL),
    "agenda": (CURSOR_AGENDA_HEAD, CURSOR_AGENDA_TAIL),
}
QUEUES = tuple(_ENDS)


class State:
    """Columns of one branch. Only :class:`quotasim.engine.Engine` writes them, through the kernels.

    Attributes
    ----------
    version : raised by every change.
    stamp : an object that every change replaces. Two branches can have one version number and not the same state, but
        only equal states have the same stamp: a plan made for one is refused by any other.
    now : int, microseconds since the epoch, UTC.
    origin : int, the time at which it began: what runs at intervals is counted from here.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self.origin = now
        self.version = 0
        self.stamp = object()
        self._columns = {name: Column(dtype, fill=fill) for name, (dtype, fill) in _DTYPES.items()}
        self._columns["totals"] = Column(np.int64, fill=0, width=2)
        self._columns["totals"].grow(TOTAL_SIZE)
        self._columns["blob_links"] = Column(np.int64, fill=0, width=3)
        self._columns["blob_links"].replace(empty_table(4, 3))
        for name in Queues._fields:
            self._columns[name] = Column(np.int64, fill=0, width=3)
        self.cursor = np.zeros(CURSOR_SIZE, np.int64)
        self.cursor[CURSOR_LOOSE_BLOB] = NULL
        self.cursor[CURSOR_RUN_TIME] = np.iinfo(np.int64).min

    def read(self, name: str) -> Array:
        """Return column ``name`` for reading."""
        return self._columns[name].read()

    def write(self, name: str) -> Array:
        """Return column ``name`` for writing; copies it once if a branch shares it."""
        return self._columns[name].write()

    def replace(self, name: str, array: Array) -> None:
        """Take over ``array`` as column ``name``."""
        self._columns[name].replace(array)

    @property
    def nbytes(self) -> int:
        """Bytes of all columns, shared ones included."""
        return sum(column.nbytes for column in self._columns.values())

    def columns(self) -> dict[str, Array]:
        """Return every column for reading, by name: what a snapshot holds."""
        return {name: column.read() for name, column in self._columns.items()}

    def branch(self) -> State:
        """Return a state that shares every column until either side writes it. O(number of columns)."""
        other = State.__new__(State)
        other.now = self.now
        other.origin = self.origin
        other.version = self.version
        other.stamp = self.stamp
        other._columns = {name: column.share() for name, column in self._columns.items()}
        other.cursor = self.cursor.copy()
        return other

    def changed(self, now: int) -> None:
        """Note that something changed, and the time at which it ended."""
        self.now = now
        self.version += 1
        self.stamp = object()

    def total(self, row: int) -> int:
        """Return one running total, exact (TOTAL_* of the kernels' layout)."""
        words = self._columns["totals"].read()[row]
        return (int(words[0]) << WORD) + int(words[1])

    def sync(self, content: Content, names: Names) -> None:
        """Lengthen the columns to the catalogue's rows, which another branch may have added to."""
        links = len(names.links)
        known = len(self._columns["linked"])
        for name in TAG_COLUMNS:
            self._columns[name].grow(len(names.tags))
        for name in LINK_COLUMNS:
            self._columns[name].grow(links)
        if len(self._columns["pulled_at"]):
            self._columns["pulled_at"].grow(links)
        self._columns["link_count"].grow(content.manifest_count)
        for name in ("holders", "stored", "stored_event", "released_event"):
            self._columns[name].grow(content.blob_count)
        for name in ("repository_lock", "uploading"):
            self._columns[name].grow(len(names.repositories))
        graph = content.graph()
        if links > known and graph.late_child.size:
            self._adopt(graph.late_child, graph.late_index, names, known)

    def _adopt(self, late_child: Array, late_index: Array, names: Names, first: int) -> None:
        """Count, for new links, the linked indexes that listed their manifests before these were known."""
        parents = self.write("parent_count")
        linked = self.read("linked")
        manifest, repository = names.links.second, names.links.first
        for link in range(first, len(names.links)):
            start, stop = np.searchsorted(late_child, [manifest[link], manifest[link] + 1])
            for index in late_index[start:stop].tolist():
                above = names.links.find(int(repository[link]), index)
                if above != NULL and linked[above]:
                    parents[link] += 1

    def add_uploads(self, count: int) -> Array:
        """Return rows for so many uploads or requests that are to begin, int32[count]."""
        first = len(self._columns["upload_open"])
        for name in UPLOAD_COLUMNS:
            self._columns[name].grow(first + count)
        return np.arange(first, first + count, dtype=np.int32)

    def materialise_pulls(self) -> None:
        """Give ``pulled_at`` its rows; until the first pull it has none."""
        self._columns["pulled_at"].grow(len(self._columns["linked"]))

    def holdings(self) -> Holdings:
        """Return the columns as kernels write them."""
        return Holdings(*(self._columns[name].write() for name in Holdings._fields))

    def queues(self) -> Queues:
        """Return the queues as kernels write them."""
        return Queues(*(self._columns[name].write() for name in Queues._fields))

    def waiting_queues(self) -> Queues:
        """Return the queues as kernels read them: nothing is copied."""
        return Queues(*(self._columns[name].read() for name in Queues._fields))

    def widen_queue(self, name: str, rows: int) -> None:
        """Make room for ``rows`` more in a queue, dropping what its head has passed."""
        cursor = self.cursor
        queue = self._columns[name]
        if name == "cascade":
            queue.grow(int(cursor[CURSOR_CASCADE]) + rows)
            return
        head_at, tail_at = _ENDS[name]
        head, tail = int(cursor[head_at]), int(cursor[tail_at])
        waiting = queue.read()[head:tail]
        # A quarter more than wanted: a release at a time must not copy the queue each time.
        room = np.zeros((waiting.shape[0] + rows + (waiting.shape[0] + rows) // 4 + 16, 3), np.int64)
        room[: waiting.shape[0]] = waiting
        queue.replace(room)
        cursor[head_at], cursor[tail_at] = 0, waiting.shape[0]

    def explicit_blob_links(self) -> tuple[Array, Array]:
        """Return (repositories int32[n], blobs int32[n]) of explicit blob links, sorted. O(links ever made)."""
        return self._blob_links(BLOB_LINKED)

    def removed_blob_links(self) -> tuple[Array, Array]:
        """Return (repositories int32[n], blobs int32[n]) of blobs deleted in a repository, whatever manifests there
        name them; sorted. O(links ever made).
        """
        return self._blob_links(BLOB_REMOVED)

    def _blob_links(self, said: int) -> tuple[Array, Array]:
        table = self.read("blob_links")
        # Under ANY_REPOSITORY are counts, which may be the same numbers.
        used = (table[:, 0] != EMPTY) & ((table[:, 0] >> WORD) != ANY_REPOSITORY) & (table[:, 1] == said)
        keys = np.sort(table[used, 0])
        return (keys >> WORD).astype(np.int32), (keys & WORD_MASK).astype(np.int32)

    def blob_link_events(self) -> Array:
        """Return the events that made :meth:`explicit_blob_links`, int64[n], beside them."""
        table = self.read("blob_links")
        used = (table[:, 0] != EMPTY) & ((table[:, 0] >> WORD) != ANY_REPOSITORY) & (table[:, 1] == BLOB_LINKED)
        return np.asarray(table[used, 2][np.argsort(table[used, 0])])

    def blob_link_of(self, repository: int, blob: int) -> int:
        """Return BLOB_LINKED, BLOB_REMOVED or BLOB_UNSAID of one blob in one repository."""
        found = np.empty(1, np.int32)
        find_pairs(self.read("blob_links"), np.array([repository], np.int32), np.array([blob], np.int32), found)
        return BLOB_UNSAID if found[0] == NULL else int(found[0])

    def grow_blob_links(self, rows: int) -> None:
        """Make room for ``rows`` more explicit blob links, dropping those that are gone. Amortised O(rows)."""
        table = self.read("blob_links")
        kept = int(np.count_nonzero((table[:, 0] != EMPTY) & np.any(table[:, 1:] != 0, axis=1)))
        # In proportion to what stays: a deletion at a time must not move all links each time.
        grown = empty_table(max(kept + rows, int(kept * GROWTH) + rows), 3)
        self.cursor[CURSOR_BLOB_LINKS] = rehash(table, grown, 0)
        self.replace("blob_links", grown)

    def waiting(self, name: str) -> Array:
        """Return what waits in one of ``QUEUES``, int64[n, 3], first in first out."""
        head_at, tail_at = _ENDS[name]
        return self.read(name)[int(self.cursor[head_at]) : int(self.cursor[tail_at])]

    def restore_waiting(self, name: str, rows: Array) -> None:
        """Become a state in which ``rows``, as :meth:`waiting` gave them, wait in a queue (a snapshot)."""
        head_at, tail_at = _ENDS[name]
        self.replace(name, rows)
        self.cursor[head_at], self.cursor[tail_at] = 0, rows.shape[0]

    def restore_blob_links(self, repository: Array, blob: Array, removed: Array, event: Array) -> None:
        """Become a state with exactly these explicit blob links, some of them ``removed``, each once (a snapshot).
        ``event``: what linked them, 0 for the removed ones.
        """
        blobs, repositories = np.unique(blob[~removed], return_counts=True)
        rows = np.zeros((blob.shape[0] + blobs.shape[0], 3), np.int64)
        rows[: blob.shape[0], 2] = event
        rows[: blob.shape[0], 0] = (repository.astype(np.int64) << WORD) | blob
        rows[: blob.shape[0], 1] = np.where(removed, BLOB_REMOVED, BLOB_LINKED)
        rows[blob.shape[0] :, 0] = (ANY_REPOSITORY << WORD) | blobs.astype(np.int64)
        rows[blob.shape[0] :, 1] = repositories
        table = empty_table(rows.shape[0], 3)
        self.cursor[CURSOR_BLOB_LINKS] = rehash(rows, table, 0)
        self.replace("blob_links", table)
