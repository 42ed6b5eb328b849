"""The charging rule's own counts per scope, and explicit blob links."""

import numpy as np

from quotasim.kernels.compile import leaf, part, wrapping
from quotasim.kernels.layout import (
    ANY_REPOSITORY,
    BASIS_LINKED,
    BASIS_TAGGED,
    BLOB_LINKED,
    BLOB_UNSAID,
    CURSOR_AGENDA_HEAD,
    CURSOR_AGENDA_TAIL,
    CURSOR_BLOB_LINKS,
    CURSOR_SCOPE_BLOBS,
    CURSOR_SCOPE_MANIFESTS,
    CURSOR_SWEEP_HEAD,
    CURSOR_SWEEP_TAIL,
    EMPTY,
    FLAG_FOREIGN,
    KIND_INDEX,
    MODE_COUNTS,
    NULL,
    ROLE_LAYER,
    ROLE_OWN,
    SCOPE_NAMESPACE,
    SCOPE_REPOSITORY,
)
from quotasim.kernels.tables import find_slot


@part
def first_at_least(values, wanted):
    """Position of the first of the ascending ``values`` that is >= ``wanted``. O(log n)."""
    low, high = 0, values.shape[0]
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@part
def blob_range(graph, manifest):
    """Descriptors to walk for the blobs of a manifest: the first stands for its own bytes, an index has no others."""
    first = graph.indptr[manifest] - 1
    return first, graph.indptr[manifest + 1] if graph.kind[manifest] != KIND_INDEX else first + 1


@part
def find_link(names, repository, manifest):
    """Link row of (repository, manifest), or NULL."""
    slot = find_slot(names.link_table, (np.int64(repository) << 32) | np.int64(manifest))
    return np.int64(names.link_table[slot, 1]) if np.int64(names.link_table[slot, 0]) != EMPTY else np.int64(NULL)


@part
def _uncharged(rules):
    """FLAG_* bits of the blobs that the rule leaves out."""
    return np.int64(FLAG_FOREIGN if rules.special and not rules.counts_foreign else 0)


@part
def _charged_blob(target, role, flags, own, first, e, role_mask, skipped):
    """Blob of descriptor ``e``, the manifest's own where that is ``first``; NULL where it is not charged."""
    if e == first:
        blob, what = own, np.int64(ROLE_OWN)
    else:
        blob, what = np.int64(target[np.uint64(e)]), np.int64(role[np.uint64(e)])
    if what & role_mask == 0 or (skipped and flags[np.uint64(blob)] & skipped):
        return np.int64(NULL)
    return blob


@part
def is_storable(graph, rules, blob):
    """Whether the kind would put ``blob`` on disk: not where it is foreign, unless the kind counts those."""
    return not rules.special or graph.flags[blob] & FLAG_FOREIGN == 0 or rules.counts_foreign


@part
def is_charged(graph, rules, blob):
    """Whether the kind would charge ``blob`` for an explicit link alone, where that counts: it is taken for a layer."""
    return rules.role_mask & ROLE_LAYER != 0 and is_storable(graph, rules, blob)


@part
def _count_manifest(graph, rules, ledger, cursor, scope, manifest, sign):
    """Add or take the counts of all blobs of ``manifest`` in ``scope``; returns the change of the charge in bytes."""
    first, last = blob_range(graph, manifest)
    own, prefix, skipped = np.int64(graph.own[manifest]), scope << 32, _uncharged(rules)
    delta, added = _count_blobs(
        graph.target,
        graph.role,
        graph.flags,
        graph.size,
        ledger.blobs,
        own,
        first,
        last,
        prefix,
        sign,
        rules.role_mask,
        skipped,
    )
    cursor[CURSOR_SCOPE_BLOBS] += added
    return delta


