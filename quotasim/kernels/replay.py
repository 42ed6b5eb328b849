"""The sequential engine: operations applied one after another, with every count, charge and event they cause.

One kernel, :func:`apply_operations`, is the only place where links, tags, reference counts and stored flags
change. A single ``push`` is a
batch of one operation; a replay of ten million references is a long array of them.

The kernel never allocates and never fails. Before each step it asks whether the step's outcome fits into the
log, the queues and the hash tables; if not it returns what is short, the caller makes room and calls again, and
the kernel goes on
where it stopped. Everything it must remember between calls lies in ``cursor``.

Byte totals are kept in two words: total = word[0] * 2**32 + word[1] with 0 <= word[1] < 2**32, so that they stay
exact far
beyond 2**63. A single delta always fits into int64, since no manifest may list more than 2**63 - 1 bytes.
"""

import numpy as np

from quotasim.kernels.compile import kernel, leaf, part
from quotasim.kernels.due import first_due, first_repository
from quotasim.kernels.events import begin_event, post_event
from quotasim.kernels.layout import (
    BLOB_LINKED,
    BLOB_REMOVED,
    BLOB_UNSAID,
    CURSOR_AGENDA_HEAD,
    CURSOR_AGENDA_TAIL,
    CURSOR_BLOB_LINKS,
    CURSOR_CASCADE,
    CURSOR_CAUSE,
    CURSOR_COLLECT_HEAD,
    CURSOR_COLLECT_TAIL,
    CURSOR_EVENT_BASE,
    CURSOR_LOG,
    CURSOR_LOOSE_BLOB,
    CURSOR_LOOSE_CAUSE,
    CURSOR_LOOSE_HEAD,
    CURSOR_LOOSE_TAIL,
    CURSOR_LOOSE_TIME,
    CURSOR_OPERATION,
    CURSOR_PHASE,
    CURSOR_PURGE_HEAD,
    CURSOR_PURGE_TAIL,
    CURSOR_REFUSED,
    CURSOR_REMOVED_LINK,
    CURSOR_REMOVED_ROW,
    CURSOR_RUN_COUNT,
    CURSOR_RUN_REPOSITORY,
    CURSOR_RUN_TIME,
    CURSOR_SHORT,
    CURSOR_SWEEP_HEAD,
    CURSOR_SWEEP_TAIL,
    DONE,
    EVENT_REFUSE,
    IMMUTABLE_KEEP,
    LOCK_DELETE,
    MODE_COUNTS,
    NEED_AGENDA,
    NEED_BLOB_LINKS,
    NEED_CASCADE,
    NEED_COLLECT,
    NEED_LOG,
    NEED_LOOSE,
    NEED_PURGE,
    NEED_SWEEP,
    NULL,
    OP_APPEND,
    OP_BEGIN_UPLOAD,
    OP_CANCEL_UPLOAD,
    OP_COLLECT,
    OP_DELETE,
    OP_GC,
    OP_MISCOUNT,
    OP_PULL,
    OP_PURGE_UPLOAD,
    OP_PUSH,
    OP_RECOUNT,
    OP_RESERVE,
    OP_RESTORE,
    OP_SWEEP,
    OP_TAG,
    OP_UNCOUNT,
    OP_UNLINK_BLOB,
    OP_UNTAG,
    OP_UPLOAD,
    PHASE_AFTER,
    PHASE_BEFORE,
    PHASE_OPERATION,
    POINT_MOUNT,
    REASON_IMMUTABLE,
    REASON_LOCKED,
    REASON_NONE,
    REASON_READ_ONLY,
    WORD,
    WORD_MASK,
)
from quotasim.kernels.prefetch import prefetch
from quotasim.kernels.references import (
    candidate,
    is_collectable,
    keep_deleted,
    may_delete,
    push,
    refusal,
    restore,
    sweep,
    unlink,
    untag,
    upload,
)
from quotasim.kernels.requests import append, begin_upload, drifts, end_upload, recount, reserve, roll_back, uncount
from quotasim.kernels.scopes import (
    blob_link,
    blob_link_event,
    blob_link_of,
    blob_range,
    drop_first,
    first_at_least,
    is_held,
    release,
)
from quotasim.kernels.tables import has_room

