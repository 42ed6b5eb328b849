"""A push as the requests of which it consists: POST, PATCH and PUT of each blob, PUT of the manifest; and copies.

The operations of one piece (``push``, ``upload``, ``mount``) are let in or refused whole. Here each request meets the
limit where the kind looks at it, and what was accepted before a refusal stays.
"""

from __future__ import annotations

import numpy as np

from quotasim import lookup, outcomes
from quotasim.accounting import selection
from quotasim.accounting.quota import Decision
from quotasim.engine import Engine, Outcome, operations
from quotasim.errors import InvalidReference, InvalidValue, UnknownBlob, UnknownUpload
from quotasim.kernels import NULL, layout
from quotasim.model.catalogue import add_manifest
from quotasim.model.oci import Blob, Image, Index, parse_reference, parse_repository
from quotasim.model.totals import exact_sum
from quotasim.results import PushResult, UnfinishedUpload, UploadResult
from quotasim.units import parse_duration, parse_size
from quotasim.uploads import BlobOperations, apply_steps, blob_result, scope_of


class Requests(BlobOperations):
    """Pushing in steps; :class:`quotasim.Registry` has these operations with all the others."""

    def start_upload(self, repository: str) -> UploadResult:
        """Begin an upload: POST. Its bytes are on the disk beside the blobs until it is finished, cancelled or purged.

        Returns
        -------
        UploadResult; where the limit (the profile's ``check_post``) or a lock refuses it, ``upload`` is None.

        Raises
        ------
        InvalidReference : it is no repository's name.

        Examples
        --------
        >>> from quotasim import Registry
        >>> registry = Registry("harbor")
        >>> upload = registry.start_upload("team/app").upload
        >>> registry.append(upload, 60).received_bytes, registry.usage().upload_bytes
        (60, 60)
        >>> registry.finish_upload(upload, Blob.synthetic("layer", 100)).accepted
        True
        >>> registry.usage().upload_bytes, registry.usage().stored_bytes
        (0, 100)
        """
        engine = self._engine
        where = engine.names.add_repository(parse_repository(repository))
        engine.sync()
        row = int(engine.state.add_uploads(1)[0])
        return self._step(where, row, layout.OP_BEGIN_UPLOAD)

    def append(self, upload: int, size: int | str) -> UploadResult:
        """Send a part of an upload: PATCH.

        Parameters
        ----------
        size : bytes, as a number or as text (``"5 MiB"``).

        Raises
        ------
        UnknownUpload : there is no such upload, or it has ended. A refusal ends it where the kind does so
            (``patch_refusal_cancels``).
        """
        where = _open(self._engine, upload)
        return self._step(where, upload, layout.OP_APPEND, amount=parse_size(size, name="size"))

    def reserve_upload(self, upload: int, blob: Blob) -> UploadResult:
        """Let the PUT arrive that will finish an upload: its check point, and what the kind reserves from then on.

        :meth:`finish_upload` does this first where it was not done, so that it matters only where something else
        happens between the two.

        Raises
        ------
        UnknownUpload
        InvalidValue : more was sent than the blob is large.
        DigestConflict : the digest is known with another size.
        """
        where, row = self._blob_of(upload, blob)
        return self._step(where, upload, layout.OP_RESERVE, blob=row)

    def finish_upload(self, upload: int, blob: Blob) -> PushResult:
        """Finish an upload with what is still to be sent and its digest: PUT. The blob is stored and linked.

        Returns
        -------
        PushResult; refused, the upload stays as it was.

        Raises
        ------
        UnknownUpload
        InvalidValue : more was sent than the blob is large.
        DigestConflict : the digest is known with another size.
        """
        where, row = self._blob_of(upload, blob)
        engine = self._engine
        codes = [layout.OP_RESERVE, layout.OP_UPLOAD][self._is_reserved(upload) :]
        scope, used = scope_of(engine, where)
        outcome = apply_steps(engine, codes, where, upload=upload, blob=row)
        return blob_result(engine, outcome, scope, used, where, row)

    def cancel_upload(self, upload: int) -> int:
        """Give an upload up: DELETE. Returns the bytes that it had received.

        Raises
        ------
        UnknownUpload
        """
        where = _open(self._engine, upload)
        outcome = apply_steps(self._engine, [layout.OP_CANCEL_UPLOAD], where, upload=upload)
        return -exact_sum(self._engine.log.column("upload_bytes", outcome.first_event))

    def uploads(self) -> list[UnfinishedUpload]:
        """Return the unfinished uploads, in the order in which they began."""
        engine = self._engine
        state, names, log = engine.state, engine.names, engine.log
        rows = np.flatnonzero(state.read("upload_open"))
        events = state.read("upload_event")[rows]
        begun = log.column("kind")[events] == layout.OP_BEGIN_UPLOAD  # others are requests without a body
        return [
            UnfinishedUpload(
                int(row),
                names.repositories.values[state.read("upload_repository")[row]],
                int(state.read("upload_bytes")[row]),
                int(log.column("time")[event]),
            )
            for row, event in zip(rows[begun].tolist(), events[begun].tolist(), strict=True)
        ]

    def purge_uploads(self, older_than: str = "168h") -> int:
        """Remove unfinished uploads that began at least so long ago, as an administrator does; returns their bytes."""
        before = self.now - parse_duration(older_than)
        old = [upload for upload in self.uploads() if upload.started_at <= before]
        if not old:
            return 0
        engine = self._engine
        rows = np.array([upload.upload for upload in old], np.int32)
        outcome = engine.apply(
            operations(
                np.full(rows.size, layout.OP_PURGE_UPLOAD),
                np.full(rows.size, self.now, np.int64),
                repository=engine.state.read("upload_repository")[rows],
                upload=rows,
            )
        )
        return -exact_sum(engine.log.column("upload_bytes", outcome.first_event))

    def reserve_manifest(self, reference: str, manifest: Image | Index) -> UploadResult:
        """Let the PUT of a manifest arrive: its check point, and what the kind reserves from then on. ``upload`` of the
        result is the request to be given to :meth:`put_manifest`.

        Raises
        ------
        UnknownBlob, InvalidReference : as of :meth:`put_manifest`.
        """
        where, link, _ = self._manifest_of(reference, manifest)
        row = int(self._engine.state.add_uploads(1)[0])
        return self._step(where, row, layout.OP_RESERVE, link=link)

    def put_manifest(self, reference: str, manifest: Image | Index, *, request: int | None = None) -> PushResult:
        """Push a manifest whose blobs and children its repository has: PUT.

        Parameters
        ----------
        request : what :meth:`reserve_manifest` gave; by default the request arrives now.

        Returns
        -------
        PushResult. Where the kind looks at its limit ``"afterwards"``, a refused manifest has been taken in and counts,
        hidden, until it is collected.

        Raises
        ------
        UnknownBlob : the repository lacks a config, a layer or a child.
        InvalidReference : a digest is given and it is another one than the manifest's.
        UnknownUpload : the request was refused, or has ended.
        """
        where, link, tag = self._manifest_of(reference, manifest)
        engine = self._engine
        codes = [layout.OP_RESERVE, layout.OP_PUSH]
        if request is None:
            row = int(engine.state.add_uploads(1)[0])
        else:
            row = request
            if _open(engine, row) != where or not self._is_reserved(row):
                raise UnknownUpload(row)
            codes = codes[1:]
        scope, used = scope_of(engine, where)
        outcome = apply_steps(engine, codes, where, upload=row, link=link, tag=tag)
        return outcomes.push_result(
            engine, manifest, [int(engine.names.links.second[link])], outcome, scope, used, reference
        )

    def copy(self, source: str, target: str) -> PushResult:
        """Copy a manifest with its children, and its referrers where the kind has those follow it, into a repository.

        Parameters
        ----------
        source : what is copied.
        target : ``repo:tag``, or ``repo@digest`` with the same digest for a copy without a tag.

        Returns
        -------
        PushResult; refused, nothing is copied, and where a lock or an immutable tag refuses it the log has no event of
        it. ``uploaded_bytes`` are 0 but where the bytes were swept.

        Raises
        ------
        UnknownReference, InvalidReference

        Notes
        -----
        Tried on a branch first: O(columns of the state), and the descriptors of what is copied.
        """
        engine = self._engine
        _, link = lookup.find(engine, source)
        ref = parse_reference(target)
        digest = lookup.digest_of(engine, link)
        if ref.untagged or (ref.digest is not None and ref.digest != digest):
            raise InvalidReference(target, f"the manifest copied is {digest}")
        where = engine.names.add_repository(ref.repository)
        rows = np.array([engine.names.links.second[one] for one in self._tree(link)], np.int32)
        links = engine.add_links(np.full(rows.size, where), rows)
        tag = NULL if ref.tag is None else lookup.tag_row(engine, where, ref.tag)
        engine.sync()
        scope, used = scope_of(engine, where)
        pushes = operations(
            np.full(rows.size, layout.OP_PUSH),
            np.full(rows.size, self.now, np.int64),
            link=links,
            tag=np.append(np.full(rows.size - 1, NULL), tag),
            repository=np.full(rows.size, where),
        )
        # On a branch first: what it would add is what the limit is asked for, and a lock refuses it whole.
        where_done = engine.branch()
        outcome = where_done.apply(pushes, unlimited=True)
        if not outcome.refused:
            kind = where_done.log.column("kind", outcome.first_event)
            pushed = (kind == layout.OP_PUSH) | (kind == layout.OP_TAG)
            needed = exact_sum(where_done.log.column("charged_bytes", outcome.first_event)[pushed])
            where_done = engine
            request = int(engine.state.add_uploads(1)[0])
            outcome = apply_steps(engine, [layout.OP_RESERVE], where, upload=request, amount=needed)
            if not outcome.refused:
                done = engine.apply(pushes, unlimited=True)
                apply_steps(engine, [layout.OP_CANCEL_UPLOAD], where, upload=request)
                outcome = Outcome(outcome.first_event, done.next_event, 0, 0)
        verdict = outcomes.verdict_of(where_done, outcome, scope, used, target)
        accepted = verdict.decision is not Decision.REJECT
        stored = exact_sum(engine.log.column("stored_bytes", outcome.first_event)) if accepted else 0
        named = np.unique(np.concatenate([engine.blobs_of(row) for row in rows.tolist()]))
        size = exact_sum(engine.content.graph().size[named[engine.storable()[named]]])
        return PushResult(accepted, digest, stored, size - stored, verdict)

    # --- inside -----------------------------------------------------------------------------------------------
    def _tree(self, link: int) -> list[int]:
        """Return the links that are copied with one: descendants, and referrers that go with their subject; itself
        last.
        """
        engine = self._engine
        parts = (engine.content, engine.names, engine.state)
        follows = self.profile.referrers in ("follow", "cascade")
        found: dict[int, None] = {}
        pending = [link]
        while pending:
            one = pending.pop()
            if one in found:
                continue
            found[one] = None
            pending += selection.children_of(*parts, one) + (selection.referrers_of(*parts, one) if follows else [])
        readable = [one for one in found if one != link and lookup.is_readable(engine, one)]
        is_index = engine.content.graph().kind[engine.names.links.second[readable]] == layout.KIND_INDEX
        return [*sorted(readable, key=dict(zip(readable, is_index.tolist(), strict=True)).__getitem__), link]

    def _step(
        self, where: int, upload: int, code: int, *, blob: int = NULL, link: int = NULL, amount: int = 0
    ) -> UploadResult:
        """Take one step, and say what became of it."""
        engine = self._engine
        scope, used = scope_of(engine, where)
        outcome = apply_steps(engine, [code], where, upload=upload, blob=blob, link=link, amount=amount)
        verdict = outcomes.verdict_of(engine, outcome, scope, used, engine.names.repositories.values[where])
        is_open = bool(engine.state.read("upload_open")[upload])
        received = int(engine.state.read("upload_bytes")[upload])
        return UploadResult(not outcome.refused, upload if is_open else None, received, verdict)

    def _is_reserved(self, upload: int) -> bool:
        return bool(self._engine.state.read("upload_reserved")[upload] != NULL)

    def _blob_of(self, upload: int, blob: Blob) -> tuple[int, int]:
        """Return (repository, blob) rows of what finishes an upload."""
        engine = self._engine
        where = _open(engine, upload)
        received = int(engine.state.read("upload_bytes")[upload])
        if blob.size is not None and received > blob.size:
            raise InvalidValue("blob", blob.size, f"at least the {received:,} bytes that were sent")
        row = engine.content.add_blob(blob.digest, blob.size, blob.media_type or "")
        engine.sync()
        return where, row

    def _manifest_of(self, reference: str, manifest: Image | Index) -> tuple[int, int, int]:
        """Return (repository, link, tag) rows of a manifest whose parts are there."""
        ref = parse_reference(reference)
        if ref.untagged or (ref.digest is not None and ref.digest != manifest.digest):
            raise InvalidReference(reference, f"the manifest pushed is {manifest.digest}")
        engine = self._engine
        row = add_manifest(engine.content, manifest)
        where = engine.names.add_repository(ref.repository)
        link = int(engine.add_links(np.array([where]), np.array([row]))[0])
        tag = NULL if ref.tag is None else lookup.tag_row(engine, where, ref.tag)
        engine.sync()
        if (missing := lookup.missing_part(engine, link)) is not None:
            raise UnknownBlob(ref.repository, missing)
        return where, link, tag


def _open(engine: Engine, upload: int) -> int:
    """Return the repository of an upload that has not ended; raises UnknownUpload."""
    is_open = engine.state.read("upload_open")
    if not 0 <= upload < is_open.size or not is_open[upload]:
        raise UnknownUpload(upload)
    return int(engine.state.read("upload_repository")[upload])