@leaf
def _count_blobs(target, role, flags, size, table, own, first, last, prefix, sign, role_mask, skipped):
    """The loop of :func:`_count_manifest`; returns the change of the charge in bytes and the keys that it made."""
    delta, added = np.int64(0), np.int64(0)
    for e in range(first, last):
        blob = _charged_blob(target, role, flags, own, first, e, role_mask, skipped)
        if blob == NULL:
            continue
        slot, new = count_slot(table, prefix | blob)
        added += new
        before = table[slot, 1]
        table[slot, 1] = before + sign
        if before == 0 or before + sign == 0:  # comes or goes
            delta += sign * size[np.uint64(blob)]
    return delta, added


@part
def absent_bytes(graph, rules, ledger, scope, manifest):
    """Bytes of the blobs of ``manifest`` that ``scope`` does not count yet."""
    first, last = blob_range(graph, manifest)
    own, prefix, skipped = np.int64(graph.own[manifest]), scope << 32, _uncharged(rules)
    return _absent_bytes(
        graph.target,
        graph.role,
        graph.flags,
        graph.size,
        ledger.blobs,
        own,
        first,
        last,
        prefix,
        rules.role_mask,
        skipped,
    )


@leaf
def _absent_bytes(target, role, flags, size, table, own, first, last, prefix, role_mask, skipped):
    """The loop of :func:`absent_bytes`."""
    absent = np.int64(0)
    for e in range(first, last):
        blob = _charged_blob(target, role, flags, own, first, e, role_mask, skipped)
        if blob == NULL:
            continue
        slot = find_slot(table, prefix | blob)
        if table[slot, 0] == EMPTY or table[slot, 1] == 0:
            absent += size[np.uint64(blob)]
    return absent


@part
def count_slot(table, key):
    """Slot of ``key`` in a table of counts, made with count 0 on first mention; returns (slot, 1 if it was made)."""
    slot = find_slot(table, key)
    if table[slot, 0] != EMPTY:
        return slot, np.int64(0)
    table[slot, 0] = key
    for k in range(1, table.shape[1]):
        table[slot, k] = 0
    return slot, np.int64(1)


@part
def _scope_manifest(graph, rules, ledger, cursor, scope, manifest):
    """Slot of (scope, manifest) in the ledger's manifests, made on first mention."""
    key = (np.int64(scope) << 32) | np.int64(manifest)
    slot = find_slot(ledger.manifests, key)
    if ledger.manifests[slot, 0] == EMPTY:
        ledger.manifests[slot, 0] = key
        ledger.manifests[slot, 1] = 0
        ledger.manifests[slot, 2] = 0
        ledger.manifests[slot, 3] = 0
        cursor[CURSOR_SCOPE_MANIFESTS] += 1
        if rules.basis == BASIS_TAGGED:
            # Indexes that were held here before this manifest was known could not support it then.
            k = first_at_least(graph.late_child, manifest)
            while k < graph.late_child.shape[0] and graph.late_child[k] == manifest:
                parent = find_slot(ledger.manifests, (np.int64(scope) << 32) | np.int64(graph.late_index[k]))
                if ledger.manifests[parent, 0] != EMPTY and ledger.manifests[parent, 3]:
                    ledger.manifests[slot, 2] += 1
                k += 1
    return slot


