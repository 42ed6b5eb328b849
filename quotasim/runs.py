"""Collections under way: marking repository by repository, and deleting one thing after another, while the registry
goes on.
"""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from quotasim.engine import Engine, operations
from quotasim.errors import CollectionAborted, InvalidValue, RunEnded
from quotasim.gc.marking import Garbage, Marking, find_garbage
from quotasim.gc.plan import GcPlan, plan_of
from quotasim.gc.policy import LAYERS_ENTRY, GcPolicy, walk_key
from quotasim.kernels import NULL, layout
from quotasim.model.totals import exact_sum
from quotasim.results import GcResult

__all__ = ["GcMarking", "GcRun"]

_CODES = (layout.OP_COLLECT, layout.OP_UNLINK_BLOB, layout.OP_SWEEP)


class _UnderWay:
    """What marking and sweeping have in common: an end, and a registry that may be read only until then."""

    def __init__(self, engine: Engine, *, read_only: bool) -> None:
        self._engine = engine
        self._ended = False
        self._read_only = read_only
        engine.read_only_runs += read_only

    def _check(self, count: int) -> None:
        """Raise RunEnded, or InvalidValue for a count below 1."""
        if self._ended:
            raise RunEnded
        if count < 1:
            raise InvalidValue("count", count, "1 or more")

    def _end(self) -> None:
        self._ended = True
        self._engine.read_only_runs -= self._read_only

    def abort(self) -> None:
        """Stop where it is: what was not deleted is garbage for the next run.

        Raises
        ------
        RunEnded
        """
        self._check(1)
        self._end()


class GcMarking(_UnderWay):
    """A collection that is still marking: it walks the repositories one after another.

    Each is marked as it is when it is walked, and what is stored is listed when all of them are. So what is pushed to a
    repository behind the walk is garbage in its eyes, with the layers it brought; what is pushed ahead of it stays.
    A directory is listed when the walk enters it, the top one when marking begins: a repository that comes to be in a
    directory that is listed already is never walked, even if it lies ahead.

    Attributes
    ----------
    policy : what counts as garbage.
    """

    def __init__(self, engine: Engine, policy: GcPolicy, *, read_only: bool) -> None:
        super().__init__(engine, read_only=read_only)
        self.policy = policy
        self._marking = Marking(policy)
        self._since = len(engine.log)
        self._entries = deque(sorted(self._directories()[()]))  # what is still to be entered, in the walk's order

    def waiting(self) -> tuple[str, ...]:
        """Return the repositories that would still be walked if none came any more, in the walk's order. O(events)."""
        entries = set(self._entries)
        ahead = [key for key in self._known() if any(key[:depth] in entries for depth in range(1, len(key) + 1))]
        return tuple("/".join(key[:-1]) for key in sorted(ahead))

    def _known(self) -> list[tuple[str, ...]]:
        """Return the keys of the repositories that this registry has heard of; other branches' names have rows too."""
        values = self._engine.names.repositories.values
        named = np.zeros(len(values) + 1, bool)  # NULL is the last
        named[self._engine.log.column("repository")] = True
        return [walk_key(values[row]) for row in np.flatnonzero(named[:-1]).tolist()]

    def _directories(self) -> defaultdict[tuple[str, ...], set[tuple[str, ...]]]:
        """Return the entries of each directory as it is now. O(events + repositories)."""
        found: defaultdict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
        for key in self._known():
            for depth in range(len(key)):
                found[key[:depth]].add(key[: depth + 1])
        return found

    def walk(self, count: int = 1) -> tuple[str, ...]:
        """Mark the next ``count`` repositories as they are now, and return their names; fewer where no more are left.

        Raises
        ------
        CollectionAborted : the run fails at one of them, and has ended.
        RunEnded : it has ended, or is sweeping already.
        InvalidValue : ``count`` below 1.
        """
        self._check(count)
        directories, chosen = self._directories(), list[str]()
        while self._entries and len(chosen) < count:
            entry = self._entries.popleft()
            if entry[-1] == LAYERS_ENTRY:
                chosen.append("/".join(entry[:-1]))
            else:  # a directory, which is listed now
                self._entries.extendleft(sorted(directories[entry], reverse=True))
        engine = self._engine
        engine.sync()
        rows = np.array([engine.names.repositories.find(name) for name in chosen], np.int64)
        try:
            self._marking.walk(engine.inventory(), engine.state.now, rows)
        except CollectionAborted:
            self._end()
            raise
        return tuple(chosen)

    def sweep(self) -> GcRun:
        """Walk what is left, list what is not marked, and return the run that deletes it.

        Raises
        ------
        CollectionAborted, RunEnded : as of :meth:`walk`.
        """
        self.walk(len(self._engine.names.repositories) + 1)
        engine = self._engine
        garbage = self._marking.garbage(engine.inventory(), engine.state.now)
        plan = plan_of(engine.inventory(), self.policy, garbage, engine.state.now)
        self._end()
        return GcRun(engine, plan, read_only=self._read_only, since=self._since)


