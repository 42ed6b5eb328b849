"""What an administrator does with a registry: locks, quarantine, restoring, replicas, and the vendor's own counter."""

from __future__ import annotations

from typing import Any

import numpy as np

from quotasim import lookup
from quotasim.accounting.basis import scope_of_repositories
from quotasim.engine import operations
from quotasim.errors import InvalidReference, InvalidValue, NotRestorable, UnknownReference
from quotasim.kernels import NULL, layout
from quotasim.model.log import EventKind
from quotasim.model.oci import Reference, parse_reference
from quotasim.view import RegistryView


class Administration(RegistryView):
    """The operations of administrators; :class:`quotasim.Registry` has them with all the others."""

    def lock(self, target: str, *, write: bool = True, delete: bool = True, read: bool = True) -> None:
        """Set what may be done with a tag, a manifest or a repository.

        Parameters
        ----------
        target : ``repo:tag``, ``repo@digest``, or a repository's name with a trailing ``/`` (``team-a/web/``).
        write : False forbids moving the tag and pushing again; where the kind says so, deletion too.
        delete : False forbids untagging and deletion.
        read : False forbids pulling.

        Raises
        ------
        UnknownReference, UnknownRepository
        """
        bits = (0 if write else layout.LOCK_WRITE) | (0 if delete else layout.LOCK_DELETE)
        bits |= 0 if read else layout.LOCK_READ
        if not write and self.profile.write_lock_blocks_delete:
            bits |= layout.LOCK_DELETE
        engine = self._engine
        if target.endswith("/"):
            row = lookup.repository_row(engine, target[:-1])
            engine.state.write("repository_lock")[row] = bits
            self._administer(layout.OP_LOCK, repository=row)
            return
        ref, link = lookup.find(engine, target)
        repository = int(engine.names.links.first[link])
        tag = NULL if ref.tag is None else engine.names.find_tag(repository, ref.tag)
        if tag == NULL:
            locks = engine.state.write("link_lock")
            locks[link] = bits | (int(locks[link]) & layout.LOCK_QUARANTINE)
        else:
            engine.state.write("tag_lock")[tag] = bits
        self._administer(layout.OP_LOCK, repository=repository, link=link, tag=tag)

    def unlock(self, target: str) -> None:
        """Lift every lock that :meth:`lock` set on a target."""
        self.lock(target, write=True, delete=True, read=True)

    def release(self, reference: str) -> None:
        """End the quarantine of a manifest: it can be pulled from now on. Its bytes have counted since it was pushed.

        Raises
        ------
        UnknownReference

        Examples
        --------
        >>> from dataclasses import replace
        >>> from quotasim import Blob, Image, Registry
        >>> registry = Registry(replace(Registry("acr-premium").profile, quarantine=True))
        >>> pushed = registry.push("app:1", Image([Blob.synthetic("layer", 100)]))
        >>> registry.pull("app:1")
        Traceback (most recent call last):
        quotasim.errors.Locked: 'app:1' is in quarantine: it cannot be pulled until it is released
        >>> registry.release("app:1")
        >>> registry.pull("app:1") == pushed.manifest
        True
        """
        engine = self._engine
        _, link = lookup.find(engine, reference)
        locks = engine.state.write("link_lock")
        locks[link] = int(locks[link]) & ~layout.LOCK_QUARANTINE
        self._administer(layout.OP_LOCK, repository=int(engine.names.links.first[link]), link=link)

    def restore(self, reference: str, *, force: bool = False) -> str:
        """Bring back what was deleted and is still kept; returns the digest of its manifest.

        Parameters
        ----------
        reference : ``repo:tag``: that tag, on the manifest that it was taken from last; ``repo@digest``: the manifest,
            with the tags that went last with it where nothing else has them now.
        force : whether a tag that points elsewhere now is moved back.

        Raises
        ------
        NotRestorable : this kind keeps nothing of what is deleted; or it is gone for good by now, or was never deleted;
            or its tag points elsewhere and ``force`` is not given. Where only tags are deleted, a manifest comes back
            with a tag or not at all.
        InvalidReference : it is ``repo@untagged``.
        UnknownRepository, UnknownReference : no such repository, tag or manifest was ever here.
        Locked : the repository is locked against writing, or read only.
        ImmutableTagRefused : a tag would be moved, and this registry's tags do not move.

        Notes
        -----
        O(events), to find what was deleted.

        Examples
        --------
        >>> from quotasim import Blob, Image, Registry
        >>> registry = Registry("quay")
        >>> pushed = registry.push("app:1", Image([Blob.synthetic("layer", 100)]))
        >>> deleted = registry.delete("app:1")
        >>> registry.restore("app:1") == pushed.manifest
        True
        """
        engine, ref = self._engine, parse_reference(reference)
        if ref.untagged:
            raise InvalidReference(reference, "name a tag or a digest")
        if self.profile.restorable_for is None:
            raise NotRestorable(str(ref), "this registry keeps nothing of what is deleted")
        engine.sync()
        repository = lookup.repository_row(engine, ref.repository)
        tags, link = self._deleted_tag(ref, repository) if ref.tag is not None else self._deleted(ref, repository)
        state = engine.state
        if link == NULL or not state.read("linked")[link]:
            raise NotRestorable(str(ref), "it is gone for good")
        if ref.tag is None and not state.read("deleted")[link]:
            raise NotRestorable(str(ref), "it is not deleted")
        bound = state.read("tag_link")
        if ref.tag is not None and bound[tags[0]] == link:
            raise NotRestorable(str(ref), "it is not deleted")
        if ref.tag is not None and bound[tags[0]] != NULL and not force:
            raise NotRestorable(str(ref), "the tag points to another manifest now: force moves it")
        free = [tag for tag in tags if bound[tag] == NULL or force or ref.tag is not None]
        if not free and self.profile.delete_by_tag == "expire":
            raise NotRestorable(str(ref), "no tag that went with it is free: restore a tag")
        for tag in free:
            lookup.refuse_locked(engine, str(ref), layout.LOCK_WRITE, repository=repository, tag=tag)
            if bound[tag] != NULL:
                lookup.refuse_immutable(engine, str(ref), ("move", "keep"))
        lookup.refuse_locked(engine, str(ref), layout.LOCK_WRITE, repository=repository)
        codes = [layout.OP_RESTORE] * int(state.read("deleted")[link]) + [layout.OP_TAG] * len(free)
        count = len(codes)
        engine.apply(
            operations(
                np.array(codes),
                np.full(count, self.now, np.int64),
                link=np.full(count, link),
                tag=np.array([NULL] * (count - len(free)) + free),
                repository=np.full(count, repository),
            )
        )
        return lookup.digest_of(engine, link)

    def _deleted_tag(self, ref: Reference, repository: int) -> tuple[list[int], int]:
        """Return a tag and the link that it was taken from last, or NULL."""
        engine = self._engine
        tag = engine.names.find_tag(repository, ref.tag or "")
        if tag == NULL or engine.state.read("tag_event")[tag] == NULL:
            raise UnknownReference(str(ref), lookup.nearest(engine, ref))
        log = engine.log
        rows = np.flatnonzero((log.column("kind") == EventKind.UNTAG) & (log.column("tag") == tag))
        if not rows.size:
            return [tag], NULL
        return [tag], engine.names.links.find(repository, int(log.column("manifest")[rows[-1]]))

    def _deleted(self, ref: Reference, repository: int) -> tuple[list[int], int]:
        """Return a link and the tags that its last deletion took from it."""
        engine = self._engine
        manifest = engine.content.find_manifest(ref.digest or "")
        link = NULL if manifest == NULL else engine.names.links.find(repository, manifest)
        if link == NULL or engine.state.read("link_event")[link] == NULL:
            raise UnknownReference(str(ref), lookup.nearest(engine, ref))
        event = int(engine.state.read("untagged_event")[link])
        if event == NULL:
            return [], link
        log = engine.log
        kind, cause = log.column("kind"), log.column("cause")
        here = (log.column("manifest") == manifest) & (log.column("repository") == repository)
        # The deletion is the event itself, or the last of its tags' ends, which it has caused.
        root = event if kind[event] == EventKind.DELETE or cause[event] == NULL else int(cause[event])
        rows = np.flatnonzero(here & (kind == EventKind.UNTAG) & ((cause == root) | (np.arange(len(log)) == event)))
        return sorted(set(log.column("tag")[rows].tolist()) - {NULL}), link

    def set_replicas(self, count: int) -> None:
        """Keep so many copies of everything, the home region's among them.

        The limit and the display see one copy; ``replicated_bytes`` of :meth:`usage` is what is paid for.

        Raises
        ------
        InvalidValue : fewer than one; or more, where this kind has no replicas of that sort.
        """
        if count < 1 or (count > 1 and self.profile.replicas == "none"):
            wanted = "1 or more" if self.profile.replicas == "billed" else "1: copies are registries of their own here"
            raise InvalidValue("count", count, wanted)
        self._engine.replicas = count
        self._engine.state.changed(self.now)

    # --- the vendor's counter -------------------------------------------------------------------------------------
    def miscount(self, repository: str, size: int) -> None:
        """Let the vendor's counter of a repository's scope go wrong by ``size`` bytes, as after a rollback that failed
        (Harbor) or an update that was swallowed (Quay).

        Raises
        ------
        UnknownRepository
        InvalidValue : this kind has no counter that could be wrong, it would count less than nothing, or it stands
            still until it is filled.
        """
        self._require_counter()
        engine = self._engine
        row = lookup.repository_row(engine, repository)
        scope = int(scope_of_repositories(engine.names, self.profile.scope, np.array([row]))[0])
        if engine.ledger.uncounted[scope]:
            raise InvalidValue("repository", repository, "one whose counter does not stand still until it is filled")
        if engine.ledger.counted()[scope] + size < 0:
            raise InvalidValue("size", size, f"no less than -{engine.ledger.counted()[scope]:,}: so much is counted")
        self._administer(layout.OP_MISCOUNT, repository=row, amount=size)

    def recount(self) -> int:
        """Let the vendor count anew, everywhere; returns by how many bytes that changes what is counted.

        Raises
        ------
        InvalidValue : this kind has no counter of its own.
        """
        self._require_counter()
        before = self._engine.figures()["drift_bytes"]
        self._administer(layout.OP_RECOUNT)
        return -before

    def start_backfill(self) -> None:
        """Let the counter begin from nothing, as when quotas are switched on over content: it stands still at 0 in each
        scope until that scope's turn, and nothing is refused there meanwhile.

        Raises
        ------
        InvalidValue : this kind does not count so.

        Notes
        -----
        Scopes are taken in the order in which they came to be: the profile's ``backfill.batch`` at a time.
        """
        backfill = self.profile.backfill
        if backfill is None:
            raise InvalidValue("profile", self.profile.name, "a kind whose counter is filled by and by")
        self._administer(layout.OP_UNCOUNT)
        engine = self._engine
        rows = np.arange(len(engine.ledger.used()), dtype=np.int64)
        turn = np.empty((rows.size, 3), np.int64)
        turn[:, 0] = (layout.OP_RECOUNT << layout.WORD) | rows
        turn[:, 1] = len(engine.log) - 1
        turn[:, 2] = self.now + backfill.delay + rows // backfill.batch * backfill.every
        others = engine.state.waiting("agenda")
        others = others[others[:, 0] >> layout.WORD != layout.OP_RECOUNT]
        agenda = np.concatenate((others, turn))
        engine.state.restore_waiting("agenda", agenda[np.argsort(agenda[:, 2], kind="stable")])

    def _require_counter(self) -> None:
        if self.profile.counter != "own":
            raise InvalidValue("profile", self.profile.name, "a kind with a counter of its own")

    def _administer(self, code: int, *, amount: int = 0, **rows: int) -> None:
        """Apply one operation now."""
        columns: dict[str, Any] = {name: np.array([row]) for name, row in rows.items()}
        now = np.array([self.now], np.int64)
        self._engine.apply(operations(np.array([code]), now, amount=np.array([amount], np.int64), **columns))
