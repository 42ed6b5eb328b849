"""The steps of which operations consist: store, bind, hold, let go and sweep, and the events that record them."""

import numpy as np

from quotasim.kernels.compile import part
from quotasim.kernels.layout import (
    BASIS_TAGGED,
    BLOB_LINKED,
    BLOB_REMOVED,
    BLOB_UNSAID,
    CURSOR_BLOB_LINKS,
    CURSOR_CASCADE,
    CURSOR_COLLECT_TAIL,
    CURSOR_LOG,
    CURSOR_LOST,
    CURSOR_NEEDED,
    FLAG_FOREIGN,
    FLAG_UNKNOWN_SIZE,
    IMMUTABLE_KEEP,
    IMMUTABLE_OFF,
    KIND_INDEX,
    LOCK_DELETE,
    LOCK_WRITE,
    MODE_COUNTS,
    MODE_HOLDERS,
    MODE_STORED,
    NULL,
    OP_DELETE,
    OP_PUSH,
    OP_TAG,
    REASON_CHILD,
    REASON_IMMUTABLE,
    REASON_LOCKED,
    REASON_NONE,
    REASON_NOT_LINKED,
    REASON_QUOTA,
    REASON_TAGGED,
    REFERRERS_AFTER_SUBJECT,
    REFERRERS_CASCADE,
    REFERRERS_PIN,
    REFERRERS_STAY,
    TOTAL_BINDINGS,
    TOTAL_BLOBS,
    TOTAL_CHARGED,
    TOTAL_FIRST_STORED,
    TOTAL_FOREIGN,
    TOTAL_LINKS,
    TOTAL_LOGICAL,
    TOTAL_MANIFESTS,
    TOTAL_STORED,
    TOTAL_UNIQUE,
    TOTAL_UNKNOWN,
    WORD,
    WORD_MASK,
)
from quotasim.kernels.scopes import (
    absent_bytes,
    blob_link,
    blob_link_of,
    blob_range,
    change_scope,
    enqueue,
    find_link,
    first_at_least,
    is_held,
    release,
    scope_of,
)
from quotasim.kernels.tables import add_words, find_slot


# --- blobs --------------------------------------------------------------------------------------------------
@part
def _needed(graph, names, held, rules, ledger, repository, manifest):
    """Bytes that pushing ``manifest`` would add to the charge of its scope, by looking: not for the basis TAGGED, where
    what a push holds depends on indexes.
    """
    if rules.mode == MODE_COUNTS:
        return absent_bytes(graph, rules, ledger, scope_of(names, rules, repository), manifest)
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
def exceeds(rules, ledger, scope, need):
    """Whether ``need`` more bytes, if any, take a scope's charge past its limit."""
    if need <= 0 or ledger.limit[scope, 0] == NULL:
        return False
    low = ledger.used[scope, 1] + (need & WORD_MASK)
    high = ledger.used[scope, 0] + (need >> WORD) + (low >> WORD)
    low &= WORD_MASK
    if high != ledger.limit[scope, 0]:
        return high > ledger.limit[scope, 0]
    if rules.reject_at_limit:
        return low >= ledger.limit[scope, 1]
    return low > ledger.limit[scope, 1]


# --- tags and links -----------------------------------------------------------------------------------------
@part
def candidate(held, rules, queues, cursor, link, event, time):
    """Note that ``link`` may be collected from now on; waits in the queue where the profile collects by itself."""
    held.untagged_event[link] = event
    if rules.automatic and rules.untagged_after != NULL:
        enqueue(queues.collect, cursor, CURSOR_COLLECT_TAIL, link, event, time)


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
                repository, manifest = (
                    np.int64(names.link_repository[which]),
                    np.int64(names.link_manifest[which]),
                )
                support = np.int64(1 - 2 * step)
                charged += change_scope(graph, names, rules, ledger, cursor, repository, manifest, np.int64(0), support)
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
    if old != NULL and held.tag_count[old] == 0:
        candidate(held, rules, queues, cursor, old, event, time)
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
    blobs, unique, uncharged = np.int64(0), np.int64(0), np.int64(0)
    stored, first_stored = np.int64(0), np.int64(0)
    first, last = blob_range(graph, manifest)
    for e in range(first, last):
        blob = np.int64(graph.own[manifest] if e == first else graph.target[e])
        held.holders[blob] += 1
        if held.holders[blob] > 1:
            continue
        size = graph.size[blob]
        blobs += 1
        unique += size
        if rules.special:
            uncharged += _special(graph, held, rules, blob, np.int64(1))
        if not held.stored[blob] and is_storable(graph, rules, blob):
            held.stored[blob] = 1
            stored += size
            if held.stored_event[blob] == NULL:
                first_stored += size
            held.stored_event[blob] = event
    log.blobs[row] = blobs
    log.unique_bytes[row] = unique
    log.stored_bytes[row] = stored
    log.first_stored_bytes[row] = first_stored
    if rules.mode == MODE_HOLDERS:
        log.charged_bytes[row] += unique - uncharged
    elif rules.mode == MODE_STORED:
        log.charged_bytes[row] += stored


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
def is_storable(graph, rules, blob):
    """Whether the kind would put ``blob`` on disk: not where it is foreign, unless the kind counts those."""
    return not rules.special or graph.flags[blob] & FLAG_FOREIGN == 0 or rules.counts_foreign