class GcRun(_UnderWay):
    """A collection under way: what was garbage when it began goes, one thing after another.

    Attributes
    ----------
    plan : what it marked.
    done, total : things deleted, or passed over, so far; and in all.
    """

    def __init__(self, engine: Engine, plan: GcPlan, *, read_only: bool, since: int | None = None) -> None:
        super().__init__(engine, read_only=read_only)
        self.plan = plan
        self.done = 0
        self.total = int(plan.links.size + plan.blob_links.shape[0] + plan.blobs.size)
        # Whoever marked step by step has to look again before the first step.
        self._stamp: object = plan.stamp if since is None else None
        self._garbage: Garbage | None = None  # what the policy found when it looked again
        self._event = len(engine.log)
        self._since = self._event if since is None else since  # the event at which marking began

    def step(self, count: int = 1) -> GcResult:
        """Delete the next ``count`` things: manifests, then blob links, then blobs, in the plan's order.

        Where the policy ``rechecks``, what something holds by now is passed over.

        Raises
        ------
        RunEnded : the run is finished or was aborted.
        InvalidValue : ``count`` below 1.
        """
        self._check(count)
        engine = self._engine
        self._look_again()
        links, blob_links, blobs = self._next(count)
        if self._garbage is not None:
            links = links[np.isin(links, self._garbage.links)]
            blob_links = blob_links[np.isin(_keys(blob_links), _keys(self._garbage.blob_links))]
            blobs = blobs[np.isin(blobs, self._garbage.blobs)]
        first = self.done == 0
        drifted = any(engine.ledger.drifts())  # in any scope: their sum may be 0
        recounts = int(engine.profile.recounts and drifted and self.done + count >= self.total)
        self.done = min(self.done + count, self.total)
        counts = [int(first), links.size, blob_links.shape[0], blobs.size, recounts]
        codes = np.repeat([layout.OP_GC, *_CODES, layout.OP_RECOUNT], counts)
        empty = [np.full(size, NULL, np.int32) for size in counts]
        outcome = engine.apply(
            operations(
                codes,
                np.full(codes.size, engine.state.now, np.int64),
                link=np.concatenate((empty[0], links, *empty[2:])),
                blob=np.concatenate((*empty[:2], blob_links[:, 1], blobs, empty[4])),
                repository=np.concatenate(
                    (empty[0], engine.names.links.first[links], blob_links[:, 0], empty[3], empty[4])
                ),
            ),
            cause=NULL if first else self._event,
        )
        if first:
            self._event = outcome.first_event
        self._stamp = engine.state.stamp
        if self.done == self.total:
            self._end()
        charged = exact_sum(engine.log.column("charged_bytes", outcome.first_event))
        stored = exact_sum(engine.log.column("stored_bytes", outcome.first_event))
        return GcResult(int(links.size), int(blobs.size), -charged, -stored)

    def finish(self) -> GcResult:
        """Delete all that is left.

        Raises
        ------
        RunEnded
        """
        return self.step(max(self.total - self.done, 1))

    def _look_again(self) -> None:
        """Note what is garbage still, where the policy looks again and something has changed since it did last.

        Grace is over for what the run marked, and what it has itself released does not wait anew; but what was pushed
        or uploaded since it marked is passed over.
        """
        engine, policy = self._engine, self.plan.policy
        if not policy.rechecks or engine.state.stamp is self._stamp:
            return
        nothing = np.empty(0, np.int32)
        self._garbage = Garbage(nothing, nothing.reshape(0, 2), nothing, 0)
        with suppress(CollectionAborted):
            at_once = replace(policy, grace=0)
            found = find_garbage(engine.inventory(), at_once, engine.state.now, self._since)
            stored = engine.state.read("stored_event")
            self._garbage = Garbage(
                found.links,
                found.blob_links[stored[found.blob_links[:, 1]] < self._since],
                found.blobs[stored[found.blobs] < self._since],
                found.visited_references,
            )

    def _next(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the parts of the plan that are next."""
        parts = (self.plan.links, self.plan.blob_links, self.plan.blobs)
        found, start = [], 0
        for part in parts:
            low, high = max(self.done - start, 0), max(self.done + count - start, 0)
            found.append(part[low:high])
            start += part.shape[0]
        return found[0], found[1], found[2]


def _keys(pairs: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return pairs, int32[n, 2], as numbers."""
    return (pairs[:, 0].astype(np.int64) << layout.WORD) | pairs[:, 1]
