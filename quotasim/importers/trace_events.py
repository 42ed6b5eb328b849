"""The events of a trace file, and the checks that turn them into a `TraceTable`.

One event is one JSON object; its keys are the columns of the Parquet form. ``time`` (ISO 8601, or
microseconds since the epoch as a whole number), ``batch``, ``op`` and ``repository`` are always there;
``tag``, ``platform``, ``manifest``, ``previous``, ``blob``, ``upload`` and ``bytes`` where the operation has them. An
upload in steps has a number of its own: ``start_upload`` gives it, ``append`` says how many ``bytes`` came, ``upload``
with the number finishes it and ``cancel_upload`` gives it up. The first event that pushes a manifest carries its
content: ``layers`` and ``config`` of an image or ``manifests`` of an index, and ``size``, ``mediaType`` and ``subject``
where they are known. Unknown sizes are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from quotasim.errors import InvalidDigest
from quotasim.importers.checks import LAST_TIME, microseconds
from quotasim.importers.name_columns import NamePool, plain_text, repository_fault, tag_fault
from quotasim.importers.table_schema import ProblemLog, shown
from quotasim.importers.trace_table import TraceBlobs, TraceManifests, TraceOp, TraceTable
from quotasim.kernels import NULL
from quotasim.model.digests import digests_from_strings
from quotasim.model.oci import MAX_SIZE, Kind, is_foreign, parse_digest

__all__ = ["Collector", "Descriptor", "Event", "repeated_key"]

Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Batch = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Time = Annotated[int, msgspec.Meta(ge=0, le=LAST_TIME)]
OpName = Literal[
    "push", "tag", "untag", "delete", "delete_repository", "upload", "pull", "start_upload", "append", "cancel_upload"
]

OP_NAMES: Final = tuple(op.name.lower() for op in TraceOp)

_KEY: Final = re.compile(rb'"\s*:')


class Descriptor(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A layer, a config, an uploaded blob or the child of an index."""

    digest: str
    size: Size | None = None
    media_type: str | None = msgspec.field(default=None, name="mediaType")
    platform: str | None = None


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a trace."""

    time: Time | str
    batch: Batch
    op: OpName
    repository: str
    tag: str | None = None
    platform: str | None = None
    manifest: str | None = None
    previous: str | None = None
    blob: Descriptor | None = None
    upload: Batch | None = None
    bytes: Size | None = None
    media_type: str | None = msgspec.field(default=None, name="mediaType")
    size: Size | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    subject: str | None = None


_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "push": ("manifest",),
    "tag": ("tag", "manifest"),
    "untag": ("tag",),
    "delete": (),
    "delete_repository": (),
    "upload": ("blob",),
    "pull": (),
    "start_upload": ("upload",),
    "append": ("upload", "bytes"),
    "cancel_upload": ("upload",),
}
"""Columns that an operation cannot do without; delete and pull need a tag or a manifest."""

_CONTENT: Final = ("media_type", "size", "config", "layers", "manifests", "subject")
_Content = tuple[Kind, int, int, tuple[int, ...], tuple[int, ...]]
"""Kind, config, subject, layers or children, platforms of the children."""

_STEPS: Final = ("start_upload", "append", "cancel_upload", "upload")
_JSON_NAME: Final = {"media_type": "mediaType"}


class Collector:
    """Takes the events of a trace one by one, checks them, and becomes a `TraceTable`.

    Parameters
    ----------
    file : name of the trace, for problems.
    log : takes the problems; a problem's row is the 0-based event.
    """

    def __init__(self, file: str, log: ProblemLog) -> None:
        self._file = file
        self._log = log
        self._row, self._where = 0, ""
        self._last_time = ("", NULL)
        self._events: list[tuple[int, ...]] = []
        self._repositories, self._tags = NamePool(), NamePool()
        self._platforms, self._media_types = NamePool(), NamePool()
        self._blobs: dict[str, int] = {}
        self._last_mention: dict[str, tuple[int, int | None, str | None]] = {}
        self._blob_size: list[int] = []
        self._blob_media_type: list[int] = []
        self._manifests: dict[str, int] = {}
        self._manifest_size: list[int] = []
        self._manifest_media_type: list[int] = []
        self._content: dict[int, _Content] = {}
        self._uploads = _Uploads()

    # -- one event ------------------------------------------------------------------------------------
    def add(self, event: Event, row: int, where: str) -> None:
        """Check an event and keep it; messages to the log end in ``where``."""
        self._row, self._where = row, where
        time = self._microseconds(event.time)
        if time == NULL:
            self._problem("time", f"{shown(event.time)} is not a time of the years 1970 to 9999 in ISO 8601")
        elif self._events:
            self._check_order(time, event.batch)
        self._check_needs(event)
        repository = self._name(self._repositories, event.repository, repository_fault, "repository")
        tag = self._name(self._tags, event.tag, tag_fault, "tag")
        platform = self._name(self._platforms, event.platform, plain_text, "platform")
        manifest = self._manifest(event.manifest, "manifest")
        previous = self._manifest(event.previous, "previous")
        blob = NULL if event.blob is None else self._blob(event.blob, "blob")
        self._take_content(event, manifest)
        self._check_upload(event)
        op = TraceOp[event.op.upper()]
        upload, amount = self._uploads.code(event), event.bytes or 0
        self._events.append(
            (time, event.batch, op, repository, tag, platform, manifest, previous, blob, upload, amount)
        )

    def _microseconds(self, time: int | str) -> int:
        if isinstance(time, int):
            return time
        if time != self._last_time[0]:
            # The events of a batch share a time.
            self._last_time = (time, microseconds(time.encode("utf-8", "replace")))
        return self._last_time[1]

    def _problem(self, column: str | None, message: str) -> None:
        self._log.add(self._file, column, f"{message}{self._where}", self._row)

    def _check_order(self, time: int, batch: int) -> None:
        last_time, last_batch = self._events[-1][:2]
        if time < last_time:
            self._problem("time", f"is {last_time - time:,} microseconds before the event before")
        if batch < last_batch:
            self._problem("batch", f"{batch:,} follows batch {last_batch:,}")
        elif batch == last_batch and time > last_time:
            self._problem("time", f"differs from that of the event before, which is of the same batch {batch:,}")

    def _check_needs(self, event: Event) -> None:
        for column in _NEEDS[event.op]:
            if getattr(event, column) is None:
                self._problem(column, f"{event.op} needs it")
        if event.op in ("delete", "pull") and event.tag is None and event.manifest is None:
            self._problem("manifest", f"{event.op} needs a manifest or a tag")
        if event.op == "delete_repository" and (event.tag is not None or event.manifest is not None):
            self._problem("manifest", "delete_repository takes neither a manifest nor a tag")

    def _check_upload(self, event: Event) -> None:
        if event.upload is not None and event.op not in _STEPS:
            self._problem("upload", f"{event.op} is no step of an upload")
        elif event.upload is not None and (fault := self._uploads.fault(event)) is not None:
            self._problem("upload", f"{event.upload:,} {fault}")
        if event.bytes is not None and event.op != "append":
            self._problem("bytes", f"{event.op} brings none, append does")

    def _name(self, pool: NamePool, name: str | None, fault: Callable[[str], str | None], column: str | None) -> int:
        if name is None:
            return NULL
        code = pool.find(name)
        if code != NULL:
            return code
        reason = fault(name)
        if reason is not None:
            self._problem(column, f"{shown(name)} {reason}")
            return NULL
        return pool.code(name)

    # -- content --------------------------------------------------------------------------------------
    def _is_digest(self, digest: str, column: str) -> bool:
        try:
            parse_digest(digest)
        except InvalidDigest as error:
            self._problem(column, f"{shown(digest)} is not a digest: {error.reason}")
            return False
        return True

    def _blob(self, given: Descriptor, column: str) -> int:
        # Most mentions say just what the one before said.
        last = self._last_mention.get(given.digest)
        if last is not None and last[1] == given.size and last[2] == given.media_type:
            return last[0]
        row = self._checked_blob(given, column)
        if row != NULL:
            self._last_mention[given.digest] = (row, given.size, given.media_type)
        return row

    def _checked_blob(self, given: Descriptor, column: str) -> int:
        size = NULL if given.size is None else given.size
        media_type = NULL
        if given.media_type is not None:
            media_type = self._name(self._media_types, given.media_type, plain_text, column)
        row = self._blobs.get(given.digest)
        if row is None:
            if not self._is_digest(given.digest, column):
                return NULL
            row = self._blobs[given.digest] = len(self._blob_size)
            self._blob_size.append(size)
            self._blob_media_type.append(media_type)
            return row
        self._blob_size[row] = self._one_size(given.digest, self._blob_size[row], size, column)
        known = self._blob_media_type[row]
        if known == NULL:
            self._blob_media_type[row] = media_type
        elif media_type not in (NULL, known) and self._is_foreign(media_type) != self._is_foreign(known):
            self._problem(column, f"{given.digest} was not said to be {shown(given.media_type)} before")
        return row

    def _is_foreign(self, media_type: int) -> bool:
        return is_foreign(self._media_types.names[media_type])

    def _manifest(self, digest: str | None, column: str) -> int:
        if digest is None:
            return NULL
        row = self._manifests.get(digest)
        if row is None:
            if not self._is_digest(digest, column):
                return NULL
            row = self._manifests[digest] = len(self._manifest_size)
            self._manifest_size.append(NULL)
            self._manifest_media_type.append(NULL)
        return row

    def _describe(self, row: int, size: int | None, media_type: str | None, digest: str, column: str) -> None:
        """Take in what an event or a parent index says of a manifest."""
        given = NULL if size is None else size
        self._manifest_size[row] = self._one_size(digest, self._manifest_size[row], given, column)
        if media_type is not None and self._manifest_media_type[row] == NULL:
            self._manifest_media_type[row] = self._name(self._media_types, media_type, plain_text, column)

    def _one_size(self, digest: str, known: int, given: int, column: str) -> int:
        if NULL not in (known, given) and known != given:
            self._problem(column, f"{digest} has size {given:,} here and {known:,} before")
        return given if known == NULL else known

    def _take_content(self, event: Event, manifest: int) -> None:
        told = [name for name in _CONTENT if getattr(event, name) is not None]
        if event.layers is None and event.manifests is None:
            if told:
                name = _JSON_NAME.get(told[0], told[0])
                self._problem(name, "is content, and comes with 'layers' or 'manifests' only")
            elif event.op == "push" and manifest != NULL and manifest not in self._content:
                self._problem("manifest", "is pushed for the first time, without its content")
            return
        if event.op != "push" or manifest == NULL or event.manifest is None:
            if event.op != "push":
                self._problem("layers", f"content comes with a push only, not with {event.op}")
            return
        if event.layers is not None and event.manifests is not None:
            self._problem("manifests", "is there beside 'layers': a manifest is an image or an index")
            return
        if event.manifests is not None and event.config is not None:
            self._problem("config", "is there beside 'manifests': an index has none")
        self._describe(manifest, event.size, event.media_type, event.manifest, "size")
        config = NULL if event.config is None else self._blob(event.config, "config")
        subject = self._manifest(event.subject, "subject")
        if event.layers is not None:
            layers = tuple(self._blob(layer, "layers") for layer in event.layers)
            content: _Content = (Kind.IMAGE, config, subject, layers, ())
            self._check_listed(event)
        else:
            children = [self._child(child, manifest) for child in event.manifests or ()]
            content = (
                Kind.INDEX,
                NULL,
                subject,
                tuple(row for row, _ in children),
                tuple(code for _, code in children),
            )
        if self._content.setdefault(manifest, content) != content:
            self._problem("manifest", "had other content when it was pushed before")

    def _child(self, given: Descriptor, parent: int) -> tuple[int, int]:
        row = self._manifest(given.digest, "manifests")
        if row == NULL:
            return NULL, NULL
        if row == parent:
            self._problem("manifests", "the index is its own child")
        self._describe(row, given.size, given.media_type, given.digest, "manifests")
        return row, self._name(self._platforms, given.platform, plain_text, "manifests")

    def _check_listed(self, event: Event) -> None:
        sizes = [part.size for part in event.layers or () if part.size is not None]
        total = sum(sizes) + ((event.config.size or 0) if event.config else 0) + (event.size or 0)
        if total > MAX_SIZE:
            self._problem("layers", f"the manifest lists {total:,} bytes, above {MAX_SIZE:,}")

    # -- the whole ------------------------------------------------------------------------------------
    def table(self) -> TraceTable:
        """All events so far; only if nothing was wrong with them. O(events + content)."""
        columns = list(zip(*self._events, strict=True)) or [()] * 11
        time, batch, op, *codes, amount = columns
        repository, tag, platform, manifest, previous, blob, upload = (np.array(column, np.int32) for column in codes)
        return TraceTable(
            time=np.array(time, np.int64),
            batch=np.array(batch, np.int32),
            op=np.array(op, np.uint8),
            repository=repository,
            tag=tag,
            platform=platform,
            manifest=manifest,
            previous=previous,
            blob=blob,
            upload=upload,
            amount=np.array(amount, np.int64),
            blobs=TraceBlobs(
                digests_from_strings(list(self._blobs)),
                np.array(self._blob_size, np.int64),
                np.array(self._blob_media_type, np.int32),
            ),
            manifests=self._manifest_table(),
            repositories=self._repositories.names,
            tags=self._tags.names,
            platforms=self._platforms.names,
            media_types=self._media_types.names,
        )

    def _manifest_table(self) -> TraceManifests:
        count = len(self._manifests)
        kind = np.full(count, NULL, np.int8)
        config, subject = np.full(count, NULL, np.int32), np.full(count, NULL, np.int32)
        width = np.zeros(count + 1, np.int64)
        targets: list[int] = []
        platforms: list[int] = []
        for row in sorted(self._content):
            kind[row], config[row], subject[row], listed, codes = self._content[row]
            width[row + 1] = len(listed)
            targets += listed
            platforms += codes or [NULL] * len(listed)
        return TraceManifests(
            digest=digests_from_strings(list(self._manifests)),
            kind=kind,
            size=np.array(self._manifest_size, np.int64),
            media_type=np.array(self._manifest_media_type, np.int32),
            config=config,
            subject=subject,
            indptr=np.cumsum(width),
            target=np.array(targets, np.int32),
            target_platform=np.array(platforms, np.int32),
        )

    def check_rings(self) -> None:
        """Report indexes that contain themselves through their children. O(content)."""
        parents: dict[int, list[int]] = {}
        waiting: dict[int, int] = {}
        for row, (kind, _, _, targets, _) in self._content.items():
            if kind is Kind.INDEX:
                children = {target for target in targets if self._is_index(target)}
                waiting[row] = len(children)
                for child in children:
                    parents.setdefault(child, []).append(row)
        # Take away indexes without an index below them until no more can go; what stays is in or above a
        # ring.
        free = [row for row, count in waiting.items() if not count]
        while free:
            row = free.pop()
            del waiting[row]
            for parent in parents.get(row, ()):
                waiting[parent] -= 1
                if not waiting[parent]:
                    free.append(parent)
        if waiting:
            digests = list(self._manifests)
            names = ", ".join(digests[row] for row in sorted(waiting)[:3])
            self._log.add(self._file, "manifests", f"{len(waiting):,} indexes contain each other in a ring: {names}")

    def _is_index(self, manifest: int) -> bool:
        content = self._content.get(manifest)
        return content is not None and content[0] is Kind.INDEX


class _Uploads:
    """The uploads of a trace, and how far each has come."""

    def __init__(self) -> None:
        self._codes: dict[int, int] = {}
        self._open: dict[int, tuple[str, int]] = {}

    def code(self, event: Event) -> int:
        """Return the upload's place among all that the trace starts, else NULL."""
        return NULL if event.upload is None else self._codes.setdefault(event.upload, len(self._codes))

    def fault(self, event: Event) -> str | None:
        """Take a step; returns what is wrong with it, to be read after the upload's number."""
        number = event.upload
        assert number is not None
        if event.op == "start_upload":
            if number in self._codes:
                return "was started before"
            self._open[number] = (event.repository, 0)
            return None
        if number not in self._open:
            return "is not under way: it was never started, or has ended"
        repository, received = self._open[number]
        if repository != event.repository:
            return f"was started in another repository, {shown(repository)}"
        if event.op == "append":
            received += event.bytes or 0
            if received > MAX_SIZE:
                return f"has received {received:,} bytes, above {MAX_SIZE:,}"
            self._open[number] = (repository, received)
            return None
        del self._open[number]
        if event.blob is not None and event.blob.size is not None and received > event.blob.size:
            return f"has received {received:,} bytes, and the blob has {event.blob.size:,}"
        return None


def repeated_key(line: bytes, event: Event) -> str | None:
    """A key that an object of the line has twice; the decoder keeps the last one and says nothing.

    Keys are counted first, and the slow parser asked only where the count is not that of the decoded event.
    """
    if len(_KEY.findall(line)) == _count_keys(event):
        return None
    repeated: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        repeated.extend(name for name in names if names.count(name) > 1)

    json.loads(line, object_pairs_hook=look)
    return repeated[0] if repeated else None


def _count_keys(event: Event) -> int:
    # Fields that are None are as good as absent.
    count = sum(value is not None for value in msgspec.structs.astuple(event))
    parts = [*(event.layers or ()), *(event.manifests or ())]
    parts += [part for part in (event.config, event.blob) if part is not None]
    for part in parts:
        count += 1 + (part.size is not None) + (part.media_type is not None) + (part.platform is not None)
    return count