AHEAD = 6  # operations by which each stage asks for memory early; measured in docs/performance.md


# --- room -------------------------------------------------------------------------------------------------------
@part
def _room(graph, rules, held, queues, log, cursor, manifest):
    """What is short for a step on ``manifest`` (NULL: on one blob), as a NEED_* code; DONE if it fits."""
    degree, referrers = np.int64(2), np.int64(0)
    if manifest != NULL:
        degree = graph.indptr[manifest + 1] - graph.indptr[manifest] + 1
        own = graph.own[manifest]
        k = first_at_least(graph.referrer_subject, np.int64(own))
        while k < graph.referrer_subject.shape[0] and graph.referrer_subject[k] == own:
            referrers += 1
            k += 1
    cursor[CURSOR_SHORT] = 2
    if cursor[CURSOR_LOG] + 2 > log.time.shape[0]:
        return NEED_LOG
    if rules.automatic:
        cursor[CURSOR_SHORT] = degree + referrers + 1
        if cursor[CURSOR_COLLECT_TAIL] + cursor[CURSOR_SHORT] > queues.collect.shape[0]:
            return NEED_COLLECT
        cursor[CURSOR_SHORT] = degree
        if cursor[CURSOR_SWEEP_TAIL] + degree > queues.sweep.shape[0]:
            return NEED_SWEEP
    cursor[CURSOR_SHORT] = 1
    if cursor[CURSOR_PURGE_TAIL] >= queues.purge.shape[0]:
        return NEED_PURGE
    if cursor[CURSOR_LOOSE_TAIL] >= queues.loose.shape[0]:
        return NEED_LOOSE
    if cursor[CURSOR_AGENDA_TAIL] >= queues.agenda.shape[0]:
        return NEED_AGENDA
    cursor[CURSOR_SHORT] = referrers + rules.children_go * degree
    if cursor[CURSOR_CASCADE] + cursor[CURSOR_SHORT] > queues.cascade.shape[0]:
        return NEED_CASCADE
    cursor[CURSOR_SHORT] = 2 * degree
    if (rules.stale_blob_links or manifest == NULL) and not has_room(
        held.blob_links, cursor[CURSOR_BLOB_LINKS], 2 * degree
    ):
        return NEED_BLOB_LINKS
    return DONE


@part
def _approach(graph, names, held, rules, ledger, ops, i, count):
    """Ask for the memory that the operations after ``i`` will look at, in four stages: each reads what the one before
    asked for.
    """
    k = i + 4 * AHEAD
    if k < count and ops.link[k] != NULL:
        link = np.int64(ops.link[k])
        prefetch(names.link_manifest, link)
        prefetch(names.link_repository, link)
        prefetch(held.linked, link)
        if rules.mode == MODE_COUNTS:
            prefetch(ledger.row_of_link, link)
        if ops.code[k] == OP_DELETE:
            prefetch(held.deleted, link)
            prefetch(held.link_lock, link)
            prefetch(held.first_tag, link)
    k = i + 3 * AHEAD
    if k < count and ops.link[k] != NULL:
        link = np.int64(ops.link[k])
        manifest = np.int64(names.link_manifest[link])
        prefetch(graph.indptr, manifest)
        prefetch(graph.own, manifest)
        prefetch(graph.kind, manifest)
        prefetch(graph.logical, manifest)
        prefetch(held.link_count, manifest)
        if rules.mode == MODE_COUNTS:
            row = np.int64(ledger.row_of_link[link])
            prefetch(ledger.indptr, row)
            prefetch(ledger.links, row)
            prefetch(ledger.held, row)
    k = i + 2 * AHEAD
    if k < count and ops.link[k] != NULL:
        link = np.int64(ops.link[k])
        prefetch(graph.target, graph.indptr[np.int64(names.link_manifest[link])])
        if rules.mode == MODE_COUNTS:
            prefetch(ledger.pair, ledger.indptr[np.int64(ledger.row_of_link[link])])
    k = i + AHEAD
    if k < count and ops.link[k] != NULL and ops.code[k] != OP_PULL:
        link = np.int64(ops.link[k])
        manifest = np.int64(names.link_manifest[link])
        first, last = blob_range(graph, manifest)
        _approach_blobs(graph.target, graph.size, held.holders, np.int64(graph.own[manifest]), first, last)
        if rules.mode == MODE_COUNTS:
            first = ledger.indptr[np.int64(ledger.row_of_link[link])]
            _approach_pairs(ledger.pair, ledger.count, first, first + last - graph.indptr[manifest] + 1)
    k = i + AHEAD // 2
    if k < count and ops.link[k] != NULL and ops.code[k] == OP_PUSH:
        manifest = np.int64(names.link_manifest[np.int64(ops.link[k])])
        first, last = blob_range(graph, manifest)
        own = np.int64(graph.own[manifest])
        _approach_unheld(graph.target, held.holders, held.stored, held.stored_event, own, first, last)


