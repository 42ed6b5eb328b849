"""Requests that come in steps: uploads that begin, grow, end or are given up; what is reserved for them; and the
vendor's own counter, where it can differ from the charge.
"""

import numpy as np

from quotasim.kernels.compile import part
from quotasim.kernels.layout import (
    BASIS_LINKED,
    BASIS_TAGGED,
    CHECK_MISSING,
    CHECK_UPLOADING,
    CHECK_USED,
    CURSOR_NEEDED,
    CURSOR_PURGE_TAIL,
    LOCK_WRITE,
    MODE_COUNTS,
    MODE_HOLDERS,
    MODE_STORED,
    NULL,
    POINT_MOUNT,
    REASON_LOCKED,
    REASON_NONE,
    REASON_QUOTA,
    WORD,
    WORD_MASK,
)
from quotasim.kernels.scopes import (
    absent_bytes,
    blob_range,
    enqueue,
    find_pair,
    is_charged,
    is_storable,
    scope_of,
)


# --- limits -------------------------------------------------------------------------------------------------
@part
def needed_bytes(graph, names, held, rules, ledger, link):
    """Bytes that pushing the manifest of ``link`` would add to the charge of its scope, by looking: not for the basis
    TAGGED, where what a push holds depends on indexes.
    """
    manifest = np.int64(names.link_manifest[link])
    if rules.mode == MODE_COUNTS:
        return absent_bytes(graph, rules, ledger, link, manifest)
    need = np.int64(0)
    first, last = blob_range(graph, manifest)
    for e in range(first, last):
        blob = np.int64(graph.own[manifest] if e == first else graph.target[e])
        if not is_storable(graph, rules, blob):
            continue
        absent = held.holders[blob] == 0 if rules.mode == MODE_HOLDERS else held.stored[blob] == 0
        if absent:
            need += graph.size[blob]
    return need


@part
def _needed_by_link(graph, names, held, rules, ledger, repository, blob):
    """Bytes that a link to ``blob``, without a manifest, would add to the charge of its scope."""
    if rules.mode == MODE_STORED:
        return np.int64(0 if held.stored[blob] or not is_storable(graph, rules, blob) else graph.size[blob])
    if rules.mode != MODE_COUNTS or rules.basis != BASIS_LINKED or not is_charged(graph, rules, blob):
        return np.int64(0)
    pair = find_pair(ledger, scope_of(names, rules, repository), blob)
    return np.int64(0 if pair != NULL and ledger.count[pair] > 0 else graph.size[blob])


@part
def is_over(rules, ledger, scope, more):
    """Whether what the vendor counts in a scope, and ``more`` bytes, are past its limit."""
    if ledger.limit[scope, 0] == NULL:
        return False
    low = ledger.used[scope, 1] + ledger.drift[scope, 1] + (more & WORD_MASK)
    high = ledger.used[scope, 0] + ledger.drift[scope, 0] + (more >> WORD) + (low >> WORD)
    low &= WORD_MASK
    if high != ledger.limit[scope, 0]:
        return high > ledger.limit[scope, 0]
    if rules.reject_at_limit:
        return low >= ledger.limit[scope, 1]
    return low > ledger.limit[scope, 1]


@part
def exceeds(rules, ledger, scope, need):
    """Whether ``need`` more bytes, if any, are too many."""
    return need > 0 and is_over(rules, ledger, scope, need)


@part
def _fails(held, rules, ledger, check, scope, repository, need):
    """Whether a request that adds ``need`` bytes fails at a check point of the kind ``check`` (CHECK_*)."""
    if not rules.limited:
        return False
    if check == CHECK_USED:
        return is_over(rules, ledger, scope, np.int64(0))
    if check == CHECK_UPLOADING:
        return is_over(rules, ledger, scope, held.uploading[repository])
    return check == CHECK_MISSING and exceeds(rules, ledger, scope, need)


# --- uploads ------------------------------------------------------------------------------------------------
@part
def _open(held, upload, repository, event):
    held.upload_repository[upload] = repository
    held.upload_event[upload] = event
    held.upload_open[upload] = 1


@part
def begin_upload(names, held, rules, ledger, queues, cursor, upload, repository, time, event):
    """A POST, in event ``event``."""
    if held.repository_lock[repository] & LOCK_WRITE:
        return np.int64(REASON_LOCKED)
    if _fails(held, rules, ledger, rules.check_post, scope_of(names, rules, repository), repository, np.int64(0)):
        return np.int64(REASON_QUOTA)
    _open(held, upload, repository, event)
    if rules.purges:
        enqueue(queues.purge, cursor, CURSOR_PURGE_TAIL, upload, event, time)
    return np.int64(REASON_NONE)


