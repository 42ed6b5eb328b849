"""The steps of which operations consist: store, bind, hold, let go and sweep, and the events that record them."""

import numpy as np

from quotasim.kernels.compile import leaf, part
from quotasim.kernels.layout import (
    BASIS_TAGGED,
    BLOB_LINKED,
    BLOB_REMOVED,
    BLOB_UNSAID,
    CHECK_AFTERWARDS,
    CURSOR_BLOB_LINKS,
    CURSOR_CASCADE,
    CURSOR_COLLECT_HEAD,
    CURSOR_COLLECT_TAIL,
    CURSOR_LOOSE_TAIL,
    CURSOR_LOST,
    CURSOR_NEEDED,
    CURSOR_REFUSED,
    FLAG_FOREIGN,
    FLAG_UNKNOWN_SIZE,
    IMMUTABLE_KEEP,
    IMMUTABLE_OFF,
    KIND_INDEX,
    LOCK_DELETE,
    LOCK_QUARANTINE,
    LOCK_WRITE,
    MODE_COUNTS,
    MODE_HOLDERS,
    MODE_STORED,
    NULL,
    OP_COLLECT,
    OP_DELETE,
    OP_PUSH,
    OP_TAG,
    REASON_CHILD,
    REASON_IMMUTABLE,
    REASON_LOCKED,
    REASON_NONE,
    REASON_NOT_LINKED,
    REASON_QUOTA,
    REASON_REFERRER,
    REASON_TAGGED,
    REFERRERS_AFTER_SUBJECT,
    REFERRERS_CASCADE,
    REFERRERS_PIN,
    REFERRERS_STAY,
    TOTAL_FOREIGN,
    TOTAL_LINKS,
    TOTAL_LOGICAL,
    TOTAL_UNKNOWN,
    WORD,
)
from quotasim.kernels.requests import end_upload, exceeds, is_over, needed_bytes
from quotasim.kernels.scopes import (
    blob_link,
    blob_link_event,
    blob_link_of,
    blob_range,
    change_scope,
    enqueue,
    find_link,
    first_at_least,
    is_held,
    is_storable,
    release,
    schedule,
    scope_of,
    wait_in,
)
from quotasim.kernels.tables import add_words


# --- tags and links -----------------------------------------------------------------------------------------
@part
def candidate(held, rules, queues, cursor, link, event, time):
    """Note that ``link`` may be collected from now on; waits in the queue where the profile collects by itself. What is
    deleted and kept waits since then, whatever it loses later.
    """
    if rules.keeps_deleted and held.deleted[link]:
        return
    held.untagged_event[link] = event
    if rules.automatic and rules.untagged_after != NULL:
        wait_in(queues.collect, cursor, CURSOR_COLLECT_HEAD, CURSOR_COLLECT_TAIL, rules, link, event, time)


@part
def _rebind(graph, names, held, rules, ledger, queues, cursor, tag, link, event, time):
    """Point ``tag`` to ``link``, or to nothing where that is NULL; returns the change of the charge in bytes.

    In TAGGED the new manifest is held before the old one goes: what both share must not flicker. A link becomes a
    candidate
    with its last tag.
    """
    old = np.int64(held.tag_link[tag])
    charged = np.int64(0)
    if rules.mode == MODE_COUNTS and rules.basis == BASIS_TAGGED:
        for step in range(2):
            which = link if step == 0 else old
            if which != NULL:
                support = np.int64(1 - 2 * step)
                charged += change_scope(graph, names, rules, ledger, which, np.int64(0), support)
    if old != NULL:
        after, before = held.tag_next[tag], held.tag_previous[tag]
        if before == NULL:
            held.first_tag[old] = after
        else:
            held.tag_next[before] = after
        if after != NULL:
            held.tag_previous[after] = before
        held.tag_count[old] -= 1
    held.tag_link[tag] = link
    if link == NULL:
        held.tag_lock[tag] = 0  # a lock goes with what it locks; a tag that moves is the same tag
    else:
        head = held.first_tag[link]
        held.tag_next[tag] = head
        held.tag_previous[tag] = NULL
        if head != NULL:
            held.tag_previous[head] = tag
        held.first_tag[link] = tag
        held.tag_event[tag] = event
        held.tag_count[link] += 1
        held.deleted[link] = 0
    if old != NULL and held.tag_count[old] == 0:
        candidate(held, rules, queues, cursor, old, event, time)
        # Where deleting means that the tags end, no client sees what has none, but through an index.
        if rules.expires and held.parent_count[old] == 0:
            held.deleted[old] = 1
    return charged


