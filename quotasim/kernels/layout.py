"""What the kernels read and write: codes, and the arrays of the catalogue and of state as named tuples."""

from typing import NamedTuple

import numpy as np

from quotasim.kernels import NULL  # noqa: F401  (part of the layout)

OP_PUSH, OP_TAG, OP_UPLOAD, OP_PULL, OP_LOCK, OP_GC = 0, 1, 2, 3, 4, 5
OP_BEGIN_UPLOAD, OP_APPEND, OP_RESERVE, OP_RESTORE, OP_MISCOUNT, OP_UNCOUNT = 6, 7, 8, 9, 10, 11
OP_UNTAG, OP_DELETE, OP_UNLINK_BLOB, OP_COLLECT, OP_SWEEP = 12, 13, 14, 15, 16
OP_CANCEL_UPLOAD, OP_PURGE_UPLOAD, OP_RECOUNT = 17, 18, 19
FIRST_DROP = OP_UNTAG  # codes from here on take something away: a batch applies them after its adds

# An event's kind is the code of the operation that it records; a refusal is the one kind of its own.
EVENT_REFUSE = 20

REASON_NONE, REASON_QUOTA, REASON_LOCKED, REASON_NOT_LINKED = 0, 1, 2, 3
REASON_IMMUTABLE, REASON_CHILD, REASON_TAGGED, REASON_REFERRER, REASON_READ_ONLY = 4, 5, 6, 7, 8

KIND_IMAGE, KIND_INDEX = 0, 1
ROLE_CONFIG, ROLE_LAYER, ROLE_CHILD, ROLE_OWN = 1, 2, 4, 8
ROLES_NAMED = ROLE_CONFIG | ROLE_LAYER  # what the blobs that an image names can be to it
FLAG_UNKNOWN_SIZE, FLAG_FOREIGN, FLAG_SHA512 = 1, 2, 4
LOCK_WRITE, LOCK_DELETE, LOCK_READ, LOCK_QUARANTINE = 1, 2, 4, 8

SCOPE_REPOSITORY, SCOPE_NAMESPACE, SCOPE_REGISTRY = 0, 1, 2
BASIS_TAGGED, BASIS_REFERENCED, BASIS_LINKED, BASIS_STORED = 0, 1, 2, 3
MODE_HOLDERS, MODE_COUNTS, MODE_STORED = 0, 1, 2
# Bits. FOLLOW: a referrer goes after its subject; CASCADE: with it; PIN: a linked referrer keeps its subject;
# STAY: what has a subject is never collected.
REFERRERS_IGNORE, REFERRERS_FOLLOW, REFERRERS_CASCADE, REFERRERS_PIN, REFERRERS_STAY = 0, 1, 2, 4, 8
REFERRERS_AFTER_SUBJECT = REFERRERS_FOLLOW | REFERRERS_CASCADE
IMMUTABLE_OFF, IMMUTABLE_MOVE, IMMUTABLE_KEEP = 0, 1, 2  # bound tags may go anywhere; not move; not move nor go
# What a limit is held against when a request arrives: nothing; what is used; that and what the request would add; that
# and the unfinished uploads of the repository; or, once the request is carried out, what is used then.
CHECK_NONE, CHECK_USED, CHECK_MISSING, CHECK_UPLOADING, CHECK_AFTERWARDS = 0, 1, 2, 3, 4
POINT_BLOB, POINT_MOUNT = 0, 1  # amount of a RESERVE for a blob: which request it is

(
    DONE,
    NEED_LOG,
    NEED_COLLECT,
    NEED_SWEEP,
    NEED_CASCADE,
    NEED_BLOB_LINKS,
    NEED_PURGE,
    NEED_LOOSE,
    NEED_AGENDA,
) = range(9)