@part
def _settle(graph, rules, ledger, cursor, scope, manifest, slot):
    """Make ``held`` follow links and supports, through children where the basis is TAGGED; returns the change of
    the charge.
    """
    table = ledger.manifests
    tagged = rules.basis == BASIS_TAGGED
    wanted = table[slot, 1] > 0 and (not tagged or table[slot, 2] > 0)
    if wanted == (table[slot, 3] != 0):
        return np.int64(0)
    delta = np.int64(0)
    depth = 0
    m = manifest
    while True:
        delta += _count_manifest(graph, rules, ledger, cursor, scope, m, np.int64(1 if wanted else -1))
        if tagged and graph.kind[m] == KIND_INDEX:
            for e in range(graph.indptr[m], graph.indptr[m + 1]):
                child = np.int64(graph.blob_manifest[np.int64(graph.target[e])])
                if child == NULL:
                    continue
                if wanted:
                    below = _scope_manifest(graph, rules, ledger, cursor, scope, child)
                    table[below, 2] += 1
                    changes = table[below, 2] == 1 and table[below, 1] > 0
                else:
                    below = find_slot(table, (scope << 32) | child)
                    if table[below, 0] == EMPTY:
                        continue
                    table[below, 2] -= 1
                    changes = table[below, 2] == 0 and table[below, 3] != 0
                if changes:
                    ledger.stack[depth] = child
                    depth += 1
        # Only now: a child met for the first time above counts the parents that are already marked as held.
        table[find_slot(table, (scope << 32) | m), 3] = 1 if wanted else 0
        if depth == 0:
            return delta
        depth -= 1
        m = np.int64(ledger.stack[depth])


@part
def scope_of(names, rules, repository):
    """Scope row in which a repository is charged."""
    if rules.scope == SCOPE_REPOSITORY:
        return np.int64(repository)
    if rules.scope == SCOPE_NAMESPACE:
        return np.int64(names.namespace[repository])
    return np.int64(0)


@part
def change_scope(graph, names, rules, ledger, cursor, repository, manifest, links, supports):
    """Change a manifest's links and supports in its scope; returns the change of the charge in bytes."""
    if rules.mode != MODE_COUNTS:
        return np.int64(0)
    scope = scope_of(names, rules, repository)
    slot = _scope_manifest(graph, rules, ledger, cursor, scope, manifest)
    ledger.manifests[slot, 1] += links
    ledger.manifests[slot, 2] += supports
    return _settle(graph, rules, ledger, cursor, scope, manifest, slot)


@part
def blob_link_of(held, repository, blob):
    """What is said of ``blob`` in ``repository``: BLOB_LINKED, BLOB_REMOVED, or BLOB_UNSAID."""
    slot = find_slot(held.blob_links, (repository << 32) | blob)
    return np.int64(held.blob_links[slot, 1]) if held.blob_links[slot, 0] != EMPTY else np.int64(BLOB_UNSAID)


@part
def blob_link_event(held, repository, blob):
    """Event that linked ``blob`` last in ``repository`` by itself; 0 where nothing is said of it."""
    slot = find_slot(held.blob_links, (repository << 32) | blob)
    return np.int64(held.blob_links[slot, 2]) if held.blob_links[slot, 0] != EMPTY else np.int64(0)


@part
def blob_link(graph, names, held, rules, ledger, cursor, repository, blob, wanted, event):
    """Say BLOB_LINKED, BLOB_UNSAID or BLOB_REMOVED (``wanted``) of ``blob`` in ``repository``, in ``event``; returns
    (whether an explicit link came or went, change of the charge in bytes).
    """
    table = held.blob_links
    key = (repository << 32) | blob
    # What was never there is not cleared: a key made only to say so would fill the table, and no caller makes room.
    if wanted == BLOB_UNSAID and table[find_slot(table, key), 0] == EMPTY:
        return False, np.int64(0)
    slot, new = count_slot(table, key)
    cursor[CURSOR_BLOB_LINKS] += new
    before = table[slot, 1]
    table[slot, 1] = wanted
    table[slot, 2] = event if wanted == BLOB_LINKED else 0
    sign = np.int64(wanted == BLOB_LINKED) - np.int64(before == BLOB_LINKED)
    if sign == 0:
        return False, np.int64(0)
    slot, new = count_slot(table, (np.int64(ANY_REPOSITORY) << 32) | blob)
    cursor[CURSOR_BLOB_LINKS] += new
    table[slot, 1] += sign
    if rules.mode != MODE_COUNTS or rules.basis != BASIS_LINKED or not is_charged(graph, rules, blob):
        return True, np.int64(0)
    slot, new = count_slot(ledger.blobs, (scope_of(names, rules, repository) << 32) | blob)
    cursor[CURSOR_SCOPE_BLOBS] += new
    before = ledger.blobs[slot, 1]
    ledger.blobs[slot, 1] = before + sign
    return True, sign * graph.size[blob] if before == 0 or before + sign == 0 else np.int64(0)