@part
def _hold(graph, names, held, rules, link, log, row, event):
    """Link a manifest that is not linked: store what is not stored, hold its blobs, note the deltas in event ``row``.

    MODE_COUNTS has charged it already. A blob that a live manifest holds is stored, so only the others are looked at.
    """
    manifest, repository = np.int64(names.link_manifest[link]), np.int64(names.link_repository[link])
    held.linked[link] = 1
    held.link_event[link] = event
    held.untagged_event[link] = NULL
    add_words(held.totals, TOTAL_LINKS, np.int64(1))
    if graph.kind[manifest] == KIND_INDEX:
        for e in range(graph.indptr[manifest], graph.indptr[manifest + 1]):
            child = np.int64(graph.blob_manifest[np.int64(graph.target[e])])
            if child != NULL:
                below = find_link(names, repository, child)
                if below != NULL:
                    held.parent_count[below] += 1
    held.link_count[manifest] += 1
    if held.link_count[manifest] > 1:
        return
    log.manifests[row] = 1
    add_words(held.totals, TOTAL_LOGICAL, graph.logical[manifest])
    first, last = blob_range(graph, manifest)
    blobs, unique, uncharged, stored, first_stored = _hold_blobs(
        graph.target,
        graph.size,
        graph.flags,
        held.holders,
        held.stored,
        held.stored_event,
        held.totals,
        np.int64(graph.own[manifest]),
        first,
        last,
        event,
        rules.special,
        rules.counts_foreign,
    )
    log.blobs[row] = blobs
    log.unique_bytes[row] = unique
    log.stored_bytes[row] = stored
    log.first_stored_bytes[row] = first_stored
    if rules.mode == MODE_HOLDERS:
        log.charged_bytes[row] += unique - uncharged
    elif rules.mode == MODE_STORED:
        log.charged_bytes[row] += stored


@leaf
def _hold_blobs(
    target, size, flags, holders, stored, stored_event, totals, own, first, last, event, special, counts_foreign
):
    """The loop of :func:`_hold`; returns how many blobs were held by nobody, their bytes, what of these is not charged,
    what was put on disk, and what of that for the first time.
    """
    blobs, unique, uncharged, put, first_put = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for e in range(first, last):
        blob = np.uint64(own) if e == first else np.uint64(target[np.uint64(e)])
        before = holders[blob]
        holders[blob] = before + 1
        if before > 0:
            continue
        blobs += 1
        unique += size[blob]
        if special:
            uncharged += _special(flags, size, totals, counts_foreign, blob, np.int64(1))
            if flags[blob] & FLAG_FOREIGN and not counts_foreign:
                continue
        if not stored[blob]:
            stored[blob] = 1
            put += size[blob]
            if stored_event[blob] == NULL:
                first_put += size[blob]
            stored_event[blob] = event
    return blobs, unique, uncharged, put, first_put


@part
def _store_again(graph, held, rules, manifest, log, row, event):
    """Store what a push brings and a collector had swept although it was held: that :func:`_hold` takes for stored."""
    first, last = blob_range(graph, manifest)
    for e in range(first, last):
        blob = np.int64(graph.own[manifest] if e == first else graph.target[e])
        if held.stored[blob] or not is_storable(graph, rules, blob):
            continue
        held.stored[blob] = 1
        held.stored_event[blob] = event
        log.stored_bytes[row] += graph.size[blob]
        if rules.mode == MODE_STORED:
            log.charged_bytes[row] += graph.size[blob]