@part
def _special(graph, held, rules, blob, sign):
    """Count a blob of unknown size or a foreign one as it comes (1) or goes (-1); returns the bytes of it that are
    not charged.
    """
    flags = graph.flags[blob]
    if flags & FLAG_UNKNOWN_SIZE:
        add_words(held.totals, TOTAL_UNKNOWN, sign)
    if flags & FLAG_FOREIGN:
        add_words(held.totals, TOTAL_FOREIGN, sign * graph.size[blob])
        if not rules.counts_foreign:
            return graph.size[blob]
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
    held.link_lock[link] = 0  # a lock goes with what it locks
    add_words(held.totals, TOTAL_LINKS, np.int64(-1))
    charged = np.int64(0)
    # Only a deletion takes others along: a collector takes what its plan or its wait says, and no more.
    deleted = log.kind[row] == OP_DELETE
    if rules.stale_blob_links:
        if deleted:  # which takes a link to the same digest along
            charged += blob_link(graph, names, held, rules, ledger, cursor, repository, own, BLOB_UNSAID)[1]
        for e in range(first + 1, last):
            blob = np.int64(graph.target[e])
            if graph.flags[blob] & FLAG_FOREIGN == 0 and blob_link_of(held, repository, blob) != BLOB_REMOVED:
                charged += blob_link(graph, names, held, rules, ledger, cursor, repository, blob, BLOB_LINKED)[1]
    charged += change_scope(graph, names, rules, ledger, cursor, repository, manifest, np.int64(-1), np.int64(0))
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
    subject = np.int64(graph.subject[manifest])
    if rules.referrers & REFERRERS_PIN and subject != NULL and graph.blob_manifest[subject] != NULL:
        above = find_link(names, repository, np.int64(graph.blob_manifest[subject]))
        if above != NULL and held.linked[above] and not _has_referrer(graph, names, held, above):
            candidate(held, rules, queues, cursor, above, event, time)
    held.link_count[manifest] -= 1
    if held.link_count[manifest] == 0:
        log.manifests[row] = -1
        add_words(held.totals, TOTAL_LOGICAL, -graph.logical[manifest])
        blobs, unique, counted = np.int64(0), np.int64(0), np.int64(0)
        for e in range(first, last):
            blob = np.int64(own if e == first else graph.target[e])
            held.holders[blob] -= 1
            if held.holders[blob] > 0:
                continue
            if cursor[CURSOR_BLOB_LINKS] == 0 or not is_held(held, cursor, blob):
                release(held, rules, queues, cursor, blob, event, time)
            else:  # a link keeps it, but not from a collector that does not honour those
                held.released_event[blob] = event
            blobs += 1
            unique += graph.size[blob]
            counted += graph.size[blob]
            if rules.special:
                counted -= _special(graph, held, rules, blob, np.int64(-1))
        log.blobs[row] = -blobs
        log.unique_bytes[row] = -unique
        if rules.mode == MODE_HOLDERS:
            charged -= counted
    log.charged_bytes[row] += charged


