"""Collections: planned and applied, run step by step while the registry goes on, scheduled; estimates and damage."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from quotasim.accounting.selection import tags_of
from quotasim.engine import operations
from quotasim.errors import CollectionAborted, InvalidValue, StalePlan
from quotasim.gc.cost import CostModel, RunEstimate, Work, estimate
from quotasim.gc.plan import GcPlan
from quotasim.gc.policy import GcPolicy
from quotasim.gc.schedule import GcSchedule
from quotasim.kernels import NULL, layout
from quotasim.results import Damage, GcResult
from quotasim.runs import GcMarking, GcRun
from quotasim.units import parse_duration, parse_time
from quotasim.view import RegistryView

if TYPE_CHECKING:
    from quotasim.importers.load_trace import Player

__all__ = ["Collecting"]


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
        return GcRun(self._engine, gc_plan, read_only=False).finish()

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
        Whatever happens later happens after marking; :meth:`start_marking` is for what happens meanwhile. What the
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
        return GcRun(self._engine, self.plan_gc(policy), read_only=read_only)

    def start_marking(self, policy: GcPolicy | str | None = None, *, read_only: bool = False) -> GcMarking:
        """Begin a collection that marks repository by repository, while the registry goes on.

        Parameters
        ----------
        policy, read_only : as of :meth:`start_gc`.

        Raises
        ------
        InvalidValue : as of :meth:`plan_gc`.

        Examples
        --------
        What is pushed to a repository that was walked already is not marked, and goes with bytes that are new.

        >>> from quotasim import Blob, Image, Registry
        >>> registry = Registry("distribution-2.8")
        >>> _ = registry.push("a:1", Image([Blob.synthetic("old", 100)]))
        >>> _ = registry.push("b:1", Image([Blob.synthetic("other", 100)]))
        >>> marking = registry.start_marking()
        >>> marking.walk()
        ('a',)
        >>> _ = registry.push("a:2", Image([Blob.synthetic("early", 7)]))
        >>> _ = registry.push("b:2", Image([Blob.synthetic("late", 7)]))
        >>> _ = marking.sweep().finish()
        >>> [damage.tags for damage in registry.damage()]
        [('2',)]
        """
        return GcMarking(self._engine, self.gc_policy(policy), read_only=read_only)

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

    def let_pass(self, until: int, player: Player | None = None) -> None:
        """Let time pass to ``until``, microseconds since the epoch, with the runs that are scheduled on the way.

        Parameters
        ----------
        player : applies the operations of the same time, each before a run that is due with it.
        """
        engine = self._engine
        while (schedule := engine.schedule) is not None and schedule.next_run <= until:
            self.reach(max(schedule.next_run, self.now), player)
            self._run_scheduled(schedule)
        self.reach(until, player)

    def reach(self, until: int, player: Player | None = None) -> None:
        """Let time pass to ``until`` as :meth:`let_pass` does, but without the runs that are scheduled."""
        if player is None:
            self._engine.apply(until=until)
        else:
            player.play(until)

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