@part
def append(names, held, rules, ledger, cursor, upload, amount, log, row):
    """A PATCH of ``amount`` bytes, in event ``row``. A refusal may end the upload."""
    repository = np.int64(held.upload_repository[upload])
    scope = scope_of(names, rules, repository)
    if _fails(held, rules, ledger, rules.check_patch, scope, repository, amount):
        cursor[CURSOR_NEEDED] = amount
        if rules.patch_cancels:
            end_upload(names, held, rules, ledger, upload, log, row, True)
        return np.int64(REASON_QUOTA)
    held.upload_bytes[upload] += amount
    held.uploading[repository] += amount
    log.upload_bytes[row] = amount
    return np.int64(REASON_NONE)


@part
def end_upload(names, held, rules, ledger, upload, log, row, rolls_back):
    """Close an upload or a request in event ``row``: its bytes are no unfinished ones any more. ``rolls_back``: nor is
    anything reserved for it.
    """
    log.upload_bytes[row] -= held.upload_bytes[upload]
    held.uploading[np.int64(held.upload_repository[upload])] -= held.upload_bytes[upload]
    held.upload_bytes[upload] = 0
    held.upload_open[upload] = 0
    if rolls_back:
        roll_back(names, held, rules, ledger, upload, log, row)


@part
def roll_back(names, held, rules, ledger, upload, log, row):
    """Give back what was reserved for a request, in event ``row``; but no more than is counted: that fails."""
    reserved = held.upload_reserved[upload]
    held.upload_reserved[upload] = NULL
    if not rules.reserves or reserved == NULL:
        return
    scope = scope_of(names, rules, np.int64(held.upload_repository[upload]))
    low = ledger.used[scope, 1] + ledger.drift[scope, 1]
    high = ledger.used[scope, 0] + ledger.drift[scope, 0] + (low >> WORD)
    if high > reserved >> WORD or (high == reserved >> WORD and low & WORD_MASK >= reserved & WORD_MASK):
        log.drift_bytes[row] -= reserved


@part
def reserve(graph, names, held, rules, ledger, cursor, upload, blob, link, amount, repository, log, row, event):
    """The arrival of the request that ends with a blob's, a manifest's or a copy's being there, in event ``row``."""
    need, check = amount, rules.check_copy
    if link != NULL:
        check, need = rules.check_put_manifest, np.int64(0)
        if not (rules.mode == MODE_COUNTS and rules.basis == BASIS_TAGGED):  # there only doing it tells
            need = needed_bytes(graph, names, held, rules, ledger, link)
    elif blob != NULL:
        check = rules.check_mount if amount == POINT_MOUNT else rules.check_put_blob
        need = _needed_by_link(graph, names, held, rules, ledger, repository, blob)
    if _fails(held, rules, ledger, check, scope_of(names, rules, repository), repository, need):
        cursor[CURSOR_NEEDED] = need
        return np.int64(REASON_QUOTA)
    if held.upload_event[upload] == NULL:  # a request without a body
        _open(held, upload, repository, event)
    held.upload_reserved[upload] = need if rules.reserves else np.int64(0)
    log.drift_bytes[row] = held.upload_reserved[upload]
    return np.int64(REASON_NONE)


# --- the vendor's counter ---------------------------------------------------------------------------------------
@part
def _recount_scope(ledger, scope):
    """Let a scope's counter be its charge; returns by how much it changes."""
    drift = (ledger.drift[scope, 0] << WORD) + ledger.drift[scope, 1]
    ledger.drift[scope, 0] = 0
    ledger.drift[scope, 1] = 0
    ledger.uncounted[scope] = 0
    return -drift


@part
def drifts(names, rules, ledger, repository):
    """Whether the counter of a repository's scope is not its charge."""
    scope = scope_of(names, rules, repository)
    return ledger.drift[scope, 0] != 0 or ledger.drift[scope, 1] != 0


@part
def recount(names, rules, ledger, repository, log, row):
    """Let the counter of a repository's scope, or of all (NULL), be the charge, in event ``row``."""
    if repository != NULL:
        log.drift_bytes[row] = _recount_scope(ledger, scope_of(names, rules, repository))
        return
    for scope in range(ledger.used.shape[0]):
        log.drift_bytes[row] += _recount_scope(ledger, np.int64(scope))


@part
def uncount(ledger, log, row):
    """Let every scope's counter be 0, and stay so whatever is charged, in event ``row``."""
    for scope in range(ledger.used.shape[0]):
        before = _recount_scope(ledger, np.int64(scope))
        high, low = -ledger.used[scope, 0], -ledger.used[scope, 1]
        ledger.drift[scope, 0] = high + (low >> WORD)
        ledger.drift[scope, 1] = low & WORD_MASK
        ledger.uncounted[scope] = 1
        log.drift_bytes[row] += before + (high << WORD) + low
