"""Collections: planned and applied, run step by step while the registry goes on, scheduled; estimates and damage."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from quotasim.accounting.selection import tags_of
from quotasim.engine import operations
from quotasim.errors import CollectionAborted, InvalidValue, RunEnded, StalePlan
from quotasim.gc.cost import CostModel, RunEstimate, Work, estimate
from quotasim.gc.plan import Garbage, GcPlan, find_garbage
from quotasim.gc.policy import GcPolicy
from quotasim.gc.schedule import GcSchedule
from quotasim.kernels import NULL, layout
from quotasim.model.totals import exact_sum
from quotasim.results import Damage, GcResult
from quotasim.units import parse_duration, parse_time
from quotasim.view import RegistryView

__all__ = ["Collecting", "GcRun"]

_CODES = (layout.OP_COLLECT, layout.OP_UNLINK_BLOB, layout.OP_SWEEP)


class Collecting(RegistryView):
    """What collects garbage; :class:`quotasim.Registry` has these operations with all the others."""

    def apply(self, gc_plan: GcPlan) -> GcResult:
        """Carry a plan out, whole and at once.

        Raises
        ------
        StalePlan : the registry has changed since the plan was made.
        """
        if gc_plan.stamp is not self._engine.state.stamp:
            raise StalePlan(gc_plan.version, self.version)
        run = GcRun(self, gc_plan, read_only=False)
        return run.finish()

    def start_gc(self, policy: GcPolicy | str | None = None, *, read_only: bool = False) -> GcRun:
        """Mark now, and return a run that deletes step by step what was garbage now, while the registry goes on.

        Parameters
        ----------
        policy : as of :meth:`plan_gc`.
        read_only : whether the registry refuses every change but the run's until the run has ended.

        Raises
        ------
        CollectionAborted, InvalidValue : as of :meth:`plan_gc`.

        Notes
        -----
        Marking takes no simulated time: whatever happens later happens after it, which is the worst case. What the
        run deletes although something has come to hold it is in :meth:`damage`.

        Examples
        --------
        A push that finds its layer on the disk loses it to a collection that had marked before (distribution#3045).

        >>> from quotasim import Blob, Image, Registry
        >>> registry = Registry("distribution-2.8")
        >>> layer = Blob.synthetic("layer", 100)
        >>> _ = registry.push("app:1", Image([layer])), registry.delete("app:1")
        >>> run = registry.start_gc()
        >>> pushed = registry.push("app:2", Image([layer, Blob.synthetic("new", 5)]))
        >>> _ = run.finish()
        >>> [layer.digest in damage.missing for damage in registry.damage()]
        [True]
        """
        return GcRun(self, self.plan_gc(policy), read_only=read_only)

    def schedule_gc(self, every: str | None, *, first: str | datetime | None = None, policy: str = "default") -> None:
        """Run the collector at fixed intervals as time passes, each run whole and at once.

        Parameters
        ----------
        every : time between two runs, such as ``"7d"``; None: no more runs.
        first : time of the first run, not before now; by default one interval from now.
        policy : the name of one of the kind's policies.

        Raises
        ------
        InvalidValue : the kind collects by itself; the interval is no time; or the first run lies before now.

        Notes
        -----
        A run that fails (:class:`CollectionAborted`) is an event ``GC`` without consequences.
        """
        engine = self._engine
        if every is None:
            engine.schedule = None
            engine.state.changed(self.now)
            return
        if self.profile.collection == "automatic":
            raise InvalidValue("every", every, "None: this kind collects by itself")
        self.profile.gc_policy(policy)
        interval = parse_duration(every, name="every")
        start = self.now + interval if first is None else parse_time(first, name="first")
        if start < self.now:
            raise InvalidValue("first", str(first), "a time that is not over")
        engine.schedule = GcSchedule(interval, start, policy)
        engine.state.changed(self.now)

    def let_pass(self, until: int) -> None:
        """Let time pass to ``until``, microseconds since the epoch, with the runs that are scheduled on the way."""
        engine = self._engine
        while (schedule := engine.schedule) is not None and schedule.next_run <= until:
            engine.apply(until=max(schedule.next_run, self.now))
            self._run_scheduled(schedule)
        engine.apply(until=until)

    def _run_scheduled(self, schedule: GcSchedule) -> None:
        self._engine.schedule = schedule.after_run()
        try:
            self.apply(self.plan_gc(schedule.policy))
        except CollectionAborted:
            now = np.array([self.now], np.int64)
            self._engine.apply(operations(np.array([layout.OP_GC]), now))

    def damage(self) -> list[Damage]:
        """Return the linked manifests that lack bytes which the kind would have on its disk, by name.

        O(blobs), and the holders of what is missing.
        """
        engine = self._engine
        engine.sync()
        content, names, graph = engine.content, engine.names, engine.content.graph()
        lost = engine.lost_blobs()
        if not lost.size:
            return []
        indptr, by_blob = content.manifests_by_blob()
        missing: dict[int, set[int]] = {}
        for blob in lost.tolist():
            naming = by_blob[indptr[blob] : indptr[blob + 1]]
            holding = naming[graph.kind[naming] != layout.KIND_INDEX].tolist()
            if graph.blob_manifest[blob] != NULL:
                holding.append(int(graph.blob_manifest[blob]))
            for manifest in holding:
                missing.setdefault(manifest, set()).add(blob)
        links = np.flatnonzero(engine.state.read("linked"))
        hurt = links[np.isin(names.links.second[links], np.fromiter(missing, np.int64, len(missing)))]
        found = []
        for link in hurt.tolist():
            manifest, repository = int(names.links.second[link]), names.repositories.values[names.links.first[link]]
            digests = tuple(sorted(content.digest(blob) for blob in missing[manifest]))
            tags = sorted(names.tag_label(tag) for tag in tags_of(names, engine.state, link))
            found.append(Damage(repository, content.digest(int(graph.own[manifest])), tuple(tags), digests))
        return sorted(found, key=lambda damage: (damage.repository, damage.manifest))

    def estimate_gc(self, model: CostModel, policy: GcPolicy | str | None = None) -> RunEstimate:
        """Return how long a run now would take, and what it has freed when it is cut off; nothing is changed.

        Parameters
        ----------
        model : times of the store, workers and limits; ``quotasim.gc.cost.COLLECTORS`` has one for each collector.

        Raises
        ------
        CollectionAborted, InvalidValue : as of :meth:`plan_gc`.
        """
        plan = self.plan_gc(policy)
        engine = self._engine
        names, state = engine.names, engine.state
        linked = np.flatnonzero(state.read("linked"))
        bound = np.flatnonzero(state.read("tag_link") != NULL)
        counts = (names.links.first[linked], names.tag_repository[bound])
        manifests, tags = (np.bincount(rows, minlength=len(names.repositories)).tolist() for rows in counts)
        values = names.repositories.values
        return estimate(
            Work.of_plan(
                plan,
                stored_blobs=int(np.count_nonzero(state.read("stored"))),
                blob_links=int(state.explicit_blob_links()[0].size),
                manifests=dict(zip(values, manifests, strict=True)),
                tags=dict(zip(values, tags, strict=True)),
                blob_bytes=engine.content.graph().size[plan.blobs],
            ),
            model,
        )


class GcRun:
    """A collection under way: what was garbage when it began goes, one thing after another.

    Attributes
    ----------
    plan : what it marked.
    done, total : things deleted, or passed over, so far; and in all.
    """

    def __init__(self, registry: Collecting, plan: GcPlan, *, read_only: bool) -> None:
        self.plan = plan
        self.done = 0
        self.total = int(plan.links.size + plan.blob_links.shape[0] + plan.blobs.size)
        self._engine = registry.engine
        self._ended = False
        self._stamp: object = plan.stamp
        self._garbage: Garbage | None = None  # what the policy found when it looked again
        self._since = self._event = len(self._engine.log)
        self._read_only = read_only
        self._engine.read_only_runs += read_only

    def step(self, count: int = 1) -> GcResult:
        """Delete the next ``count`` things: manifests, then blob links, then blobs, in the plan's order.

        Where the policy ``rechecks``, what something holds by now is passed over.

        Raises
        ------
        RunEnded : the run is finished or was aborted.
        InvalidValue : ``count`` below 1.
        """
        if self._ended:
            raise RunEnded
        if count < 1:
            raise InvalidValue("count", count, "1 or more")
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

    def abort(self) -> None:
        """Stop where it is: what was not deleted is garbage for the next run.

        Raises
        ------
        RunEnded
        """
        if self._ended:
            raise RunEnded
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._engine.read_only_runs -= self._read_only

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
            found = find_garbage(engine.content, engine.names, engine.state, engine.log, at_once, engine.state.now)
            stored, pushed = engine.state.read("stored_event"), engine.state.read("link_event")
            self._garbage = Garbage(
                found.links[pushed[found.links] < self._since],
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
