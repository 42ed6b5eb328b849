"""From a checked trace to an engine that has lived through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quotasim.engine import Engine, operations
from quotasim.errors import InvalidValue
from quotasim.importers.trace_table import TraceOp, TraceTable
from quotasim.kernels import NULL, layout
from quotasim.model.content import Content, ManifestBatch
from quotasim.model.oci import OCI_CONFIG, Kind, Role
from quotasim.profiles.base import RegistryProfile

Array = npt.NDArray[Any]

_CODES = {
    TraceOp.PUSH: layout.OP_PUSH,
    TraceOp.TAG: layout.OP_TAG,
    TraceOp.UNTAG: layout.OP_UNTAG,
    TraceOp.DELETE: layout.OP_DELETE,
    TraceOp.UPLOAD: layout.OP_UPLOAD,
    TraceOp.PULL: layout.OP_PULL,
    TraceOp.START_UPLOAD: layout.OP_BEGIN_UPLOAD,
    TraceOp.APPEND: layout.OP_APPEND,
    TraceOp.CANCEL_UPLOAD: layout.OP_CANCEL_UPLOAD,
}


@dataclass(frozen=True, slots=True)
class _Rows:
    """Catalogue rows of a trace's content and names."""

    blob: Array  # int32[B]
    manifest: Array  # int32[M], NULL where the trace never tells the content
    repository: Array  # int32, by code
    tag_name: Array
    platform: Array


def replay_trace(trace: TraceTable, profile: RegistryProfile, engine: Engine | None = None) -> Engine:
    """Return an engine of ``profile`` that a trace's operations were applied to, in batches, adds before drops.

    Parameters
    ----------
    engine : continue this one; by default a new one that begins with the trace.

    Notes
    -----
    What the profile refuses is an event in the log, as is everything else. O(references + operations).
    """
    if engine is None:
        engine = Engine(profile, int(trace.time[0]) if trace.time.size else 0)
    LoadedTrace(trace, engine).on(engine).play()
    return engine


class LoadedTrace:
    """A trace whose content and names are in a catalogue, so that all branches of a registry can live through it.

    Parameters
    ----------
    trace : the operations.
    engine : whose catalogue they are loaded into; its state is not touched.

    Attributes
    ----------
    time : int64[n], never falling; of every step that is applied.

    Notes
    -----
    O(references + operations), once; playing it costs what the operations do.
    """

    def __init__(self, trace: TraceTable, engine: Engine) -> None:
        rows = _load(trace, engine)
        self._content = engine.content
        repository = rows.repository[trace.repository]
        tag = np.full(trace.tag.size, NULL, np.int32)
        tagged = np.flatnonzero(trace.tag != NULL)
        platform = np.concatenate((rows.platform, [0])).astype(np.int32)
        tag[tagged] = engine.names.add_tags(
            repository[tagged], rows.tag_name[trace.tag[tagged]], platform[trace.platform[tagged]]
        )
        link = np.full(trace.manifest.size, NULL, np.int32)
        named = np.flatnonzero(trace.manifest != NULL)
        known = named[rows.manifest[trace.manifest[named]] != NULL]
        link[known] = engine.add_links(repository[known], rows.manifest[trace.manifest[known]])
        blob = np.where(trace.blob == NULL, NULL, rows.blob[trace.blob] if rows.blob.size else NULL).astype(np.int32)
        code = np.zeros(256, np.uint8)
        for op, kernel_code in _CODES.items():
            code[op] = kernel_code
        # What finishes an upload is two steps to the kernels: its request arrives, and is carried out.
        finishes = (trace.op == TraceOp.UPLOAD) & (trace.upload != NULL)
        step = np.repeat(np.arange(trace.op.size), 1 + finishes)
        arrives = np.append(step[1:] == step[:-1], False)[: step.size]
        self.time = trace.time[step]
        self._codes = np.where(arrives, layout.OP_RESERVE, code[trace.op][step]).astype(np.uint8)
        self._by_tag = ((trace.op == TraceOp.DELETE) & (tag != NULL) & (link == NULL))[step]
        self._cuts = np.flatnonzero(trace.op[step] == TraceOp.DELETE_REPOSITORY)
        self._columns = {
            "repository": repository[step],
            "link": link[step],
            "tag": tag[step],
            "blob": blob[step],
            "batch": trace.batch[step],
            "amount": trace.amount[step],
        }
        self._upload = trace.upload[step].astype(np.int32)

    def on(self, engine: Engine) -> Player:
        """Return what plays the trace on an engine of the same catalogue."""
        if engine.content is not self._content:
            raise InvalidValue("engine", "one of another catalogue", "one that shares the catalogue it was loaded into")
        return Player(self, engine)