@part
def _special(flags, size, totals, counts_foreign, blob, sign):
    """Count a blob of unknown size or a foreign one as it comes (1) or goes (-1); returns the bytes of it that are
    not charged.
    """
    if flags[blob] & FLAG_UNKNOWN_SIZE:
        add_words(totals, TOTAL_UNKNOWN, sign)
    if flags[blob] & FLAG_FOREIGN:
        add_words(totals, TOTAL_FOREIGN, sign * size[blob])
        if not counts_foreign:
            return size[blob]
    return np.int64(0)


@part
def _has_referrer(graph, names, held, link):
    """Whether a manifest linked in the same repository has this one as its subject."""
    repository, own = np.int64(names.link_repository[link]), graph.own[np.int64(names.link_manifest[link])]
    k = first_at_least(graph.referrer_subject, np.int64(own))
    while k < graph.referrer_subject.shape[0] and graph.referrer_subject[k] == own:
        below = find_link(names, repository, np.int64(graph.referrer[k]))
        if below != NULL and held.linked[below]:
            return True
        k += 1
    return False


@part
def unlink(graph, names, held, rules, ledger, queues, cursor, link, log, row, event, time):
    """Unlink a linked, untagged manifest; notes the deltas in event ``row`` and what the loss makes due."""
    manifest, repository = np.int64(names.link_manifest[link]), np.int64(names.link_repository[link])
    own = np.int64(graph.own[manifest])
    first, last = blob_range(graph, manifest)
    held.linked[link] = 0
    held.deleted[link] = 0
    held.link_lock[link] = 0  # a lock goes with what it locks
    add_words(held.totals, TOTAL_LINKS, np.int64(-1))
    charged = np.int64(0)
    # Only a deletion takes others along: a collector takes what its plan or its wait says, and no more.
    deleted = log.kind[row] == OP_DELETE
    if rules.stale_blob_links:
        if deleted:  # which takes a link to the same digest along
            charged += blob_link(graph, names, held, rules, ledger, cursor, repository, own, BLOB_UNSAID, event)[1]
        for e in range(first + 1, last):
            blob = np.int64(graph.target[e])
            if graph.flags[blob] & FLAG_FOREIGN == 0 and blob_link_of(held, repository, blob) != BLOB_REMOVED:
                charged += blob_link(graph, names, held, rules, ledger, cursor, repository, blob, BLOB_LINKED, event)[1]
    charged += change_scope(graph, names, rules, ledger, link, np.int64(-1), np.int64(0))
    if graph.kind[manifest] == KIND_INDEX:
        for e in range(graph.indptr[manifest], graph.indptr[manifest + 1]):
            child = np.int64(graph.blob_manifest[np.int64(graph.target[e])])
            if child != NULL:
                below = find_link(names, repository, child)
                if below != NULL:
                    held.parent_count[below] -= 1
                    if held.parent_count[below] == 0 and held.linked[below]:
                        candidate(held, rules, queues, cursor, below, event, time)
                        if deleted and rules.children_go and held.tag_count[below] == 0:
                            enqueue(queues.cascade, cursor, CURSOR_CASCADE, below, event, time)
    k = first_at_least(graph.referrer_subject, own)
    while k < graph.referrer_subject.shape[0] and graph.referrer_subject[k] == own:
        below = find_link(names, repository, np.int64(graph.referrer[k]))
        if below != NULL and held.linked[below]:
            # What a lock keeps from going along has lost its subject all the same.
            if rules.referrers & REFERRERS_AFTER_SUBJECT:
                candidate(held, rules, queues, cursor, below, event, time)
            if deleted and rules.referrers & REFERRERS_CASCADE:
                enqueue(queues.cascade, cursor, CURSOR_CASCADE, below, event, time)
        k += 1
    if rules.referrers & REFERRERS_PIN:
        subject = np.int64(graph.subject[manifest])
        if subject != NULL and graph.blob_manifest[subject] != NULL:
            above = find_link(names, repository, np.int64(graph.blob_manifest[subject]))
            if above != NULL and held.linked[above] and not _has_referrer(graph, names, held, above):
                candidate(held, rules, queues, cursor, above, event, time)
    held.link_count[manifest] -= 1
    if held.link_count[manifest] == 0:
        log.manifests[row] = -1
        add_words(held.totals, TOTAL_LOGICAL, -graph.logical[manifest])
        blobs, unique, counted = np.int64(0), np.int64(0), np.int64(0)
        for e in range(first, last):
            blob = own if e == first else np.int64(graph.target[np.uint64(e)])
            before = held.holders[np.uint64(blob)]
            held.holders[np.uint64(blob)] = before - 1
            if before > 1:
                continue
            if cursor[CURSOR_BLOB_LINKS] == 0 or not is_held(held, cursor, blob):
                release(held, rules, queues, cursor, blob, event, time)
            else:  # a link keeps it, but not from a collector that does not honour those
                held.released_event[blob] = event
            blobs += 1
            unique += graph.size[blob]
            counted += graph.size[blob]
            if rules.special:
                counted -= _special(graph.flags, graph.size, held.totals, rules.counts_foreign, blob, np.int64(-1))
        log.blobs[row] = -blobs
        log.unique_bytes[row] = -unique
        if rules.mode == MODE_HOLDERS:
            charged -= counted
    log.charged_bytes[row] += charged