@part
def is_held(held, cursor, blob):
    """Whether a live manifest or an explicit blob link holds ``blob``."""
    if held.holders[blob] > 0:
        return True
    if cursor[CURSOR_BLOB_LINKS] == 0:
        return False
    slot = find_slot(held.blob_links, (np.int64(ANY_REPOSITORY) << 32) | np.int64(blob))
    return held.blob_links[slot, 0] != EMPTY and held.blob_links[slot, 1] > 0


@part
def enqueue(queue, cursor, end, what, event, time):
    """Append (what, event, time) to a queue that ends at ``cursor[end]``; somebody has made room."""
    row = cursor[end]
    queue[row, 0] = what
    queue[row, 1] = event
    queue[row, 2] = time
    cursor[end] = row + 1


@part
@wrapping
def _draw(event, seed):
    """A number that depends on ``event`` and ``seed`` alone, int64 >= 0: the finaliser of splitmix64."""
    mixed = np.uint64(event) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1))


@part
def _is_before(queue, one, other):
    """Whether row ``one`` of a queue is due before row ``other``: by time, then by event."""
    if queue[one, 2] != queue[other, 2]:
        return queue[one, 2] < queue[other, 2]
    return queue[one, 1] < queue[other, 1]


@part
def _swap(queue, one, other):
    for k in range(3):
        kept = queue[one, k]
        queue[one, k] = queue[other, k]
        queue[other, k] = kept


@part
def wait_in(queue, cursor, head, end, rules, what, event, time):
    """Append (what, event, time) to a queue. Where waits have jitter its rows are a heap: the first is due first."""
    if rules.jitter == 0:
        enqueue(queue, cursor, end, what, event, time)
        return
    enqueue(queue, cursor, end, what, event, time + _draw(event, rules.seed) % (rules.jitter + 1))
    base, row = cursor[head], cursor[end] - 1 - cursor[head]
    while row > 0 and _is_before(queue, base + row, base + (row - 1) // 2):
        _swap(queue, base + row, base + (row - 1) // 2)
        row = (row - 1) // 2


@part
def drop_first(queue, cursor, head, end, rules):
    """Take the first row off a queue."""
    if rules.jitter == 0:
        cursor[head] += 1
        return
    base = cursor[head]
    cursor[end] -= 1
    count = cursor[end] - base
    for k in range(3):
        queue[base, k] = queue[base + count, k]
    row = np.int64(0)
    while 2 * row + 1 < count:
        below = 2 * row + 1
        if below + 1 < count and _is_before(queue, base + below + 1, base + below):
            below += 1
        if not _is_before(queue, base + below, base + row):
            return
        _swap(queue, base + below, base + row)
        row = below


@part
def schedule(agenda, cursor, what, event, when):
    """Put (what, event, when) on the agenda, after all that is due by then; somebody has made room."""
    row = cursor[CURSOR_AGENDA_TAIL]
    cursor[CURSOR_AGENDA_TAIL] = row + 1
    while row > cursor[CURSOR_AGENDA_HEAD] and agenda[row - 1, 2] > when:
        for k in range(3):
            agenda[row, k] = agenda[row - 1, k]
        row -= 1
    agenda[row, 0] = what
    agenda[row, 1] = event
    agenda[row, 2] = when


@part
def release(held, rules, queues, cursor, blob, event, time):
    """Note that ``blob`` lost its last hold in ``event``."""
    held.released_event[blob] = event
    if rules.automatic and held.stored[blob]:
        wait_in(queues.sweep, cursor, CURSOR_SWEEP_HEAD, CURSOR_SWEEP_TAIL, rules, blob, event, time)
