"""Events: rows of the log, begun with zero deltas, and added to the running totals when they are finished."""

import numpy as np

from quotasim.kernels.compile import part
from quotasim.kernels.layout import (
    CURSOR_LOG,
    NULL,
    OP_RECOUNT,
    OP_UNCOUNT,
    REASON_NONE,
    TOTAL_BINDINGS,
    TOTAL_BLOBS,
    TOTAL_CHARGED,
    TOTAL_DRIFT,
    TOTAL_FIRST_STORED,
    TOTAL_MANIFESTS,
    TOTAL_STORED,
    TOTAL_UNIQUE,
    TOTAL_UPLOADS,
)
from quotasim.kernels.scopes import scope_of
from quotasim.kernels.tables import add_words


@part
def begin_event(log, cursor, time, kind, repository, manifest, tag, blob, cause, batch):
    """Begin an event with zero deltas; returns its row in ``log``."""
    row = cursor[CURSOR_LOG]
    cursor[CURSOR_LOG] = row + 1
    log.time[row] = time
    log.kind[row] = kind
    log.reason[row] = REASON_NONE
    log.repository[row] = repository
    log.manifest[row] = manifest
    log.tag[row] = tag
    log.blob[row] = blob
    log.cause[row] = cause
    log.batch[row] = batch
    log.bindings[row] = 0
    log.manifests[row] = 0
    log.blobs[row] = 0
    log.unique_bytes[row] = 0
    log.charged_bytes[row] = 0
    log.stored_bytes[row] = 0
    log.first_stored_bytes[row] = 0
    log.upload_bytes[row] = 0
    log.drift_bytes[row] = 0
    return row


@part
def post_event(names, held, rules, ledger, log, row):
    """Add a finished event's deltas to the running totals."""
    add_words(held.totals, TOTAL_BINDINGS, np.int64(log.bindings[row]))
    add_words(held.totals, TOTAL_MANIFESTS, np.int64(log.manifests[row]))
    add_words(held.totals, TOTAL_BLOBS, np.int64(log.blobs[row]))
    add_words(held.totals, TOTAL_UNIQUE, log.unique_bytes[row])
    add_words(held.totals, TOTAL_STORED, log.stored_bytes[row])
    add_words(held.totals, TOTAL_FIRST_STORED, log.first_stored_bytes[row])
    add_words(held.totals, TOTAL_UPLOADS, log.upload_bytes[row])
    charged = log.charged_bytes[row]
    repository = np.int64(log.repository[row])
    scope = scope_of(names, rules, repository) if repository != NULL else np.int64(0)
    if charged:
        add_words(held.totals, TOTAL_CHARGED, charged)
        add_words(ledger.used, scope, charged)
        if rules.uncounting and ledger.uncounted[scope]:
            log.drift_bytes[row] -= charged
    drift = log.drift_bytes[row]
    if drift:
        add_words(held.totals, TOTAL_DRIFT, drift)
        kind = log.kind[row]
        if kind != OP_RECOUNT and kind != OP_UNCOUNT:  # which have set the scopes' own
            add_words(ledger.drift, scope, drift)