# --- operations that add ------------------------------------------------------------------------------------
@part
def push(graph, names, held, rules, ledger, queues, cursor, code, link, tag, upload, time, log, row, event):
    """One push or tag operation, into event ``row``. Nothing changes but that event if it is refused. ``upload``: the
    request that a push ends, whose limit was looked at when it came; NULL: it is looked at here.
    """
    repository, manifest = np.int64(names.link_repository[link]), np.int64(names.link_manifest[link])
    was_linked = held.linked[link] != 0
    hidden = held.deleted[link] != 0
    if was_linked and not hidden and tag != NULL:
        log.kind[row] = OP_TAG
    locked = held.repository_lock[repository] & LOCK_WRITE
    if tag != NULL:
        locked |= held.tag_lock[tag] & LOCK_WRITE
    if was_linked and code == OP_PUSH:
        locked |= held.link_lock[link] & LOCK_WRITE
    if locked:
        return np.int64(REASON_LOCKED)
    if rules.immutable_tags != IMMUTABLE_OFF and tag != NULL:
        if held.tag_link[tag] != NULL and held.tag_link[tag] != link:
            return np.int64(REASON_IMMUTABLE)
    charged = np.int64(0)
    if code == OP_TAG:
        if not was_linked or hidden:
            return np.int64(REASON_NOT_LINKED)
    else:
        tagged = rules.mode == MODE_COUNTS and rules.basis == BASIS_TAGGED
        if rules.limited and not tagged and upload == NULL:
            need = needed_bytes(graph, names, held, rules, ledger, link)
            if exceeds(rules, ledger, scope_of(names, rules, repository), need):
                cursor[CURSOR_NEEDED] = need
                return np.int64(REASON_QUOTA)
        # Where only doing it tells what it adds, it is done first, and a refusal takes exactly that back.
        links = np.int64(0 if was_linked else 1)
        supports = np.int64(1 if tagged and tag != NULL else 0)
        # A tag that moves lets go of what it supported: the limit sees what is left in the end.
        old = np.int64(held.tag_link[tag]) if supports else np.int64(NULL)
        sign = np.int64(1)
        while True:
            change = change_scope(graph, names, rules, ledger, link, sign * links, sign * supports)
            if old != NULL:
                change += change_scope(graph, names, rules, ledger, old, np.int64(0), -sign)
            if sign < 0:
                return np.int64(REASON_QUOTA)
            charged = change
            if not (rules.limited and tagged and exceeds(rules, ledger, scope_of(names, rules, repository), charged)):
                break
            cursor[CURSOR_NEEDED] = charged
            sign = np.int64(-1)
        if supports:  # the binding below counts both
            ledger.supports[np.int64(ledger.row_of_link[link])] -= 1
            if old != NULL:
                ledger.supports[np.int64(ledger.row_of_link[old])] += 1
    log.charged_bytes[row] = charged
    if not was_linked:
        _hold(graph, names, held, rules, link, log, row, event)
        if rules.quarantines:
            held.link_lock[link] |= LOCK_QUARANTINE
    elif code == OP_PUSH:
        held.link_event[link] = event
        if hidden:
            held.deleted[link] = 0
            held.untagged_event[link] = NULL
    if code == OP_PUSH and cursor[CURSOR_LOST]:
        _store_again(graph, held, rules, manifest, log, row, event)
    if code == OP_PUSH and cursor[CURSOR_BLOB_LINKS] > 0:
        first, last = blob_range(graph, manifest)
        # Where links are left behind, none is for a manifest's own bytes: one that somebody made stays beside it.
        for e in range(first + rules.stale_blob_links, last):
            blob = np.int64(graph.own[manifest] if e == first else graph.target[e])
            change = blob_link(graph, names, held, rules, ledger, cursor, repository, blob, BLOB_UNSAID, event)[1]
            log.charged_bytes[row] += change
    if upload != NULL:
        held.upload_open[upload] = 0
        if rules.reserves:  # its counter moved when the request came
            log.drift_bytes[row] = -log.charged_bytes[row]
        if rules.limited and rules.check_put_manifest == CHECK_AFTERWARDS:
            more = log.charged_bytes[row]
            if is_over(rules, ledger, scope_of(names, rules, repository), more):
                cursor[CURSOR_NEEDED] = more
                cursor[CURSOR_REFUSED] += 1
                log.reason[row] = REASON_QUOTA
                if held.tag_count[link] == 0 and held.parent_count[link] == 0:
                    held.deleted[link] = 1
                    held.untagged_event[link] = event
                    what = (np.int64(OP_COLLECT) << WORD) | link
                    schedule(queues.agenda, cursor, what, event, time + rules.refused_after)
                return np.int64(REASON_NONE)
    if tag != NULL:
        old = np.int64(held.tag_link[tag])
        held.tag_event[tag] = event
        if old == NULL:
            log.bindings[row] = 1
        if old != link:
            log.charged_bytes[row] += _rebind(graph, names, held, rules, ledger, queues, cursor, tag, link, event, time)
    elif rules.untagged_pushes and code == OP_PUSH and held.tag_count[link] == 0:
        candidate(held, rules, queues, cursor, link, event, time)
    return np.int64(REASON_NONE)