@leaf
def _approach_blobs(target, size, holders, own, first, last):
    """The last stage, for every blob of a manifest."""
    for e in range(first, last):
        blob = np.uint64(own) if e == first else np.uint64(target[np.uint64(e)])
        prefetch(holders, blob)
        prefetch(size, blob)


@leaf
def _approach_unheld(target, holders, stored, stored_event, own, first, last):
    """For every blob of a manifest that nobody holds: whether it is on disk, and since when."""
    for e in range(first, last):
        blob = np.uint64(own) if e == first else np.uint64(target[np.uint64(e)])
        # Whether it is held is anybody's guess: to ask for row 0 then is cheaper than a branch.
        which = blob if holders[blob] == 0 else np.uint64(0)
        prefetch(stored, which)
        prefetch(stored_event, which)


@leaf
def _approach_pairs(pair, count, first, last):
    """The last stage, for the count of every blob in its scope."""
    for k in range(first, last):
        prefetch(count, np.uint64(pair[np.uint64(k)]))


# --- time and the main loop ----------------------------------------------------------------------------------
@part
def pass_over(rules, queues, cursor, head):
    """Take the first row off the queue that begins at ``cursor[head]``."""
    if head == CURSOR_COLLECT_HEAD:
        drop_first(queues.collect, cursor, CURSOR_COLLECT_HEAD, CURSOR_COLLECT_TAIL, rules)
    elif head == CURSOR_SWEEP_HEAD:
        drop_first(queues.sweep, cursor, CURSOR_SWEEP_HEAD, CURSOR_SWEEP_TAIL, rules)
    else:
        cursor[head] += 1


@part
def is_change(kind):
    """Whether a client asks to change something: what is refused while a registry is read only."""
    return kind <= OP_UPLOAD or (OP_BEGIN_UPLOAD <= kind <= OP_RESERVE) or kind == OP_UNTAG or kind == OP_DELETE


