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
    CURSOR_SWEEP_HEAD,
    CURSOR_SWEEP_TAIL,
    EMPTY,
    FLAG_FOREIGN,
    KIND_INDEX,
    MODE_COUNTS,
    NULL,
    ROLE_LAYER,
    ROLE_OWN,
    ROLES_NAMED,
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
def _is_charged_as(role, flags, blob, e, role_mask, skipped):
    """Whether the rule charges descriptor ``e``, which names ``blob``."""
    return role[np.uint64(e)] & role_mask != 0 and not (skipped and flags[blob] & skipped)


@part
def is_storable(graph, rules, blob):
    """Whether the kind would put ``blob`` on disk: not where it is foreign, unless the kind counts those."""
    return not rules.special or graph.flags[blob] & FLAG_FOREIGN == 0 or rules.counts_foreign


@part
def is_charged(graph, rules, blob):
    """Whether the kind would charge ``blob`` for an explicit link alone, where that counts: it is taken for a layer."""
    return rules.role_mask & ROLE_LAYER != 0 and is_storable(graph, rules, blob)


@part
def _count_row(graph, rules, ledger, row, manifest, sign):
    """Add or take the counts of all blobs of ``manifest`` in its scope; returns the change of the charge in bytes."""
    first, last = blob_range(graph, manifest)
    at, skipped = ledger.indptr[row], _uncharged(rules)
    own, delta = np.uint64(graph.own[manifest]), np.int64(0)
    if ROLE_OWN & rules.role_mask and not (skipped and graph.flags[own] & skipped):
        delta = _count(ledger.count, np.uint64(ledger.pair[at]), graph.size[own], sign)
    delta += _count_blobs(
        graph.target,
        graph.role,
        graph.flags,
        graph.size,
        ledger.pair,
        ledger.count,
        first + 1,
        last,
        at - first,
        sign,
        rules.role_mask,
        skipped,
    )
    return delta


@part
def _count(count, pair, size, sign):
    """Count a blob once more or less; returns the change of the charge in bytes."""
    before = np.int64(count[pair])
    count[pair] = before + sign
    # Whether it comes or goes is anybody's guess: no branch.
    return size * (np.int64(before == 0) - np.int64(before + sign == 0))


@leaf
def _count_blobs(target, role, flags, size, pair, count, first, last, shift, sign, role_mask, skipped):
    """The loop of :func:`_count_row`; the pair of descriptor e is ``pair[e + shift]``."""
    delta = np.int64(0)
    picky = role_mask & ROLES_NAMED != ROLES_NAMED or skipped != 0
    for e in range(first, last):
        blob = np.uint64(target[np.uint64(e)])
        if picky and not _is_charged_as(role, flags, blob, e, role_mask, skipped):
            continue
        delta += _count(count, np.uint64(pair[np.uint64(e + shift)]), size[blob], sign)
    return delta


@part
def absent_bytes(graph, rules, ledger, link, manifest):
    """Bytes of the blobs of ``manifest`` that the scope of ``link`` does not count yet."""
    first, last = blob_range(graph, manifest)
    at, skipped = ledger.indptr[np.int64(ledger.row_of_link[link])], _uncharged(rules)
    own, absent = np.uint64(graph.own[manifest]), np.int64(0)
    if ROLE_OWN & rules.role_mask and not (skipped and graph.flags[own] & skipped):
        absent = graph.size[own] * np.int64(ledger.count[np.uint64(ledger.pair[at])] == 0)
    absent += _absent_bytes(
        graph.target,
        graph.role,
        graph.flags,
        graph.size,
        ledger.pair,
        ledger.count,
        first + 1,
        last,
        at - first,
        rules.role_mask,
        skipped,
    )
    return absent


@leaf
def _absent_bytes(target, role, flags, size, pair, count, first, last, shift, role_mask, skipped):
    """The loop of :func:`absent_bytes`."""
    absent = np.int64(0)
    picky = role_mask & ROLES_NAMED != ROLES_NAMED or skipped != 0
    for e in range(first, last):
        blob = np.uint64(target[np.uint64(e)])
        if picky and not _is_charged_as(role, flags, blob, e, role_mask, skipped):
            continue
        absent += size[blob] * np.int64(count[np.uint64(pair[np.uint64(e + shift)])] == 0)
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
def _settle(graph, rules, ledger, scope, manifest, row):
    """Make ``held`` follow links and supports, through children where the basis is TAGGED; returns the change of
    the charge.
    """
    tagged = rules.basis == BASIS_TAGGED
    wanted = ledger.links[row] > 0
    if tagged:
        wanted = wanted and ledger.supports[row] > 0
    if wanted == (ledger.held[row] != 0):
        return np.int64(0)
    delta, sign = np.int64(0), np.int64(1 if wanted else -1)
    depth = 0
    m = manifest
    while True:
        delta += _count_row(graph, rules, ledger, row, m, sign)
        ledger.held[row] = wanted
        if tagged and graph.kind[m] == KIND_INDEX:
            for e in range(graph.indptr[m], graph.indptr[m + 1]):
                child = np.int64(graph.blob_manifest[np.int64(graph.target[e])])
                if child == NULL:
                    continue
                slot = find_slot(ledger.row_table, (scope << 32) | child)
                if ledger.row_table[slot, 0] == EMPTY:
                    continue  # known since, and never linked here: when it is, what holds it then is counted
                below = np.int64(ledger.row_table[slot, 1])
                ledger.supports[below] += sign
                changes = ledger.supports[below] == (1 if wanted else 0)
                if changes and (ledger.links[below] > 0 if wanted else ledger.held[below] != 0):
                    ledger.stack[depth] = below
                    depth += 1
        if depth == 0:
            return delta
        depth -= 1
        row = np.int64(ledger.stack[depth])
        m = np.int64(ledger.row_manifest[row])


@part
def scope_of(names, rules, repository):
    """Scope row in which a repository is charged."""
    if rules.scope == SCOPE_REPOSITORY:
        return np.int64(repository)
    if rules.scope == SCOPE_NAMESPACE:
        return np.int64(names.namespace[repository])
    return np.int64(0)


@part
def change_scope(graph, names, rules, ledger, link, links, supports):
    """Change the links and supports of a link's manifest in its scope; returns the change of the charge in bytes."""
    if rules.mode != MODE_COUNTS:
        return np.int64(0)
    row = np.int64(ledger.row_of_link[link])
    ledger.links[row] += links
    if supports:
        ledger.supports[row] += supports
    scope = scope_of(names, rules, np.int64(names.link_repository[link]))
    return _settle(graph, rules, ledger, scope, np.int64(names.link_manifest[link]), row)


@part
def find_pair(ledger, scope, blob):
    """Pair of (scope, blob) where the basis is LINKED, or NULL."""
    slot = find_slot(ledger.pair_table, (scope << 32) | blob)
    return np.int64(ledger.pair_table[slot, 1]) if ledger.pair_table[slot, 0] != EMPTY else np.int64(NULL)


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
    pair = find_pair(ledger, scope_of(names, rules, repository), blob)
    before = np.int64(ledger.count[pair])
    ledger.count[pair] = before + sign
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