@part
def upload(graph, names, held, rules, ledger, queues, cursor, blob, repository, request, time, log, row, event):
    """One blob upload into event ``row``: stored, with an explicit link. ``request``: the upload that it ends, whose
    limit was looked at when the request came; NULL: it is looked at here.
    """
    if held.repository_lock[repository] & LOCK_WRITE:
        return np.int64(REASON_LOCKED)
    before = blob_link_of(held, repository, blob)
    before_event = blob_link_event(held, repository, blob)
    charged = blob_link(graph, names, held, rules, ledger, cursor, repository, blob, BLOB_LINKED, event)[1]
    size = graph.size[blob]
    stores = held.stored[blob] == 0 and is_storable(graph, rules, blob)
    if rules.mode == MODE_STORED and stores:
        charged += size
    if request == NULL and exceeds(rules, ledger, scope_of(names, rules, repository), charged):
        blob_link(graph, names, held, rules, ledger, cursor, repository, blob, before, before_event)
        cursor[CURSOR_NEEDED] = charged
        return np.int64(REASON_QUOTA)
    if stores:
        log.stored_bytes[row] = size
        if held.stored_event[blob] == NULL:
            log.first_stored_bytes[row] = size
        held.stored[blob] = 1
    if held.stored[blob]:
        held.stored_event[blob] = event  # grace counts from the last upload, not from the first
    log.charged_bytes[row] = charged
    if request != NULL:
        end_upload(names, held, rules, ledger, request, log, row, False)
        if rules.reserves:  # its counter moved when the request came
            log.drift_bytes[row] = -charged
    if rules.loose_after != NULL:
        enqueue(queues.loose, cursor, CURSOR_LOOSE_TAIL, (repository << 32) | blob, event, time)
    return np.int64(REASON_NONE)


