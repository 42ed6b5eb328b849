"""What waits, and when the first of it falls due."""

import numpy as np

from quotasim.kernels.compile import kernel, part
from quotasim.kernels.layout import (
    CURSOR_AGENDA_HEAD,
    CURSOR_AGENDA_TAIL,
    CURSOR_COLLECT_HEAD,
    CURSOR_COLLECT_TAIL,
    CURSOR_LOOSE_HEAD,
    CURSOR_LOOSE_TAIL,
    CURSOR_PURGE_HEAD,
    CURSOR_PURGE_TAIL,
    CURSOR_RUN_COUNT,
    CURSOR_RUN_REPOSITORY,
    CURSOR_RUN_TIME,
    CURSOR_SWEEP_HEAD,
    CURSOR_SWEEP_TAIL,
    NULL,
    OP_COLLECT,
    OP_GC,
    OP_PURGE_UPLOAD,
    OP_SWEEP,
    OP_UNLINK_BLOB,
)
from quotasim.kernels.scopes import scope_of

_NEVER = np.iinfo(np.int64).max // 2


@part
def _when(since, wait, every, origin):
    """Time at which something falls due that waits ``wait`` from ``since`` on, where a worker looks each ``every``."""
    when = since + wait
    if every > 0 and when > origin:
        when = origin + (when - origin + every - 1) // every * every
    return when


@part
def first_due(names, rules, queues, cursor, now):
    """The code of what falls due first at or before ``now`` and its time; NULL: nothing. At one instant: COLLECT,
    SWEEP, PURGE_UPLOAD, UNLINK_BLOB, and last what is on the agenda (GC).
    """
    due, first = np.int64(NULL), now + 1
    if rules.automatic:
        head = cursor[CURSOR_COLLECT_HEAD]
        if head < cursor[CURSOR_COLLECT_TAIL]:
            when = _when(queues.collect[head, 2], rules.untagged_after, rules.collect_every, rules.origin)
            last = cursor[CURSOR_RUN_TIME]
            if rules.collect_batch > 0 and when <= last:  # that run takes it too, or the next one
                repository = np.int64(names.link_repository[queues.collect[head, 0]])
                over = cursor[CURSOR_RUN_COUNT] >= rules.collect_batch or repository != cursor[CURSOR_RUN_REPOSITORY]
                when = last + rules.collect_every if over else last
            if when < first:
                due, first = np.int64(OP_COLLECT), when
        head = cursor[CURSOR_SWEEP_HEAD]
        if head < cursor[CURSOR_SWEEP_TAIL]:
            when = queues.sweep[head, 2] + rules.sweep_after
            if when < first:
                due, first = np.int64(OP_SWEEP), when
    head = cursor[CURSOR_PURGE_HEAD]
    if rules.purges and head < cursor[CURSOR_PURGE_TAIL]:
        when = _when(queues.purge[head, 2], rules.purge_after, rules.purge_every, rules.origin)
        if when < first:
            due, first = np.int64(OP_PURGE_UPLOAD), when
    head = cursor[CURSOR_LOOSE_HEAD]
    if rules.loose_after != NULL and head < cursor[CURSOR_LOOSE_TAIL]:
        when = queues.loose[head, 2] + rules.loose_after
        if when < first:
            due, first = np.int64(OP_UNLINK_BLOB), when
    head = cursor[CURSOR_AGENDA_HEAD]
    if head < cursor[CURSOR_AGENDA_TAIL] and queues.agenda[head, 2] < first:
        due, first = np.int64(OP_GC), queues.agenda[head, 2]
    return due, first


@part
def first_repository(names, rules, scope):
    """The first repository of a scope."""
    for repository in range(names.namespace.shape[0]):
        if scope_of(names, rules, np.int64(repository)) == scope:
            return np.int64(repository)
    return np.int64(NULL)


@kernel
def next_due(names, rules, queues, cursor):
    """Time at which something waiting falls due first, or NULL: nothing waits. What waits may turn out to be void."""
    due, when = first_due(names, rules, queues, cursor, np.int64(_NEVER))
    return when if due != NULL else np.int64(NULL)
