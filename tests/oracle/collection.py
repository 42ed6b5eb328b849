"""What happens by itself, what the display shows, and garbage collection (sections 3 and 4)."""

from __future__ import annotations

from .content import GcRules, Rules
from .figures import Figures, Link, TagKey
from .marking import CollectionAborted, GcPlan, Marking


class Collection(Figures):
    """A registry in time."""

    def __init__(self, rules: Rules, start: int = 0) -> None:
        super().__init__(rules)
        self.now = start
        self.candidates: dict[Link, int] = {}  # link -> when it last became a candidate for collection
        self.locks: dict[tuple[str, ...], frozenset[str]] = {}  # what is forbidden to whom
        self.pulled: dict[Link, int] = {}
        self.origin = start
        self.charges: list[tuple[int, int]] = []  # (time, charged bytes from then on)
        self.counts_at: list[tuple[int, int]] = []  # (time, what the vendor counts from then on)
        self.refused: list[tuple[int, Link]] = []  # taken in and then refused: when each is collected
        self.last_tags: dict[Link, set[TagKey]] = {}  # hidden link -> the tags that went last with it
        self.tagged_at: dict[TagKey, int] = {}  # tag -> when it was set last
        self.last_target: dict[TagKey, str] = {}  # tag -> what it was taken from last
        self.removals: list[tuple[int, Link]] = []  # what automatic collection removed, and when
        self.sweeps: list[tuple[int, str]] = []

    # Automatic collection: due links, then due blobs, at each instant at which anything is due.

    def due_links(self) -> dict[Link, int]:
        """Return when each candidate is looked at."""
        wait = self.rules.restorable_for if self.rules.keeps_deleted else self.rules.untagged_after
        if wait is None or self.rules.collection != "automatic":
            return {}
        return {link: self._run(since + wait, self.rules.collect_every) for link, since in self.candidates.items()}

    def due_purges(self) -> dict[int, int]:
        """Return when each unfinished upload is purged."""
        wait = self.rules.purge_after
        if wait is None:
            return {}
        sessions = {number: upload for number, upload in self.uploads.items() if upload.is_session}
        return {number: self._run(upload.began + wait, self.rules.purge_every) for number, upload in sessions.items()}

    def due_loose(self) -> dict[Link, int]:
        """Return when each explicit blob link ends by itself."""
        wait = self.rules.loose_after
        return {} if wait is None else {link: self.linked_at[link] + wait for link in self.blob_links}

    def _run(self, due: int, every: int) -> int:
        """Return the first run at or after a time of what runs every so often."""
        return due if every == 0 else self.origin + -(-(due - self.origin) // every) * every

    def due_sweeps(self) -> dict[str, int]:
        """Return when each blob that nothing holds is swept."""
        if self.rules.collection != "automatic":
            return {}
        held = self.blobs_of(self.live()) | self.linked_blobs()
        return {
            blob: max(at, self.released.get(blob, at)) + self.rules.sweep_after
            for blob, at in self.stored.items()
            if blob not in held
        }

    def collectable(self, repository: str, digest: str) -> bool:
        """Say whether a candidate, being due, is collected."""
        left = self.linked_in(repository)
        if self.rules.keeps_deleted:
            return (repository, digest) in self.hidden
        locked = self.locked("delete", (repository,)) or self.locked("delete", (repository, digest))
        rule, subject = self.rules.referrers, self.manifests[digest].subject
        held = (
            self.tags_of(repository, digest)
            or self.parents_of(digest, left)
            or (rule in {"follow", "cascade"} and subject in left)
            or (rule in {"stay", "stay and pin"} and subject is not None)
            or (self.pins() and self.referrers_of(digest, left))
        )
        return not held and not locked

    def pins(self) -> bool:
        """Say whether a referrer keeps its subject."""
        return self.rules.referrers in {"pin", "stay and pin"}

    def _settle(self, until: int) -> None:
        """Note the charge, then let everything due up to a time happen, each at its own time."""
        self._note_charge()
        while (due := min(self.due(), default=until + 1)) <= until:
            self.now = max(self.now, due)
            self._collect()
            self._note_charge()
        self.now = until

    def due(self) -> list[int]:
        """Return the times at which something happens by itself."""
        return [
            *self.due_links().values(),
            *self.due_sweeps().values(),
            *self.due_purges().values(),
            *self.due_loose().values(),
            *(at for at, _ in self.refused),
            *self.standing.values(),
        ]

    def _collect(self) -> None:
        while ready := sorted(link for link, at in self.due_links().items() if at <= self.now):
            for link in ready:
                if self.candidates.get(link) is None or self.due_links()[link] > self.now:
                    continue  # what went before it has taken it along, or has made it wait again
                del self.candidates[link]
                if self.collectable(*link):
                    self.removals.append((self.now, link))
                    self._unlink(*link)
        for blob in sorted(blob for blob, at in self.due_sweeps().items() if at <= self.now):
            self._sweep(blob)
        for number in [number for number, at in self.due_purges().items() if at <= self.now]:
            self._end(number)
        for link in sorted(link for link, at in self.due_loose().items() if at <= self.now):
            self.blob_links.discard(link)
            if not self.holders(link[1]) and link[1] not in self.linked_blobs():
                self.released[link[1]] = self.now
                if link[1] in self.stored:
                    self._sweep(link[1])
        for at, link in self.refused:
            locked = any(self.locked("delete", thing) for thing in ((link[0],), link))
            there = link in self.hidden and not self.parents_of(link[1], self.linked_in(link[0])) and not locked
            if at <= self.now and there and self.candidates.get(link) is None:
                self._unlink(*link)
        self.refused = [(at, link) for at, link in self.refused if at > self.now]
        self.standing = {name: at for name, at in self.standing.items() if at > self.now}

    def _sweep(self, blob: str) -> None:
        self.sweeps.append((self.now, blob))
        del self.stored[blob]

    def _note_charge(self) -> None:
        charge = self.charged_bytes()
        if not self.charges or self.charges[-1][1] != charge:
            self.charges.append((self.now, charge))
        counted = self.counted_total()
        if not self.counts_at or self.counts_at[-1][1] != counted:
            self.counts_at.append((self.now, counted))

    def instants(self) -> set[int]:
        """Return the times after now at which something may change by itself."""
        lag, every = self.rules.report_lag, self.rules.report_every
        shown = {self._run(at + lag + (every > 0), every) for at, _ in self.counts_at}
        return {at for at in shown | set(self.due()) if at > self.now}

    def charge_at(self, time: int) -> int:
        """Return the charge after everything that happened up to a time."""
        seen = [charge for at, charge in self.charges if at <= time]
        return seen[-1] if seen else 0

    def reported_bytes(self) -> int:
        """Return what was counted ``report_lag`` ago, or before the display was last refreshed."""
        every, passed = self.rules.report_every, self.now - self.origin
        refreshed = self.now if every == 0 else self.origin + passed // every * every - 1
        seen = [counted for at, counted in self.counts_at if at <= refreshed - self.rules.report_lag]
        return seen[-1] if seen else 0

    def reclaimable_bytes(self) -> int:
        """Return what the rules' own collector would free now."""
        try:
            return self.plan_gc().reclaimable_bytes
        except CollectionAborted:
            return 0

    # Garbage collection (section 4).

    def plan_gc(self, policy: GcRules | None = None, since: int | None = None) -> GcPlan:
        """Return what a collection now would do, that keeps what was pushed since a step."""
        marking = Marking(self, policy or self.rules.gc, since)
        for repository in marking.waiting():
            marking.walk(repository)
        return marking.plan()

    def apply(self, plan: GcPlan) -> None:
        """Do what a plan says."""
        for repository, digest in sorted(plan.removed):
            for key in self.tags_of(repository, digest):  # where what lost its subject goes, tagged or not
                self._unbind(key)
            self._unlink(repository, digest)
        self._unlink_blobs(set(plan.unlinked))
        for blob in plan.swept:
            del self.stored[blob]
        if self.rules.recounts:
            self.drift.clear()
        self._settle(self.now)