# cursor: what survives a return that asks for room
CURSOR_OPERATION, CURSOR_PHASE, CURSOR_LOG, CURSOR_COLLECT_HEAD, CURSOR_COLLECT_TAIL, CURSOR_SWEEP_HEAD = (
    0,
    1,
    2,
    3,
    4,
    5,
)
CURSOR_SWEEP_TAIL, CURSOR_CASCADE, CURSOR_BLOB_LINKS = 6, 7, 8
CURSOR_NEEDED, CURSOR_EVENT_BASE, CURSOR_SHORT, CURSOR_CAUSE, CURSOR_REFUSED = 9, 10, 11, 12, 13
CURSOR_REMOVED_LINK, CURSOR_REMOVED_ROW = 14, 15  # a removal under way: its link or NULL, and its event's row
CURSOR_LOST = 16  # 1 once a collector swept what a live manifest holds: from then on pushes look at every blob
CURSOR_PURGE_HEAD, CURSOR_PURGE_TAIL, CURSOR_LOOSE_HEAD, CURSOR_LOOSE_TAIL = 17, 18, 19, 20
CURSOR_AGENDA_HEAD, CURSOR_AGENDA_TAIL = 21, 22
CURSOR_LOOSE_BLOB, CURSOR_LOOSE_CAUSE, CURSOR_LOOSE_TIME = 23, 24, 25  # a blob to be swept next, or NULL
CURSOR_RUN_TIME, CURSOR_RUN_COUNT, CURSOR_RUN_REPOSITORY = 26, 27, 28  # the last run that collected in batches
CURSOR_SIZE = 29
PHASE_BEFORE, PHASE_OPERATION, PHASE_AFTER = 0, 1, 2

# totals: rows of two words
TOTAL_BINDINGS, TOTAL_MANIFESTS, TOTAL_BLOBS, TOTAL_LOGICAL, TOTAL_UNIQUE, TOTAL_FOREIGN, TOTAL_UNKNOWN = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
)
TOTAL_CHARGED, TOTAL_STORED, TOTAL_LINKS, TOTAL_FIRST_STORED = 7, 8, 9, 10
TOTAL_UPLOADS, TOTAL_DRIFT = 11, 12
TOTAL_SIZE = 13

WORD = 32
WORD_MASK = (1 << WORD) - 1
EMPTY = -1
ANY_REPOSITORY = 0x7FFFFFFF

# An explicit blob link: somebody put the blob there; or somebody took it away, whatever manifests there name it.
BLOB_LINKED, BLOB_UNSAID, BLOB_REMOVED = 1, 0, 2


class Graph(NamedTuple):
    """The catalogue as the kernel reads it; B blobs, M manifests, E descriptors, K manifests with a subject."""

    indptr: np.ndarray  # int64[M+1]  manifest m names target[indptr[m]:indptr[m+1]], no blob twice
    target: np.ndarray  # int32[E]    blob rows; for an index its children's own blobs
    role: np.ndarray  # uint8[E]    ROLE_* bits
    own: np.ndarray  # int32[M]    the manifest's own bytes, a blob row
    kind: np.ndarray  # uint8[M]    KIND_*
    logical: np.ndarray  # int64[M]    bytes of its distinct blobs
    subject: np.ndarray  # int32[M]    blob row of its subject, or NULL
    size: np.ndarray  # int64[B]    bytes, 0 where unknown
    flags: np.ndarray  # uint8[B]    FLAG_* bits
    blob_manifest: np.ndarray  # int32[B]    the manifest these bytes are, or NULL
    referrer_subject: np.ndarray  # int32[K]    subjects' blob rows, ascending
    referrer: np.ndarray  # int32[K]    manifest rows, beside their subjects
    late_child: np.ndarray  # int32[J]    manifests that an index named before they were known, ascending
    late_index: np.ndarray  # int32[J]    those indexes, beside them


class Names(NamedTuple):
    """Keys of links and tags; L links, T tags, R repositories."""

    link_repository: np.ndarray  # int32[L]
    link_manifest: np.ndarray  # int32[L]
    link_table: np.ndarray  # int64[cap, 2]  (repository << 32 | manifest, link row), open addressing
    namespace: np.ndarray  # int32[R]