@kernel
def apply_operations(graph, names, held, rules, ledger, queues, cursor, ops, log):
    """Apply ``ops`` from ``cursor[CURSOR_OPERATION]`` on, with all that falls due on the way.

    graph, names, rules, ops   read
    held, ledger, queues, log  WRITTEN
    cursor                     int64[CURSOR_SIZE], WRITTEN; row r of ``log`` is event cursor[CURSOR_EVENT_BASE] + r
    returns                    DONE, or the NEED_* code of what has no room for the next step, with the rows it wants in
                               cursor[CURSOR_SHORT]; call again with more room
    cost                       O(references touched + operations + what falls due)

    Each turn of the loop chooses one step and does it whole. In order of precedence: the rest of a removal under
    way (its tags one by
    one, then the link), referrers that go with what was deleted, what is due, the next operation. Before all: a blob
    that goes with its last link.
    """
    base = cursor[CURSOR_EVENT_BASE]
    count = ops.code.shape[0]
    while True:
        i = cursor[CURSOR_OPERATION]
        code, link, tag, blob = np.int64(NULL), np.int64(NULL), np.int64(NULL), np.int64(NULL)
        repository, cause, time = np.int64(NULL), cursor[CURSOR_CAUSE], rules.until
        batch = np.int64(ops.batch[i]) if i < count else np.int64(NULL)
        upload_row, amount, head_at = np.int64(NULL), np.int64(0), np.int64(NULL)
        row = np.int64(NULL)
        requested = False

        # Choose.
        if cursor[CURSOR_LOOSE_BLOB] != NULL:
            blob, cause, time = cursor[CURSOR_LOOSE_BLOB], cursor[CURSOR_LOOSE_CAUSE], cursor[CURSOR_LOOSE_TIME]
            code = np.int64(OP_SWEEP)
        elif cursor[CURSOR_REMOVED_LINK] != NULL:
            link, row = cursor[CURSOR_REMOVED_LINK], cursor[CURSOR_REMOVED_ROW]
            code = np.int64(log.kind[row])
            tag = np.int64(held.first_tag[link])
            time = log.time[row]
        elif cursor[CURSOR_CASCADE] > 0:
            top = cursor[CURSOR_CASCADE] - 1
            link, cause, time = queues.cascade[top, 0], queues.cascade[top, 1], queues.cascade[top, 2]
            cursor[CURSOR_CASCADE] = top
            if not held.linked[link] or held.deleted[link] or not may_delete(names, held, rules, link):
                continue
            code = np.int64(OP_DELETE)
        elif cursor[CURSOR_PHASE] == PHASE_OPERATION:
            requested = True
            _approach(graph, names, held, rules, ledger, ops, i, count)
            code, link, tag, blob = (
                np.int64(ops.code[i]),
                np.int64(ops.link[i]),
                np.int64(ops.tag[i]),
                np.int64(ops.blob[i]),
            )
            repository, time = np.int64(ops.repository[i]), ops.time[i]
            upload_row, amount = np.int64(ops.upload[i]), ops.amount[i]
            if upload_row != NULL and code != OP_BEGIN_UPLOAD:
                # A step of a request that was refused, or has ended, is left out.
                begun = held.upload_event[upload_row] != NULL
                arrived = held.upload_reserved[upload_row] != NULL
                if code == OP_RESERVE:
                    lives = not begun or (held.upload_open[upload_row] != 0 and not arrived)
                else:
                    lives = held.upload_open[upload_row] != 0 and (arrived or (code != OP_PUSH and code != OP_UPLOAD))
                if not lives:
                    code = np.int64(NULL)
            if code == NULL:
                pass
            elif tag != NULL and (code == OP_UNTAG or code == OP_DELETE):
                bound = np.int64(held.tag_link[tag])
                # Nothing is left to do where an add of the same batch has moved the tag, or it was not bound.
                if bound == NULL or (link != NULL and bound != link):
                    code = np.int64(NULL)
                link = bound
                if code == OP_DELETE and rules.last_tag and held.tag_count[link] > 1:
                    code = np.int64(OP_UNTAG)
                elif code == OP_DELETE:
                    tag = np.int64(NULL)
            elif (
                (code >= OP_UNTAG and link != NULL and not held.linked[link])
                or (code == OP_SWEEP and not held.stored[blob])
                or (code == OP_DELETE and held.deleted[link])
            ):
                code = np.int64(NULL)
        else:
            now = ops.time[i] if i < count else rules.until
            due, when = first_due(names, rules, queues, cursor, now)
            if due == OP_COLLECT:
                head_at = np.int64(CURSOR_COLLECT_HEAD)
                link, cause = queues.collect[cursor[head_at], 0], queues.collect[cursor[head_at], 1]
                void = held.untagged_event[link] != cause or not is_collectable(graph, names, held, rules, link)
            elif due == OP_SWEEP:
                head_at = np.int64(CURSOR_SWEEP_HEAD)
                blob, cause = queues.sweep[cursor[head_at], 0], queues.sweep[cursor[head_at], 1]
                void = held.released_event[blob] != cause or not held.stored[blob] or is_held(held, cursor, blob)
            elif due == OP_PURGE_UPLOAD:
                head_at = np.int64(CURSOR_PURGE_HEAD)
                upload_row, cause = queues.purge[cursor[head_at], 0], queues.purge[cursor[head_at], 1]
                repository = np.int64(held.upload_repository[upload_row])
                void = not held.upload_open[upload_row]
            elif due == OP_UNLINK_BLOB:
                head_at = np.int64(CURSOR_LOOSE_HEAD)
                key, cause = queues.loose[cursor[head_at], 0], queues.loose[cursor[head_at], 1]
                repository, blob = key >> WORD, key & WORD_MASK
                void = blob_link_event(held, repository, blob) != cause
                void = void or blob_link_of(held, repository, blob) != BLOB_LINKED
            elif due == OP_GC:
                head_at = np.int64(CURSOR_AGENDA_HEAD)
                what, cause = queues.agenda[cursor[head_at], 0], queues.agenda[cursor[head_at], 1]
                due = what >> WORD
                if due == OP_COLLECT:
                    link = what & WORD_MASK
                    void = held.untagged_event[link] != cause or not held.deleted[link]
                    void = void or held.parent_count[link] > 0 or not may_delete(names, held, rules, link)
                else:
                    repository = first_repository(names, rules, what & WORD_MASK)
                    void = not ledger.uncounted[what & WORD_MASK]
            if due != NULL:
                if void:
                    pass_over(rules, queues, cursor, head_at)
                    continue
                code, time = due, when
            elif i >= count:
                return DONE
            elif cursor[CURSOR_PHASE] == PHASE_BEFORE:
                cursor[CURSOR_PHASE] = PHASE_OPERATION
                continue
            else:
                cursor[CURSOR_PHASE] = PHASE_BEFORE
                cursor[CURSOR_OPERATION] = i + 1
                continue

        if code != NULL:
            # Make sure that it fits. A moved tag also lets go of the manifest that it pointed to.
            manifest = np.int64(names.link_manifest[link]) if link != NULL else np.int64(NULL)
            moved = np.int64(held.tag_link[tag]) if code <= OP_TAG and tag != NULL else np.int64(NULL)
            short = DONE
            for turn in range(2):
                if short == DONE and (turn == 0 or moved != NULL):
                    which = manifest if turn == 0 else np.int64(names.link_manifest[moved])
                    short = _room(graph, rules, held, queues, log, cursor, which)
            if short != DONE:
                if code == OP_DELETE and not requested and row == NULL:
                    cursor[CURSOR_CASCADE] += 1  # put the referrer back
                return short

            # Do it.
            if row != NULL and tag == NULL:
                if rules.keeps_deleted and code == OP_DELETE:
                    keep_deleted(graph, names, held, rules, queues, cursor, link, base + row, time)
                elif not (rules.expires and code == OP_DELETE):
                    unlink(graph, names, held, rules, ledger, queues, cursor, link, log, row, base + row, time)
                cursor[CURSOR_REMOVED_LINK] = NULL
                post_event(names, held, rules, ledger, log, row)
                repository = np.int64(names.link_repository[link])
                if rules.recounts and code == OP_DELETE and drifts(names, rules, ledger, repository):
                    cause = base + row
                    row = begin_event(
                        log, cursor, time, np.int64(OP_RECOUNT), repository, np.int64(NULL), tag, tag, cause, batch
                    )
                    recount(names, rules, ledger, repository, log, row)
                    post_event(names, held, rules, ledger, log, row)
                continue
            if link != NULL:
                repository = np.int64(names.link_repository[link])
            kind = code
            if row != NULL:
                kind, cause = np.int64(OP_UNTAG), base + row
            elif code == OP_SWEEP:
                manifest = np.int64(graph.blob_manifest[blob])
                cursor[CURSOR_LOOSE_BLOB] = NULL
            if head_at != NULL:
                pass_over(rules, queues, cursor, head_at)
            if head_at == CURSOR_COLLECT_HEAD and rules.collect_batch > 0:
                if time != cursor[CURSOR_RUN_TIME]:
                    cursor[CURSOR_RUN_TIME] = time
                    cursor[CURSOR_RUN_COUNT] = 0
                    cursor[CURSOR_RUN_REPOSITORY] = repository
                cursor[CURSOR_RUN_COUNT] += 1
            removed = row
            row = begin_event(log, cursor, time, kind, repository, manifest, tag, blob, cause, batch)
            event = base + row
            reason = np.int64(REASON_NONE)
            if rules.read_only and requested and is_change(kind):
                reason = np.int64(REASON_READ_ONLY)
            elif kind == OP_PUSH or kind == OP_TAG:
                reason = push(
                    graph,
                    names,
                    held,
                    rules,
                    ledger,
                    queues,
                    cursor,
                    code,
                    link,
                    tag,
                    upload_row,
                    time,
                    log,
                    row,
                    event,
                )
            elif kind == OP_UPLOAD:
                reason = upload(
                    graph,
                    names,
                    held,
                    rules,
                    ledger,
                    queues,
                    cursor,
                    blob,
                    repository,
                    upload_row,
                    time,
                    log,
                    row,
                    event,
                )
            elif kind == OP_BEGIN_UPLOAD:
                reason = begin_upload(names, held, rules, ledger, queues, cursor, upload_row, repository, time, event)
            elif kind == OP_APPEND:
                reason = append(names, held, rules, ledger, cursor, upload_row, amount, log, row)
            elif kind == OP_RESERVE:
                reason = reserve(
                    graph,
                    names,
                    held,
                    rules,
                    ledger,
                    cursor,
                    upload_row,
                    blob,
                    link,
                    amount,
                    repository,
                    log,
                    row,
                    event,
                )
            elif kind == OP_CANCEL_UPLOAD or kind == OP_PURGE_UPLOAD:
                end_upload(names, held, rules, ledger, upload_row, log, row, True)
            elif kind == OP_RESTORE:
                restore(held, link)
            elif kind == OP_MISCOUNT:
                log.drift_bytes[row] = amount
            elif kind == OP_UNCOUNT:
                uncount(ledger, log, row)
            elif kind == OP_RECOUNT:
                recount(names, rules, ledger, repository, log, row)
            elif kind == OP_PULL:
                held.pulled_at[link] = time
            elif kind == OP_GC:
                cursor[CURSOR_CAUSE] = event
            elif kind == OP_UNTAG:
                locks = held.repository_lock[repository]
                if tag != NULL:
                    locks |= held.tag_lock[tag]
                if tag == NULL:
                    candidate(held, rules, queues, cursor, link, event, time)
                elif removed == NULL and locks & LOCK_DELETE:
                    reason = np.int64(REASON_LOCKED)
                elif removed == NULL and rules.immutable_tags == IMMUTABLE_KEEP:
                    reason = np.int64(REASON_IMMUTABLE)
                else:
                    untag(graph, names, held, rules, ledger, queues, cursor, tag, time, log, row, event)
            elif kind == OP_UNLINK_BLOB:
                said = np.int64(BLOB_REMOVED if requested else BLOB_UNSAID)
                changed, charged = blob_link(
                    graph, names, held, rules, ledger, cursor, repository, blob, said, np.int64(0)
                )
                log.charged_bytes[row] = charged
                if changed and not is_held(held, cursor, blob):
                    if requested or not held.stored[blob]:
                        release(held, rules, queues, cursor, blob, event, time)
                    else:  # what was kept for its link alone goes with it
                        held.released_event[blob] = event
                        cursor[CURSOR_LOOSE_BLOB] = blob
                        cursor[CURSOR_LOOSE_CAUSE] = event
                        cursor[CURSOR_LOOSE_TIME] = time
            elif kind == OP_SWEEP:
                sweep(graph, held, rules, cursor, blob, log, row)
            elif kind == OP_DELETE or kind == OP_COLLECT:
                if kind == OP_DELETE and requested:
                    reason = refusal(graph, names, held, rules, link)
                if reason == REASON_NONE:
                    cursor[CURSOR_REMOVED_LINK] = link
                    cursor[CURSOR_REMOVED_ROW] = row
            if reason != REASON_NONE:
                log.kind[row] = EVENT_REFUSE
                log.reason[row] = reason
                cursor[CURSOR_REFUSED] += 1
                if upload_row != NULL and (kind == OP_PUSH or kind == OP_UPLOAD):
                    roll_back(names, held, rules, ledger, upload_row, log, row)
                    if kind == OP_PUSH or amount == POINT_MOUNT:  # the bytes of an upload can be sent again
                        held.upload_open[upload_row] = 0
                if upload_row != NULL:
                    post_event(names, held, rules, ledger, log, row)
            elif cursor[CURSOR_REMOVED_LINK] == NULL or removed != NULL:
                post_event(names, held, rules, ledger, log, row)

        if requested:
            if i + 1 < count and ops.batch[i + 1] == ops.batch[i]:
                cursor[CURSOR_OPERATION] = i + 1
            else:
                cursor[CURSOR_PHASE] = PHASE_AFTER
