"""Blobs by themselves: uploaded, mounted, deleted, without a manifest that names them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from quotasim import lookup, outcomes
from quotasim.accounting.basis import scope_of_repositories
from quotasim.accounting.quota import Decision
from quotasim.engine import Engine, Outcome, operations
from quotasim.errors import UnknownBlob
from quotasim.kernels import NULL, layout
from quotasim.model.oci import Blob, parse_digest, parse_repository
from quotasim.model.totals import exact_sum
from quotasim.results import DeleteResult, PushResult
from quotasim.view import RegistryView


class BlobOperations(RegistryView):
    """The operations on blobs by themselves; :class:`quotasim.Registry` has them with all the others."""

    def upload(self, repository: str, blob: Blob) -> PushResult:
        """Upload a blob that no manifest names yet, as a client does before it pushes the manifest.

        Returns
        -------
        PushResult; ``accepted`` is False where the quota or a lock refused it.

        Raises
        ------
        InvalidReference : it is no repository's name.
        DigestConflict : the digest is known with another size.
        """
        engine = self._engine
        where = engine.names.add_repository(parse_repository(repository))
        return _put(engine, where, engine.content.add_blob(blob.digest, blob.size, blob.media_type or ""))

    def mount(self, blob: Blob | str, source: str, target: str) -> PushResult:
        """Link a blob of one repository in another, as a client does that need not upload it.

        Parameters
        ----------
        blob : a config or a layer, or its digest.
        source, target : repositories; they may be the same.

        Returns
        -------
        PushResult; ``accepted`` is False where the quota or a lock refused it, and no byte is uploaded.

        Raises
        ------
        UnknownBlob : the source does not have it. A real registry asks for an upload then.
        InvalidDigest, InvalidReference

        Examples
        --------
        >>> from quotasim import Registry
        >>> registry = Registry("distribution-2.8")
        >>> base = Blob.synthetic("base", 100)
        >>> registry.upload("app", base).uploaded_bytes, registry.mount(base, "app", "web").deduplicated_bytes
        (100, 100)
        """
        name = parse_repository(target)
        row = _blob_row(self._engine, source, blob if isinstance(blob, str) else blob.digest)[1]
        return _put(self._engine, self._engine.names.add_repository(name), row, mounts=True)

    def delete_blob(self, repository: str, digest: str) -> DeleteResult:
        """Delete a config or a layer from one repository: the link to it there, and nothing else.

        Other repositories have it as before, and manifests that name it hold it as before. But this repository has
        it no more until it is uploaded, mounted or pushed again.

        Raises
        ------
        UnknownBlob : the repository does not have it; the bytes of a manifest are not such a blob.
        Locked : the repository is locked against deletion.
        InvalidDigest, InvalidReference

        Examples
        --------
        >>> from quotasim import Registry
        >>> registry = Registry("distribution-2.8")
        >>> base = Blob.synthetic("base", 100)
        >>> uploaded = registry.upload("app", base)
        >>> registry.delete_blob("app", base.digest).freed_stored_bytes
        0
        >>> registry.apply(registry.plan_gc()).freed_stored_bytes
        100
        """
        engine = self._engine
        where, row = _blob_row(engine, repository, digest)
        lookup.refuse_locked(engine, repository, layout.LOCK_DELETE, repository=where)
        return outcomes.delete_result(engine, apply_steps(engine, [layout.OP_UNLINK_BLOB], where, blob=row))


def _put(engine: Engine, repository: int, blob: int, *, mounts: bool = False) -> PushResult:
    """Link a blob in a repository, and store it if it is not stored. A mount finds it so, and is its own request."""
    engine.sync()
    scope, used = scope_of(engine, repository)
    codes, request, point = [layout.OP_UPLOAD], NULL, layout.POINT_BLOB
    if mounts:
        codes, point = [layout.OP_RESERVE, layout.OP_UPLOAD], layout.POINT_MOUNT
        request = int(engine.state.add_uploads(1)[0])
    outcome = apply_steps(engine, codes, repository, upload=request, blob=blob, amount=point)
    return blob_result(engine, outcome, scope, used, repository, blob)


def blob_result(engine: Engine, outcome: Outcome, scope: int, used: int, repository: int, blob: int) -> PushResult:
    """Return what became of a blob that came to a repository, whose scope had ``used`` bytes counted before."""
    digest = engine.content.digest(blob)
    reference = f"{engine.names.repositories.values[repository]}@{digest}"
    verdict = outcomes.verdict_of(engine, outcome, scope, used, reference)
    accepted = verdict.decision is not Decision.REJECT
    stored = exact_sum(engine.log.column("stored_bytes", outcome.first_event))
    uploaded = max(stored, 0) if accepted else 0
    size = int(engine.content.graph().size[blob])
    return PushResult(accepted, digest, uploaded, size - uploaded, verdict)


def scope_of(engine: Engine, repository: int) -> tuple[int, int]:
    """Return (scope row, what the vendor counts there now) of a repository."""
    scope = int(scope_of_repositories(engine.names, engine.profile.scope, np.array([repository]))[0])
    return scope, engine.ledger.counted()[scope]


def _blob_row(engine: Engine, repository: str, digest: str) -> tuple[int, int]:
    """Return (repository, blob) rows of a blob that a repository has; raises UnknownBlob."""
    parse_digest(digest)
    where = engine.names.repositories.find(parse_repository(repository))
    row = engine.content.find_blob(digest)
    if where == NULL or row == NULL or not lookup.has_blob(engine, where, row):
        raise UnknownBlob(repository, digest)
    return where, row


def apply_steps(
    engine: Engine,
    codes: Sequence[int],
    repository: int,
    *,
    upload: int = NULL,
    blob: int = NULL,
    link: int = NULL,
    tag: int = NULL,
    amount: int = 0,
) -> Outcome:
    """Apply the steps of one request in one batch, now."""
    count = len(codes)
    rows = {"upload": upload, "blob": blob, "link": link, "tag": tag, "repository": repository}
    return engine.apply(
        operations(
            np.array(codes),
            np.full(count, engine.state.now, np.int64),
            amount=np.full(count, amount, np.int64),
            **{name: np.full(count, row) for name, row in rows.items()},
        )
    )
