"""Blobs by themselves: uploaded, mounted, deleted, without a manifest that names them."""

from __future__ import annotations

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


def upload(engine: Engine, repository: str, blob: Blob) -> PushResult:
    """Upload a blob; see :meth:`quotasim.Registry.upload`."""
    where = engine.names.add_repository(parse_repository(repository))
    return _put(engine, where, engine.content.add_blob(blob.digest, blob.size, blob.media_type or ""))


def mount(engine: Engine, digest: str, source: str, target: str) -> PushResult:
    """Link a blob of one repository in another; see :meth:`quotasim.Registry.mount`."""
    name = parse_repository(target)
    row = _blob_row(engine, source, digest)[1]
    return _put(engine, engine.names.add_repository(name), row)


def delete_blob(engine: Engine, repository: str, digest: str) -> DeleteResult:
    """Delete a repository's link to a blob; see :meth:`quotasim.Registry.delete_blob`."""
    where, row = _blob_row(engine, repository, digest)
    lookup.refuse_locked(engine, repository, layout.LOCK_DELETE, repository=where)
    return outcomes.delete_result(engine, _apply(engine, layout.OP_UNLINK_BLOB, where, row))


def _put(engine: Engine, repository: int, blob: int) -> PushResult:
    """Link a blob in a repository, and store it if it is not stored: a mount finds it so."""
    engine.sync()
    scope = int(scope_of_repositories(engine.names, engine.profile.scope, np.array([repository]))[0])
    used = engine.ledger.used()[scope]
    outcome = _apply(engine, layout.OP_UPLOAD, repository, blob)
    verdict = outcomes.verdict_of(engine, outcome, scope, used)
    accepted = verdict.decision is not Decision.REJECT
    stored = exact_sum(engine.log.column("stored_bytes", outcome.first_event))
    uploaded = max(stored, 0) if accepted else 0
    size = int(engine.content.graph().size[blob])
    return PushResult(accepted, engine.content.digest(blob), uploaded, size - uploaded, verdict)


def _blob_row(engine: Engine, repository: str, digest: str) -> tuple[int, int]:
    """Return (repository, blob) rows of a blob that a repository has; raises UnknownBlob."""
    parse_digest(digest)
    where = engine.names.repositories.find(parse_repository(repository))
    row = engine.content.find_blob(digest)
    if where == NULL or row == NULL or not lookup.has_blob(engine, where, row):
        raise UnknownBlob(repository, digest)
    return where, row


def _apply(engine: Engine, code: int, repository: int, blob: int) -> Outcome:
    now = np.array([engine.state.now], np.int64)
    ops = operations(np.array([code]), now, blob=np.array([blob]), repository=np.array([repository]))
    return engine.apply(ops)