class Holdings(NamedTuple):
    """State, all WRITTEN."""

    tag_link: np.ndarray  # int32[T]   link the tag points to, or NULL
    tag_event: np.ndarray  # int32[T]   event that bound it last
    tag_next: np.ndarray  # int32[T]   next tag on the same link, or NULL
    tag_previous: np.ndarray  # int32[T]
    first_tag: np.ndarray  # int32[L]   a tag on the link, or NULL
    tag_count: np.ndarray  # int32[L]
    parent_count: np.ndarray  # int32[L]   indexes linked in the repository that list it
    linked: np.ndarray  # uint8[L]
    link_event: np.ndarray  # int32[L]   event that linked it last
    untagged_event: np.ndarray  # int32[L]   event that made it a candidate for collection last, or NULL
    pulled_at: np.ndarray  # int64[L] or int64[0] while nothing was ever pulled
    link_count: np.ndarray  # int32[M]   repositories that link it
    holders: np.ndarray  # int32[B]   live manifests that contain it
    stored: np.ndarray  # uint8[B]
    stored_event: np.ndarray  # int32[B]   event that put it on disk last, or NULL
    released_event: np.ndarray  # int32[B]   event that took its last holder, or a link when it had none, or NULL
    tag_lock: np.ndarray  # uint8[T]   LOCK_* bits
    link_lock: np.ndarray  # uint8[L]
    repository_lock: np.ndarray  # uint8[R]
    deleted: np.ndarray  # uint8[L]   1: deleted and kept to be restored; linked, counted, and hidden from clients
    uploading: np.ndarray  # int64[R]   bytes of the repository's unfinished uploads
    upload_repository: np.ndarray  # int32[U]
    upload_event: np.ndarray  # int32[U]   event that began it, or NULL
    upload_bytes: np.ndarray  # int64[U]   received so far
    upload_reserved: np.ndarray  # int64[U]   reserved for the request that finishes it, or NULL: none has arrived
    upload_open: np.ndarray  # uint8[U]
    # int64[cap, 3]  (repository << 32 | blob, BLOB_*, event that linked it last); by ANY_REPOSITORY how many are LINKED
    blob_links: np.ndarray
    totals: np.ndarray  # int64[TOTAL_SIZE, 2]  two-word totals


class Ledger(NamedTuple):
    """Counts of the charging rule over R rows (scope, manifest) and P pairs (scope, blob); empty but in MODE_COUNTS.
    Charges of S scopes.
    """

    row_of_link: np.ndarray  # int32[L]
    row_table: np.ndarray  # int64[cap, 2]  (scope << 32 | manifest, row), open addressing
    row_manifest: np.ndarray  # int32[R]
    indptr: np.ndarray  # int64[R+1]  row r has pair[indptr[r]:indptr[r+1]], in the order of blob_range
    pair: np.ndarray  # int32[K]
    pair_table: np.ndarray  # int64[cap, 2]  (scope << 32 | blob, pair); empty but in BASIS_LINKED
    links: np.ndarray  # int32[R]  WRITTEN, as all that follows: links of the manifest in the scope
    supports: np.ndarray  # int32[R]  tags and held indexes above it; BASIS_TAGGED
    held: np.ndarray  # uint8[R]  1: its pairs are counted
    count: np.ndarray  # int32[P]
    used: np.ndarray  # int64[S, 2]    two words a scope
    limit: np.ndarray  # int64[S, 2]    two words a scope; first word NULL: no limit
    drift: np.ndarray  # int64[S, 2]    two words a scope: the vendor's own counter less the charge
    uncounted: np.ndarray  # uint8[S]   1: the vendor's counter stands still at 0
    stack: np.ndarray  # int32[R] or int32[0]  scratch of BASIS_TAGGED


class Queues(NamedTuple):
    """What waits, WRITTEN: candidates for collection, released blobs, referrers of what was deleted, unfinished
    uploads, links to uploaded blobs, and what is to happen at a set time.
    """

    collect: np.ndarray  # int64[n, 3]  (link, event that made it a candidate, its time), first in first out
    sweep: np.ndarray  # int64[n, 3]  (blob, event that released it, its time), first in first out
    cascade: np.ndarray  # int64[n, 3]  (link, event that deleted its subject, its time), last in first out
    purge: np.ndarray  # int64[n, 3]  (upload, event that began it, its time), first in first out
    loose: np.ndarray  # int64[n, 3]  (repository << 32 | blob, event that linked it, its time), first in first out
    agenda: np.ndarray  # int64[n, 3]  (code << 32 | link or scope, event that wants it, when), ascending in time