# --- operations that add ------------------------------------------------------------------------------------
@part
def push(graph, names, held, rules, ledger, queues, cursor, code, link, tag, time, log, row, event):
    """One push or tag operation, into event ``row``. Nothing changes but that event if it is refused."""
    repository, manifest = np.int64(names.link_repository[link]), np.int64(names.link_manifest[link])
    was_linked = held.linked[link] != 0
    if was_linked and tag != NULL:
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
        if not was_linked:
            return np.int64(REASON_NOT_LINKED)
    else:
        tagged = rules.mode == MODE_COUNTS and rules.basis == BASIS_TAGGED
        if rules.limited and not tagged:
            need = _needed(graph, names, held, rules, ledger, repository, manifest)
            if exceeds(rules, ledger, scope_of(names, rules, repository), need):
                cursor[CURSOR_NEEDED] = need
                return np.int64(REASON_QUOTA)
        # Where only doing it tells what it adds, it is done first, and a refusal takes exactly that back.
        links = np.int64(0 if was_linked else 1)
        supports = np.int64(1 if tagged and tag != NULL else 0)
        # A tag that moves lets go of what it supported: the limit sees what is left in the end.
        old = np.int64(held.tag_link[tag]) if supports else np.int64(NULL)
        before = np.int64(names.link_manifest[old]) if old != NULL else np.int64(NULL)
        sign = np.int64(1)
        while True:
            change = change_scope(
                graph, names, rules, ledger, cursor, repository, manifest, sign * links, sign * supports
            )
            if before != NULL:
                change += change_scope(graph, names, rules, ledger, cursor, repository, before, np.int64(0), -sign)
            if sign < 0:
                return np.int64(REASON_QUOTA)
            charged = change
            if not (rules.limited and tagged and exceeds(rules, ledger, scope_of(names, rules, repository), charged)):
                break
            cursor[CURSOR_NEEDED] = charged
            sign = np.int64(-1)
        if supports:  # the binding below counts both
            prefix = scope_of(names, rules, repository) << 32
            ledger.manifests[find_slot(ledger.manifests, prefix | manifest), 2] -= 1
            if before != NULL:
                ledger.manifests[find_slot(ledger.manifests, prefix | before), 2] += 1
    log.charged_bytes[row] = charged
    if not was_linked:
        _hold(graph, names, held, rules, link, log, row, event)
    elif code == OP_PUSH:
        held.link_event[link] = event
    if code == OP_PUSH and cursor[CURSOR_LOST]:
        _store_again(graph, held, rules, manifest, log, row, event)
    if code == OP_PUSH and cursor[CURSOR_BLOB_LINKS] > 0:
        first, last = blob_range(graph, manifest)
        # Where links are left behind, none is for a manifest's own bytes: one that somebody made stays beside it.
        for e in range(first + rules.stale_blob_links, last):
            blob = np.int64(graph.own[manifest] if e == first else graph.target[e])
            change = blob_link(graph, names, held, rules, ledger, cursor, repository, blob, BLOB_UNSAID)[1]
            log.charged_bytes[row] += change
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
def upload(graph, names, held, rules, ledger, cursor, blob, repository, log, row, event):
    """One blob upload into event ``row``: stored, with an explicit link."""
    if held.repository_lock[repository] & LOCK_WRITE:
        return np.int64(REASON_LOCKED)
    before = blob_link_of(held, repository, blob)
    charged = blob_link(graph, names, held, rules, ledger, cursor, repository, blob, BLOB_LINKED)[1]
    size = graph.size[blob]
    stores = held.stored[blob] == 0 and is_storable(graph, rules, blob)
    if rules.mode == MODE_STORED and stores:
        charged += size
    if exceeds(rules, ledger, scope_of(names, rules, repository), charged):
        blob_link(graph, names, held, rules, ledger, cursor, repository, blob, before)
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
def refusal(names, held, rules, link):
    """Why the kind refuses a client who deletes ``link``, REASON_*; REASON_NONE: it does not."""
    if rules.keeps_children and held.parent_count[link] > 0:
        return np.int64(REASON_CHILD)
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
    if not held.linked[link] or held.tag_count[link] > 0 or held.parent_count[link] > 0:
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


# --- events ---------------------------------------------------------------------------------------------------
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
    charged = log.charged_bytes[row]
    if charged:
        add_words(held.totals, TOTAL_CHARGED, charged)
        repository = np.int64(log.repository[row])
        scope = scope_of(names, rules, repository) if repository != NULL else np.int64(0)
        add_words(ledger.used, scope, charged)