class Player:
    """Applies a loaded trace to one engine, up to one time after another."""

    def __init__(self, loaded: LoadedTrace, engine: Engine) -> None:
        self._engine = engine
        self._time = loaded.time
        self._cuts = loaded._cuts
        self._position = 0
        removes_tag = engine.profile.delete_by_tag in ("tag", "expire")
        codes = np.where(loaded._by_tag, layout.OP_UNTAG, loaded._codes) if removes_tag else loaded._codes
        upload = loaded._upload
        if (count := int(upload.max(initial=NULL)) + 1) > 0:
            engine.sync()
            upload = np.where(upload == NULL, NULL, engine.state.add_uploads(count)[upload]).astype(np.int32)
        self._columns = {**loaded._columns, "code": codes.astype(np.uint8), "time": loaded.time, "upload": upload}

    def play(self, until: int | None = None) -> None:
        """Apply what has not been applied yet, up to a time and with it; by default all.

        Parameters
        ----------
        until : microseconds since the epoch; the engine's time in the end, if it is not the last operation's.

        Notes
        -----
        O(references touched + operations).
        """
        stop = self._time.size if until is None else int(np.searchsorted(self._time, until, side="right"))
        # A deleted repository is looked up when its turn comes, so the operations are cut there.
        for cut in self._cuts[(self._cuts >= self._position) & (self._cuts < stop)].tolist():
            self._apply(cut)
            self._engine.delete_repository(int(self._columns["repository"][cut]), int(self._time[cut]))
            self._position = cut + 1
        self._apply(stop)
        if until is not None and until > self._engine.state.now:
            self._engine.apply(until=until)

    def _apply(self, stop: int) -> None:
        """Apply the operations before ``stop``, none of which deletes a repository."""
        if stop > self._position:
            part = slice(self._position, stop)
            self._engine.apply(operations(**{name: column[part] for name, column in self._columns.items()}))
            self._position = stop


def _load(trace: TraceTable, engine: Engine) -> _Rows:
    """Intern a trace's content and names."""
    content, names = engine.content, engine.names
    blobs, manifests = trace.blobs, trace.manifests
    told = np.flatnonzero(manifests.kind != NULL)
    content.reserve(
        blobs=content.blob_count + len(blobs.digest) + len(manifests.digest),
        manifests=content.manifest_count + told.size,
        references=content.descriptor_count + manifests.target.size + told.size,
    )
    media = np.concatenate((content.media_types.add_all(trace.media_types), [0])).astype(np.int32)
    is_config = np.zeros(len(blobs.digest), bool)
    is_config[manifests.config[manifests.config != NULL]] = True
    unnamed = np.where(is_config, content.media_types.add(OCI_CONFIG), 0)
    blob = content.add_blobs(
        blobs.digest, blobs.size, np.where(blobs.media_type == NULL, unnamed, media[blobs.media_type])
    )
    own = content.add_blobs(manifests.digest, manifests.size, media[manifests.media_type])
    rows = np.full(len(manifests.digest), NULL, np.int32)
    rows[told] = _add_manifests(trace, content, blob, own, told)
    return _Rows(
        blob,
        rows,
        names.add_repositories(trace.repositories),
        names.tag_names.add_all(trace.tags),
        names.platforms.add_all(trace.platforms),
    )


def _add_manifests(trace: TraceTable, content: Content, blob: Array, own: Array, told: Array) -> Array:
    """Intern the manifests whose content the trace tells; returns their rows."""
    manifests = trace.manifests
    starts, counts = manifests.indptr[told], np.diff(manifests.indptr)[told]
    config = manifests.config[told]
    has_config = (config != NULL).astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(counts + has_config))).astype(np.int64)
    target = np.empty(int(indptr[-1]), np.int32)
    role = np.full(target.size, Role.LAYER, np.uint8)
    configured = np.flatnonzero(has_config)
    target[indptr[:-1][configured]] = blob[config[configured]]
    role[indptr[:-1][configured]] = Role.CONFIG
    before = np.cumsum(counts) - counts
    steps = np.arange(int(counts.sum()))
    place = steps + np.repeat(indptr[:-1] + has_config - before, counts)
    listed = manifests.target[steps + np.repeat(starts - before, counts)]
    in_index = np.repeat(manifests.kind[told] == Kind.INDEX, counts)
    target[place[in_index]] = own[listed[in_index]]
    role[place[in_index]] = Role.CHILD
    target[place[~in_index]] = blob[listed[~in_index]]
    subject = manifests.subject[told]
    return content.add_manifests(
        ManifestBatch(
            blob=own[told],
            kind=manifests.kind[told].astype(np.uint8),
            indptr=indptr,
            target=target,
            role=role,
            subject=np.where(subject == NULL, NULL, own[subject]).astype(np.int32),
        )
    )