# --- drops ----------------------------------------------------------------------------------------------------
@part
def untag(graph, names, held, rules, ledger, queues, cursor, tag, time, log, row, event):
    """Take a bound tag off its link, in event ``row``."""
    log.bindings[row] = -1
    log.charged_bytes[row] = _rebind(
        graph, names, held, rules, ledger, queues, cursor, tag, np.int64(NULL), event, time
    )


@part
def sweep(graph, held, rules, cursor, blob, log, row):
    """Take a stored blob off the disk, in event ``row``."""
    held.stored[blob] = 0
    if held.holders[blob] > 0:
        cursor[CURSOR_LOST] = 1
    log.stored_bytes[row] = -graph.size[blob]
    if rules.mode == MODE_STORED:
        log.charged_bytes[row] = -graph.size[blob]


@part
def keep_deleted(graph, names, held, rules, queues, cursor, link, event, time):
    """Hide a linked manifest without tags that a client deletes: it stays, and waits to be collected. Where referrers
    go with their subject they are hidden with it.
    """
    candidate(held, rules, queues, cursor, link, event, time)
    held.deleted[link] = 1
    if not rules.referrers & REFERRERS_CASCADE:
        return
    repository, own = np.int64(names.link_repository[link]), np.int64(graph.own[np.int64(names.link_manifest[link])])
    k = first_at_least(graph.referrer_subject, own)
    while k < graph.referrer_subject.shape[0] and graph.referrer_subject[k] == own:
        below = find_link(names, repository, np.int64(graph.referrer[k]))
        if below != NULL and held.linked[below] and not held.deleted[below]:
            enqueue(queues.cascade, cursor, CURSOR_CASCADE, below, event, time)
        k += 1


@part
def restore(held, link):
    """Show a manifest again that was deleted and kept."""
    held.deleted[link] = 0
    held.untagged_event[link] = NULL


@part
def may_delete(names, held, rules, link):
    """Whether no lock protects a link, one of its tags or its repository against deletion, nor a tag that must stay."""
    if rules.immutable_tags == IMMUTABLE_KEEP and held.tag_count[link] > 0:
        return False
    if held.repository_lock[names.link_repository[link]] & LOCK_DELETE or held.link_lock[link] & LOCK_DELETE:
        return False
    tag = np.int64(held.first_tag[link])
    while tag != NULL:
        if held.tag_lock[tag] & LOCK_DELETE:
            return False
        tag = np.int64(held.tag_next[tag])
    return True


@part
def refusal(graph, names, held, rules, link):
    """Why the kind refuses a client who deletes ``link``, REASON_*; REASON_NONE: it does not."""
    if rules.keeps_children and held.parent_count[link] > 0:
        return np.int64(REASON_CHILD)
    if rules.keeps_subjects and _has_referrer(graph, names, held, link):
        return np.int64(REASON_REFERRER)
    if rules.immutable_tags == IMMUTABLE_KEEP and held.tag_count[link] > 0:
        return np.int64(REASON_IMMUTABLE)
    if rules.most_tags != NULL and held.tag_count[link] > rules.most_tags:
        return np.int64(REASON_TAGGED)
    if not may_delete(names, held, rules, link):
        return np.int64(REASON_LOCKED)
    return np.int64(REASON_NONE)


@part
def is_collectable(graph, names, held, rules, link):
    """Whether a candidate still has nothing that keeps it: no tag, no linked parent, no linked subject that it
    follows, no referrer that pins it, no lock.
    """
    if not held.linked[link] or held.tag_count[link] > 0:
        return False
    if rules.keeps_deleted:
        return held.deleted[link] != 0
    if held.parent_count[link] > 0:
        return False
    subject = np.int64(graph.subject[np.int64(names.link_manifest[link])])
    if rules.referrers & REFERRERS_STAY and subject != NULL:
        return False
    if rules.referrers & REFERRERS_PIN and _has_referrer(graph, names, held, link):
        return False
    if rules.referrers & REFERRERS_AFTER_SUBJECT and subject != NULL:
        manifest = np.int64(graph.blob_manifest[subject])
        if manifest != NULL:
            above = find_link(names, np.int64(names.link_repository[link]), manifest)
            if above != NULL and held.linked[above]:
                return False
    return may_delete(names, held, rules, link)