class Rules(NamedTuple):
    """A profile's rule as numbers."""

    mode: int  # MODE_*
    scope: int  # SCOPE_*
    basis: int  # BASIS_*
    role_mask: int  # ROLE_* bits that are charged
    counts_foreign: int  # 0 or 1: foreign layers are charged and stored
    reject_at_limit: int  # 0 or 1
    limited: int  # 0 or 1: any scope has a limit
    automatic: int  # 0 or 1: what is due is collected and swept as time passes
    untagged_after: int  # microseconds, or NULL: untagged manifests stay
    sweep_after: int  # microseconds
    referrers: int  # REFERRERS_* bits
    stale_blob_links: int  # 0 or 1
    untagged_pushes: int  # 0 or 1: a push without a tag makes a candidate of what has none
    children_go: int  # 0 or 1: a deleted index takes its untagged children along that no other index lists
    keeps_children: int  # 0 or 1: a manifest that a linked index lists cannot be deleted
    keeps_subjects: int  # 0 or 1: a manifest that a linked one has as its subject cannot be deleted
    last_tag: int  # 0 or 1: deleting by tag takes the tag, and the manifest with its last one
    expires: int  # 0 or 1: deleting a manifest takes its tags, and leaves it to the collector
    most_tags: int  # tags that a manifest may have when it is deleted, or NULL: any number
    immutable_tags: int  # IMMUTABLE_*
    origin: int  # microseconds: whatever runs at intervals runs at this time and each interval after it
    collect_batch: int  # most candidates that a run collects, all of one repository; 0: any number of all
    jitter: int  # microseconds that a wait of a candidate or a released blob can be longer
    seed: int  # of how much longer
    collect_every: int  # microseconds between runs that collect candidates; 0: each when it is due
    purges: int  # 0 or 1: unfinished uploads are purged as time passes
    purge_after: int  # microseconds
    purge_every: int  # microseconds between runs; 0: each when it is due
    loose_after: int  # microseconds until the link to an uploaded blob ends that no manifest named, or NULL: never
    keeps_deleted: int  # 0 or 1: a deleted manifest stays, hidden, until it is collected
    quarantines: int  # 0 or 1: a pushed manifest cannot be read until it is released
    recounts: int  # 0 or 1: the vendor's counter is counted anew after each deletion
    read_only: int  # 0 or 1: what clients ask for is refused if it changes anything
    uncounting: int  # 0 or 1: some scope's counter stands still
    reserves: int  # 0 or 1: what a request would add is counted from its arrival on
    check_post: int  # CHECK_*, as the next five; of a request that comes in steps
    check_patch: int
    check_put_blob: int
    check_put_manifest: int
    check_mount: int
    check_copy: int
    patch_cancels: int  # 0 or 1: a refused PATCH ends its upload
    refused_after: int  # microseconds until a manifest that was refused afterwards is collected
    special: int  # 0 or 1: some blob of the catalogue is foreign or of unknown size
    until: int  # microseconds: what falls due by then happens, after the last operation


class Operations(NamedTuple):
    """N operations in the order in which they apply: by batch, adds before drops."""

    code: np.ndarray  # uint8[N]   OP_*
    time: np.ndarray  # int64[N]   not decreasing
    batch: np.ndarray  # int32[N]   equal and adjacent within one batch
    link: (
        np.ndarray
    )  # int32[N]   PUSH, TAG, PULL, DELETE: the link; UNTAG: the link expected, or NULL for any; else NULL
    tag: np.ndarray  # int32[N]   PUSH, TAG, UNTAG: the tag or NULL
    blob: np.ndarray  # int32[N]   UPLOAD, UNLINK_BLOB, RESERVE: the blob; else NULL
    repository: np.ndarray  # int32[N]
    upload: np.ndarray  # int32[N]   the upload or request of which it is a step, or NULL: all in one
    amount: np.ndarray  # int64[N]   APPEND, MISCOUNT: bytes; RESERVE: POINT_*, or with neither blob nor link bytes


class LogRows(NamedTuple):
    """Room for events, WRITTEN from cursor[CURSOR_LOG] on. The last nine are signed deltas."""

    time: np.ndarray  # int64
    kind: np.ndarray  # uint8   EVENT_*
    reason: np.ndarray  # uint8   REASON_*, why an operation was refused
    repository: np.ndarray  # int32
    manifest: np.ndarray  # int32   or NULL
    tag: np.ndarray  # int32   or NULL
    blob: np.ndarray  # int32   or NULL
    cause: np.ndarray  # int32   event that made this one happen, or NULL
    batch: np.ndarray  # int32
    bindings: np.ndarray  # int8
    manifests: np.ndarray  # int8    live manifests
    blobs: np.ndarray  # int32   live blobs
    unique_bytes: np.ndarray  # int64
    charged_bytes: np.ndarray  # int64
    stored_bytes: np.ndarray  # int64
    first_stored_bytes: np.ndarray  # int64   bytes of blobs that the disk never held before
    upload_bytes: np.ndarray  # int64   bytes of unfinished uploads
    drift_bytes: np.ndarray  # int64   the vendor's own counter less the charge
